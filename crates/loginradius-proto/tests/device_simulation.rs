//! Device polling against thousands of random servers, networks and callers.
//!
//! Each run has a server that keeps its own time and really measures the distance between two polls, a
//! network with latencies and outages, kept connections that are closed just then, and a caller that may step early, late or twice, hand in stray
//! outcomes, be suspended, or store the login and continue with it elsewhere. `SIM_RUNS=100000` makes more
//! runs than the 10,000 of a plain one; a failure names its seed, and `SIM_SEED=1234` makes that run alone
//! and prints what happens.

use std::error::Error as _;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{
    Body, DeviceFlow, Endpoint, Error, ErrorKind, Flow, PendingDevice, Seed, SendOptions, Step, TokenSet,
};
use loginradius_testing::{PAGE, Rng, app, now, response, response_with};

/// Microseconds since the server made the grant.
type Time = u64;

const SECOND: Time = 1_000_000;
const MINUTE: Time = 60 * SECOND;
/// Later than anything that happens.
const NEVER: Time = u64::MAX / 4;
/// The longest wait that a flow knows: thirty years.
const AGES: Time = 30 * 365 * 24 * 60 * MINUTE;
const TIMEOUT: Time = 30 * SECOND;

#[test]
fn no_run_breaks_a_promise() {
    let mut coverage = Coverage::default();
    match number("SIM_SEED") {
        Some(seed) => Simulation::new(seed, true).run(&mut coverage),
        None => {
            let runs = number("SIM_RUNS").unwrap_or(10_000);
            (0..runs).for_each(|seed| Simulation::new(seed, false).run(&mut coverage));
            coverage.assert_that_everything_happened(runs);
        }
    }
    println!("{coverage:?}");
}

#[allow(clippy::disallowed_methods, reason = "it says how long to run; the core reads no variables")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[derive(Default)]
struct Coverage {
    runs: u64,
    collected: u64,
    denied: u64,
    expired: u64,
    lost: u64,
    /// Decided in time and in quiet, so that the tokens had to be fetched.
    sure: u64,
    polls: u64,
    failures: u64,
    closed: u64,
    resumed: u64,
    strays: u64,
    suspended: u64,
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, collected, denied, expired, lost, sure, polls, failures, closed, resumed, strays, suspended } =
            self;
        write!(f, "runs={runs} collected={collected} denied={denied} expired={expired} lost={lost} sure={sure} ")?;
        write!(f, "polls={polls} failures={failures} closed={closed} resumed={resumed} ")?;
        write!(f, "strays={strays} suspended={suspended}")
    }
}

