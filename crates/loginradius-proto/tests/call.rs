//! Single calls: what is sent again, what never, and when.

use std::error::Error as _;
use std::time::{Duration, Instant};

use loginradius_proto::jwt::{JwtByAccessToken, JwtByEmail, JwtByPhone, JwtByUsername};
use loginradius_proto::oauth::{
    AccessTokenByCode, AccessTokenByPassword, RefreshAccessToken, RequestDeviceCode, RequestTokens, RevokeRefreshToken,
};
use loginradius_proto::{App, Body, Call, Endpoint, Error, ErrorKind, Flow, Retry, SendOptions, Step, TokenSet};
use proptest::prelude::*;

const PAGE: &str = "<html><title>Bad gateway</title></html>";
const TOKENS: &str = r#"{"access_token":"b8cb84c9","token_type":"access_token","expires_in":394}"#;
const GRANT: &str = r#"{"device_code":"af2a","user_code":"oP5lLq","verification_uri":"https://example.com/"}"#;
const JWT: &str = r#"{"signature":"e30.e30.c2ln"}"#;

fn app() -> App {
    App::new("my-client-id").client_secret("my-secret").oauth_app("my-oauth-app").jwt_app("my-jwt-app")
}

#[allow(clippy::disallowed_methods, reason = "an instant can be had from nowhere else; nothing depends on which")]
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answer(u16, &'static str),
    AskedToWait(u16, &'static str),
    Lost,
    NotSent,
    NeverAnswered,
}

use Fate::{Answer, AskedToWait, Lost, NeverAnswered, NotSent};

/// Failures after which nobody knows whether the request took effect.
const UNSURE: &[Fate] = &[
    Lost,
    NeverAnswered,
    Answer(500, PAGE),
    Answer(502, ""),
    Answer(503, r#"{"error":"temporarily_unavailable"}"#),
    Answer(500, r#"{"ErrorCode":905,"Message":"The token is not valid"}"#),
    Answer(429, "Too many requests"),
    Answer(429, r#"{"ErrorCode":106,"Message":"Too many"}"#),
    AskedToWait(429, "1"),
    AskedToWait(503, "1"),
    Answer(200, PAGE),
    Answer(404, PAGE),
    Answer(408, ""),
    Answer(302, ""),
    Answer(400, r#"{"error":"server_error"}"#),
];

/// Refusals: an answer, and the same one every time.
const FINAL: &[Fate] = &[
    Answer(400, r#"{"error":"invalid_request"}"#),
    Answer(200, r#"{"error":"invalid_client"}"#),
    Answer(401, r#"{"ErrorCode":901,"Message":"API key is invalid"}"#),
    Answer(403, r#"{"ErrorCode":950,"Message":"Unknown error"}"#),
    Answer(400, r#"{"ErrorCode":123456,"Message":"Something"}"#),
];

struct Told {
    /// When each request was sent.
    sent: Vec<Duration>,
    options: Vec<SendOptions>,
    /// Since the start.
    ended: Duration,
    /// The text of a success does not matter, only that it is one.
    result: Result<(), Error>,
}

/// Runs a call whose requests meet those fates; the last one is met again and again.
fn run<E: Endpoint>(mut call: Call<E>, fates: &[Fate]) -> Told {
    let mut now = start();
    let (mut sent, mut all_options) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        match call.step(now) {
            Step::Wait(until) => now = until,
            Step::Send { options, .. } => {
                let fate = fates[sent.len().min(fates.len() - 1)];
                sent.push(now - start());
                all_options.push(options);
                let outcome = match fate {
                    Answer(status, body) => {
                        Ok(http::Response::builder().status(status).body(Body::from(body)).unwrap())
                    }
                    AskedToWait(status, wait) => {
                        let builder = http::Response::builder().status(status).header("retry-after", wait);
                        Ok(builder.body(Body::from(PAGE)).unwrap())
                    }
                    Lost => Err(Error::lost("connection reset")),
                    NotSent => Err(Error::not_sent("connection refused")),
                    NeverAnswered => continue,
                };
                call.receive(outcome, now);
            }
            Step::Done(result) => {
                let result = result.map(drop);
                let Step::Done(Err(error)) = call.step(now) else { panic!("two ends") };
                assert_eq!(error.kind(), ErrorKind::Finished);
                return Told { sent, options: all_options, ended: now - start(), result };
            }
        }
    }
    panic!("no end");
}

/// An operation: its name, whether it may be sent again, what a success looks like, and how to run it.
type Operation = (&'static str, bool, Fate, fn(Retry, u64, &[Fate]) -> Told);

fn call<E: Endpoint>(endpoint: E, retry: Retry, seed: u64, fates: &[Fate]) -> Told {
    run(Call::new(endpoint, &app(), seed).retry(retry), fates)
}

const OPERATIONS: &[Operation] = &[
    ("code", false, Answer(200, TOKENS), |retry, seed, fates| {
        call(AccessTokenByCode::new("code", "https://example.com/"), retry, seed, fates)
    }),
    ("password", false, Answer(200, TOKENS), |retry, seed, fates| {
        call(AccessTokenByPassword::new("user", "password"), retry, seed, fates)
    }),
    ("refresh", false, Answer(200, TOKENS), |retry, seed, fates| {
        call(RefreshAccessToken::new("refresh"), retry, seed, fates)
    }),
    ("device poll", false, Answer(200, TOKENS), |retry, seed, fates| {
        call(RequestTokens::new("device"), retry, seed, fates)
    }),
    ("JWT by email", false, Answer(200, JWT), |retry, seed, fates| {
        call(JwtByEmail::new("user@example.com", "password"), retry, seed, fates)
    }),
    ("JWT by phone", false, Answer(200, JWT), |retry, seed, fates| {
        call(JwtByPhone::new("+15550100", "password"), retry, seed, fates)
    }),
    ("JWT by user name", false, Answer(200, JWT), |retry, seed, fates| {
        call(JwtByUsername::new("user", "password"), retry, seed, fates)
    }),
    ("device code", true, Answer(200, GRANT), |retry, seed, fates| call(RequestDeviceCode::new(), retry, seed, fates)),
    ("revoke", true, Answer(200, ""), |retry, seed, fates| {
        call(RevokeRefreshToken::new("refresh"), retry, seed, fates)
    }),
    ("JWT by access token", true, Answer(200, JWT), |retry, seed, fates| {
        call(JwtByAccessToken::new("token"), retry, seed, fates)
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
        let told = run(Retry::default(), 1, &[*success]);
        assert!(told.result.is_ok(), "{name}");
        assert_eq!(told.sent, [s(0)], "{name}");
    }
}

#[test]
fn what_may_have_taken_effect_is_never_sent_again() {
    for (name, _, success, run) in not_repeatable() {
        for fate in UNSURE {
            let told = run(Retry { attempts: 100, ..Retry::default() }, 1, &[*fate, *success]);
            assert_eq!(told.sent.len(), 1, "{name}, {fate:?}");
            let error = told.result.expect_err(name);
            assert!(!error.to_string().contains("attempts"), "{error}");
        }
    }
}

#[test]
fn what_may_be_repeated_is_sent_again_after_any_failure() {
    for (name, _, success, run) in repeatable() {
        for fate in UNSURE {
            let told = run(Retry::default(), 1, &[*fate, *success]);
            assert!(told.result.is_ok(), "{name}, {fate:?}");
            assert_eq!(told.sent.len(), 2, "{name}, {fate:?}");
        }
    }
}

#[test]
fn what_was_certainly_not_sent_is_sent_again() {
    for (name, _, success, run) in OPERATIONS {
        let told = run(Retry::default(), 1, &[NotSent, NotSent, *success]);
        assert!(told.result.is_ok(), "{name}");
        assert_eq!(told.sent.len(), 3, "{name}");
    }
}

#[test]
fn a_request_that_is_lost_after_some_that_were_not_sent_is_the_last() {
    for (name, _, success, run) in not_repeatable() {
        let told = run(Retry::default(), 1, &[NotSent, NotSent, Lost, *success]);
        assert_eq!(told.sent.len(), 3, "{name}");
        let error = told.result.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Lost, "{name}");
        assert!(error.to_string().ends_with("; 3 attempts were made"), "{error}");
    }
}

#[test]
fn a_refusal_is_never_sent_again() {
    for (name, _, success, run) in OPERATIONS {
        for fate in FINAL {
            let told = run(Retry::default(), 1, &[*fate, *success]);
            assert_eq!(told.sent.len(), 1, "{name}, {fate:?}");
            assert!(told.result.expect_err(name).service().is_some(), "{name}, {fate:?}");
        }
    }
}

#[test]
fn attempts_have_an_end() {
    for (name, _, _, run) in OPERATIONS {
        for attempts in [1, 2, 4, 10] {
            let told = run(Retry { attempts, ..Retry::default() }, 1, &[NotSent]);
            assert_eq!(told.sent.len(), attempts as usize, "{name}");
            let error = told.result.expect_err(name);
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
        for retry in [Retry::OFF, Retry { attempts: 0, ..Retry::default() }] {
            for fate in [NotSent, Lost, Answer(503, PAGE)] {
                let told = run(retry, 1, &[fate, *success]);
                assert_eq!(told.sent.len(), 1, "{name}, {fate:?}");
                assert!(told.result.is_err(), "{name}, {fate:?}");
            }
            assert!(run(retry, 1, &[*success]).result.is_ok(), "{name}");
        }
    }
}

#[test]
fn waits_grow_up_to_the_longest_less_a_random_part() {
    let retry = Retry { attempts: 8, ..Retry::default() };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let told = call(RequestDeviceCode::new(), retry, seed, &[Answer(503, PAGE)]);
        let waits: Vec<_> = told.sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), 7);
        for (wait, full) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000].map(ms)) {
            assert!(*wait <= full && *wait >= full * 3 / 4, "{wait:?} of {full:?}");
        }
        assert_eq!(told.ended, *told.sent.last().unwrap(), "at once, when there is no attempt left");
        seen.insert(waits[0]);
    }
    assert!(seen.len() > 40, "{} different waits", seen.len());
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    for (name, _, success, run) in repeatable() {
        for status in [429, 503, 404, 200, 302] {
            let told = run(Retry::default(), 1, &[AskedToWait(status, "7"), *success]);
            assert_eq!(told.sent, [s(0), s(7)], "{name}, {status}");
            assert!(told.result.is_ok(), "{name}, {status}");
        }
        // Less than the wait that is due anyway.
        let told = run(Retry::default(), 1, &[AskedToWait(429, "0"), *success]);
        assert!(told.sent[1] >= ms(375), "{name}");
        // Just as long as the longest wait.
        assert_eq!(run(Retry::default(), 1, &[AskedToWait(429, "10"), *success]).sent, [s(0), s(10)], "{name}");
    }
}

#[test]
fn a_server_that_asks_for_more_than_the_longest_wait_ends_the_call_at_once() {
    for (name, _, success, run) in repeatable() {
        for (wait, asked) in [("11", s(11)), ("86400", s(86_400)), ("99999999999999999999999", Duration::MAX)] {
            let told = run(Retry::default(), 1, &[AskedToWait(429, wait), *success]);
            assert_eq!((told.sent.len(), told.ended), (1, s(0)), "{name}");
            let error = told.result.expect_err(name);
            assert_eq!((error.kind(), error.retry_after()), (ErrorKind::TryLater, Some(asked)), "{name}");
        }
        let patient = Retry { longest_wait: s(60), ..Retry::default() };
        assert!(run(patient, 1, &[AskedToWait(429, "11"), *success]).result.is_ok(), "{name}");
    }
}

#[test]
fn a_retry_after_is_told_by_calls_that_are_not_repeated() {
    for (name, _, _, run) in not_repeatable() {
        let error = run(Retry::default(), 1, &[AskedToWait(429, "3")]).result.expect_err(name);
        assert_eq!(error.retry_after(), Some(s(3)), "{name}");
    }
}

#[test]
fn what_must_not_be_sent_again_wants_a_fresh_connection() {
    for (name, repeatable, _, run) in OPERATIONS {
        let told = run(Retry::default(), 1, &[NotSent]);
        for (sent, options) in told.sent.iter().zip(&told.options) {
            assert_eq!(options.fresh_connection, !repeatable, "{name}");
            assert_eq!(options.deadline, start() + *sent + s(30), "{name}");
        }
    }
}

#[test]
fn a_transport_that_never_answers_is_given_up_at_the_deadline() {
    let told = run(Call::new(RefreshAccessToken::new("refresh"), &app(), 1), &[NeverAnswered]);
    assert_eq!((told.sent.len(), told.ended), (1, s(30)));
    assert_eq!(told.result.unwrap_err().kind(), ErrorKind::Lost);

    let told = run(Call::new(RefreshAccessToken::new("refresh"), &app(), 1).timeout(s(3)), &[NeverAnswered]);
    assert_eq!((told.options[0].deadline, told.ended), (start() + s(3), s(3)));

    let told = run(Call::new(RequestDeviceCode::new(), &app(), 1).timeout(s(3)), &[NeverAnswered]);
    assert_eq!(told.sent.len(), 4);
    assert!(told.ended >= s(12) && told.ended < s(20), "{:?}", told.ended);
}

#[test]
fn while_a_request_is_out_there_is_nothing_to_do() {
    let mut call = Call::new(RequestDeviceCode::new(), &app(), 1);
    assert!(matches!(call.step(start()), Step::Send { .. }));
    for elapsed in [0, 0, 1, 29_999] {
        let Step::Wait(until) = call.step(start() + ms(elapsed)) else { panic!("a request is out") };
        assert_eq!(until, start() + s(30));
    }
    // Late, but before the call has gone on.
    call.receive(Ok(http::Response::new(Body::from(GRANT))), start() + s(100));
    assert!(matches!(call.step(start() + s(100)), Step::Done(Ok(_))));
}

#[test]
fn early_steps_and_stray_outcomes_change_nothing() {
    let mut call = Call::new(RequestDeviceCode::new(), &app(), 1);
    let stray = || Ok(http::Response::new(Body::from(r#"{"error":"invalid_client"}"#)));
    call.receive(stray(), start());
    assert!(matches!(call.step(start()), Step::Send { .. }));
    call.receive(Err(Error::lost("reset")), start());
    call.receive(stray(), start());
    let Step::Wait(until) = call.step(start()) else { panic!("too early") };
    for _ in 0..3 {
        call.receive(stray(), start());
        assert!(matches!(call.step(until - Duration::from_nanos(1)), Step::Wait(again) if again == until));
    }
    assert!(matches!(call.step(until), Step::Send { .. }));
    call.receive(Ok(http::Response::new(Body::from(GRANT))), until);
    call.receive(stray(), until);
    assert!(matches!(call.step(until), Step::Done(Ok(_))));
    call.receive(stray(), until);
    assert!(matches!(call.step(until), Step::Done(Err(error)) if error.kind() == ErrorKind::Finished));
}

/// Runs a call whose first request is not sent, and whose second one succeeds: when that was sent, and its response.
fn second_response<E: Endpoint>(endpoint: E) -> (Instant, E::Response) {
    let mut call = Call::new(endpoint, &app(), 1);
    let Step::Send { .. } = call.step(start()) else { panic!("nothing is sent") };
    call.receive(Err(Error::not_sent("connection refused")), start());
    let Step::Wait(sent) = call.step(start()) else { panic!("no wait") };
    let Step::Send { .. } = call.step(sent) else { panic!("nothing is sent again") };
    call.receive(Ok(http::Response::new(Body::from(TOKENS))), sent + s(20));
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
    let step = Call::new(JwtByAccessToken::new("b8cb84c9"), &app(), 1).step(now);
    let Step::Send { options, .. } = &step else { panic!("nothing is sent") };
    let request = "GET https://cloud-api.loginradius.com/sso/jwt/api/token";
    assert_eq!(format!("{step:?}"), format!("Send {{ request: {request}, options: {options:?} }}"));
}

#[test]
fn settings_that_no_request_can_be_made_from_end_the_call_before_anything_is_sent() {
    let mut call = Call::new(RequestDeviceCode::new(), &App::new("my-client-id"), 1);
    let Step::Done(Err(error)) = call.step(start()) else { panic!("nothing can be sent") };
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(matches!(call.step(start()), Step::Done(Err(error)) if error.kind() == ErrorKind::Finished));
}

#[test]
fn a_policy_of_extremes_ends_and_does_not_overflow() {
    let retry = Retry { attempts: 100, first_wait: Duration::MAX, longest_wait: Duration::MAX };
    assert_eq!(call(RequestDeviceCode::new(), Retry { attempts: 3, ..retry }, 1, &[Lost]).sent.len(), 3);
    let none = Retry { attempts: 100, first_wait: Duration::ZERO, longest_wait: Duration::ZERO };
    let told = call(RequestDeviceCode::new(), none, 1, &[Lost]);
    assert_eq!((told.sent.len(), told.ended), (100, s(0)));
    let doubled = Retry { attempts: 90, first_wait: Duration::from_nanos(1), longest_wait: s(1) };
    assert_eq!(call(RequestDeviceCode::new(), doubled, 1, &[Lost]).sent.len(), 90);

    let told = run(Call::new(RequestDeviceCode::new(), &app(), 1).timeout(Duration::MAX), &[Answer(200, GRANT)]);
    assert!(told.options[0].deadline > start() + s(1_000_000));
}

fn fate() -> impl Strategy<Value = Fate> {
    let waits = prop_oneof![Just("0"), Just("1"), Just("9"), Just("10"), Just("11"), Just("999999999999999999999999")];
    let status = prop_oneof![Just(200), Just(302), Just(404), Just(429), Just(503)];
    prop_oneof![
        4 => Just(NotSent),
        2 => proptest::sample::select(UNSURE),
        1 => proptest::sample::select(FINAL),
        1 => (status, waits).prop_map(|(status, wait)| AskedToWait(status, wait)),
        1 => Just(Answer(200, TOKENS)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn nothing_that_must_not_be_repeated_arrives_twice(
        fates in proptest::collection::vec(fate(), 1..12),
        attempts in 0..12_u32,
        first_wait in 0..20_000_u64,
        longest_wait in 0..20_000_u64,
        seed: u64,
    ) {
        let retry = Retry { attempts, first_wait: ms(first_wait), longest_wait: ms(longest_wait) };
        for (name, repeatable, success, run) in OPERATIONS {
            let told = run(retry, seed, &fates);
            let met: Vec<_> = (0..told.sent.len()).map(|sent| fates[sent.min(fates.len() - 1)]).collect();

            prop_assert!(told.sent.len() <= attempts.max(1) as usize, "{} was sent too often", name);
            if !repeatable {
                let arrived = met.iter().filter(|fate| **fate != NotSent).count();
                prop_assert!(arrived <= 1, "{} may have arrived {} times", name, arrived);
            }
            let (last, before) = met.split_last().expect("one is sent");
            prop_assert!(!before.iter().any(|fate| FINAL.contains(fate)), "{} was sent after a refusal", name);
            prop_assert_eq!(told.result.is_ok(), last == success || matches!((name, last), (&"revoke", Answer(200, TOKENS))));
            for (pair, fate) in told.sent.windows(2).zip(before) {
                let wait = pair[1] - pair[0];
                if let AskedToWait(_, asked) = fate {
                    prop_assert!(wait >= s(asked.parse().expect("what was waited for is a number")), "{}", name);
                }
                let timeout = if *fate == NeverAnswered { s(30) } else { s(0) };
                prop_assert!(wait <= retry.longest_wait.max(timeout + retry.longest_wait), "{} waited {:?}", name, wait);
            }
        }
    }
}
