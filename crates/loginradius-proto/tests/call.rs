//! Single calls: what is sent again, what never, and when.

use std::error::Error as _;
use std::time::{Duration, Instant};

use loginradius_proto::jwt::{JwtByAccessToken, JwtLogin};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{
    App, Body, Call, CertificateFault, ConnectFailure, Endpoint, Error, ErrorKind, Flow, Retry, Seed, SendOptions,
    Step, TokenSet,
};
use loginradius_testing::{PAGE, app, ms, response, response_with, s, start};
use proptest::prelude::*;

const TOKENS: &str = r#"{"access_token":"b8cb84c9","token_type":"access_token","expires_in":394}"#;
const GRANT: &str = r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/"}"#;
const JWT: &str = r#"{"signature":"e30.e30.c2ln"}"#;

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Responded(u16, &'static str),
    AskedToWait(u16, &'static str),
    Lost,
    NotSent,
    /// Until someone changes something.
    NotConnectable,
    NoResponse,
}

use Outcome::{AskedToWait, Lost, NoResponse, NotConnectable, NotSent, Responded};

/// Failures that leave unknown whether the request took effect.
const UNKNOWN: &[Outcome] = &[
    Lost,
    NoResponse,
    Responded(500, PAGE),
    Responded(502, ""),
    Responded(503, r#"{"error":"temporarily_unavailable"}"#),
    Responded(500, r#"{"ErrorCode":905,"Message":"The token is not valid"}"#),
    Responded(429, "Too many requests"),
    Responded(429, r#"{"ErrorCode":106,"Message":"Too many"}"#),
    AskedToWait(429, "1"),
    AskedToWait(503, "1"),
    Responded(200, PAGE),
    Responded(404, PAGE),
    Responded(408, ""),
    Responded(302, ""),
    Responded(400, r#"{"error":"server_error"}"#),
];

/// Refusals: a response, and the same one every time.
const FINAL: &[Outcome] = &[
    Responded(400, r#"{"error":"invalid_request"}"#),
    Responded(200, r#"{"error":"invalid_client"}"#),
    Responded(401, r#"{"ErrorCode":901,"Message":"API key is invalid"}"#),
    Responded(403, r#"{"ErrorCode":950,"Message":"Unknown error"}"#),
    Responded(400, r#"{"ErrorCode":123456,"Message":"Something"}"#),
];

/// Returns whether it is a success of that operation whatever the body: of a revocation, the status counts.
fn is_success(name: &str, outcome: Outcome) -> bool {
    name == "revoke" && matches!(outcome, Responded(200, PAGE | TOKENS) | AskedToWait(200, _))
}

struct Run {
    /// When each request was sent.
    sent: Vec<Duration>,
    options: Vec<SendOptions>,
    /// Since the start.
    ended: Duration,
    /// The text of a success does not matter, only that it is one.
    result: Result<(), Error>,
}

/// Runs a call whose requests have those outcomes; the last one is repeated.
fn run<E: Endpoint>(mut call: Call<E>, outcomes: &[Outcome]) -> Run {
    let mut now = start();
    let (mut sent, mut all_options) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        match call.step(now) {
            Step::Wait(until) => now = until,
            Step::Send { options, .. } => {
                let outcome = outcomes[sent.len().min(outcomes.len() - 1)];
                sent.push(now - start());
                all_options.push(options);
                let outcome = match outcome {
                    Responded(status, body) => Ok(response(status, body)),
                    AskedToWait(status, wait) => Ok(response_with(status, PAGE, &[("retry-after", wait)])),
                    Lost => Err(Error::outcome_unknown("connection reset")),
                    NotSent => Err(Error::not_sent("connection refused")),
                    NotConnectable => Err(Error::not_connected(ConnectFailure::Certificate {
                        host: "sso.example.com".to_owned(),
                        fault: CertificateFault::UnknownIssuer,
                    })),
                    NoResponse => continue,
                };
                call.receive(outcome, now);
            }
            Step::Done(result) => {
                let result = result.map(drop);
                let Step::Done(Err(error)) = call.step(now) else { panic!("two ends") };
                assert_eq!(error.kind(), ErrorKind::AlreadyCompleted);
                return Run { sent, options: all_options, ended: now - start(), result };
            }
        }
    }
    panic!("no end");
}

/// An operation: its name, whether it may be sent again, what a success looks like, and how to run it.
type Operation = (&'static str, bool, Outcome, fn(Retry, u64, &[Outcome]) -> Run);

fn call<E: Endpoint>(endpoint: E, retry: Retry, seed: u64, outcomes: &[Outcome]) -> Run {
    run(Call::new(endpoint, &app(), Seed(seed)).retry(retry), outcomes)
}

const OPERATIONS: &[Operation] = &[
    ("code", false, Responded(200, TOKENS), |retry, seed, outcomes| {
        call(AccessTokenByCode::new("code", "https://example.com/"), retry, seed, outcomes)
    }),
    ("password", false, Responded(200, TOKENS), |retry, seed, outcomes| {
        call(AccessTokenByPassword::new("user", "password"), retry, seed, outcomes)
    }),
    ("refresh", false, Responded(200, TOKENS), |retry, seed, outcomes| {
        call(RefreshAccessToken::new("refresh"), retry, seed, outcomes)
    }),
    ("device poll", false, Responded(200, TOKENS), |retry, seed, outcomes| {
        call(RequestTokens::new("device"), retry, seed, outcomes)
    }),
    ("JWT by email", false, Responded(200, JWT), |retry, seed, outcomes| {
        call(JwtLogin::email("user@example.com", "password"), retry, seed, outcomes)
    }),
    ("JWT by phone", false, Responded(200, JWT), |retry, seed, outcomes| {
        call(JwtLogin::phone("+15550100", "password"), retry, seed, outcomes)
    }),
    ("JWT by user name", false, Responded(200, JWT), |retry, seed, outcomes| {
        call(JwtLogin::username("user", "password"), retry, seed, outcomes)
    }),
    ("device code", true, Responded(200, GRANT), |retry, seed, outcomes| {
        call(RequestDeviceCode::new(), retry, seed, outcomes)
    }),
    ("revoke", true, Responded(200, ""), |retry, seed, outcomes| {
        call(RevokeRefreshToken::new("refresh"), retry, seed, outcomes)
    }),
    ("JWT by access token", true, Responded(200, JWT), |retry, seed, outcomes| {
        call(JwtByAccessToken::new("token"), retry, seed, outcomes)
    }),
];

fn repeatable() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|(_, repeatable, ..)| *repeatable)
}

fn not_repeatable() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|(_, repeatable, ..)| !*repeatable)
}

#[test]
fn a_success_is_the_end_of_every_call() {
    for (name, _, success, run) in OPERATIONS {
        let finished = run(Retry::default(), 1, &[*success]);
        assert!(finished.result.is_ok(), "{name}");
        assert_eq!(finished.sent, [s(0)], "{name}");
    }
}

#[test]
fn what_may_have_taken_effect_is_never_sent_again() {
    for (name, _, success, run) in not_repeatable() {
        for outcome in UNKNOWN {
            let finished = run(Retry::default().with_attempts(100), 1, &[*outcome, *success]);
            assert_eq!(finished.sent.len(), 1, "{name}, {outcome:?}");
            let error = finished.result.expect_err(name);
            assert!(!error.to_string().contains("attempts"), "{error}");
        }
    }
}

#[test]
fn what_may_be_repeated_is_sent_again_after_any_failure() {
    for (name, _, success, run) in repeatable() {
        for outcome in UNKNOWN {
            let finished = run(Retry::default(), 1, &[*outcome, *success]);
            assert!(finished.result.is_ok(), "{name}, {outcome:?}");
            assert_eq!(finished.sent.len(), if is_success(name, *outcome) { 1 } else { 2 }, "{name}, {outcome:?}");
        }
    }
}

#[test]
fn what_was_certainly_not_sent_is_sent_again() {
    for (name, _, success, run) in OPERATIONS {
        let finished = run(Retry::default(), 1, &[NotSent, NotSent, *success]);
        assert!(finished.result.is_ok(), "{name}");
        assert_eq!(finished.sent.len(), 3, "{name}");
    }
}

#[test]
fn what_cannot_connect_until_something_is_changed_is_not_sent_again() {
    for (name, _, success, run) in OPERATIONS {
        let finished = run(Retry::default(), 1, &[NotSent, NotConnectable, *success]);
        assert_eq!(finished.sent.len(), 2, "{name}");
        let error = finished.result.expect_err(name);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotSent, false), "{name}");
        assert!(error.to_string().contains("has an issuer that is not trusted"), "{error}");
    }
}

#[test]
fn a_request_that_is_lost_after_some_that_were_not_sent_is_the_last() {
    for (name, _, success, run) in not_repeatable() {
        let finished = run(Retry::default(), 1, &[NotSent, NotSent, Lost, *success]);
        assert_eq!(finished.sent.len(), 3, "{name}");
        let error = finished.result.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{name}");
        assert!(error.to_string().ends_with("; 3 attempts were made"), "{error}");
    }
}

#[test]
fn a_refusal_is_never_sent_again() {
    for (name, _, success, run) in OPERATIONS {
        for outcome in FINAL {
            let finished = run(Retry::default(), 1, &[*outcome, *success]);
            assert_eq!(finished.sent.len(), 1, "{name}, {outcome:?}");
            assert!(finished.result.expect_err(name).api_error().is_some(), "{name}, {outcome:?}");
        }
    }
}

#[test]
fn attempts_have_an_end() {
    for (name, _, _, run) in OPERATIONS {
        for attempts in [1, 2, 4, 10] {
            let finished = run(Retry::default().with_attempts(attempts).with_max_time(s(60)), 1, &[NotSent]);
            assert_eq!(finished.sent.len(), attempts as usize, "{name}");
            let error = finished.result.expect_err(name);
            assert_eq!(error.kind(), ErrorKind::NotSent, "{name}");
            assert!(error.operation().is_some() && error.source().is_some(), "{name}");
            let says_so = error.to_string().contains(&format!("{attempts} attempts were made"));
            assert_eq!(says_so, attempts > 1, "{error}");
        }
    }
}

#[test]
fn no_attempts_are_one() {
    for (name, _, success, run) in OPERATIONS {
        for retry in [Retry::OFF, Retry::default().with_attempts(0)] {
            for outcome in [NotSent, Lost, Responded(503, PAGE)] {
                let finished = run(retry, 1, &[outcome, *success]);
                assert_eq!(finished.sent.len(), 1, "{name}, {outcome:?}");
                assert!(finished.result.is_err(), "{name}, {outcome:?}");
            }
            assert!(run(retry, 1, &[*success]).result.is_ok(), "{name}");
        }
    }
}

#[test]
fn waits_grow_up_to_the_longest_less_a_random_part() {
    let retry = Retry::default().with_attempts(8).with_max_time(s(60));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let finished = call(RequestDeviceCode::new(), retry, seed, &[Responded(503, PAGE)]);
        let waits: Vec<_> = finished.sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), 7);
        for (wait, full) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000].map(ms)) {
            assert!(*wait <= full && *wait >= full * 3 / 4, "{wait:?} of {full:?}");
        }
        assert_eq!(finished.ended, *finished.sent.last().unwrap(), "at once, when there is no attempt left");
        seen.insert(waits[0]);
    }
    assert!(seen.len() > 40, "{} different waits", seen.len());
}

