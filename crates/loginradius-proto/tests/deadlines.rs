//! The time that a program gives a whole operation: a call with its retries, or a device login.

use std::time::Duration;

use loginradius_proto::jwt::JwtByAccessToken;
use loginradius_proto::oauth::{DeviceGrant, RefreshAccessToken};
use loginradius_proto::{
    Call, DeviceFlow, DeviceProgress, Endpoint, Error, ErrorKind, Flow, PendingDevice, Retry, Seed, Step,
};
use loginradius_testing::{app, now, response, s, start};
use proptest::prelude::*;

const SUCCESS: &str = r#"{"signature":"e30.e30.c2ln"}"#;
const PENDING: &str = r#"{"error":"authorization_pending"}"#;
const SLOW_DOWN: &str = r#"{"error":"slow_down"}"#;
const TOKENS: &str = r#"{"access_token":"b8cb84c9"}"#;

fn call<E: Endpoint>(endpoint: E, deadline: Duration) -> Call<E> {
    let retry = Retry::default().with_attempts(10).with_first_wait(s(1)).with_max_wait(s(1));
    Call::new(endpoint, &app(), Seed(7)).retry(retry).timeout(s(10)).deadline(start() + deadline)
}

#[test]
fn a_call_without_time_sends_nothing() {
    let Step::Done(Err(error)) = call(JwtByAccessToken::new("a"), Duration::ZERO).step(start()) else { panic!() };
    assert_eq!((error.kind(), error.operation()), (ErrorKind::DeadlineExceeded, Some("JWT Token")));
    assert!(error.is_transient() && !error.is_outcome_unknown());
}

#[test]
fn a_request_is_given_no_more_than_the_time_that_is_left() {
    for (deadline, expected) in [(s(3), s(3)), (s(10), s(10)), (s(60), s(10))] {
        let mut call = call(JwtByAccessToken::new("a"), deadline);
        let Step::Send { options, .. } = call.step(start()) else { panic!() };
        assert_eq!(options.deadline, start() + expected);
    }
}

#[test]
fn a_request_that_is_cut_off_has_an_unknown_outcome_and_is_not_sent_again() {
    let mut call = call(JwtByAccessToken::new("a"), s(3));
    let Step::Send { .. } = call.step(start()) else { panic!() };
    let Step::Done(Err(error)) = call.step(start() + s(3)) else { panic!("there is no time left") };
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}

#[test]
fn an_attempt_that_would_come_too_late_is_not_waited_for() {
    let mut call = call(JwtByAccessToken::new("a"), s(2));
    let (mut at, mut sent) = (start(), 0);
    let error = loop {
        match call.step(at) {
            Step::Send { .. } => {
                sent += 1;
                call.receive(Err(Error::not_sent("refused")), at);
            }
            Step::Wait(until) => at = until,
            Step::Done(result) => break result.unwrap_err(),
        }
    };
    assert!(at < start() + s(2), "it waited until {:?}", at - start());
    assert!((2..=3).contains(&sent), "{sent}");
    assert_eq!(error.kind(), ErrorKind::NotSent, "what failed is the error, and not that the time is over");
    assert!(error.to_string().contains("attempts were made"), "{error}");
}

#[test]
fn a_program_that_comes_too_late_for_the_next_attempt_gets_the_failure() {
    let mut call = call(JwtByAccessToken::new("a"), s(5));
    let Step::Send { .. } = call.step(start()) else { panic!() };
    call.receive(Err(Error::not_sent("refused")), start());
    let Step::Wait(_) = call.step(start()) else { panic!() };
    let Step::Done(Err(error)) = call.step(start() + s(6)) else { panic!("there is no time left") };
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotSent, Some("JWT Token")));
}

#[test]
fn a_response_in_time_is_the_result() {
    let mut call = call(JwtByAccessToken::new("a"), s(3));
    let Step::Send { .. } = call.step(start()) else { panic!() };
    call.receive(Ok(response(200, SUCCESS)), start() + s(2));
    assert!(matches!(call.step(start() + s(9)), Step::Done(Ok(_))), "however late it is asked for");
}

// Device logins.

fn grant(interval: u64, lifetime: u64) -> DeviceGrant {
    let mut grant = DeviceGrant::new("af2a", "oP5lLq", "https://example.com/device");
    (grant.interval, grant.expires_in) = (s(interval), s(lifetime));
    grant
}

fn device(deadline: Duration) -> DeviceFlow {
    DeviceFlow::new(&app(), &grant(5, 600), start(), Seed(7)).deadline(start() + deadline)
}

#[test]
fn a_device_login_without_time_polls_nothing() {
    let Step::Done(Err(error)) = device(Duration::ZERO).step(start()) else { panic!() };
    assert_eq!((error.kind(), error.operation()), (ErrorKind::DeadlineExceeded, Some("Request Tokens")));
    assert!(!error.requires_login(), "the code is still valid");
}

