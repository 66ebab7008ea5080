//! Faults of the server and the network: a session ends only if LoginRadius refuses its refresh token.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::{ErrorKind, RefreshToken, TokenSet};

use super::{ADA, Age, Fixture, after_backoff, assert_kind, assert_token, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{REFUSED, app};
use crate::server::{Server, json};
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Store;

/// Returns faults, and for each whether the server has rotated the refresh token nevertheless.
fn faults() -> Vec<(Fault, bool)> {
    let respond = |status, body: &str| (Fault::Respond { status, headers: Vec::new(), body: body.to_owned() }, false);
    let mut all: Vec<_> = [301, 400, 401, 403, 404, 408, 500, 502, 503, 504]
        .into_iter()
        .map(|status| (Fault::Status(status), false))
        .collect();
    all.extend([
        (Fault::DropBefore, false),
        (Fault::DropAfter, true),
        (Fault::TooManyRequests { retry_after: None }, false),
        (Fault::TooManyRequests { retry_after: Some(1) }, false),
        (Fault::RedirectTo("http://127.0.0.1:1/".to_owned()), false),
        (Fault::Truncated, true),
        (Fault::Oversized(2 << 20), false),
        (Fault::EmptyOk, false),
        (Fault::SlowDrip { pause: Duration::from_millis(20) }, true),
        (Fault::Delay(Duration::from_secs(1)), true),
        respond(200, "{}"),
        respond(200, "null"),
        respond(200, r#"{"access_token":""}"#),
        respond(503, r#"{"error":"invalid_grant"}"#),
        respond(400, r#"{"error":"temporarily_unavailable"}"#),
        respond(400, r#"{"error":"server_error"}"#),
    ]);
    all
}

/// Each fault happens once, and then the server works again. It accepts a token that it has rotated once more.
fn no_failure_ends_a_session<A: Adapter>() {
    let fixture = Fixture::<A>::graceful(&Settings { timeout: Duration::from_millis(150), ..Settings::default() });
    let faults = faults();
    let mut sessions = Vec::new();
    for (number, (fault, _)) in faults.iter().enumerate() {
        let name = format!("{number} {fault:?}");
        let (session, _) = fixture.signed_in(&name, Age::Expired);
        fixture.emulator.fault(Operation::Refresh, fault.clone());
        let before = fixture.refresh_requests();
        let error = session.access_token().expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error:?}");
        assert!(error.retry_after().is_some_and(|wait| wait >= Duration::from_secs(1)), "{name}: {error:?}");
        // The next calls fail at once and without a request, in this process and in another.
        let again = session.access_token().expect_err(&name);
        assert_eq!((again.kind(), again.to_string()), (ErrorKind::Unavailable, error.to_string()), "{name}");
        let (others, _) = fixture.another_process();
        let stored = others.session(&name).access_token().expect_err(&name);
        assert_eq!(stored.kind(), ErrorKind::Unavailable, "{name}: {stored:?}");
        assert_eq!(fixture.refresh_requests(), before + 1, "{name}");
        sessions.push(session);
    }
    fixture.emulator.clear_faults();
    for (session, (fault, _)) in sessions.iter().zip(&faults) {
        let token = after_backoff(session).unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        assert!(fixture.is_live(&token));
        fixture.assert_nothing_lost(session.name());
        fixture.events.expect(session.name(), &["started", "request failed", "refreshed"]);
    }
    let rotated = faults.iter().filter(|(_, rotated)| *rotated).count();
    assert_eq!(fixture.emulator.grace_refreshes(), rotated as u64);
}

/// It is returned although its early refresh fails.
fn no_failure_costs_an_unexpired_token<A: Adapter>() {
    let fixture = Fixture::<A>::graceful(&Settings { timeout: Duration::from_millis(150), ..Settings::default() });
    for (number, (fault, _)) in faults().into_iter().enumerate() {
        let name = format!("{number} {fault:?}");
        let (session, token) = fixture.signed_in(&name, Age::RefreshDue);
        fixture.emulator.fault(Operation::Refresh, fault);
        let before = fixture.refresh_requests();
        assert_token(session.access_token(), &token);
        assert_token(session.access_token(), &token);
        assert_eq!(fixture.refresh_requests(), before + 1, "{name}");
    }
}

fn a_refresh_is_retried_for_the_same_caller<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(4);
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault_times(Operation::Refresh, Fault::DropBefore, 1);
    fixture.emulator.fault_times(Operation::Refresh, Fault::Status(503), 1);
    fixture.emulator.fault_times(Operation::Refresh, Fault::TooManyRequests { retry_after: None }, 1);
    assert!(fixture.is_live(&session.access_token().unwrap()));
    assert_eq!(fixture.refresh_requests(), 4);
    fixture.events.expect(ADA, &["started", "request failed", "request failed", "request failed", "refreshed"]);
    fixture.assert_nothing_lost(ADA);
}

fn retries_end_with_the_clients_attempts<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(3);
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault(Operation::Refresh, Fault::DropBefore);
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    assert_eq!(fixture.refresh_requests(), 3);
    // The next caller makes one attempt, after the backoff.
    assert_kind(after_backoff(&session), ErrorKind::Unavailable);
    assert_eq!(fixture.refresh_requests(), 4);
    fixture.emulator.clear_faults();
}

/// By later callers and by other processes.
fn retry_after_is_obeyed_up_to_an_hour<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(4);
    for (retry_after, expected) in [(120, 120), (10_000_000, 3600)] {
        let name = retry_after.to_string();
        let (session, _) = fixture.signed_in(&name, Age::Expired);
        fixture.emulator.fault(Operation::Refresh, Fault::TooManyRequests { retry_after: Some(retry_after) });
        let before = fixture.refresh_requests();
        let error = assert_kind(session.access_token(), ErrorKind::Unavailable);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)));
        let (sessions, _) = fixture.another_process();
        let error = assert_kind(sessions.session(&name).access_token(), ErrorKind::Unavailable);
        let wait = error.retry_after().unwrap();
        assert!(wait <= Duration::from_secs(expected) && wait > Duration::from_secs(expected - 10), "{wait:?}");
        assert_eq!(fixture.refresh_requests(), before + 1, "a wait that is longer than a caller's ends its attempts");
        // A new login does not have to wait.
        let tokens = tokens(&fixture.emulator, Age::Fresh);
        let token = tokens.access_token.clone();
        session.start(&tokens).unwrap();
        assert_token(session.access_token(), &token);
    }
}