#[test]
fn a_wait_that_the_server_asks_for_is_kept() {
    for (name, _, success, run) in repeatable() {
        for status in [429, 503, 404, 200, 302] {
            let outcome = AskedToWait(status, "7");
            let finished = run(Retry::default(), 1, &[outcome, *success]);
            let expected = if is_success(name, outcome) { vec![s(0)] } else { vec![s(0), s(7)] };
            assert_eq!(finished.sent, expected, "{name}, {status}");
            assert!(finished.result.is_ok(), "{name}, {status}");
        }
        // Less than the wait that is due anyway.
        let finished = run(Retry::default(), 1, &[AskedToWait(429, "0"), *success]);
        assert!(finished.sent[1] >= ms(375), "{name}");
        // Just as long as the longest wait.
        assert_eq!(run(Retry::default(), 1, &[AskedToWait(429, "10"), *success]).sent, [s(0), s(10)], "{name}");
    }
}

#[test]
fn a_server_that_asks_for_more_than_the_longest_wait_ends_the_call_at_once() {
    for (name, _, success, run) in repeatable() {
        for (wait, retry_after) in [("11", s(11)), ("86400", s(86_400)), ("99999999999999999999999", s(86_400))] {
            let finished = run(Retry::default(), 1, &[AskedToWait(429, wait), *success]);
            assert_eq!((finished.sent.len(), finished.ended), (1, s(0)), "{name}");
            let error = finished.result.expect_err(name);
            assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(retry_after)), "{name}");
        }
        let patient = Retry::default().with_max_wait(s(60));
        assert!(run(patient, 1, &[AskedToWait(429, "11"), *success]).result.is_ok(), "{name}");
    }
}

