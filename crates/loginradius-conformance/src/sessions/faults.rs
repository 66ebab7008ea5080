//! Whatever the server and the network do: a session ends only if LoginRadius says so.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::{ErrorKind, RefreshToken, TokenSet};

use super::{ADA, Age, World, after_a_pause, assert_kind, assert_token, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::operations::{REFUSED, app};
use crate::server::{Server, json};
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Store;

/// What goes wrong, and whether the server has rotated the token nevertheless.
fn faults() -> Vec<(Fault, bool)> {
    let answer = |status, body: &str| (Fault::Respond { status, headers: Vec::new(), body: body.to_owned() }, false);
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
        answer(200, "{}"),
        answer(200, "null"),
        answer(200, r#"{"access_token":""}"#),
        answer(503, r#"{"error":"invalid_grant"}"#),
        answer(400, r#"{"error":"temporarily_unavailable"}"#),
        answer(400, r#"{"error":"server_error"}"#),
    ]);
    all
}

/// Each once, and then the server works again. What it has rotated, it lets be sent once more.
fn no_failure_ends_a_session<A: Adapter>() {
    let world = World::<A>::graceful(&Settings { timeout: Duration::from_millis(150), ..Settings::default() });
    let faults = faults();
    let mut sessions = Vec::new();
    for (number, (fault, _)) in faults.iter().enumerate() {
        let name = format!("{number} {fault:?}");
        let (session, _) = world.signed_in(&name, Age::Over);
        world.emulator.fault(Operation::Refresh, fault.clone());
        let before = world.asked_to_refresh();
        let error = session.access_token().expect_err(&name);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error:?}");
        assert!(error.retry_after().is_some_and(|wait| wait >= Duration::from_secs(1)), "{name}: {error:?}");
        // At once, and without a request: here, and in another process.
        let again = session.access_token().expect_err(&name);
        assert_eq!((again.kind(), again.to_string()), (ErrorKind::Unavailable, error.to_string()), "{name}");
        let (others, _) = world.another_process();
        let stored = others.session(&name).access_token().expect_err(&name);
        assert_eq!(stored.kind(), ErrorKind::Unavailable, "{name}: {stored:?}");
        assert_eq!(world.asked_to_refresh(), before + 1, "{name}");
        sessions.push(session);
    }
    world.emulator.clear_faults();
    for (session, (fault, _)) in sessions.iter().zip(&faults) {
        let token = after_a_pause(session).unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        assert!(world.is_live(&token));
        world.assert_nothing_lost(session.name());
        world.events.expect(session.name(), &["signed in", "retried", "rotated"]);
    }
    let rotated = faults.iter().filter(|(_, rotated)| *rotated).count();
    assert_eq!(world.emulator.grace_refreshes(), rotated as u64);
}

/// A token that has life in it is used meanwhile.
fn no_failure_costs_an_unexpired_token<A: Adapter>() {
    let world = World::<A>::graceful(&Settings { timeout: Duration::from_millis(60), ..Settings::default() });
    for (number, (fault, _)) in faults().into_iter().enumerate() {
        let name = format!("{number} {fault:?}");
        let (session, token) = world.signed_in(&name, Age::Early);
        world.emulator.fault(Operation::Refresh, fault);
        let before = world.asked_to_refresh();
        assert_token(session.access_token(), &token);
        assert_token(session.access_token(), &token);
        assert_eq!(world.asked_to_refresh(), before + 1, "{name}");
    }
}

fn a_refresh_is_retried_for_the_same_caller<A: Adapter>() {
    let world = World::<A>::attempts(4);
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.emulator.fault_times(Operation::Refresh, Fault::DropBefore, 1);
    world.emulator.fault_times(Operation::Refresh, Fault::Status(503), 1);
    world.emulator.fault_times(Operation::Refresh, Fault::TooManyRequests { retry_after: None }, 1);
    assert!(world.is_live(&session.access_token().unwrap()));
    assert_eq!(world.asked_to_refresh(), 4);
    world.events.expect(ADA, &["signed in", "retried", "retried", "retried", "rotated"]);
    world.assert_nothing_lost(ADA);
}

fn retries_end_with_the_clients_attempts<A: Adapter>() {
    let world = World::<A>::attempts(3);
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.emulator.fault(Operation::Refresh, Fault::DropBefore);
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    assert_eq!(world.asked_to_refresh(), 3);
    // The next caller's single attempt comes after a pause.
    assert_kind(after_a_pause(&session), ErrorKind::Unavailable);
    assert_eq!(world.asked_to_refresh(), 4);
    world.emulator.clear_faults();
}

/// A server's wish is obeyed: by those who come later, by other processes, and not for ever.
fn retry_after_is_obeyed_up_to_an_hour<A: Adapter>() {
    let world = World::<A>::attempts(4);
    for (asked, expected) in [(120, 120), (10_000_000, 3600)] {
        let name = asked.to_string();
        let (session, _) = world.signed_in(&name, Age::Over);
        world.emulator.fault(Operation::Refresh, Fault::TooManyRequests { retry_after: Some(asked) });
        let before = world.asked_to_refresh();
        let error = assert_kind(session.access_token(), ErrorKind::Unavailable);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)));
        let (sessions, _) = world.another_process();
        let error = assert_kind(sessions.session(&name).access_token(), ErrorKind::Unavailable);
        let wait = error.retry_after().unwrap();
        assert!(wait <= Duration::from_secs(expected) && wait > Duration::from_secs(expected - 10), "{wait:?}");
        assert_eq!(world.asked_to_refresh(), before + 1, "a longer wait than a caller's ends its attempts");
        // A new sign-in does not have to wait.
        let tokens = tokens(&world.emulator, Age::Good);
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
    // What was certainly not sent leaves no doubt behind.
    assert!(!store.json(ADA).unwrap().contains("intent"), "{:?}", store.json(ADA));
}

