//! Any server, transport, caller and clock.
//!
//! - Two polls are never closer than the interval, counted from the last outcome, and the interval never
//!   becomes shorter.
//! - After the code has expired there is no poll, except the one that a resumed flow owes.
//! - While a poll is in flight, the flow says until when to wait.
//! - A flow whose code has expired has a result, and exactly one.

#![cfg_attr(fuzzing, no_main)]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use arbitrary::{Arbitrary, Result, Unstructured};
use loginradius_proto::oauth::RequestDeviceCode;
use loginradius_proto::{App, Body, DeviceFlow, Endpoint, Error, ErrorKind, Flow, PendingDevice, Seed, Step, http};

loginradius_fuzz::target!(device_flow);

/// The least time that the first poll leaves for its response, if it can.
const MARGIN: Duration = Duration::from_secs(1);
/// The longest wait that a flow returns.
const MAX_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

fn device_flow(data: &[u8]) {
    // Running out of data ends a simulation early; that is no failure.
    let _ = simulate(&mut Unstructured::new(data));
}

struct Simulation {
    app: App,
    flow: DeviceFlow,
    now: Instant,
    /// When the grant or the last outcome arrived.
    last: Instant,
    /// When the poll in flight was sent, and its deadline.
    in_flight: Option<(Instant, Instant)>,
    interval: Duration,
    owes_a_poll: bool,
    has_polled: bool,
    done: bool,
}

fn simulate(data: &mut Unstructured<'_>) -> Result<()> {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    let app = App::new("client").with_oauth_app("oauth-app");

    let body = format!(
        r#"{{"device_code":"d","user_code":"u","verification_uri":"https://a/","interval":{},"expires_in":{}}}"#,
        number(data)?,
        number(data)?
    );
    let grant = RequestDeviceCode::new().response(&app, http::Response::new(Body::from(body))).expect("a grant");
    let now = start.checked_add(duration(data)?).unwrap_or(start);
    let mut flow = DeviceFlow::new(&app, &grant, now, Seed(u64::arbitrary(data)?));
    if bool::arbitrary(data)? {
        flow = flow.timeout(duration(data)?).round_trip(duration(data)?, now);
    }
    let mut simulation = Simulation {
        app,
        flow,
        now,
        last: now,
        in_flight: None,
        interval: grant.interval,
        owes_a_poll: false,
        has_polled: false,
        done: false,
    };
    while !data.is_empty() {
        simulation.act(data)?;
    }
    simulation.finish();
    Ok(())
}

/// Returns a number as a server may write it.
fn number(data: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u8::arbitrary(data)? % 8 {
        0 => "null".to_owned(),
        1 => "1e30".to_owned(),
        2 => i64::arbitrary(data)?.to_string(),
        3 => u64::arbitrary(data)?.to_string(),
        4 => format!("\"{}\"", u16::arbitrary(data)?),
        5 => format!("{}.{}", u8::arbitrary(data)?, u16::arbitrary(data)?),
        _ => u8::arbitrary(data)?.to_string(),
    })
}

fn duration(data: &mut Unstructured<'_>) -> Result<Duration> {
    Ok(match u8::arbitrary(data)? % 6 {
        0 => Duration::from_millis(u16::arbitrary(data)?.into()),
        1 => Duration::from_secs(u8::arbitrary(data)?.into()),
        2 => Duration::from_secs(u16::arbitrary(data)?.into()),
        3 => Duration::from_secs(u32::arbitrary(data)?.into()),
        4 => Duration::new(u64::arbitrary(data)?, 0),
        _ => Duration::ZERO,
    })
}

impl Simulation {
    fn act(&mut self, data: &mut Unstructured<'_>) -> Result<()> {
        match u8::arbitrary(data)? % 16 {
            0..=1 => self.now = self.now.checked_add(duration(data)?).unwrap_or(self.now),
            // Two threads may have read their clocks in another order.
            2 => self.now = self.now.checked_sub(duration(data)?).unwrap_or(self.now),
            3 => self.resume(duration(data)?, duration(data)?),
            4..=9 => {
                let outcome = outcome(data)?;
                self.receive(outcome);
            }
            _ => {
                if let Some(until) = self.step() {
                    self.now = self.now.max(until);
                }
            }
        }
        let interval = self.flow.pending(self.now, SystemTime::UNIX_EPOCH).grant().interval;
        assert!(interval.min(MAX_WAIT) >= self.interval.min(MAX_WAIT), "{interval:?} after {:?}", self.interval);
        self.interval = interval;
        Ok(())
    }

