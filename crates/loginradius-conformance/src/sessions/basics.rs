//! Sessions, when nothing goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loginradius_emulator::{Operation, seeded};
use loginradius_proto::session::SessionPolicy;
use loginradius_proto::{AccessToken, App, ErrorKind, Retry, Service, TokenSet};

use super::{ADA, Age, Fixture, assert_kind, assert_token, eventually, tokens, tokens_of};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::{Store, StoreFault};

fn a_login_is_stored_and_its_token_returned<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    assert_eq!(session.name(), ADA);
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.store.len(), 1);
    assert!(session.save_error().is_none());
    fixture.events.expect(ADA, &["started"]);
    fixture.assert_nothing_lost(ADA);
    assert_eq!(fixture.emulator.requests().len(), 0);
}

/// No call reaches the store, so that its faults do not matter.
fn a_fresh_token_comes_from_memory<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    let before = fixture.store.counts();
    fixture.store.set_fault(StoreFault::LockFails);
    for _ in 0..100 {
        assert_token(session.access_token(), &token);
    }
    session.tokens().unwrap();
    session.flush().unwrap();
    assert_eq!(fixture.store.counts(), before);
}

fn another_process_loads_the_token<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (_, token) = fixture.signed_in(ADA, Age::Fresh);
    let (sessions, events) = fixture.another_process();
    let session = sessions.session(ADA);
    assert_token(session.access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!((fixture.store.counts().loads, fixture.refresh_requests()), (2, 0));
    events.expect(ADA, &[]);
}

fn an_expired_token_is_refreshed<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    let token = session.access_token().unwrap();
    assert!(fixture.is_live(&token) && token.expose() != old.expose());
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "refreshed"]);
    fixture.assert_nothing_lost(ADA);

    // Other processes load the new pair.
    let (sessions, _) = fixture.another_process();
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
}

/// Without a token that was made old by the test.
fn a_token_expires_by_this_machines_clock<A: Adapter>() {
    let lifetime = Duration::from_secs(1);
    let fixture = Fixture::<A>::with(
        |builder| builder.access_token_lifetime(lifetime),
        &Settings::default(),
        &SessionSettings { early_refresh: Some(Duration::ZERO), ..SessionSettings::default() },
    );
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let token = session.access_token().unwrap();
    assert!(eventually(|| !fixture.is_live(&token)));
    let next = session.access_token().unwrap();
    assert!(fixture.is_live(&next), "an expired token was returned");
    assert_eq!(fixture.refresh_requests(), 2);
    fixture.assert_nothing_lost(ADA);
}

fn all_tokens_are_returned<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let mut first = tokens(&fixture.emulator, Age::Expired);
    first.scope = Some("email profile".to_owned());
    first.id_token = Some("an.id.token".into());
    let session = fixture.session(ADA);
    session.start(&first).unwrap();
    let tokens = session.tokens().unwrap();
    assert!(fixture.is_live(&tokens.access_token));
    assert_eq!(tokens.scope.as_deref(), Some("email profile"), "a refresh without a scope keeps it");
    assert_eq!(tokens.id_token.unwrap().expose(), "an.id.token");
    assert_eq!(tokens.token_type.as_deref(), Some("access_token"));
    let left = tokens.expires_in.unwrap();
    assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500), "{left:?}");
    assert_eq!(Some(tokens.refresh_token.unwrap().expose().to_owned()), fixture.store.refresh_token(ADA));
    assert_eq!(fixture.refresh_requests(), 1);
}

fn no_login_means_sign_in_required<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let session = fixture.session(ADA);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(session.tokens().unwrap_err().kind(), ErrorKind::SignInRequired);
    assert_kind(session.refresh_rejected(&AccessToken::new("of an earlier login")), ErrorKind::SignInRequired);
    assert!(session.save_error().is_none());
    session.sign_out().unwrap();
    session.forget().unwrap();
    session.flush().unwrap();
    assert_eq!((fixture.emulator.requests().len(), fixture.store.len()), (0, 0));
    fixture.events.expect(ADA, &[]);
    assert!(!fixture.store.is_locked(ADA));
}