fn a_refresh_that_was_not_sent_leaves_no_intent<A: Adapter>() {
    let client = A::new(app(REFUSED), &Settings::default()).unwrap();
    let store = Store::new();
    let session = client.sessions(store.clone(), &SessionSettings::default()).session(ADA);
    let mut tokens = TokenSet::new("access");
    tokens.refresh_token = Some(RefreshToken::new("first"));
    session.start(&tokens).unwrap();
    let error = assert_kind(session.refresh_rejected(&tokens.access_token), ErrorKind::Unavailable);
    assert!(error.to_string().contains("nothing was sent"), "{error}");
    // The request was certainly not sent, so that the token is not consumed.
    assert!(!store.json(ADA).unwrap().contains("intent"), "{:?}", store.json(ADA));
}

/// Once the app's settings are fixed, the session continues.
fn a_configuration_error_does_not_end_a_session<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let body = r#"{"error":"invalid_client","error_description":"no"}"#.to_owned();
    fixture.emulator.fault(Operation::Refresh, Fault::Respond { status: 401, headers: Vec::new(), body });
    assert_kind(session.access_token(), ErrorKind::Configuration);
    assert_kind(session.access_token(), ErrorKind::Configuration);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.emulator.clear_faults();
    thread::sleep(Duration::from_millis(1100));
    session.access_token().unwrap();
    fixture.assert_nothing_lost(ADA);
}