impl Coverage {
    fn assert_that_everything_happened(&self, runs: u64) {
        let often = |what, times: u64, least: u64| assert!(times >= least, "only {times} times: {what}");
        often("collected", self.collected, runs / 5);
        often("denied", self.denied, runs / 20);
        often("expired", self.expired, runs / 10);
        often("lost", self.lost, runs / 500);
        often("sure", self.sure, runs / 5);
        often("polls", self.polls, runs * 3);
        often("failures", self.failures, runs / 2);
        often("closed", self.closed, runs / 5);
        often("resumed", self.resumed, runs / 10);
        often("strays", self.strays, runs / 10);
        often("suspended", self.suspended, runs / 10);
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    RequestLost,
    ResponseLost,
    NotSent,
    NoResponse,
    ServerError,
    Page,
    Redirect,
    TooMany,
    TooManyFor(Time),
    BusyFor(Time),
    /// The server closed the kept connection, after it had read the poll.
    ReadAndClosed,
}

impl Fault {
    fn any(rng: &mut Rng) -> Self {
        let long = if rng.percent(15) { 4_000 } else { 90 };
        let wait = rng.within(0, long) * SECOND;
        rng.pick(&[
            Self::RequestLost,
            Self::ResponseLost,
            Self::NotSent,
            Self::NoResponse,
            Self::ServerError,
            Self::Page,
            Self::Redirect,
            Self::TooMany,
            Self::TooManyFor(wait),
            Self::BusyFor(wait),
        ])
    }
}

/// What the server knows of the login.
#[derive(Debug)]
struct Server {
    /// The least distance between two polls, as it stands.
    interval: Time,
    lifetime: Time,
    decided_at: Time,
    denies: bool,
    last_poll: Time,
    consumed: bool,
    /// Polls that came too early.
    violations: u32,
    /// Whether the next poll may come too early.
    tolerates_next: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reply {
    Pending,
    SlowDown,
    Expired,
    Denied,
    Consumed,
    Tokens,
}

impl Server {
    /// Responds to a poll that arrives at `at`. It may ask any client that gets the response to slow down.
    fn respond(&mut self, at: Time, slow_down: bool) -> Reply {
        let too_early = at - self.last_poll < self.interval && !std::mem::take(&mut self.tolerates_next);
        self.last_poll = at;
        if at >= self.lifetime {
            return Reply::Expired;
        }
        self.violations += u32::from(too_early);
        if too_early || slow_down {
            self.interval += 5 * SECOND;
            return Reply::SlowDown;
        }
        match at >= self.decided_at {
            false => Reply::Pending,
            true if self.denies => Reply::Denied,
            true if self.consumed => Reply::Consumed,
            true => {
                self.consumed = true;
                Reply::Tokens
            }
        }
    }
}

/// How a poll goes: when its outcome reaches the caller, and what it is.
struct Outcome {
    at: Time,
    result: Option<Result<http::Response<Body>, Error>>,
    reply: Option<Reply>,
    fault: Option<Fault>,
    /// Whether the server closed a kept connection.
    is_closed: bool,
}

struct Simulation {
    seed: u64,
    verbose: bool,
    rng: Rng,
    server: Server,
    grant: DeviceGrant,
    up: Time,
    down: Time,
    outages: Vec<(Time, Time, Fault)>,
    /// How many of a hundred polls over a kept connection meet its end.
    closed_in_100: u64,
    clumsy: bool,

    /// What a client has to know.
    interval: Time,
    ends: Time,
    not_before: Time,
    last_outcome: Time,
    must_poll: bool,
    /// A kept connection was closed, so that the poll is to be sent again.
    must_repeat: bool,