fn different_names_are_different_sessions<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let long = "n".repeat(5000);
    let names = ["", " ", "a", "A", "a/b", "a\\b", "../a", "a\0b", "\u{e9}", "e\u{301}", "a:b", "CON", "a.json", &long];
    let all: Vec<_> = names.iter().map(|name| fixture.signed_in(name, Age::Fresh)).collect();
    let (sessions, _) = fixture.another_process();
    for (name, (session, token)) in names.iter().zip(&all) {
        assert_eq!(session.name(), *name);
        assert_token(session.access_token(), token);
        assert_token(sessions.session(name).access_token(), token);
        fixture.events.expect(name, &["started"]);
    }
    assert_eq!(fixture.store.len(), names.len());
}

fn equal_names_are_one_session<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let other = fixture.session(ADA);
    let (_, token) = fixture.signed_in(ADA, Age::Fresh);
    let before = fixture.store.counts();
    assert_token(other.access_token(), &token);
    assert_token(fixture.session(ADA).access_token(), &token);
    assert_token(fixture.sessions.clone().session(ADA).access_token(), &token);
    assert_eq!(fixture.store.counts(), before, "a second handle of a name has read the store");
}

/// Twenty refreshes, each by the process that has not made the one before.
fn two_processes_refresh_in_turns<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session_here, mut token) = fixture.signed_in(ADA, Age::Fresh);
    let (sessions, events) = fixture.another_process();
    let session_there = sessions.session(ADA);
    for turn in 0..20 {
        let session = if turn % 2 == 0 { &session_there } else { &session_here };
        // Its cached token is two turns old, except in the first turn.
        let known = session.access_token().unwrap();
        let newest = if turn == 0 { known } else { session.refresh_rejected(&known).unwrap() };
        assert_token(Ok(newest), &token);
        let next = session.refresh_rejected(&token).unwrap();
        assert!(next.expose() != token.expose() && fixture.is_live(&next));
        token = next;
    }
    assert_eq!((fixture.refresh_requests(), fixture.emulator.refreshes()), (20, 20));
    fixture.assert_nothing_lost(ADA);
    assert_eq!(events.of(ADA)[..3], ["refreshed", "adopted", "refreshed"]);
}

/// Another process has refreshed it; this one sends nothing.
fn a_newer_pair_is_adopted<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::Expired);
    let (sessions, _) = fixture.another_process();
    let token = sessions.session(ADA).access_token().unwrap();
    assert!(token.expose() != old.expose());
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "adopted"]);
}

fn another_login_replaces_the_first<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, ada) = fixture.signed_in(ADA, Age::Fresh);
    let grace = tokens_of(&fixture.emulator, &seeded::GRACE);
    session.start(&grace).unwrap();
    assert_token(session.access_token(), &grace.access_token);
    // The token of the first login is not the newest.
    assert_token(session.refresh_rejected(&ada), &grace.access_token);
    assert_eq!((fixture.store.len(), fixture.refresh_requests()), (1, 0));
    fixture.events.expect(ADA, &["started", "started"]);
    let token = session.refresh_rejected(&grace.access_token).unwrap();
    assert_eq!(fixture.emulator.live_logins_of(seeded::GRACE.email)[0].access_token, token.expose());
}

fn no_refresh_token_means_sign_in_required_at_expiry<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.emulator.issue_refresh_tokens(false);
    let (session, token) = fixture.signed_in("fresh", Age::Fresh);
    assert_token(session.access_token(), &token);
    assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    // An early refresh is due, and impossible.
    let (session, token) = fixture.signed_in("refresh due", Age::RefreshDue);
    assert_token(session.access_token(), &token);
    let (session, _) = fixture.signed_in("expired", Age::Expired);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    session.sign_out().unwrap();
    assert_eq!(fixture.emulator.requests().len(), 0);
}