/// Somebody has to mend the app's settings, and then the session goes on.
fn a_configuration_error_does_not_end_a_session<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    let body = r#"{"error":"invalid_client","error_description":"no"}"#.to_owned();
    world.emulator.fault(Operation::Refresh, Fault::Respond { status: 401, headers: Vec::new(), body });
    assert_kind(session.access_token(), ErrorKind::Configuration);
    assert_kind(session.access_token(), ErrorKind::Configuration);
    assert_eq!(world.asked_to_refresh(), 1);
    world.emulator.clear_faults();
    thread::sleep(Duration::from_millis(1100));
    session.access_token().unwrap();
    world.assert_nothing_lost(ADA);
}

/// The answer to a refresh is lost, and the server forgives that.
fn a_lost_response_is_recovered_within_the_servers_grace<A: Adapter>() {
    for fault in [Fault::DropAfter, Fault::Truncated] {
        let world = World::<A>::with(
            |builder| builder.refresh_grace(Duration::from_secs(60)),
            &Settings::attempts(2),
            &SessionSettings::default(),
        );
        let (session, _) = world.signed_in(ADA, Age::Over);
        world.emulator.fault_times(Operation::Refresh, fault, 1);
        assert!(world.is_live(&session.access_token().unwrap()));
        assert_eq!((world.asked_to_refresh(), world.emulator.grace_refreshes()), (2, 1));
        world.events.expect(ADA, &["signed in", "retried", "rotated"]);
        world.assert_nothing_lost(ADA);
    }
}

/// It does not. That cannot be helped, but told: it is the one replay that a session makes, and the last.
fn a_lost_response_without_grace_means_sign_in_required<A: Adapter>() {
    let world = World::<A>::attempts(2);
    let (session, _) = world.signed_in(ADA, Age::Over);
    let spent = world.store.refresh_token(ADA).unwrap();
    world.emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    let error = assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
    let replays = world.emulator.replayed();
    assert_eq!((replays.len(), world.emulator.replays(), world.asked_to_refresh()), (1, 1, 2));
    assert!(replays[0].refresh_token == spent, "another token was replayed");
    // No more of it, from nobody.
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    let (sessions, _) = world.another_process();
    let error = assert_kind(sessions.session(ADA).access_token(), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("invalid"), "{error}");
    assert_eq!(world.asked_to_refresh(), 2);
    world.events.expect(ADA, &["signed in", "retried", "over"]);
}

/// The same over two processes: what the first one lost, the second one explains.
fn a_response_that_another_process_lost_is_the_errors_cause<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.emulator.fault_times(Operation::Refresh, Fault::DropAfter, 1);
    assert_kind(session.access_token(), ErrorKind::Unavailable);
    drop(session);
    let (sessions, _) = world.another_process();
    let error = assert_kind(after_a_pause(&sessions.session(ADA)), ErrorKind::SignInRequired);
    assert!(error.to_string().contains("the tokens of an earlier refresh were lost"), "{error}");
    assert_eq!((world.emulator.replays(), world.asked_to_refresh()), (1, 2));
}

/// A new refresh token is not lost with the fault of the answer that it came in.
fn an_invalid_response_does_not_cost_its_refresh_token<A: Adapter>() {
    let server = Server::answering(|_| json("200 OK", r#"{"refresh_token":"second"}"#));
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

/// A server that keeps silent takes a caller's timeout, and no longer.
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
