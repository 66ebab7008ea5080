//! The rules of device polling, one by one, with made-up instants.

use std::error::Error as _;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::oauth::{DeviceGrant, RequestDeviceCode};
use loginradius_proto::{
    App, Body, ConnectFailure, DeviceFlow, DeviceProgress, Endpoint, Error, ErrorKind, Flow, PendingDevice, Seed,
    SendOptions, Service, Step, TokenSet,
};
use loginradius_testing::{PAGE, app, ms, now, response, response_with, s, start};

const PENDING: &str = r#"{"error":"authorization_pending","error_description":""}"#;
const SLOW_DOWN: &str = r#"{"error":"slow_down"}"#;
const TOKENS: &str =
    r#"{"access_token":"b8cb84c9","token_type":"access_token","expires_in":394,"refresh_token":"c7d1"}"#;

/// A grant whose response had these members besides those that it must have.
fn grant(members: &str) -> DeviceGrant {
    let comma = if members.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"device_code":"af2a4121","user_code":"oP5lLq","verification_uri":"https://example.com/device"{comma}{members}}}"#
    );
    RequestDeviceCode::new().response(&app(), response(200, body)).expect("a grant")
}

/// A device that signs in: the flow, and a clock that stands still until a test moves it.
struct Device {
    flow: DeviceFlow,
    now: Instant,
    polls: u32,
}