#[test]
fn a_retry_after_is_in_the_error_of_calls_that_are_not_repeated() {
    for (name, _, _, run) in not_repeatable() {
        let error = run(Retry::default(), 1, &[AskedToWait(429, "3")]).result.expect_err(name);
        assert_eq!(error.retry_after(), Some(s(3)), "{name}");
    }
}

/// Only what may be sent again may use a pooled connection, which may be dead: once, and not for the whole time, unless
/// that attempt is the only one. Further attempts have what is left of the time of all.
#[test]
fn a_pooled_connection_is_used_for_the_first_attempt_of_what_may_be_sent_again() {
    for (name, repeatable, _, run) in OPERATIONS {
        for attempts in [1, 4] {
            let finished = run(Retry::default().with_attempts(attempts), 1, &[NotSent]);
            for (number, (sent, options)) in finished.sent.iter().zip(&finished.options).enumerate() {
                let is_pooled = *repeatable && number == 0;
                assert_eq!(options.fresh_connection, !is_pooled, "{name}");
                let timeout = if is_pooled && attempts > 1 { s(10) } else { s(30) };
                assert_eq!(options.deadline, start() + (*sent + timeout).min(s(30)), "{name}");
            }
        }
    }
}

#[test]
fn a_transport_without_a_response_is_given_up_at_the_deadline() {
    let finished = run(Call::new(RefreshAccessToken::new("refresh"), &app(), Seed(1)), &[NoResponse]);
    assert_eq!((finished.sent.len(), finished.ended), (1, s(30)));
    assert_eq!(finished.result.unwrap_err().kind(), ErrorKind::OutcomeUnknown);

    let finished = run(Call::new(RefreshAccessToken::new("refresh"), &app(), Seed(1)).timeout(s(3)), &[NoResponse]);
    assert_eq!((finished.options[0].deadline, finished.ended), (start() + s(3), s(3)));

    let finished = run(Call::new(RequestDeviceCode::new(), &app(), Seed(1)).timeout(s(3)), &[NoResponse]);
    assert_eq!(finished.sent.len(), 4);
    assert!(finished.ended >= s(12) && finished.ended < s(20), "{:?}", finished.ended);
}