/// The server accepts the consumed token once more.
fn a_lost_response_is_recovered_within_the_servers_grace<A: Adapter>() {
    for fault in [Fault::DropAfter, Fault::Truncated] {
        let fixture = Fixture::<A>::with(
            |builder| builder.refresh_grace(Duration::from_secs(60)),
            &Settings::attempts(2),
            &SessionSettings::default(),
        );
        let (session, _) = fixture.signed_in(ADA, Age::Expired);
        fixture.emulator.fault_times(Operation::Refresh, fault, 1);
        assert!(fixture.is_live(&session.access_token().unwrap()));
        assert_eq!((fixture.refresh_requests(), fixture.emulator.grace_refreshes()), (2, 1));
        fixture.events.expect(ADA, &["started", "request failed", "refreshed"]);
        fixture.assert_nothing_lost(ADA);
    }
}

/// The error names the cause. The retry is the only replay that a session makes.
fn a_lost_response_without_grace_means_sign_in_required<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(2);
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let consumed = fixture.store.refresh_token(ADA).unwrap();
    fixture.emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    let error = assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
    let replays = fixture.emulator.replayed();
    assert_eq!((replays.len(), fixture.emulator.replays(), fixture.refresh_requests()), (1, 1, 2));
    assert!(replays[0].refresh_token == consumed, "another token was replayed");
    // No caller and no process sends it again.
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    let (sessions, _) = fixture.another_process();
    let error = assert_kind(sessions.session(ADA).access_token(), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("invalid"), "{error}");
    assert_eq!(fixture.refresh_requests(), 2);
    fixture.events.expect(ADA, &["started", "request failed", "ended"]);
}

/// This process retries, and is refused.
fn a_response_that_another_process_lost_is_the_errors_cause<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    drop(session);
    let (sessions, _) = fixture.another_process();
    let error = assert_kind(after_backoff(&sessions.session(ADA)), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
    assert_eq!((fixture.emulator.replays(), fixture.refresh_requests()), (1, 2));
}

/// The response has a refresh token and no access token.
fn an_invalid_response_does_not_cost_its_refresh_token<A: Adapter>() {
    let server = Server::responding(|_| json("200 OK", r#"{"refresh_token":"second"}"#));
    let client = A::new(app(&server.url()), &Settings::default()).unwrap();
    let store = Store::new();
    let session = client.sessions(store.clone(), &SessionSettings::default()).session(ADA);
    let mut tokens = TokenSet::new("access");
    tokens.refresh_token = Some(RefreshToken::new("first"));
    session.start(&tokens).unwrap();
    assert_kind(session.refresh_rejected(&tokens.access_token), ErrorKind::InvalidResponse);
    assert_eq!(store.refresh_token(ADA).as_deref(), Some("second"));
    assert_kind(session.refresh_rejected(&tokens.access_token), ErrorKind::InvalidResponse);
    assert_eq!(server.requests().len(), 1);
}

fn a_silent_server_is_waited_for_until_the_timeout<A: Adapter>() {
    let server = Server::start(|peer| {
        peer.request();
        peer.wait();
    });
    let settings = Settings { timeout: Duration::from_millis(200), ..Settings::default() };
    let client = A::new(app(&server.url()), &settings).unwrap();
    let session = client.sessions(Store::new(), &SessionSettings::default()).session(ADA);
    let mut tokens = TokenSet::new("access");
    tokens.refresh_token = Some(RefreshToken::new("first"));
    session.start(&tokens).unwrap();
    let since = Instant::now();
    assert_kind(session.refresh_rejected(&tokens.access_token), ErrorKind::Unavailable);
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(900), "{took:?}");
    assert_eq!(server.requests().len(), 1);
}

cases!(($) session_faults session_faults_cases {
    no_failure_ends_a_session,
    no_failure_costs_an_unexpired_token,
    a_refresh_is_retried_for_the_same_caller,
    retries_end_with_the_clients_attempts,
    retry_after_is_obeyed_up_to_an_hour,
    a_refresh_that_was_not_sent_leaves_no_intent,
    a_configuration_error_does_not_end_a_session,
    a_lost_response_is_recovered_within_the_servers_grace,
    a_lost_response_without_grace_means_sign_in_required,
    a_response_that_another_process_lost_is_the_errors_cause,
    an_invalid_response_does_not_cost_its_refresh_token,
    a_silent_server_is_waited_for_until_the_timeout,
});