#[test]
fn a_device_login_ends_at_its_deadline_and_says_how_long_the_code_is_valid() {
    let mut flow = device(s(12));
    for at in [5, 10] {
        let Step::Wait(until) = flow.step(start()) else { panic!() };
        assert_eq!(until, start() + s(at));
        let Step::Send { options, .. } = flow.step(until) else { panic!() };
        assert!(options.deadline <= start() + s(12));
        flow.receive(Ok(response(400, PENDING)), until);
        assert!(matches!(flow.take_progress(), Some(DeviceProgress::Pending)));
        assert!(flow.take_progress().is_none(), "it is said once");
    }
    let Step::Wait(until) = flow.step(start() + s(10)) else { panic!() };
    assert_eq!(until, start() + s(12));
    let pending = flow.pending(until, now().wall + s(12));
    let Step::Done(Err(error)) = flow.step(until) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(error.to_string().contains("resume the login (its code is valid for another 588 s)"), "{error}");

    // Which is true.
    let pending = PendingDevice::from_json(&pending.to_json()).unwrap();
    let mut flow = DeviceFlow::resume(&app(), &pending, until, now().wall + s(12), Seed(8));
    let Step::Wait(at) = flow.step(until) else { panic!() };
    let Step::Send { .. } = flow.step(at) else { panic!() };
    flow.receive(Ok(response(200, TOKENS)), at);
    assert!(matches!(flow.step(at), Step::Done(Ok(_))));
}

/// Its tokens might be lost.
#[test]
fn a_poll_that_the_deadline_would_cut_off_is_not_sent() {
    let flow = |round_trip| {
        let flow = DeviceFlow::new(&app(), &grant(5, 600), start(), Seed(7)).round_trip(round_trip, start());
        flow.deadline(start() + s(6))
    };
    let mut slow = flow(Duration::from_millis(501));
    let Step::Wait(until) = slow.step(start() + s(5)) else { panic!("the poll is sent") };
    assert_eq!(until, start() + s(6));
    assert!(matches!(slow.step(until), Step::Done(Err(_))));
    let mut fast = flow(Duration::from_millis(500));
    assert!(matches!(fast.step(start() + s(5)), Step::Send { .. }));
}

#[test]
fn the_last_failure_is_the_source_of_a_device_logins_deadline() {
    let mut flow = device(s(6));
    let Step::Send { .. } = flow.step(start() + s(5)) else { panic!() };
    flow.receive(Ok(response(503, "")), start() + s(5));
    let Step::Done(Err(error)) = flow.step(start() + s(6)) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("503"), "{error:?}");
}

#[test]
fn each_response_is_a_progress() {
    let mut flow = DeviceFlow::new(&app(), &grant(5, 600), start(), Seed(7));
    let mut at = start();
    let mut poll = |outcome| {
        loop {
            match flow.step(at) {
                Step::Wait(until) => at = until,
                Step::Send { .. } => break,
                Step::Done(result) => panic!("{result:?}"),
            }
        }
        assert!(flow.take_progress().is_none());
        flow.receive(outcome, at);
        flow.take_progress()
    };
    assert!(matches!(poll(Ok(response(400, PENDING))), Some(DeviceProgress::Pending)));
    match poll(Ok(response(400, SLOW_DOWN))) {
        Some(DeviceProgress::SlowedDown { interval, .. }) => assert_eq!(interval, s(10)),
        other => panic!("{other:?}"),
    }
    for (outcome, kind) in [
        (Ok(response(502, "<html>")), ErrorKind::Unavailable),
        (Err(Error::not_sent("refused")), ErrorKind::NotSent),
        (Err(Error::outcome_unknown("reset")), ErrorKind::OutcomeUnknown),
    ] {
        match poll(outcome) {
            Some(DeviceProgress::Retrying { error, .. }) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
    assert!(poll(Ok(response(200, TOKENS))).is_none(), "the end is no progress");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Whatever the server does and however long it takes, a call ends by its deadline, and sends nothing after it.
    #[test]
    fn no_call_goes_beyond_its_deadline(
        deadline in 0_u64..20_000,
        timeout in 1_u64..10_000,
        attempts in 1_u32..6,
        repeatable in any::<bool>(),
        outcomes in prop::collection::vec((0_u8..4, 0_u64..12_000), 8),
    ) {
        let ms = Duration::from_millis;
        let retry = Retry::default().with_attempts(attempts).with_first_wait(ms(700)).with_max_wait(ms(5_000));
        let end = start() + ms(deadline);
        fn run<E: Endpoint>(
            mut call: Call<E>,
            end: std::time::Instant,
            outcomes: &[(u8, u64)],
        ) -> Result<(usize, ErrorKind), TestCaseError> {
            let (mut at, mut sent) = (start(), 0);
            loop {
                match call.step(at) {
                    Step::Send { options, .. } => {
                        prop_assert!(at < end && options.deadline <= end);
                        let (outcome, takes) = outcomes[sent % outcomes.len()];
                        sent += 1;
                        at = (at + Duration::from_millis(takes)).min(options.deadline);
                        match outcome {
                            0 => call.receive(Err(Error::not_sent("refused")), at),
                            1 => call.receive(Err(Error::outcome_unknown("reset")), at),
                            2 => call.receive(Ok(response(503, "")), at),
                            _ => at = options.deadline,
                        }
                    }
                    Step::Wait(until) => {
                        prop_assert!(until <= end, "it waits beyond its end");
                        at = at.max(until);
                    }
                    Step::Done(result) => {
                        prop_assert!(at <= end);
                        let Err(error) = result else { panic!("no outcome is a success") };
                        return Ok((sent, error.kind()));
                    }
                }
            }
        }
        let (sent, kind) = if repeatable {
            let call = Call::new(JwtByAccessToken::new("a"), &app(), Seed(3)).retry(retry).timeout(ms(timeout));
            run(call.deadline(end), end, &outcomes)?
        } else {
            let call = Call::new(RefreshAccessToken::new("r"), &app(), Seed(3)).retry(retry).timeout(ms(timeout));
            run(call.deadline(end), end, &outcomes)?
        };
        prop_assert_eq!(sent == 0, kind == ErrorKind::DeadlineExceeded && deadline == 0);
        prop_assert!(sent <= attempts as usize);
    }
}