#[test]
fn while_a_request_is_out_there_is_nothing_to_do() {
    let mut call = Call::new(RefreshAccessToken::new("refresh"), &app(), Seed(1));
    assert!(matches!(call.step(start()), Step::Send { .. }));
    for elapsed in [0, 0, 1, 29_999] {
        let Step::Wait(until) = call.step(start() + ms(elapsed)) else { panic!("a request is out") };
        assert_eq!(until, start() + s(30));
    }
    // Late, but before the call has continued.
    call.receive(Ok(response(200, TOKENS)), start() + s(100));
    assert!(matches!(call.step(start() + s(100)), Step::Done(Ok(_))));
}

#[test]
fn early_steps_and_stray_outcomes_change_nothing() {
    let mut call = Call::new(RequestDeviceCode::new(), &app(), Seed(1));
    let stray = || Ok(response(200, r#"{"error":"invalid_client"}"#));
    call.receive(stray(), start());
    assert!(matches!(call.step(start()), Step::Send { .. }));
    call.receive(Err(Error::outcome_unknown("reset")), start());
    call.receive(stray(), start());
    let Step::Wait(until) = call.step(start()) else { panic!("too early") };
    for _ in 0..3 {
        call.receive(stray(), start());
        assert!(matches!(call.step(until - Duration::from_nanos(1)), Step::Wait(again) if again == until));
    }
    assert!(matches!(call.step(until), Step::Send { .. }));
    call.receive(Ok(response(200, GRANT)), until);
    call.receive(stray(), until);
    assert!(matches!(call.step(until), Step::Done(Ok(_))));
    call.receive(stray(), until);
    assert!(matches!(call.step(until), Step::Done(Err(error)) if error.kind() == ErrorKind::AlreadyCompleted));
}

/// Runs a call whose first request is not sent, and whose second one succeeds: when that was sent, and its response.
fn second_response<E: Endpoint>(endpoint: E) -> (Instant, E::Response) {
    let mut call = Call::new(endpoint, &app(), Seed(1));
    let Step::Send { .. } = call.step(start()) else { panic!("nothing is sent") };
    call.receive(Err(Error::not_sent("connection refused")), start());
    let Step::Wait(sent) = call.step(start()) else { panic!("no wait") };
    let Step::Send { .. } = call.step(sent) else { panic!("nothing is sent again") };
    call.receive(Ok(response(200, TOKENS)), sent + s(20));
    let Step::Done(Ok(response)) = call.step(sent + s(21)) else { panic!("no response") };
    (sent, response)
}

#[test]
fn tokens_know_when_the_request_was_sent_that_yielded_them() {
    fn check<E: Endpoint<Response = TokenSet>>(endpoint: E) {
        let (sent, tokens) = second_response(&endpoint);
        assert_eq!(tokens.requested_at, Some(sent), "{}", endpoint.name());
        let (sent, tokens) = second_response(&&endpoint);
        assert_eq!(tokens.requested_at, Some(sent), "{}", endpoint.name());
        let (sent, tokens) = second_response(endpoint);
        assert_eq!(tokens.requested_at, Some(sent));
    }
    check(AccessTokenByCode::new("code", "https://example.com/callback"));
    check(AccessTokenByPassword::new("user", "password"));
    check(RefreshAccessToken::new("refresh"));
    check(RequestTokens::new("device"));
}

/// An operation that another crate could write: its response holds tokens, and it notes the moment or does not.
struct Login {
    inner: AccessTokenByPassword,
    notes: bool,
}

impl Endpoint for Login {
    type Response = (TokenSet, &'static str);

    fn name(&self) -> &'static str {
        "Login"
    }

    fn request(&self, app: &App) -> Result<http::Request<Body>, Error> {
        self.inner.request(app)
    }

    fn response(&self, app: &App, response: http::Response<Body>) -> Result<Self::Response, Error> {
        Ok((self.inner.response(app, response)?, "and more"))
    }

    fn secrets(&self) -> Vec<&str> {
        self.inner.secrets()
    }

    fn set_requested_at(&self, (tokens, _): &mut Self::Response, sent: Instant) {
        if self.notes {
            self.inner.set_requested_at(tokens, sent);
        }
    }
}

#[test]
fn a_response_that_holds_tokens_may_pass_the_moment_on() {
    for notes in [false, true] {
        let (sent, (tokens, _)) =
            second_response(Login { inner: AccessTokenByPassword::new("user", "password"), notes });
        assert_eq!(tokens.requested_at, notes.then_some(sent));
    }
}

#[test]
fn a_step_is_printed_without_query_and_body() {
    let now = start();
    let step = Call::new(JwtByAccessToken::new("b8cb84c9"), &app(), Seed(1)).step(now);
    let Step::Send { options, .. } = &step else { panic!("nothing is sent") };
    let request = "GET https://cloud-api.loginradius.com/sso/jwt/api/token";
    assert_eq!(format!("{step:?}"), format!("Send {{ request: {request}, options: {options:?} }}"));
}

#[test]
fn settings_that_no_request_can_be_made_from_end_the_call_before_anything_is_sent() {
    let mut call = Call::new(RequestDeviceCode::new(), &App::new("my-client-id"), Seed(1));
    let Step::Done(Err(error)) = call.step(start()) else { panic!("nothing can be sent") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(matches!(call.step(start()), Step::Done(Err(error)) if error.kind() == ErrorKind::AlreadyCompleted));
}

#[test]
fn a_policy_of_extremes_ends_and_does_not_overflow() {
    let forever = Retry::default().with_max_time(Duration::MAX);
    let retry = forever.with_attempts(100).with_first_wait(Duration::MAX).with_max_wait(Duration::MAX);
    assert_eq!(call(RequestDeviceCode::new(), retry.with_attempts(3), 1, &[Lost]).sent.len(), 3);
    let none = Retry::default().with_attempts(100).with_first_wait(Duration::ZERO).with_max_wait(Duration::ZERO);
    let finished = call(RequestDeviceCode::new(), none, 1, &[Lost]);
    assert_eq!((finished.sent.len(), finished.ended), (100, s(0)));
    let doubled = forever.with_attempts(90).with_first_wait(Duration::from_nanos(1)).with_max_wait(s(1));
    assert_eq!(call(RequestDeviceCode::new(), doubled, 1, &[Lost]).sent.len(), 90);

    let finished = run(
        Call::new(RefreshAccessToken::new("refresh"), &app(), Seed(1)).timeout(Duration::MAX),
        &[Responded(200, TOKENS)],
    );
    assert!(finished.options[0].deadline > start() + s(1_000_000));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let waits = prop_oneof![Just("0"), Just("1"), Just("9"), Just("10"), Just("11"), Just("999999999999999999999999")];
    let status = prop_oneof![Just(200), Just(302), Just(404), Just(429), Just(503)];
    prop_oneof![
        4 => Just(NotSent),
        2 => proptest::sample::select(UNKNOWN),
        1 => proptest::sample::select(FINAL),
        1 => (status, waits).prop_map(|(status, wait)| AskedToWait(status, wait)),
        1 => Just(Responded(200, TOKENS)),
    ]
}

/// What a call against a silent server takes by default, and that another number of attempts does not make it longer.
#[test]
fn a_silent_server_is_given_up_within_the_time_of_all_attempts() {
    for (name, repeatable, _, run) in OPERATIONS {
        for attempts in [1, 2, 4, 100] {
            for outcomes in [&[NoResponse][..], &[NotSent, NoResponse], &[NotSent, NotSent, NotSent, NoResponse]] {
                let finished = run(Retry::default().with_attempts(attempts), 1, outcomes);
                assert!(finished.ended <= s(30), "{name}, {attempts} attempts: {:?}", finished.ended);
                assert!(finished.result.is_err(), "{name}");
            }
        }
        let finished = run(Retry::default(), 1, &[NoResponse]);
        let sent = if *repeatable { 2 } else { 1 };
        assert_eq!((finished.sent.len(), finished.ended), (sent, s(30)), "{name}");
    }
}

#[test]
fn the_time_of_all_attempts_can_be_changed() {
    let call = |retry, timeout| {
        let call = Call::new(RequestDeviceCode::new(), &app(), Seed(1)).retry(retry);
        let finished = run(if let Some(timeout) = timeout { call.timeout(timeout) } else { call }, &[NoResponse]);
        (finished.sent.len(), finished.ended.as_secs())
    };
    let retry = Retry::default();
    assert_eq!(call(retry.with_max_time(s(60)), None), (3, 60));
    assert_eq!(call(retry.with_max_time(Duration::MAX), None), (4, 10 + 30 * 3 + 2));
    // One attempt always has its whole timeout.
    assert_eq!(call(retry, Some(s(50))), (2, 50));
    assert_eq!(call(retry.with_max_time(Duration::ZERO), None), (2, 30));
    assert_eq!(call(retry.with_max_time(Duration::ZERO), Some(s(3))), (1, 3));
    assert_eq!(call(Retry::OFF, None), (1, 30));
    assert_eq!(call(Retry::OFF.with_max_time(s(60)), None), (1, 30));
}

/// Less time than a response takes would turn *not sent* into *outcome unknown*.
#[test]
fn a_further_attempt_has_time_for_its_response() {
    let late = |elapsed| {
        let mut call = Call::new(AccessTokenByPassword::new("user", "password"), &app(), Seed(1));
        let Step::Send { .. } = call.step(start()) else { panic!("nothing is sent") };
        call.receive(Err(Error::not_sent("connection refused")), start() + elapsed);
        call.step(start() + elapsed)
    };
    assert!(matches!(late(ms(24_400)), Step::Wait(_)));
    let Step::Done(Err(error)) = late(ms(24_900)) else { panic!("it waits") };
    assert_eq!(error.kind(), ErrorKind::NotSent);
}

/// As after a suspension of the process.
#[test]
fn a_program_that_comes_after_the_time_of_all_attempts_gets_the_failure() {
    let mut call = Call::new(AccessTokenByPassword::new("user", "password"), &app(), Seed(1));
    let Step::Send { .. } = call.step(start()) else { panic!("nothing is sent") };
    call.receive(Err(Error::not_sent("connection refused")), start());
    let Step::Wait(_) = call.step(start()) else { panic!("no wait") };
    let Step::Done(Err(error)) = call.step(start() + s(30)) else { panic!("it is sent again") };
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotSent, Some("Access Token by Account Password")));
}

/// A server's response to one request, and how long it takes; none is a silent server.
fn slow_outcome() -> impl Strategy<Value = (Option<Outcome>, Duration)> {
    let millis = prop_oneof![Just(0), 0..2_000_u64, 0..40_000_u64];
    (proptest::option::weighted(0.7, outcome()), millis.prop_map(ms))
}

/// Durations as a program may set them, absurd ones too.
fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..60_000_u64).prop_map(ms),
        1 => proptest::sample::select(vec![Duration::ZERO, Duration::from_nanos(1), s(1 << 40), Duration::MAX]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    /// Whatever the server, the settings and the transport's own delay.
    #[test]
    fn every_call_ends_by_the_time_that_its_settings_name(
        outcomes in proptest::collection::vec(slow_outcome(), 1..8),
        attempts in 0..12_u32,
        waits in (duration(), duration()),
        max_time in (0..60_000_u64).prop_map(ms),
        timeout in (0..60_000_u64).prop_map(ms),
        deadline in proptest::option::of(duration()),
        is_repeatable: bool,
        seed: u64,
    ) {
        fn drive<E: Endpoint>(mut call: Call<E>, outcomes: &[(Option<Outcome>, Duration)]) -> (Duration, Vec<Duration>) {
            let (mut now, mut deadlines) = (start(), Vec::new());
            loop {
                match call.step(now) {
                    Step::Wait(until) => now = until,
                    Step::Done(_) => return (now - start(), deadlines),
                    Step::Send { options, .. } => {
                        let (outcome, time) = outcomes[deadlines.len() % outcomes.len()];
                        deadlines.push(options.deadline - start());
                        now = options.deadline.min(now + time);
                        match outcome {
                            None | Some(NoResponse) => now = options.deadline,
                            _ if now == options.deadline => {}
                            Some(NotSent) => call.receive(Err(Error::not_sent("connection refused")), now),
                            Some(Responded(status, body)) => call.receive(Ok(response(status, body)), now),
                            Some(AskedToWait(status, wait)) => {
                                call.receive(Ok(response_with(status, PAGE, &[("retry-after", wait)])), now);
                            }
                            Some(Lost | NotConnectable) => call.receive(Err(Error::outcome_unknown("reset")), now),
                        }
                    }
                }
            }
        }
        let retry = Retry::default().with_attempts(attempts).with_first_wait(waits.0).with_max_wait(waits.1);
        let retry = retry.with_max_time(max_time);
        let by_program = deadline.and_then(|time| start().checked_add(time));
        let (ended, deadlines) = if is_repeatable {
            let call = Call::new(RequestDeviceCode::new(), &app(), Seed(seed));
            drive(call.retry(retry).timeout(timeout).deadline(by_program), &outcomes)
        } else {
            let call = Call::new(RefreshAccessToken::new("refresh"), &app(), Seed(seed));
            drive(call.retry(retry).timeout(timeout).deadline(by_program), &outcomes)
        };
        let bound = timeout.max(max_time).min(deadline.unwrap_or(Duration::MAX));
        prop_assert!(ended <= bound, "it took {ended:?} of {bound:?}");
        prop_assert!(deadlines.iter().all(|deadline| *deadline <= bound), "{deadlines:?} of {bound:?}");
        prop_assert!(deadlines.len() <= attempts.max(1) as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn nothing_that_must_not_be_repeated_arrives_twice(
        outcomes in proptest::collection::vec(outcome(), 1..12),
        attempts in 0..12_u32,
        first_wait in 0..20_000_u64,
        max_wait in 0..20_000_u64,
        seed: u64,
    ) {
        let retry = Retry::default().with_attempts(attempts).with_first_wait(ms(first_wait)).with_max_wait(ms(max_wait));
        for (name, repeatable, success, run) in OPERATIONS {
            let finished = run(retry, seed, &outcomes);
            let met: Vec<_> = (0..finished.sent.len()).map(|sent| outcomes[sent.min(outcomes.len() - 1)]).collect();

            prop_assert!(finished.sent.len() <= attempts.max(1) as usize, "{} was sent too often", name);
            if !repeatable {
                let arrived = met.iter().filter(|outcome| **outcome != NotSent).count();
                prop_assert!(arrived <= 1, "{} may have arrived {} times", name, arrived);
            }
            let (last, before) = met.split_last().expect("one is sent");
            prop_assert!(!before.iter().any(|outcome| FINAL.contains(outcome)), "{} was sent after a refusal", name);
            prop_assert_eq!(finished.result.is_ok(), last == success || is_success(name, *last));
            for (pair, outcome) in finished.sent.windows(2).zip(before) {
                let wait = pair[1] - pair[0];
                if let AskedToWait(_, retry_after) = outcome {
                    prop_assert!(wait >= s(retry_after.parse().expect("what was waited for is a number")), "{}", name);
                }
                let timeout = if *outcome == NoResponse { s(30) } else { s(0) };
                prop_assert!(wait <= retry.max_wait.max(timeout + retry.max_wait), "{} waited {:?}", name, wait);
            }
        }
    }
}