fn a_response_without_rotation_keeps_the_refresh_token<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.emulator.rotate_refresh_tokens(false);
    let (session, mut token) = fixture.signed_in(ADA, Age::Expired);
    let refresh_token = fixture.store.refresh_token(ADA);
    for _ in 0..3 {
        token = session.refresh_rejected(&token).unwrap();
        assert!(fixture.is_live(&token));
        assert_eq!(fixture.store.refresh_token(ADA), refresh_token, "the refresh token was lost");
    }
    assert_eq!(fixture.emulator.refreshes(), 3);
    fixture.assert_nothing_lost(ADA);
}

/// Two apps are configured with the same store by mistake.
fn another_apps_session_is_neither_used_nor_changed<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.signed_in(ADA, Age::Expired);
    let before = fixture.store.json(ADA);
    let service = Service::classic_at(fixture.emulator.base_url()).unwrap();
    let app = App::new(seeded::OTHER_CLIENT_ID).with_client_secret(seeded::OTHER_CLIENT_SECRET).with_service(service);
    let client = A::new(app, &Settings::default()).unwrap();
    let session = client.sessions(fixture.store.clone(), &SessionSettings::default()).session(ADA);
    let error = assert_kind(session.access_token(), ErrorKind::Configuration);
    assert!(error.to_string().contains(seeded::CLIENT_ID), "{error}");
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!((fixture.store.json(ADA), fixture.emulator.requests().len()), (before, 0));
}

fn a_token_of_unknown_lifetime_is_used_until_it_is_rejected<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let mut tokens = tokens(&fixture.emulator, Age::Fresh);
    tokens.expires_in = None;
    let token = tokens.access_token.clone();
    let session = fixture.session(ADA);
    session.start(&tokens).unwrap();
    assert_token(session.access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 0);
    assert!(fixture.is_live(&session.refresh_rejected(&token).unwrap()));
    assert_eq!(fixture.refresh_requests(), 1);
}

fn ten_thousand_sessions_keep_their_own_tokens<A: Adapter>() {
    const ALL: usize = 10_000;
    let fixture = Fixture::<A>::new();
    let name = |number: usize| format!("user {number}");
    let all: Vec<_> = (0..ALL).map(|number| fixture.session(&name(number))).collect();
    for (number, session) in all.iter().enumerate().step_by(10) {
        session.start(&TokenSet::new(name(number))).unwrap();
    }
    for (number, session) in all.iter().enumerate() {
        if number % 10 == 0 {
            assert_token(session.access_token(), &AccessToken::new(name(number)));
        } else {
            assert_kind(session.access_token(), ErrorKind::SignInRequired);
        }
    }
    assert_eq!(fixture.store.len(), ALL / 10);
    fixture.sessions.flush().unwrap();
}

/// Handles are made and dropped in several threads while this one holds another: no call has to load the record again.
fn handles_in_other_threads_share_one_session<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    drop(fixture.signed_in(ADA, Age::Fresh));
    let (sessions, done) = (&fixture.sessions, &AtomicBool::new(false));
    let reloaded = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    sessions.session(ADA).access_token().unwrap();
                }
            });
        }
        let found = (0..15_000).find(|_| {
            let held = fixture.session(ADA);
            held.access_token().unwrap();
            let loads = fixture.store.counts().loads;
            fixture.session(ADA).access_token().unwrap();
            fixture.store.counts().loads != loads
        });
        done.store(true, Ordering::SeqCst);
        found
    });
    assert_eq!(reloaded, None);
    assert_eq!(fixture.emulator.requests().len(), 0);
}