    /// From when on nothing went wrong any more.
    quiet_from: Time,
    clock_changed: bool,
    resumed: u64,
    suspended: Time,
    polls: u64,
}

fn instant(time: Time) -> Instant {
    now().monotonic + Duration::from_micros(time)
}

/// The reverse of [`instant`]; a fraction of a microsecond counts as a whole one.
fn time(of: Instant) -> Time {
    let nanos = of.duration_since(instant(0)).as_nanos();
    Time::try_from(nanos.div_ceil(1_000)).unwrap_or(NEVER).min(NEVER)
}

fn clock(at: Time) -> SystemTime {
    now().wall + Duration::from_micros(at)
}

fn seconds(time: Time) -> f64 {
    Duration::from_micros(time).as_secs_f64()
}

impl Simulation {
    fn new(seed: u64, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let roughly = |rng: &mut Rng, most: u32| {
            let magnitude = u32::try_from(rng.within(0, 100)).unwrap();
            let seconds = f64::from(most).powf(f64::from(magnitude) / 100.0);
            // The shape does not matter, only that small and large ones are both met.
            (Duration::from_secs_f64(seconds).as_millis() as u64) * 1_000
        };

        let interval = roughly(&mut rng, 40);
        let (interval_member, interval) = match rng.within(0, 19) {
            0 => (String::new(), 5 * SECOND),
            1 => (r#","interval":null"#.to_owned(), 5 * SECOND),
            2 => (r#","interval":0"#.to_owned(), SECOND),
            3 => (r#","interval":-1"#.to_owned(), 5 * SECOND),
            4 => (r#","interval":"7""#.to_owned(), 7 * SECOND),
            5 => (r#","interval":1e30"#.to_owned(), NEVER),
            6 => (r#","interval":0.5"#.to_owned(), SECOND),
            7..=9 => (format!(r#","interval":{}"#, seconds(interval)), interval.max(SECOND)),
            _ => (format!(r#","interval":{}"#, interval / SECOND), (interval / SECOND).max(1) * SECOND),
        };
        let lifetime = (roughly(&mut rng, 600) / SECOND + 3) * SECOND;
        let endless = rng.percent(3);
        let (lifetime_member, lifetime) = match rng.within(0, 29) {
            _ if endless => (r#","expires_in":1e30"#.to_owned(), NEVER),
            0 => (String::new(), 30 * MINUTE),
            1 => (r#","expires_in":null"#.to_owned(), 30 * MINUTE),
            2 => (r#","expires_in":"soon""#.to_owned(), 30 * MINUTE),
            3..=5 => (format!(r#","expires_in":"{}""#, lifetime / SECOND), lifetime),
            6..=8 => (format!(r#","expires":{}.0"#, lifetime / SECOND), lifetime),
            9..=11 => (format!(r#","expire_in":"{}""#, lifetime / SECOND), lifetime),
            _ => (format!(r#","expires_in":{}"#, lifetime / SECOND), lifetime),
        };
        // A server whose lifetime has no end is decided at some time, so that its run has one.
        let horizon = lifetime.min(20 * MINUTE);
        let decided_at = match rng.within(0, 9) {
            0 if !endless => NEVER,
            1 => 0,
            2 => horizon - horizon.min(rng.within(0, 30 * SECOND)),
            _ => rng.within(0, horizon),
        };

        let body = format!(
            r#"{{"device_code":"af2a4121","user_code":"oP5lLq","verification_uri":"https://a/"{interval_member}{lifetime_member}}}"#
        );
        let grant = RequestDeviceCode::new().response(&app(), response(200, body)).expect("a grant");

        let slow = if rng.percent(25) { 3 * SECOND } else { SECOND / 5 };
        let (up, down) = (rng.within(1_000, slow), rng.within(10_000, slow));
        let outages = (0..rng.pick(&[0, 0, 1, 2, 3]))
            .map(|_| {
                let from = rng.within(0, horizon);
                let length = if rng.percent(10) { NEVER } else { rng.within(SECOND, horizon / 2) };
                (from, from.saturating_add(length), Fault::any(&mut rng))
            })
            // An outage without an end needs a lifetime with one.
            .filter(|(_, to, _)| !endless || *to < NEVER)
            .collect();

        let closed_in_100 = rng.pick(&[0, 0, 10, 100]);

        // The server may enforce another interval than it sent: a client keeps at least a second.
        let insists = if interval == NEVER { SECOND } else { interval };
        Self {
            server: Server {
                interval: insists,
                lifetime,
                decided_at,
                denies: rng.percent(25),
                last_poll: 0,
                consumed: false,
                violations: 0,
                tolerates_next: false,
            },
            seed,
            verbose,
            clumsy: rng.percent(50),
            rng,
            grant,
            up,
            down,
            outages,
            closed_in_100,
            interval,
            ends: 0,
            not_before: 0,
            last_outcome: 0,
            must_poll: false,
            must_repeat: false,
            quiet_from: 0,
            clock_changed: false,
            resumed: 0,
            suspended: 0,
            polls: 0,
        }
    }

    fn print(&self, at: Time, what: &dyn std::fmt::Debug) {
        if self.verbose {
            println!("{:12.6} {what:?}", seconds(at));
        }
    }

    fn latency(&mut self, base: Time) -> Time {
        self.rng.within(base, base * 2 - 1)
    }

    fn longest_round_trip(&self) -> Time {
        2 * (self.up + self.down)
    }

    fn run(mut self, coverage: &mut Coverage) {
        let (up, down) = (self.latency(self.up), self.latency(self.down));
        let mut now = up + down;
        // The server's time begins when it makes the grant.
        self.server.last_poll = up;
        self.server.lifetime = self.server.lifetime.saturating_add(up).min(NEVER);
        self.server.decided_at = self.server.decided_at.saturating_add(up);
        let lifetime = self.server.lifetime - up;
        self.ends = now.saturating_add(lifetime).min(NEVER);
        self.last_outcome = now;

        self.print(now, &(&self.server, self.interval, &self.outages));

        let mut flow = DeviceFlow::new(&app(), &self.grant, instant(now), Seed(self.seed))
            .round_trip(Duration::from_micros(now), instant(now));
        let first_interval = self.interval;
        let mut steps = 0;
        let result = loop {
            steps += 1;
            assert!(steps < 20_000, "seed {}: no end after {} polls", self.seed, self.polls);
            match flow.step(instant(now)) {
                Step::Done(result) => break result,
                Step::Wait(until) => {
                    assert!(!self.must_repeat, "seed {}: waits after a kept connection was closed", self.seed);
                    now = self.wait(&mut flow, now, time(until), coverage);
                }
                Step::Send { options, .. } => now = self.poll(&mut flow, now, options, coverage),
            }
        };
        self.print(now, &("end", result.as_ref().map_err(Error::kind)));
        self.judge(&result, now, coverage);

        let resumed = if self.resumed > 0 { self.last_outcome + self.interval.min(MINUTE) } else { 0 };
        let last_response = TIMEOUT.min((5 * SECOND).max(4 * self.longest_round_trip()));
        let latest = self.ends.max(resumed).saturating_add(last_response + self.suspended);
        assert!(now <= latest, "seed {}: ended at {now} only", self.seed);
        if !self.clock_changed {
            let most = lifetime / first_interval + 2 + self.resumed;
            assert!(self.polls <= most, "seed {}: {} polls instead of {most}", self.seed, self.polls);
        }
        assert_eq!(self.server.violations, 0, "seed {}: the server was polled too fast", self.seed);
        let Step::Done(Err(error)) = flow.step(instant(now)) else { panic!("seed {}: two ends", self.seed) };
        assert_eq!(error.kind(), ErrorKind::AlreadyCompleted);
        coverage.runs += 1;
        coverage.polls += self.polls;
        coverage.resumed += self.resumed;
    }

    /// The caller waits; returns when it comes back.
    fn wait(&mut self, flow: &mut DeviceFlow, now: Time, until: Time, coverage: &mut Coverage) -> Time {
        if self.clumsy && self.rng.percent(5) && self.resumed < 3 {
            return self.store_and_resume(flow, now, 0);
        }
        if self.clumsy && self.rng.percent(10) {
            // Early, and with an outcome of no poll.
            let early = self.rng.within(now, until.max(now));
            let stray = self.rng.pick(&[
                r#"{"access_token":"stray"}"#,
                r#"{"error":"access_denied"}"#,
                r#"{"error":"slow_down"}"#,
                "<html>",
            ]);
            flow.receive(Ok(response(200, stray)), instant(early));
            coverage.strays += 1;
            return early;
        }
        let late = self.suspension(coverage);
        if late > 0 {
            self.quiet_from = self.quiet_from.max(until.max(now) + late);
        }
        until.max(now) + late
    }

    fn suspension(&mut self, coverage: &mut Coverage) -> Time {
        if !self.clumsy || !self.rng.percent(3) {
            return 0;
        }
        let long = self.rng.pick(&[SECOND, MINUTE, 20 * MINUTE]);
        let late = self.rng.within(1, long);
        self.suspended += late;
        coverage.suspended += 1;
        self.print(late, &"suspended for so long");
        late
    }

    /// Another process continues at least `gap` later, perhaps with another wall clock.
    fn store_and_resume(&mut self, flow: &mut DeviceFlow, now: Time, gap: Time) -> Time {
        let stored = flow.pending(instant(now), clock(now)).to_json();
        let now = now + gap + if self.rng.percent(50) { 0 } else { self.rng.within(0, MINUTE) };
        let hour = Duration::from_secs(3600);
        let wall_clock = match self.rng.within(0, 9) {
            0 => clock(now) - hour,
            1 => clock(now) + hour,
            _ => clock(now),
        };
        let pending = PendingDevice::from_json(&stored).expect("what was stored can be read");
        *flow = DeviceFlow::resume(&app(), &pending, instant(now), wall_clock, Seed(self.seed ^ 1));

        let ends = time(flow.expires_at());
        if wall_clock == clock(now) {
            let rounding = 3_000;
            let expected = self.ends.max(now);
            let is_exact = (expected..=expected + rounding).contains(&ends);
            assert!(is_exact || self.server.lifetime == NEVER, "seed {}: ends at {ends}, not {expected}", self.seed);
        } else {
            self.clock_changed = true;
            self.not_before = 0;
        }
        self.ends = ends;
        self.suspended += gap + MINUTE;
        self.quiet_from = self.quiet_from.max(now);
        self.print(now, &("resumed", clock(now) == wall_clock));
        self.last_outcome = now;
        self.must_poll = true;
        self.resumed += 1;
        now
    }

    /// Returns whether this is the one poll of an interval that does not fit into the lifetime.
    fn is_owed(&self, now: Time) -> bool {
        let response = SECOND.max(2 * self.longest_round_trip());
        let fits = self.last_outcome.saturating_add(self.interval).saturating_add(response) <= self.ends;
        // To the flow, a suspension while a response was awaited is a slow server.
        let is_squeezed = !fits || self.suspended > 0;
        match self.must_poll {
            true => self.interval > MINUTE && is_squeezed,
            false => self.polls == 0 && is_squeezed && now < self.ends,
        }
    }

    /// Sends a poll, and returns when the caller comes back with its outcome, or without one.
    fn poll(&mut self, flow: &mut DeviceFlow, now: Time, options: SendOptions, coverage: &mut Coverage) -> Time {
        let seed = self.seed;
        let deadline = time(options.deadline);
        let repeats = std::mem::take(&mut self.must_repeat);
        assert!(options.fresh_connection || !repeats, "seed {seed}: polled again over a kept connection");
        let waited = now - self.last_outcome;
        assert!(
            waited >= self.interval.min(AGES) || self.is_owed(now) || repeats,
            "seed {seed}: polled after {waited} µs instead of {}",
            self.interval
        );
        assert!(now < self.ends || self.must_poll, "seed {seed}: polled at {now}, after {}", self.ends);
        let not_before = self.not_before;
        assert!(now >= not_before || not_before >= self.ends, "seed {seed}: polled at {now}, before {not_before}");
        if self.is_owed(now) {
            self.server.tolerates_next = true;
        }
        self.must_poll = false;
        self.polls += u64::from(!repeats);

        // The process that sent it may not live to see the response.
        let dies = self.clumsy && self.resumed < 3 && self.rng.percent(3);
        let outcome = self.outcome(now, !dies, options.fresh_connection);
        self.print(now, &("poll", outcome.reply, outcome.fault));
        let patience = (now + self.interval.min(TIMEOUT)).min(self.ends.min(AGES).max(now + 5 * SECOND));
        assert!((patience..=now + TIMEOUT).contains(&deadline), "seed {seed}: waits until {deadline}");
        let honest = outcome.fault.is_none() && outcome.at >= deadline;
        assert!(!honest, "seed {seed}: given up at {deadline}, and responded to at {}", outcome.at);
        let early = self.clumsy && self.rng.percent(10);
        if early {
            for at in [now, now / 2 + outcome.at.min(deadline - 1) / 2] {
                let Step::Wait(until) = flow.step(instant(at)) else { panic!("seed {seed}: one poll is out") };
                assert_eq!(time(until), deadline, "seed {seed}");
            }
        }
        if dies {
            return self.store_and_resume(flow, now, self.longest_round_trip());
        }
        let late = self.suspension(coverage);
        let at = match outcome.result {
            Some(_) => outcome.at + late,
            None => deadline + late,
        };
        self.observe(&outcome, at, coverage);
        if late > 0 {
            self.quiet_from = self.quiet_from.max(at);
        }
        if outcome.is_closed && at < self.ends {
            coverage.closed += 1;
            self.must_repeat = true;
        }
        if let Some(result) = outcome.result {
            flow.receive(result, instant(at));
        }
        at
    }

    /// What a client has to make of an outcome, or of the lack of one.
    fn observe(&mut self, outcome: &Outcome, at: Time, coverage: &mut Coverage) {
        self.last_outcome = at;
        self.not_before = 0;
        if outcome.reply == Some(Reply::SlowDown) {
            self.interval = self.interval.saturating_add(5 * SECOND);
            self.quiet_from = self.quiet_from.max(at);
        }
        if let Some(fault) = outcome.fault {
            coverage.failures += 1;
            self.quiet_from = self.quiet_from.max(at);
            match fault {
                Fault::TooMany => self.interval = self.interval.saturating_add(5 * SECOND),
                Fault::TooManyFor(wait) | Fault::BusyFor(wait) => {
                    self.not_before = at + wait;
                    if self.not_before < self.ends {
                        self.quiet_from = self.quiet_from.max(self.not_before);
                    }
                }
                _ => {}
            }
        }
    }

    fn outcome(&mut self, now: Time, is_observed: bool, over_new_connection: bool) -> Outcome {
        let (up, down) = (self.latency(self.up), self.latency(self.down));
        let (arrives, back) = (now + up, now + up + down);
        if !over_new_connection && self.rng.percent(self.closed_in_100) {
            let fault = self.rng.percent(5).then_some(Fault::ReadAndClosed);
            if fault.is_some() {
                self.server.respond(arrives, false);
                self.server.tolerates_next = true;
            }
            return Outcome {
                at: back,
                result: Some(Err(Error::connection_closed())),
                reply: None,
                fault,
                is_closed: true,
            };
        }
        let fault = self.outages.iter().find(|(from, to, _)| (*from..*to).contains(&now)).map(|(_, _, fault)| *fault);
        let Some(fault) = fault.filter(|_| self.rng.percent(90)) else {
            let slow_down = is_observed && self.rng.percent(4);
            let reply = self.server.respond(arrives, slow_down);
            let result = Ok(self.write(reply));
            return Outcome { at: back, result: Some(result), reply: Some(reply), fault: None, is_closed: false };
        };
        let acted = match fault {
            Fault::ResponseLost => true,
            Fault::NoResponse | Fault::ServerError => self.rng.percent(50),
            _ => false,
        };
        if acted {
            self.server.respond(arrives, false);
        }
        let wait = |status, wait: Time| {
            Ok(response_with(status, PAGE, &[("retry-after", (wait / SECOND).to_string().as_str())]))
        };
        let (at, result) = match fault {
            Fault::RequestLost => (arrives, Some(Err(Error::outcome_unknown("reset")))),
            Fault::ResponseLost => (back, Some(Err(Error::outcome_unknown("reset")))),
            Fault::NotSent => (now, Some(Err(Error::not_sent("refused")))),
            Fault::NoResponse => (NEVER, None),
            Fault::ServerError => {
                let body = self.rng.pick(&[PAGE, "", r#"{"error":"server_error"}"#, r#"{"ErrorCode":905}"#]);
                (back, Some(Ok(response(self.rng.pick(&[500, 502, 503, 504]), body))))
            }
            Fault::Page => (back, Some(Ok(response(self.rng.pick(&[200, 403, 404]), PAGE)))),
            Fault::Redirect => (back, Some(Ok(response(self.rng.pick(&[301, 302, 307]), "")))),
            Fault::TooMany => (back, Some(Ok(response(429, "Too many requests")))),
            Fault::TooManyFor(seconds) => (back, Some(wait(429, seconds))),
            Fault::BusyFor(seconds) => (back, Some(wait(503, seconds))),
            Fault::ReadAndClosed => (back, Some(Err(Error::connection_closed()))),
        };
        Outcome { at, result, reply: None, fault: Some(fault), is_closed: false }
    }

    /// Writes a reply in one of LoginRadius's ways.
    fn write(&mut self, reply: Reply) -> http::Response<Body> {
        let name = match reply {
            Reply::Tokens => {
                let token_type = self.rng.pick(&["access_token", "Bearer", "bearer"]);
                return response(200, format!(r#"{{"access_token":"b8cb84c9","token_type":"{token_type}"}}"#));
            }
            Reply::Pending => "authorization_pending",
            Reply::SlowDown => "slow_down",
            Reply::Expired => "expired_token",
            Reply::Denied => "access_denied",
            Reply::Consumed => "invalid_grant",
        };
        let body = match self.rng.percent(70) {
            true => format!(r#"{{"error":"{name}","error_description":""}}"#),
            false => format!(r#"{{"ErrorCode":2010,"Message":"{name}","Description":"A sentence."}}"#),
        };
        response(self.rng.pick(&[400, 400, 200, 401]), body)
    }

    fn judge(&self, result: &Result<TokenSet, Error>, now: Time, coverage: &mut Coverage) {
        let seed = self.seed;
        let server = &self.server;
        // One interval and one round trip before the end, all was decided and nothing went wrong after that.
        let needed = self.interval.saturating_add(self.longest_round_trip());
        let ready = server.decided_at.max(self.quiet_from);
        let sure = !self.clock_changed && ready.saturating_add(needed) <= server.lifetime && ready < NEVER;
        let kind = result.as_ref().err().map(Error::kind);
        match (result, kind) {
            (Ok(tokens), _) => {
                assert_eq!(tokens.access_token.expose(), "b8cb84c9", "seed {seed}");
                assert!(server.consumed && !server.denies, "seed {seed}");
                coverage.collected += 1;
            }
            (Err(_), Some(ErrorKind::Denied)) => {
                assert!(server.denies, "seed {seed}");
                coverage.denied += 1;
            }
            (Err(error), Some(ErrorKind::SignInRequired)) => {
                let name = error.api_error().and_then(|api_error| api_error.oauth_error.as_deref());
                assert_eq!(name, Some("invalid_grant"), "seed {seed}: {error:?}");
                // Only a client that has lost a response can find the grant consumed.
                assert!(server.consumed, "seed {seed}");
                let says_so = error.to_string().contains("may have been lost") && error.source().is_some();
                assert!(says_so || self.resumed > 0, "seed {seed}: {error:?}");
                coverage.lost += 1;
            }
            (Err(error), Some(ErrorKind::Expired)) if error.api_error().is_some() => {
                let name = error.api_error().and_then(|api_error| api_error.oauth_error.as_deref());
                assert_eq!(name, Some("expired_token"), "seed {seed}: {error:?}");
                assert!(!sure, "seed {seed}: collected too late");
                coverage.expired += 1;
            }
            (Err(error), Some(ErrorKind::Expired)) => {
                assert!(now >= server.lifetime.min(AGES) || self.clock_changed, "seed {seed}: expired at {now}");
                assert!(!sure || (server.consumed && !server.denies), "seed {seed}: not collected, {error:?}");
                coverage.expired += 1;
            }
            (Err(error), _) => panic!("seed {seed}: {error:?}"),
        }
        coverage.sure += u64::from(sure);
    }
}