impl Device {
    fn new(interval: u64, lifetime: u64) -> Self {
        Self::with(&format!(r#""interval":{interval},"expires_in":{lifetime}"#))
    }

    fn with(members: &str) -> Self {
        Self { flow: DeviceFlow::new(&app(), &grant(members), start(), Seed(42)), now: start(), polls: 0 }
    }

    fn resume(pending: &PendingDevice, now: Instant, clock: SystemTime) -> Self {
        Self { flow: DeviceFlow::resume(&app(), pending, now, clock, Seed(43)), now, polls: 0 }
    }

    /// Since the grant arrived.
    fn clock(&self) -> Duration {
        self.now - start()
    }

    /// Waits for the next poll: how long that took.
    #[track_caller]
    fn poll(&mut self) -> Duration {
        let before = self.now;
        match self.next() {
            Ok(_) => self.now - before,
            Err(end) => panic!("ended after {:?} with {end:?}", self.now - before),
        }
    }

    /// Waits for the end, before which there must be no further poll.
    #[track_caller]
    fn end(&mut self) -> Result<TokenSet, Error> {
        match self.next() {
            Ok(_) => panic!("polled at {:?}", self.clock()),
            Err(end) => end,
        }
    }

    #[track_caller]
    fn error(&mut self) -> Error {
        self.end().expect_err("an error")
    }

    /// Moves the clock to the next request, or to the end.
    #[allow(clippy::result_large_err, reason = "the end of a flow is no error here")]
    fn next(&mut self) -> Result<(http::Request<Body>, SendOptions), Result<TokenSet, Error>> {
        for _ in 0..3 {
            match self.flow.step(self.now) {
                Step::Wait(until) => self.now = self.now.max(until),
                Step::Send { request, options } => {
                    self.polls += 1;
                    assert!(self.polls <= 2_000, "it polls without end");
                    return Ok((request, options));
                }
                Step::Done(result) => return Err(result),
            }
        }
        panic!("the flow waits for nothing");
    }

    #[track_caller]
    fn polls_over_a_new_connection(&mut self) -> bool {
        let Ok((_, options)) = self.next() else { panic!("no poll") };
        options.fresh_connection
    }

    fn responds(&mut self, status: u16, body: &str) {
        self.flow.receive(Ok(response(status, body)), self.now);
    }

    fn responds_with(&mut self, status: u16, body: &str, headers: &[(&str, &str)]) {
        self.flow.receive(Ok(response_with(status, body, headers)), self.now);
    }

    fn fails(&mut self, error: Error) {
        self.flow.receive(Err(error), self.now);
    }

    /// Stores the login and resumes it at once, in a process whose wall clock is off by nothing.
    fn stored(&self) -> Self {
        let clock = now().wall + self.clock();
        let json = self.flow.pending(self.now, clock).to_json();
        Self::resume(&PendingDevice::from_json(&json).unwrap(), self.now, clock)
    }
}

fn lost() -> Error {
    Error::outcome_unknown("connection reset")
}

fn not_sent() -> Error {
    Error::not_sent("connection refused")
}

type Outcome = (&'static str, fn(&mut Device));

/// Failures, which mean nothing for the login.
const FAILURES: &[Outcome] = &[
    ("lost", |device| device.fails(lost())),
    ("not sent", |device| device.fails(not_sent())),
    ("not connectable", |device| {
        device.fails(Error::not_connected(ConnectFailure::NotTls { address: "10.0.0.1:443".to_owned() }));
    }),
    ("500 with a page", |device| device.responds(500, PAGE)),
    ("502 with nothing", |device| device.responds(502, "")),
    ("503 with a page", |device| device.responds(503, PAGE)),
    ("503 with an OAuth error", |device| device.responds(503, r#"{"error":"temporarily_unavailable"}"#)),
    ("500 with an unknown OAuth error", |device| device.responds(500, r#"{"error":"whatever"}"#)),
    ("500 with a refusal", |device| device.responds(500, r#"{"error":"invalid_request"}"#)),
    ("500 with a code", |device| device.responds(500, r#"{"ErrorCode":905,"Message":"The token is not valid"}"#)),
    ("502 with other JSON", |device| device.responds(502, r#"{"message":"no healthy upstream"}"#)),
    ("301", |device| device.responds_with(301, "", &[("location", "https://example.com/")])),
    ("302 with a page", |device| device.responds(302, PAGE)),
    ("307 with a refusal", |device| device.responds(307, r#"{"error":"invalid_request"}"#)),
    ("a page at 200", |device| device.responds(200, PAGE)),
    ("a page at 404", |device| device.responds(404, PAGE)),
    ("a page at 403", |device| device.responds(403, PAGE)),
    ("nothing at 200", |device| device.responds(200, "")),
    ("half a body", |device| device.responds(200, &TOKENS[..30])),
    ("no text", |device| {
        let bytes = Body::from(vec![0xff, 0xfe, 0x00]);
        device.flow.receive(Ok(http::Response::new(bytes)), device.now);
    }),
    ("a response without tokens", |device| device.responds(200, r#"{"token_type":"access_token"}"#)),
    ("an empty token", |device| device.responds(200, r#"{"access_token":""}"#)),
    ("too long", |device| device.responds(200, &" ".repeat(Body::LIMIT + 1))),
    ("408", |device| device.responds(408, "")),
    ("server_error at 400", |device| device.responds(400, r#"{"error":"server_error"}"#)),
    ("429 with a wait", |device| device.responds_with(429, "Too many requests", &[("retry-after", "0")])),
    ("429 with a refusal", |device| {
        device.responds_with(429, r#"{"error":"invalid_request"}"#, &[("retry-after", "1")]);
    }),
];

// When to poll

#[test]
fn the_first_poll_comes_one_interval_after_the_grant() {
    let mut device = Device::new(10, 600);
    assert_eq!(device.poll(), s(10));
}

#[test]
fn later_polls_count_from_the_last_response() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.now += ms(3_700);
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(10));
    assert_eq!(device.clock(), ms(23_700));
}

#[test]
fn an_early_step_returns_the_same_wait() {
    let mut device = Device::new(10, 600);
    for elapsed in [0, 1, 9_999, 5_000] {
        let Step::Wait(until) = device.flow.step(start() + ms(elapsed)) else { panic!("too early") };
        assert_eq!(until, start() + s(10));
    }
    assert_eq!(device.poll(), s(10));
}

#[test]
fn a_late_step_polls_at_once() {
    let mut device = Device::new(10, 600);
    device.now += s(77);
    assert_eq!(device.poll(), s(0));
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(10));
}

#[test]
fn an_interval_in_any_form_is_never_undercut() {
    for (member, interval) in [
        (r#""expires_in":600"#, s(5)),
        (r#""interval":null,"expires_in":600"#, s(5)),
        (r#""interval":0,"expires_in":600"#, s(1)),
        (r#""interval":0.25,"expires_in":600"#, s(1)),
        (r#""interval":1,"expires_in":600"#, s(1)),
        (r#""interval":7.5,"expires_in":600"#, ms(7_500)),
        (r#""interval":"5","expires_in":600"#, s(5)),
        (r#""interval":"soon","expires_in":600"#, s(5)),
        (r#""interval":-1,"expires_in":600"#, s(5)),
        (r#""interval":[],"expires_in":600"#, s(5)),
        (r#""interval":30,"expires_in":600"#, s(30)),
    ] {
        let mut device = Device::with(member);
        assert_eq!(device.poll(), interval, "{member}");
        device.responds(400, PENDING);
        assert_eq!(device.poll(), interval, "{member}");
    }
}

/// The server would take no second poll, so that one is sent late, and never two.
#[test]
fn an_interval_longer_than_the_lifetime_leaves_one_poll_before_the_end() {
    for (interval, lifetime, poll) in [
        ("600", "600", s(595)),
        ("599.5", "600", s(595)),
        ("86400", "600", s(595)),
        ("1e30", "600", s(595)),
        ("18446744073709551615", "600", s(595)),
        ("30", "4", s(2)),
        ("1", "1", ms(500)),
        ("12", "12", s(7)),
        // These fit.
        ("599", "600", s(599)),
        ("11", "12", s(11)),
    ] {
        let members = format!(r#""interval":{interval},"expires_in":{lifetime}"#);
        let mut device = Device::with(&members);
        assert_eq!(device.poll(), poll, "{members}");
        device.responds(400, PENDING);
        assert_eq!(device.error().kind(), ErrorKind::Expired, "{members}");
        assert_eq!(device.clock().as_secs(), lifetime.parse::<u64>().unwrap(), "{members}");

        let mut device = Device::with(&members);
        device.poll();
        device.responds(200, TOKENS);
        assert!(device.end().is_ok(), "{members}");
    }
    let mut device = Device::with(r#""interval":1e30,"expires_in":1e30"#);
    assert!(device.poll() > s(20 * 365 * 24 * 3600));
}

#[test]
fn one_poll_before_the_end_allows_for_slow_responses() {
    let grant = grant(r#""interval":600,"expires_in":60"#);
    let flow = DeviceFlow::new(&app(), &grant, start(), Seed(42)).round_trip(s(8), start());
    assert_eq!((Device { flow, now: start(), polls: 0 }).poll(), s(44));
    // Slower than the lifetime: at once, and not never.
    let flow = DeviceFlow::new(&app(), &grant, start(), Seed(42)).round_trip(s(100), start());
    assert_eq!((Device { flow, now: start(), polls: 0 }).poll(), s(0));
}

/// An hour after the code has expired is too late for an answer that tells the user so.
#[test]
fn a_resumed_flow_waits_a_minute_past_the_end_at_most() {
    for (interval, age, poll) in [(86_400, 0, s(595)), (86_400, 500, s(95)), (86_400, 700, s(60)), (61, 599, s(60))] {
        let pending = Device::new(interval, 600).flow.pending(start(), now().wall);
        let mut device = Device::resume(&pending, start(), now().wall + s(age));
        assert_eq!(device.poll(), poll, "interval {interval} s, after {age} s");
        device.responds(400, PENDING);
        assert_eq!(device.error().kind(), ErrorKind::Expired);
    }
}

#[test]
fn an_interval_of_nothing_does_not_poll_without_end() {
    let mut device = Device::new(0, 600);
    let mut polls = 0;
    while device.next().is_ok() {
        polls += 1;
        device.responds(400, PENDING);
    }
    assert!((590..=600).contains(&polls), "{polls} polls");
}

#[test]
fn a_lifetime_in_any_form_is_not_cut_short() {
    let years = s(20 * 365 * 24 * 3600);
    for (member, least, most) in [
        (r#""interval":5"#, s(1800), s(1800)),
        (r#""interval":5,"expires_in":null"#, s(1800), s(1800)),
        (r#""interval":5,"expires_in":0"#, s(0), s(0)),
        (r#""interval":5,"expires_in":-1"#, s(0), s(0)),
        (r#""interval":5,"expires_in":"-3600""#, s(0), s(0)),
        (r#""interval":5,"expires_in":"soon""#, s(1800), s(1800)),
        (r#""interval":5,"expires_in":"60""#, s(60), s(60)),
        (r#""interval":5,"expires":60"#, s(60), s(60)),
        (r#""interval":5,"expire_in":"60""#, s(60), s(60)),
        (r#""interval":5,"expires_in":60.5"#, ms(60_500), ms(60_500)),
        (r#""interval":5,"expires_in":1e30"#, years, Duration::MAX),
        (r#""interval":5,"expires_in":18446744073709551615"#, years, Duration::MAX),
    ] {
        let device = Device::with(member);
        let lifetime = device.flow.expires_at() - start();
        assert!(lifetime >= least && lifetime <= most, "{member}: {lifetime:?}");
    }
}

#[test]
fn codes_that_are_over_already_end_the_flow_without_a_poll() {
    for lifetime in ["0", "-1", "\"-3600\"", "-1e30"] {
        let members = format!(r#""interval":5,"expires_in":{lifetime}"#);
        let mut device = Device::with(&members);
        assert_eq!(device.error().kind(), ErrorKind::Expired, "{lifetime}");
        assert_eq!((device.polls, device.clock()), (0, s(0)), "{lifetime}");
        // A resumed flow polls once, as clocks differ.
        let mut resumed = Device::with(&members).stored();
        assert_eq!(resumed.poll(), s(5), "{lifetime}");
        resumed.responds(400, PENDING);
        assert_eq!(resumed.error().kind(), ErrorKind::Expired, "{lifetime}");
    }
}

// Responses that mean: continue

#[test]
fn pending_comes_at_any_status_and_in_either_body() {
    for (status, body) in [
        (400, PENDING),
        (200, PENDING),
        (401, PENDING),
        (400, r#"{"ErrorCode":2012,"Message":"authorization_pending","Description":"The request is pending."}"#),
        (200, r#"{"errorCode":2012,"message":"authorization_pending"}"#),
    ] {
        let mut device = Device::new(5, 600);
        device.poll();
        device.responds(status, body);
        assert_eq!(device.poll(), s(5), "{status} {body}");
    }
}

#[test]
fn slow_down_makes_the_interval_longer_for_good() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds(400, SLOW_DOWN);
    assert_eq!(device.poll(), s(10));
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(10));
    device.responds(200, r#"{"ErrorCode":1,"Message":"slow_down"}"#);
    assert_eq!(device.poll(), s(15));
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(15));
}

#[test]
fn the_interval_grows_to_the_longer_of_five_seconds_more_and_what_the_server_asks_for() {
    let rows = [
        // The interval before, the response, the interval afterwards.
        (2, 400, r#"{"error":"slow_down","interval":8}"#, 8),
        (2, 400, r#"{"error":"slow_down","interval":7}"#, 7),
        (2, 400, r#"{"error":"slow_down","interval":6}"#, 7),
        (5, 400, r#"{"error":"slow_down","interval":"20"}"#, 20),
        (5, 400, r#"{"error":"slow_down","interval":2}"#, 10),
        (5, 400, r#"{"error":"slow_down","interval":-2}"#, 10),
        (5, 400, r#"{"error":"slow_down","interval":"soon"}"#, 10),
        (5, 400, r#"{"error":"slow_down"}"#, 10),
        (5, 429, r#"{"error":"slow_down","interval":40}"#, 40),
        (5, 429, r#"{"ErrorCode":4711,"Message":"too many","interval":40}"#, 40),
        (5, 429, r#"{"ErrorCode":4711,"Message":"too many","interval":8}"#, 10),
        (5, 429, "Too many requests", 10),
        (5, 400, r#"{"error":"authorization_pending","interval":40}"#, 40),
        (5, 400, r#"{"error":"authorization_pending","interval":4}"#, 5),
        (5, 503, r#"{"error":"server_error","interval":40}"#, 40),
    ];
    for (before, status, body, afterwards) in rows {
        let mut device = Device::new(before, 600);
        device.poll();
        device.responds(status, body);
        device.poll();
        // A login that is pending clears the backoff, and not the interval.
        device.responds(400, PENDING);
        assert_eq!(device.poll(), s(afterwards), "{before} s, {status} {body}");
    }
}

#[test]
fn slow_down_with_a_huge_interval_does_not_overflow() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds(400, r#"{"error":"slow_down","interval":1e30}"#);
    assert_eq!(device.error().kind(), ErrorKind::Expired);
    assert_eq!(device.clock(), s(600));

    // The one poll that a resumed flow must send waits for its interval, however long.
    let stored = r#"{"version":1,"device_code":"d","user_code":"u","verification_uri":"https://a/","interval_ms":18446744073709551615,
        "expires_in_ms":18446744073709551615,"arrived_at_unix_ms":0,"round_trip_ms":18446744073709551615}"#;
    let mut device = Device::resume(&PendingDevice::from_json(stored).unwrap(), start(), now().wall);
    device.poll();
    device.responds(400, SLOW_DOWN);
    assert_eq!(device.error().kind(), ErrorKind::Expired);
}

#[test]
fn pending_with_a_retry_after_waits_that_long_once() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds_with(400, PENDING, &[("retry-after", "42")]);
    assert_eq!(device.poll(), s(42));
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(5));
}

// Failures

#[test]
fn failures_back_off_exponentially_with_jitter() {
    for (name, fail) in FAILURES {
        let mut device = Device::new(5, 1800);
        device.poll();
        for full in [10, 20, 40, 60, 60, 60] {
            fail(&mut device);
            let wait = device.poll();
            assert!(wait <= s(full) && wait >= s(full) * 3 / 4, "{name}: waited {wait:?} of {full} s");
        }
    }
}

#[test]
fn the_backoff_has_jitter_and_differs_from_device_to_device() {
    let waits: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| {
            let flow = DeviceFlow::new(&app(), &grant(r#""interval":20,"expires_in":1800"#), start(), Seed(seed));
            let mut device = Device { flow, now: start(), polls: 0 };
            device.poll();
            device.fails(lost());
            device.poll()
        })
        .collect();
    assert!(waits.len() > 40, "{} different waits", waits.len());
    assert!(waits.first().unwrap() < &s(32) && waits.last().unwrap() > &s(38), "{waits:?}");
}

#[test]
fn a_response_clears_the_backoff() {
    for (status, body, interval) in [(400, PENDING, 5), (200, PENDING, 5), (400, SLOW_DOWN, 10)] {
        let mut device = Device::new(5, 1800);
        device.poll();
        for _ in 0..4 {
            device.fails(lost());
            device.poll();
        }
        device.responds(status, body);
        assert_eq!(device.poll(), s(interval));

        // And the next failure begins anew.
        device.fails(lost());
        let wait = device.poll();
        assert!(wait >= s(interval) * 3 / 2 && wait <= s(interval) * 2, "{wait:?}");
    }
}

#[test]
fn a_failure_never_makes_the_interval_shorter() {
    for (name, fail) in FAILURES {
        let mut device = Device::new(30, 1800);
        device.poll();
        device.responds(400, SLOW_DOWN);
        for _ in 0..5 {
            assert!(device.poll() >= s(35), "{name}");
            fail(&mut device);
        }
        device.poll();
        device.responds(400, PENDING);
        assert_eq!(device.poll(), s(35), "{name}");
    }
}

#[test]
fn a_long_interval_is_the_longest_backoff() {
    for (name, fail) in FAILURES {
        let mut device = Device::new(90, 1800);
        device.poll();
        for _ in 0..6 {
            fail(&mut device);
            assert_eq!(device.poll(), s(90), "{name}");
        }
    }
}

#[test]
fn an_interval_just_below_a_minute_backs_off_to_a_minute() {
    let mut device = Device::new(50, 1800);
    device.poll();
    for _ in 0..8 {
        device.fails(lost());
        let wait = device.poll();
        assert!(wait >= s(50) && wait <= s(60), "{wait:?}");
    }
}

#[test]
fn failures_alone_never_end_the_flow_before_the_lifetime() {
    for (name, fail) in FAILURES {
        let mut device = Device::new(5, 300);
        let error = loop {
            match device.next() {
                Ok(_) => fail(&mut device),
                Err(end) => break end.expect_err("an error"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::Expired, "{name}");
        assert_eq!(device.clock(), s(300), "{name}");
    }
}

#[test]
fn tokens_are_collected_after_any_failure() {
    for (name, fail) in FAILURES {
        let mut device = Device::new(5, 300);
        device.poll();
        fail(&mut device);
        device.poll();
        device.responds(200, TOKENS);
        assert_eq!(device.end().expect(name).access_token.expose(), "b8cb84c9");
    }
}

#[test]
fn a_thousand_failures_do_not_overflow() {
    let mut device = Device::with(r#""interval":5,"expires_in":1e30"#);
    for _ in 0..1000 {
        assert!(device.poll() <= s(60));
        device.fails(lost());
    }
}

// 429 and Retry-After

#[test]
fn a_bare_429_makes_the_interval_longer_for_good() {
    for body in ["Too many requests", "", r#"{"ErrorCode":106,"Message":"Too many"}"#] {
        let mut device = Device::new(5, 1800);
        device.poll();
        device.responds(429, body);
        let wait = device.poll();
        assert!(wait >= s(15) && wait <= s(20), "{wait:?}");
        device.responds(400, PENDING);
        assert_eq!(device.poll(), s(10));
    }
}

#[test]
fn a_429_that_says_how_long_leaves_the_interval_alone() {
    let mut device = Device::new(5, 1800);
    device.poll();
    device.responds_with(429, "", &[("retry-after", "25")]);
    assert_eq!(device.poll(), s(25));
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(5));
}

#[test]
fn another_status_with_nothing_to_say_leaves_the_interval_alone() {
    for status in [428, 430, 500, 503] {
        let mut device = Device::new(5, 1800);
        device.poll();
        device.responds(status, PAGE);
        device.poll();
        device.responds(400, PENDING);
        assert_eq!(device.poll(), s(5), "{status}");
    }
}

#[test]
fn retry_after_is_honoured_above_the_backoff_and_not_below_it() {
    for (seconds, least, most) in [("90", 90, 90), ("7", 7, 10), ("0", 7, 10)] {
        for status in [200, 302, 404, 429, 503] {
            let mut device = Device::new(5, 1800);
            device.poll();
            device.responds_with(status, PAGE, &[("retry-after", seconds)]);
            let wait = device.poll();
            assert!(wait >= s(least) && wait <= s(most), "{status}, {seconds} s: {wait:?}");
        }
    }
}

#[test]
fn a_date_in_retry_after_counts_from_the_responses_own_date() {
    let mut device = Device::new(5, 1800);
    device.poll();
    // Decades from the clock of this machine: that must not matter.
    let headers = [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT")];
    device.responds_with(503, PAGE, &headers);
    assert_eq!(device.poll(), s(90));
}

#[test]
fn a_date_in_retry_after_without_the_responses_date_is_ignored() {
    let mut device = Device::new(5, 1800);
    device.poll();
    device.responds_with(503, PAGE, &[("retry-after", "Wed, 21 Oct 2065 07:28:00 GMT")]);
    assert!(device.poll() <= s(10));

    // So this is a bare 429.
    device.responds_with(429, "", &[("retry-after", "Wed, 21 Oct 2065 07:28:00 GMT")]);
    device.poll();
    device.responds(400, PENDING);
    assert_eq!(device.poll(), s(10));
}

#[test]
fn a_retry_after_beyond_the_end_leaves_the_last_poll_where_it_is() {
    for wait in ["600", "100000", "99999999999999999999999"] {
        let mut device = Device::new(10, 600);
        device.poll();
        device.responds_with(429, "", &[("retry-after", wait)]);
        device.poll();
        assert_eq!(device.clock(), s(595), "{wait}");
        device.responds(200, TOKENS);
        assert!(device.end().is_ok());
    }
}

#[test]
fn a_retry_after_shortly_before_the_end_moves_the_last_poll() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.responds_with(429, "", &[("retry-after", "588")]);
    assert_eq!(device.poll(), s(588));
    assert_eq!(device.clock(), s(598));
    device.responds(400, PENDING);
    assert_eq!(device.error().kind(), ErrorKind::Expired);
}

#[test]
fn a_retry_after_at_the_very_end_is_beyond_it() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.responds_with(429, "", &[("retry-after", "590")]);
    device.poll();
    assert_eq!(device.clock(), s(595));
}

// Responses that are final

#[test]
fn what_loginradius_refuses_is_final_at_200_and_400() {
    for (body, kind) in [
        (r#"{"error":"access_denied","error_description":""}"#, ErrorKind::Denied),
        (r#"{"error":"expired_token"}"#, ErrorKind::Expired),
        (r#"{"error":"invalid_grant"}"#, ErrorKind::SignInRequired),
        (r#"{"error":"invalid_client"}"#, ErrorKind::Configuration),
        (r#"{"error":"invalid_request"}"#, ErrorKind::Configuration),
        (r#"{"error":"unauthorized_client"}"#, ErrorKind::Configuration),
        (r#"{"error":"unsupported_grant_type"}"#, ErrorKind::Configuration),
        (r#"{"error":"something_new"}"#, ErrorKind::Refused),
        (r#"{"ErrorCode":2011,"Message":"access_denied","Description":"Denied"}"#, ErrorKind::Denied),
        (r#"{"ErrorCode":2010,"Message":"expired_token","Description":"Expired"}"#, ErrorKind::Expired),
        (r#"{"ErrorCode":901,"Message":"API key is invalid","Description":"x"}"#, ErrorKind::Configuration),
        (r#"{"ErrorCode":950,"Message":"Unknown error","Description":"x"}"#, ErrorKind::Unavailable),
        (r#"{"ErrorCode":123456,"Message":"Something","Description":"x"}"#, ErrorKind::Refused),
        (r#"{"description":"x","errorCode":1,"message":"y"}"#, ErrorKind::Refused),
    ] {
        for status in [200, 400, 401, 403] {
            let mut device = Device::new(5, 600);
            device.poll();
            device.responds(status, body);
            let before = device.now;
            let error = device.error();
            assert_eq!(device.now, before, "at once: {status} {body}");
            assert_eq!(error.kind(), kind, "{status} {body}");
            assert!(error.api_error().is_some(), "{status} {body}");
            assert_eq!(error.operation(), Some("Request Tokens"));
            assert!(error.source().is_none());
        }
    }
}

#[test]
fn what_rfc_8628_names_means_the_same_on_a_server_error() {
    for (error, kind) in [("access_denied", ErrorKind::Denied), ("expired_token", ErrorKind::Expired)] {
        let mut device = Device::new(5, 600);
        device.poll();
        device.responds(500, &format!(r#"{{"error":"{error}"}}"#));
        assert_eq!(device.error().kind(), kind);
    }
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds(500, PENDING);
    assert_eq!(device.poll(), s(5));
    device.responds(429, SLOW_DOWN);
    assert_eq!(device.poll(), s(10));
}

#[test]
fn a_final_response_after_failures_is_not_taken_for_one() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds(503, PAGE);
    device.poll();
    device.responds(400, r#"{"error":"access_denied"}"#);
    let error = device.error();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.source().is_none());
}

#[test]
fn invalid_grant_after_a_lost_poll_says_what_may_have_happened() {
    let lose: &[Outcome] = &[
        ("lost", |device| device.fails(lost())),
        ("closed", |device| device.fails(Error::connection_closed())),
        ("half a response", |device| device.responds(200, &TOKENS[..30])),
        ("204", |device| device.responds(204, "")),
        ("206", |device| device.responds(206, PAGE)),
        ("500", |device| device.responds(500, PAGE)),
        ("599", |device| device.responds(599, PAGE)),
        ("no response", |device| device.now += s(30)),
        ("lost, then not sent", |device| {
            device.fails(lost());
            device.poll();
            device.fails(not_sent());
        }),
        ("lost, then too fast", |device| {
            device.fails(lost());
            device.poll();
            device.responds(400, SLOW_DOWN);
        }),
    ];
    for (name, lose) in lose {
        let mut device = Device::new(5, 600);
        device.poll();
        lose(&mut device);
        device.next().expect("a poll");
        device.responds(400, r#"{"error":"invalid_grant"}"#);
        let error = device.error();
        assert_eq!(error.kind(), ErrorKind::SignInRequired, "{name}");
        assert!(error.to_string().contains("may have been lost"), "{name}: {error}");
        let source = error.source().and_then(|source| source.downcast_ref::<Error>()).expect(name);
        assert_ne!(source.kind(), ErrorKind::NotSent, "{name}");
        assert_eq!(source.operation(), Some("Request Tokens"), "{name}");
    }
}

#[test]
fn invalid_grant_without_a_lost_poll_says_nothing_of_one() {
    let harmless: &[Outcome] = &[
        ("pending", |device| device.responds(400, PENDING)),
        ("not sent", |device| device.fails(not_sent())),
        ("redirected", |device| device.responds(302, "")),
        ("a page at 404", |device| device.responds(404, PAGE)),
        ("429", |device| device.responds(429, "")),
        ("lost, but pending after that", |device| {
            device.fails(lost());
            device.poll();
            device.responds(400, PENDING);
        }),
    ];
    for (name, happens) in harmless {
        let mut device = Device::new(5, 600);
        device.poll();
        happens(&mut device);
        device.poll();
        device.responds(400, r#"{"error":"invalid_grant"}"#);
        let error = device.error();
        assert!(!error.to_string().contains("lost"), "{name}: {error}");
        assert!(error.source().is_none(), "{name}");
    }
}

#[test]
fn another_refusal_after_a_lost_poll_says_nothing_of_it() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.fails(lost());
    device.poll();
    device.responds(400, r#"{"error":"invalid_client"}"#);
    let error = device.error();
    assert!(error.source().is_none() && !error.to_string().contains("lost"), "{error}");
}

#[test]
fn tokens_of_any_type_are_collected() {
    for token_type in [r#""access_token""#, r#""Bearer""#, r#""bearer""#, "null", "7"] {
        let mut device = Device::new(5, 600);
        device.poll();
        device.responds(200, &format!(r#"{{"access_token":"b8cb84c9","token_type":{token_type}}}"#));
        assert_eq!(device.end().expect(token_type).access_token.expose(), "b8cb84c9");
    }
}

// The end of the lifetime

#[test]
fn the_last_poll_is_delayed_to_just_before_the_end() {
    // A poll at 590 s would leave no time for another one.
    let mut device = Device::new(10, 600);
    let mut polls = Vec::new();
    while device.next().is_ok() {
        polls.push(device.clock());
        device.responds(400, PENDING);
    }
    assert_eq!(polls.len(), 59);
    assert_eq!(polls[57], s(580));
    assert_eq!(polls[58], s(595));
    assert_eq!(device.clock(), s(600));
}

#[test]
fn the_margin_before_the_end_is_half_an_interval_and_at_most_five_seconds() {
    for (interval, last) in
        [(1, ms(59_500)), (4, s(58)), (10, s(55)), (12, s(55)), (25, s(55)), (55, s(55)), (58, s(58))]
    {
        let mut device = Device::new(interval, 60);
        let mut polled = Duration::ZERO;
        while device.next().is_ok() {
            polled = device.clock();
            device.responds(400, PENDING);
        }
        assert_eq!(polled, last, "interval {interval} s");
    }
}

#[test]
fn a_poll_is_not_delayed_while_there_is_time_for_another() {
    // 20 s is followed by 30 s, which is the last moment: the margin is 5 s.
    let mut device = Device::new(10, 35);
    let mut polls = Vec::new();
    while device.next().is_ok() {
        polls.push(device.clock());
        device.responds(400, PENDING);
    }
    assert_eq!(polls, [s(10), s(20), s(30)]);

    let mut device = Device::new(10, 34);
    device.poll();
    device.responds(400, PENDING);
    device.poll();
    assert_eq!(device.clock(), s(29));
}

#[test]
fn the_last_poll_allows_for_slow_responses() {
    let mut device = Device::new(10, 100);
    device.poll();
    device.now += s(8);
    device.responds(400, PENDING);
    for _ in 0..4 {
        device.poll();
        device.responds(400, PENDING);
    }
    assert_eq!(device.clock(), s(58));
    // The slowest response took 8 s, and the next may take twice as long.
    device.poll();
    assert_eq!(device.clock(), s(84));
}

#[test]
fn the_last_poll_allows_for_a_slow_grant() {
    let mut flow = DeviceFlow::new(&app(), &grant(r#""interval":10,"expires_in":20"#), start(), Seed(42));
    flow = flow.round_trip(s(3), start());
    let mut device = Device { flow, now: start(), polls: 0 };
    device.poll();
    assert_eq!(device.clock(), s(14));

    // The longest counts.
    let flow = DeviceFlow::new(&app(), &grant(r#""interval":10,"expires_in":20"#), start(), Seed(42));
    let mut device = Device { flow: flow.round_trip(s(4), start()).round_trip(s(3), start()), now: start(), polls: 0 };
    device.poll();
    assert_eq!(device.clock(), s(12));
}

#[test]
fn the_round_trip_of_a_lost_poll_is_not_one() {
    let mut device = Device::new(10, 100);
    device.poll();
    device.now += s(20);
    device.fails(lost());
    let mut last = Duration::ZERO;
    while device.next().is_ok() {
        last = device.clock();
        device.responds(400, PENDING);
    }
    assert_eq!(last, s(95));
}

#[test]
fn any_round_trip_can_be_set() {
    for round_trip in [Duration::ZERO, s(1), Duration::MAX / 2, Duration::MAX] {
        let flow = DeviceFlow::new(&app(), &grant(r#""interval":10,"expires_in":600"#), start(), Seed(42));
        let mut device = Device { flow: flow.round_trip(round_trip, start()), now: start(), polls: 0 };
        assert_eq!(device.poll(), s(10), "{round_trip:?}");
    }
}

#[test]
fn a_round_trip_that_is_set_late_brings_no_poll_forward() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds_with(503, PAGE, &[("retry-after", "100")]);
    device.flow = device.flow.round_trip(s(1), device.now);
    assert_eq!(device.poll(), s(100));
    device.fails(lost());
    device.flow = device.flow.round_trip(s(1), device.now);
    assert!(device.poll() > s(10));

    // While a poll is out, it changes nothing at all.
    device.flow = device.flow.round_trip(s(1), device.now);
    assert!(matches!(device.flow.step(device.now), Step::Wait(until) if until == device.now + s(30)));

    device.responds(400, PENDING);
    device.flow = device.flow.round_trip(s(1), device.now + s(2));
    assert_eq!(device.poll(), s(7), "counted from the moment that is given");
}

#[test]
fn a_failure_of_the_poll_before_the_last_is_not_waited_out_past_the_end() {
    // The backoff would be 30 s and more; 8 s before the end there is only the interval.
    let mut device = Device::new(5, 100);
    let mut polls = Vec::new();
    while device.next().is_ok() {
        polls.push(device.clock());
        device.fails(lost());
    }
    assert_eq!(*polls.last().unwrap(), ms(97_500));
}

#[test]
fn there_is_no_poll_after_the_end() {
    for late in [0, 1, 60, 1_000_000] {
        let mut device = Device::new(10, 600);
        device.now += s(600 + late);
        assert_eq!(device.error().kind(), ErrorKind::Expired);
    }
    let mut device = Device::new(10, 600);
    device.now += s(600) - Duration::from_nanos(1);
    assert_eq!(device.poll(), s(0));
}

#[test]
fn tokens_that_arrive_after_the_end_are_collected() {
    let mut device = Device::new(10, 600);
    device.now += s(599);
    device.poll();
    device.now += s(20);
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn expiry_is_not_reported_as_a_response_of_the_server() {
    let mut device = Device::new(10, 600);
    while device.next().is_ok() {
        device.responds(400, PENDING);
    }
    let mut device = Device::new(10, 600);
    device.now += s(600);
    let error = device.error();
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!(error.api_error().is_none() && error.http_status().is_none() && error.source().is_none());
    assert_eq!(error.operation(), Some("Request Tokens"));
    assert!(error.to_string().contains("600 s"), "{error}");
}

#[test]
fn expiry_has_the_last_failure_as_its_source() {
    let mut device = Device::new(10, 60);
    let error = loop {
        match device.next() {
            Ok(_) if device.clock() < s(30) => device.responds(503, PAGE),
            Ok(_) => device.fails(not_sent()),
            Err(end) => break end.expect_err("an error"),
        }
    };
    let source = error.source().and_then(|source| source.downcast_ref::<Error>()).expect("a source");
    assert_eq!(source.kind(), ErrorKind::NotSent);
    assert!(!error.to_string().contains(&source.to_string()), "{error}");
    assert_eq!(source.source().expect("the transport's").to_string(), "connection refused");
}

#[test]
fn a_failure_that_is_over_is_not_the_source_of_the_expiry() {
    let mut device = Device::new(10, 60);
    device.poll();
    device.fails(lost());
    let error = loop {
        match device.next() {
            Ok(_) => device.responds(400, PENDING),
            Err(end) => break end.expect_err("an error"),
        }
    };
    assert!(error.source().is_none());
}

// Transports and callers that misbehave

#[test]
fn a_transport_without_a_response_is_given_up_at_the_deadline() {
    let mut device = Device::new(5, 600);
    device.poll();
    for elapsed in [0, 1, 29_999] {
        let Step::Wait(until) = device.flow.step(device.now + ms(elapsed)) else { panic!("one poll is out") };
        assert_eq!(until, device.now + s(30));
    }
    let wait = device.poll() - s(30);
    assert!(wait >= ms(7_500) && wait <= s(10), "as after a lost one: {wait:?}");
}

#[test]
fn a_flow_whose_transport_has_no_responses_ends() {
    let mut device = Device::new(5, 600);
    let error = loop {
        match device.next() {
            Ok(_) => {}
            Err(end) => break end.expect_err("an error"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Expired);
    assert!(device.clock() <= s(630), "{:?}", device.clock());
    let source = error.source().and_then(|source| source.downcast_ref::<Error>()).expect("a source");
    assert_eq!(source.kind(), ErrorKind::OutcomeUnknown);
}

#[test]
fn the_deadline_is_the_callers() {
    let flow = DeviceFlow::new(&app(), &grant(r#""interval":5,"expires_in":600"#), start(), Seed(42)).timeout(s(3));
    let mut device = Device { flow, now: start(), polls: 0 };
    let Ok((_, options)) = device.next() else { panic!("no poll") };
    assert_eq!(options.deadline, device.now + s(3));
    assert!(matches!(device.flow.step(device.now), Step::Wait(until) if until == device.now + s(3)));
}

#[test]
fn any_timeout_can_be_set_and_leaves_time_for_another_poll() {
    let flow =
        DeviceFlow::new(&app(), &grant(r#""interval":5,"expires_in":600"#), start(), Seed(42)).timeout(Duration::MAX);
    let mut device = Device { flow, now: start(), polls: 0 };
    device.poll();
    let Step::Wait(until) = device.flow.step(device.now) else { panic!("one poll is out") };
    // The last poll is at 597.5 s, and one interval has to be between.
    let wait = until - device.now;
    assert_eq!(wait, ms(587_500) / 8 * 7, "an eighth is left for timeouts that come late");
    device.now += wait + wait / 8;
    device.poll();
    assert!(device.clock() <= ms(597_500), "{:?}", device.clock());
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn a_poll_without_a_response_does_not_cost_a_short_lived_code() {
    let mut device = Device::new(5, 20);
    device.poll();
    assert_eq!(device.clock(), s(5));
    device.poll();
    assert_eq!(device.clock(), ms(17_500), "given up in time, not after 30 s");
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn the_last_poll_is_given_up_soon_after_the_end() {
    // The margin is 2.5 s, and a response may take 5 s.
    let mut device = Device::new(5, 12);
    device.poll();
    assert_eq!(device.clock(), ms(9_500));
    assert_eq!(device.error().kind(), ErrorKind::Expired);
    assert_eq!(device.clock(), ms(14_500), "not 30 s after the poll");

    // Before the end there is time until then.
    let mut device = Device::new(40, 60);
    device.poll();
    assert_eq!(device.clock(), s(55));
    let Step::Wait(until) = device.flow.step(device.now) else { panic!("one poll is out") };
    assert_eq!(until, start() + s(60));

    // A server whose responses take longer gets four times as long, and never more than the timeout.
    for (round_trip, wait) in [(2, 8), (7, 28), (8, 30), (100, 30)] {
        let flow = DeviceFlow::new(&app(), &grant(r#""interval":50,"expires_in":60"#), start(), Seed(42));
        let mut device = Device { flow: flow.round_trip(s(round_trip), start()), now: start(), polls: 0 };
        device.poll();
        let Step::Wait(until) = device.flow.step(device.now) else { panic!("one poll is out") };
        let expected = (device.now + s(wait)).max((start() + s(60)).min(device.now + s(30)));
        assert_eq!(until, expected, "{round_trip} s");
    }

    // Also of a resumed flow whose code has expired.
    let pending = Device::new(10, 600).flow.pending(start(), now().wall);
    let mut device = Device::resume(&pending, start(), now().wall + s(5_000));
    assert_eq!(device.poll(), s(10));
    assert_eq!(device.error().kind(), ErrorKind::Expired);
    assert_eq!(device.clock(), s(15));
}

#[test]
fn a_slow_server_is_not_given_up_for_being_slow() {
    let mut device = Device::new(1, 30);
    device.poll();
    device.now += s(4);
    device.responds(400, PENDING);
    let Ok((_, options)) = device.next() else { panic!("no poll") };
    let left = options.deadline - device.now;
    assert!(left >= s(15), "its responses take 4 s: {left:?}");
}

#[test]
fn a_response_after_the_deadline_counts_if_the_flow_has_not_continued() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.now += s(500);
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn every_request_has_its_deadline() {
    let mut device = Device::new(5, 600);
    for _ in 0..3 {
        let Ok((_, options)) = device.next() else { panic!("no poll") };
        assert_eq!(options.deadline, device.now + s(30));
        device.responds(400, PENDING);
    }
}

#[test]
fn polls_go_over_a_kept_connection_until_one_may_be_the_last() {
    let mut device = Device::new(5, 60);
    let mut fresh = Vec::new();
    while let Ok((_, options)) = device.next() {
        fresh.push((device.clock(), options.fresh_connection));
        device.responds(400, PENDING);
    }
    let kept = (1..=9).map(|number| (s(5 * number), false));
    let at_the_end = [(s(50), true), (ms(57_500), true)];
    assert_eq!(fresh, kept.chain(at_the_end).collect::<Vec<_>>());
}

#[test]
fn the_only_poll_takes_a_new_connection() {
    let mut device = Device::new(60, 30);
    assert!(device.polls_over_a_new_connection());
    // A resumed flow cannot know whether the code is still valid.
    let pending = Device::new(10, 600).flow.pending(start(), now().wall);
    let mut device = Device::resume(&pending, start(), now().wall + s(5_000));
    assert!(device.polls_over_a_new_connection());
}

#[test]
fn a_poll_over_a_kept_connection_that_was_closed_is_sent_again_at_once_over_a_new_one() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds(400, PENDING);
    assert!(matches!(device.flow.take_progress(), Some(DeviceProgress::Pending)));
    assert!(!device.polls_over_a_new_connection());
    device.now += ms(100);
    device.fails(Error::connection_closed());
    assert!(device.flow.take_progress().is_none(), "no failure to tell of");
    let closed_at = device.now;
    assert!(device.polls_over_a_new_connection());
    assert_eq!(device.now, closed_at);

    // The connection is kept again, and the interval is as it was.
    device.responds(400, PENDING);
    let before = device.now;
    assert!(!device.polls_over_a_new_connection());
    assert_eq!(device.now - before, s(5));
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn a_new_connection_that_is_closed_is_a_failure() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.fails(Error::connection_closed());
    assert!(device.polls_over_a_new_connection());
    device.fails(Error::connection_closed());
    assert!(matches!(device.flow.take_progress(), Some(DeviceProgress::Retrying { .. })));
    let wait = device.poll();
    assert!((ms(7_500)..=s(10)).contains(&wait), "one failure: {wait:?}");
}

#[test]
fn any_other_lost_response_is_a_failure_and_the_next_poll_takes_a_new_connection() {
    for error in [lost(), Error::incomplete_response("it did not arrive in time")] {
        let mut device = Device::new(5, 600);
        device.poll();
        device.fails(error);
        let before = device.now;
        assert!(device.polls_over_a_new_connection());
        assert!(device.now - before >= ms(7_500), "it backs off");
        device.responds(400, PENDING);
        assert!(!device.polls_over_a_new_connection());
    }
}

#[test]
fn a_poll_that_is_sent_again_respects_the_end_and_the_programs_deadline() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.now += s(700);
    device.fails(Error::connection_closed());
    assert_eq!(device.error().kind(), ErrorKind::Expired);

    let mut device = Device::new(5, 600);
    device.flow = device.flow.deadline(start() + s(20));
    device.poll();
    device.now += s(20);
    device.fails(Error::connection_closed());
    assert_eq!(device.error().kind(), ErrorKind::DeadlineExceeded);
}

#[test]
fn every_poll_is_the_same_request() {
    let mut device = Device::new(5, 600);
    for _ in 0..3 {
        let Ok((request, _)) = device.next() else { panic!("no poll") };
        assert_eq!(request.method(), "POST");
        assert_eq!(request.uri(), "https://cloud-api.loginradius.com/sso/oauth/my-oauth-app/access_token");
        let body = std::str::from_utf8(request.body().as_bytes()).unwrap();
        assert!(body.contains("device_code=af2a4121") && body.contains("client_id=my-client-id"), "{body}");
        device.responds(400, PENDING);
    }
}

#[test]
fn an_outcome_of_no_poll_is_ignored() {
    let mut device = Device::new(5, 600);
    device.responds(200, TOKENS);
    device.responds(400, SLOW_DOWN);
    device.fails(lost());
    device.responds(400, r#"{"error":"access_denied"}"#);
    assert_eq!(device.poll(), s(5));

    device.responds(400, PENDING);
    device.responds(200, TOKENS);
    device.responds(400, SLOW_DOWN);
    assert_eq!(device.poll(), s(5));

    device.responds(200, TOKENS);
    device.responds(400, r#"{"error":"access_denied"}"#);
    assert!(device.end().is_ok(), "the first outcome counts");
    device.responds(200, TOKENS);
    assert_eq!(device.error().kind(), ErrorKind::AlreadyCompleted);
}

#[test]
fn a_repeated_step_sends_nothing_twice() {
    let mut device = Device::new(5, 600);
    device.now += s(5);
    assert!(matches!(device.flow.step(device.now), Step::Send { .. }));
    for _ in 0..5 {
        assert!(matches!(device.flow.step(device.now), Step::Wait(until) if until == device.now + s(30)));
    }
}

#[test]
fn the_result_is_returned_once() {
    let ends: &[Outcome] = &[
        ("tokens", |device| device.responds(200, TOKENS)),
        ("denied", |device| device.responds(400, r#"{"error":"access_denied"}"#)),
        ("refused", |device| device.responds(400, r#"{"error":"invalid_client"}"#)),
        ("expired", |device| {
            device.now += s(10_000);
            device.fails(lost());
        }),
    ];
    for (name, end) in ends {
        let mut device = Device::new(5, 600);
        device.poll();
        end(&mut device);
        let _ = device.end();
        for _ in 0..3 {
            assert_eq!(device.error().kind(), ErrorKind::AlreadyCompleted, "{name}");
            device.now += s(1);
        }
    }
}

#[test]
fn settings_that_no_request_can_be_made_from_end_the_flow() {
    let flow = DeviceFlow::new(&App::new("my-client-id"), &grant(r#""interval":5"#), start(), Seed(42));
    let mut device = Device { flow, now: start(), polls: 0 };
    assert_eq!(device.error().kind(), ErrorKind::Configuration);
    assert_eq!(device.error().kind(), ErrorKind::AlreadyCompleted);
}

#[test]
fn a_response_stamped_before_its_request_does_not_bring_the_next_poll_forward() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.flow.receive(Ok(response(400, PENDING)), start());
    assert_eq!(device.poll(), s(10));
}

#[test]
fn a_clock_that_stands_still_polls_once() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.responds(400, PENDING);
    for _ in 0..100 {
        assert!(matches!(device.flow.step(device.now), Step::Wait(until) if until == device.now + s(10)));
    }
}

#[test]
fn a_dropped_flow_leaves_nothing_behind() {
    let mut device = Device::new(5, 600);
    device.poll();
    drop(device);
    let mut another = Device::new(5, 600);
    assert_eq!(another.poll(), s(5));
}

#[test]
fn a_suspended_device_continues_where_it_was() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.now += s(300);
    let wait = device.poll();
    assert!(wait >= ms(7_500) && wait <= s(10), "the poll that was out is lost: {wait:?}");
    device.now += s(200);
    device.responds(200, TOKENS);
    assert!(device.end().is_ok());
}

#[test]
fn nothing_printed_shows_the_device_code() {
    let mut device = Device::new(5, 600);
    assert!(!format!("{:?}", device.flow).contains("af2a4121"));
    assert!(!format!("{:?}", device.flow.pending(device.now, now().wall)).contains("af2a4121"));
    device.poll();
    device.responds(400, r#"{"error":"invalid_grant","error_description":"af2a4121 is unknown"}"#);
    let error = device.error();
    assert!(!error.to_string().contains("af2a4121"), "{error}");
}

#[test]
fn a_site_is_polled_at_its_own_address() {
    let app = app().with_service(Service::site("acme.hub.loginradius.com").unwrap());
    let flow = DeviceFlow::new(&app, &grant(r#""interval":5"#), start(), Seed(42));
    let Ok((request, _)) = (Device { flow, now: start(), polls: 0 }).next() else { panic!("no poll") };
    assert_eq!(request.uri(), "https://acme.hub.loginradius.com/api/oauth/my-oauth-app/token");
}

// Stored, and continued elsewhere

#[test]
fn a_resumed_flow_waits_one_interval() {
    let device = Device::new(10, 600);
    let mut resumed = device.stored();
    assert_eq!(resumed.poll(), s(10));
    assert_eq!(resumed.flow.expires_at(), start() + s(600));
}

#[test]
fn the_grown_interval_is_kept() {
    let mut device = Device::new(10, 600);
    device.poll();
    device.responds(400, SLOW_DOWN);
    device.poll();
    device.responds(429, "");
    let mut resumed = device.stored();
    assert_eq!(resumed.flow.pending(resumed.now, now().wall).grant().interval, s(20));
    assert_eq!(resumed.poll(), s(20));
}

#[test]
fn a_stored_login_keeps_everything_the_user_needs() {
    let mut grant =
        grant(r#""verification_uri_complete":"https://example.com/device?code=oP5lLq","interval":7,"expires_in":77"#);
    grant.requested_at = Some(start());
    let flow = DeviceFlow::new(&app(), &grant, start(), Seed(42));
    let pending = flow.pending(start(), now().wall);
    assert_eq!(pending.grant().requested_at, None, "an instant means nothing to another process");
    let json = pending.to_json();
    let pending = PendingDevice::from_json(&json).unwrap();
    let stored = pending.grant();
    assert_eq!(stored.device_code.expose(), "af2a4121");
    assert_eq!(stored.user_code, "oP5lLq");
    assert_eq!(stored.verification_uri, "https://example.com/device");
    assert_eq!(stored.verification_uri_complete.as_deref(), Some("https://example.com/device?code=oP5lLq"));
    assert_eq!((stored.interval, stored.expires_in), (s(7), s(77)));
    assert_eq!(pending.to_json(), json);
}

#[test]
fn storing_makes_no_interval_and_no_lifetime_shorter() {
    let odd = r#""interval":7.0004,"expires_in":60.0004"#;
    let mut flow = DeviceFlow::new(&app(), &grant(odd), start(), Seed(42));
    let (ends, clock) = (flow.expires_at(), now().wall + Duration::from_nanos(123_456_789));
    for _ in 0..20 {
        let pending = PendingDevice::from_json(&flow.pending(start(), clock).to_json()).unwrap();
        flow = DeviceFlow::resume(&app(), &pending, start(), clock, Seed(42));
    }
    assert!(flow.expires_at() >= ends && flow.expires_at() < ends + ms(50));
    let Step::Wait(until) = flow.step(start()) else { panic!("too early") };
    assert!(until >= start() + Duration::from_micros(7_000_400) && until < start() + ms(7_050));
}

#[test]
fn what_the_server_asked_for_is_kept() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds_with(503, PAGE, &[("retry-after", "100")]);
    assert_eq!(device.stored().poll(), s(100));
    device.now += s(40);
    assert_eq!(device.stored().stored().poll(), s(60));
    device.now += s(58);
    assert_eq!(device.stored().poll(), s(5));
    device.now += s(200);
    assert_eq!(device.stored().poll(), s(5));

    // Once it was waited for, it is over.
    device.poll();
    device.responds(400, PENDING);
    assert_eq!(device.stored().poll(), s(5));
}

#[test]
fn what_is_known_of_the_network_is_kept() {
    let mut device = Device::new(10, 100);
    device.poll();
    device.now += s(8);
    device.responds(400, PENDING);
    device.now = start() + s(75);
    let mut resumed = device.stored();
    resumed.poll();
    assert_eq!(resumed.clock(), s(85), "there are 15 s left, and 16 s are allowed for");
    device.now = start() + s(70);
    let mut resumed = device.stored();
    resumed.poll();
    assert_eq!(resumed.clock(), s(84));
}

#[test]
fn a_grant_that_was_stored_by_an_earlier_flow_is_read() {
    let stored = r#"{"version":1,"device_code":"d","user_code":"u","verification_uri":"https://a/","interval_ms":5000,
        "expires_in_ms":600000,"arrived_at_unix_ms":1767268800000}"#;
    let mut device = Device::resume(&PendingDevice::from_json(stored).unwrap(), start(), now().wall + s(100));
    assert_eq!(device.flow.expires_at(), start() + s(500));
    assert_eq!(device.poll(), s(5));
}

#[test]
fn a_stored_interval_below_a_second_is_a_second() {
    let stored = r#"{"version":1,"device_code":"d","user_code":"u","verification_uri":"https://a/","interval_ms":0,
        "expires_in_ms":600000,"arrived_at_unix_ms":1767268800000}"#;
    let mut device = Device::resume(&PendingDevice::from_json(stored).unwrap(), start(), now().wall);
    assert_eq!(device.poll(), s(1));
}

#[test]
fn a_resumed_flow_polls_once_even_if_the_code_seems_expired() {
    for age in [600, 601, 5_000, 1_000_000_000] {
        let pending = Device::new(10, 600).flow.pending(start(), now().wall);
        let mut device = Device::resume(&pending, start(), now().wall + s(age));
        assert_eq!(device.poll(), s(10), "after {age} s");
        device.responds(200, TOKENS);
        assert!(device.end().is_ok());

        let mut device = Device::resume(&pending, start(), now().wall + s(age));
        device.poll();
        device.responds(400, PENDING);
        let before = device.now;
        assert_eq!(device.error().kind(), ErrorKind::Expired, "after {age} s");
        assert_eq!(device.now, before, "only once");
    }
}

#[test]
fn the_poll_that_a_resumed_flow_must_send_is_not_lost_to_a_round_trip() {
    let pending = Device::new(10, 600).flow.pending(start(), now().wall);
    let flow = DeviceFlow::resume(&app(), &pending, start(), now().wall + s(5_000), Seed(43)).round_trip(s(2), start());
    assert_eq!((Device { flow, now: start(), polls: 0 }).poll(), s(10));
}

#[test]
fn the_poll_that_a_resumed_flow_must_send_waits_for_its_interval_past_the_end() {
    let pending = Device::new(30, 600).flow.pending(start(), now().wall);
    let mut device = Device::resume(&pending, start(), now().wall + s(595));
    assert_eq!(device.poll(), s(30));

    // However late its caller is.
    let mut device = Device::resume(&pending, start(), now().wall + s(100));
    device.now += s(5_000);
    assert_eq!(device.poll(), s(0));
    device.fails(lost());
    assert_eq!(device.error().kind(), ErrorKind::Expired);
}

#[test]
fn a_clock_set_back_an_hour_gives_no_more_than_the_lifetime() {
    let pending = Device::new(10, 600).flow.pending(start(), now().wall);
    let device = Device::resume(&pending, start() + s(100), now().wall + s(100) - s(3600));
    assert_eq!(device.flow.expires_at(), start() + s(700));
}

#[test]
fn a_clock_set_back_an_hour_does_not_keep_the_flow_from_polling() {
    let mut device = Device::new(5, 600);
    device.poll();
    device.responds_with(503, PAGE, &[("retry-after", "20")]);
    let pending = device.flow.pending(device.now, now().wall);
    let mut device = Device::resume(&pending, device.now, now().wall - s(3600));
    device.poll();
    assert_eq!(device.now, device.flow.expires_at() - ms(2_500));
}

#[test]
fn a_clock_set_forward_an_hour_costs_all_but_one_poll() {
    let pending = Device::new(10, 600).flow.pending(start(), now().wall);
    let mut device = Device::resume(&pending, start() + s(100), now().wall + s(3700));
    assert_eq!(device.poll(), s(10));
    device.responds(400, PENDING);
    assert_eq!(device.error().kind(), ErrorKind::Expired);
}

#[test]
fn a_flow_that_waits_or_polls_can_be_stored_again_and_again() {
    let mut device = Device::new(10, 600);
    for round in 1..=5 {
        device = device.stored();
        assert_eq!(device.poll(), s(10));
        device = device.stored();
        assert_eq!(device.clock(), s(10 * round));
        assert_eq!(device.flow.expires_at(), start() + s(600));
    }
}

#[test]
fn a_lifetime_beyond_all_count_can_be_stored() {
    let mut device = Device::with(r#""interval":5,"expires_in":1e30"#);
    for _ in 0..3 {
        device = device.stored();
        assert_eq!(device.poll(), s(5));
        device.responds(400, PENDING);
    }
    assert!(device.flow.expires_at() > start() + s(20 * 365 * 24 * 3600));
}

#[test]
fn a_grant_of_before_1970_can_be_stored() {
    let flow = Device::new(5, 600).flow;
    let json = flow.pending(start(), SystemTime::UNIX_EPOCH - s(100)).to_json();
    assert!(json.contains(r#""arrived_at_unix_ms":0"#), "{json}");
}

#[test]
fn what_is_no_stored_login_is_refused_without_being_shown() {
    for json in [
        "",
        "{}",
        "null",
        "af2a4121",
        r#"{"version":2,"device_code":"af2a4121","user_code":"u","verification_uri":"https://a/","interval_ms":5000,"expires_in_ms":1,"arrived_at_unix_ms":0}"#,
        r#"{"version":1,"device_code":"af2a4121","user_code":"u","verification_uri":"https://a/","interval_ms":-5,"expires_in_ms":1,"arrived_at_unix_ms":0}"#,
        r#"{"version":1,"device_code":["af2a4121"],"user_code":"u","verification_uri":"https://a/","interval_ms":5,"expires_in_ms":1,"arrived_at_unix_ms":0}"#,
        r#"{"version":1,"device_code":"af2a4121","verification_uri":"v","interval_ms":5,"expires_in_ms":1,"arrived_at_unix_ms":0}"#,
    ] {
        let error = PendingDevice::from_json(json).expect_err(json);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("af2a4121"), "{error:?}");
    }
}

#[test]
fn a_stored_login_is_screened_as_a_response_is() {
    let stored = Device::new(5, 600).flow.pending(start(), now().wall).to_json();
    let mut grant: serde_json::Value = serde_json::from_str(&stored).unwrap();
    grant["verification_uri_complete"] = "https://example.com/device?code=oP5lLq".into();
    PendingDevice::from_json(&grant.to_string()).unwrap();
    for field in ["device_code", "user_code", "verification_uri", "verification_uri_complete"] {
        for c in ['\u{1b}', '\n', '\u{7f}', '\u{9b}', '\u{202e}', '\u{200b}', '\u{feff}'] {
            let mut bad = grant.clone();
            bad[field] = format!("{}{c}", bad[field].as_str().unwrap()).into();
            let error = PendingDevice::from_json(&bad.to_string()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{field} {c:?}");
            let line = error.to_string();
            assert!(line.contains(&format!("its field `{field}` ")) && line.ends_with(": begin a new login"), "{line}");
            assert!(!line.contains(c), "{line}");
        }
    }
    let mut script = grant;
    script["verification_uri"] = "javascript:alert(1)".into();
    assert_eq!(PendingDevice::from_json(&script.to_string()).unwrap_err().kind(), ErrorKind::Configuration);
}

#[test]
fn a_grant_of_another_version_says_so() {
    let json =
        Device::new(5, 600).flow.pending(start(), now().wall).to_json().replace(r#""version":1"#, r#""version":2"#);
    let error = PendingDevice::from_json(&json).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
}