/// And so is the state of all sessions, when the last handle to any is dropped.
fn a_session_without_handles_is_dropped_from_memory<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    let other = session.clone();
    drop(session);
    let loads = fixture.store.counts().loads;
    assert_token(fixture.session(ADA).access_token(), &token);
    assert_eq!(fixture.store.counts().loads, loads, "a handle is still held");
    drop(other);
    // The task behind a result may hold the session for a moment longer.
    thread::sleep(Duration::from_millis(20));
    assert_token(fixture.session(ADA).access_token(), &token);
    assert_eq!(fixture.store.counts().loads, loads + 1, "a session without handles is still in memory");

    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let on_event: OnEvent = Arc::new(move |_, _| drop(Arc::clone(&held)));
    let settings = SessionSettings { on_event: Some(on_event), ..SessionSettings::default() };
    let sessions = fixture.client.sessions(Store::new(), &settings);
    drop(settings);
    let session = sessions.session(ADA);
    session.start(&tokens(&fixture.emulator, Age::Expired)).unwrap();
    session.access_token().unwrap();
    drop(sessions);
    assert!(Arc::strong_count(&alive) > 1, "a session must keep the state of its `Sessions`");
    drop(session);
    assert!(eventually(|| Arc::strong_count(&alive) == 1), "the state outlives the last handle");
}

/// Its timeout and its retries, unless the builder of sessions has settings of its own.
fn sessions_have_their_clients_policy<A: Adapter>() {
    let retry = Retry::default()
        .with_attempts(3)
        .with_first_wait(Duration::from_millis(5))
        .with_max_wait(Duration::from_millis(6));
    let settings = Settings { timeout: Duration::from_millis(7), retry, ..Settings::default() };
    let fixture = Fixture::<A>::with(|builder| builder, &settings, &SessionSettings::default());
    let early_refresh = Some(Duration::from_millis(8));
    let settings =
        SessionSettings { early_refresh, lock_wait: Some(Duration::from_millis(9)), ..SessionSettings::default() };
    let expected = SessionPolicy::default()
        .with_early(Duration::from_millis(8))
        .with_lock_wait(Duration::from_millis(9))
        .with_timeout(Duration::from_millis(7))
        .with_retry(retry);
    let sessions = fixture.client.sessions(Store::new(), &settings);
    for text in [format!("{sessions:?}"), fixture.client.sessions_builder(&settings)] {
        assert!(text.contains(&format!("{expected:?}")), "{text}");
    }
}

/// To its address, with its app's credentials.
fn sessions_send_their_clients_requests<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let refresh_token = fixture.store.refresh_token(ADA);
    session.access_token().unwrap();
    let requests = fixture.emulator.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].operation, Some(Operation::Refresh));
    assert_eq!(requests[0].param("client_id"), Some(seeded::CLIENT_ID));
    assert_eq!(requests[0].param("client_secret"), Some(seeded::CLIENT_SECRET));
    assert_eq!(requests[0].param("refresh_token"), refresh_token.as_deref());
}

cases!(($) session_basics session_basics_cases {
    a_login_is_stored_and_its_token_returned,
    a_fresh_token_comes_from_memory,
    another_process_loads_the_token,
    an_expired_token_is_refreshed,
    a_token_expires_by_this_machines_clock,
    all_tokens_are_returned,
    no_login_means_sign_in_required,
    different_names_are_different_sessions,
    equal_names_are_one_session,
    two_processes_refresh_in_turns,
    a_newer_pair_is_adopted,
    another_login_replaces_the_first,
    no_refresh_token_means_sign_in_required_at_expiry,
    a_response_without_rotation_keeps_the_refresh_token,
    another_apps_session_is_neither_used_nor_changed,
    a_token_of_unknown_lifetime_is_used_until_it_is_rejected,
    ten_thousand_sessions_keep_their_own_tokens,
    handles_in_other_threads_share_one_session,
    a_session_without_handles_is_dropped_from_memory,
    sessions_have_their_clients_policy,
    sessions_send_their_clients_requests,
});