    /// Takes a step, and returns until when to wait, if that is the step.
    fn step(&mut self) -> Option<Instant> {
        let now = self.now;
        if let Some((_, deadline)) = self.in_flight
            && now >= deadline
        {
            self.in_flight = None;
            self.last = now;
        }
        match self.flow.step(now) {
            Step::Wait(until) => {
                if let Some((_, deadline)) = self.in_flight {
                    assert_eq!(until, deadline);
                }
                assert!(until >= now);
                Some(until)
            }
            Step::Send { options, .. } => {
                assert!(self.in_flight.is_none(), "two polls are in flight");
                assert!(now >= self.last, "polled before the last outcome");
                let waited = now - self.last;
                assert!(waited >= self.interval.min(MAX_WAIT) || self.is_squeezed(), "polled after {waited:?}");
                assert!(now < self.flow.expires_at() || self.owes_a_poll, "polled after the end");
                (self.owes_a_poll, self.has_polled) = (false, true);
                self.in_flight = Some((now, options.deadline));
                None
            }
            Step::Done(result) => {
                if let Err(error) = result {
                    assert_eq!(error.kind() == ErrorKind::AlreadyCompleted, self.done, "{error:?}");
                    let by_the_server = error.api_error().is_some();
                    let at_the_end =
                        error.kind() != ErrorKind::Expired || by_the_server || now >= self.flow.expires_at();
                    assert!(at_the_end, "expired too early");
                } else {
                    assert!(!self.done);
                }
                self.done = true;
                None
            }
        }
    }

    /// Returns whether the code must be polled for once, and expires before the interval is over, or soon after that.
    fn is_squeezed(&self) -> bool {
        let margin = (self.flow.pending(self.now, SystemTime::UNIX_EPOCH).grant().expires_in / 2).max(MARGIN);
        let response = self.interval.checked_add(margin).and_then(|wait| self.last.checked_add(wait));
        (self.owes_a_poll || !self.has_polled) && response.is_none_or(|response| response > self.flow.expires_at())
    }

    fn receive(&mut self, outcome: std::result::Result<http::Response<Body>, Error>) {
        if let Some((sent, _)) = self.in_flight.take() {
            self.last = self.now.max(sent);
        }
        self.flow.receive(outcome, self.now);
    }

    fn resume(&mut self, stored_at: Duration, resumed_at: Duration) {
        if self.done {
            return;
        }
        let clock = |time| SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH);
        let json = self.flow.pending(self.now, clock(stored_at)).to_json();
        let pending = PendingDevice::from_json(&json).expect("what was written can be read");
        self.flow = DeviceFlow::resume(&self.app, &pending, self.now, clock(resumed_at), Seed(7));
        self.last = self.now;
        self.in_flight = None;
        self.owes_a_poll = true;
    }

    fn finish(&mut self) {
        for _ in 0..4 {
            self.now = self.now.max(self.flow.expires_at());
            match self.step() {
                Some(until) => self.now = self.now.max(until),
                None if self.done => {
                    self.step();
                    return;
                }
                None => self.receive(Err(Error::outcome_unknown("reset"))),
            }
        }
        panic!("no end");
    }
}

fn outcome(data: &mut Unstructured<'_>) -> Result<std::result::Result<http::Response<Body>, Error>> {
    const STATUSES: [u16; 8] = [200, 400, 400, 401, 404, 429, 503, 302];
    const NAMES: [&str; 6] =
        ["authorization_pending", "slow_down", "access_denied", "expired_token", "invalid_grant", "server_error"];
    let body = match u8::arbitrary(data)? % 10 {
        0 => return Ok(Err(Error::outcome_unknown("reset"))),
        1 => return Ok(Err(Error::not_sent("refused"))),
        2..=5 => r#"{"error":"authorization_pending"}"#.to_owned(),
        6 => format!(r#"{{"error":"slow_down","interval":{}}}"#, number(data)?),
        7 => format!(r#"{{"ErrorCode":{},"Message":"{}"}}"#, number(data)?, data.choose(&NAMES)?),
        8 => r#"{"access_token":"b8cb84c9"}"#.to_owned(),
        _ => String::from_utf8_lossy(data.arbitrary::<&[u8]>()?).into_owned(),
    };
    let mut response = http::Response::builder().status(*data.choose(&STATUSES)?);
    if bool::arbitrary(data)? {
        response = response.header("retry-after", number(data)?);
    }
    Ok(Ok(response.body(Body::from(body)).expect("a response")))
}
