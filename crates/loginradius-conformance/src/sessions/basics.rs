//! What a session is for, when nothing goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loginradius_emulator::{Operation, seeded};
use loginradius_proto::session::SessionPolicy;
use loginradius_proto::{AccessToken, App, ErrorKind, Retry, Service, TokenSet};

use super::{ADA, Age, World, assert_kind, assert_token, eventually, tokens, tokens_of};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::session::{OnEvent, Session, SessionSettings, Sessions};
use crate::store::{Store, Trouble};

fn a_login_is_stored_and_its_token_returned<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    assert_eq!(session.name(), ADA);
    assert_token(session.access_token(), &token);
    assert_eq!(world.store.len(), 1);
    assert!(session.save_error().is_none());
    world.events.expect(ADA, &["signed in"]);
    world.assert_nothing_lost(ADA);
    assert_eq!(world.emulator.requests().len(), 0);
}

/// As long as the token is good, nobody else is asked, and so nobody else's trouble matters.
fn a_fresh_token_comes_from_memory<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    let before = world.store.counts();
    world.store.trouble(Trouble::Lock);
    for _ in 0..100 {
        assert_token(session.access_token(), &token);
    }
    session.tokens().unwrap();
    session.flush().unwrap();
    assert_eq!(world.store.counts(), before);
}

fn another_process_loads_the_token<A: Adapter>() {
    let world = World::<A>::new();
    let (_, token) = world.signed_in(ADA, Age::Good);
    let (sessions, events) = world.another_process();
    let session = sessions.session(ADA);
    assert_token(session.access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!((world.store.counts().loads, world.asked_to_refresh()), (2, 0));
    events.expect(ADA, &[]);
}

fn an_expired_token_is_refreshed<A: Adapter>() {
    let world = World::<A>::new();
    let (session, old) = world.signed_in(ADA, Age::Over);
    let token = session.access_token().unwrap();
    assert!(world.is_live(&token) && token.expose() != old.expose());
    assert_token(session.access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "rotated"]);
    world.assert_nothing_lost(ADA);

    // The whole new pair is there for other processes.
    let (sessions, _) = world.another_process();
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
}

/// By this machine's clock, and without a hand in it.
fn a_token_expires_by_this_machines_clock<A: Adapter>() {
    let lifetime = Duration::from_secs(1);
    let world = World::<A>::with(
        |builder| builder.access_token_lifetime(lifetime),
        &Settings::default(),
        &SessionSettings { early_refresh: Some(Duration::ZERO), ..SessionSettings::default() },
    );
    let (session, _) = world.signed_in(ADA, Age::Over);
    let token = session.access_token().unwrap();
    assert!(eventually(|| !world.is_live(&token)));
    let next = session.access_token().unwrap();
    assert!(world.is_live(&next), "a token that is over was handed out");
    assert_eq!(world.asked_to_refresh(), 2);
    world.assert_nothing_lost(ADA);
}

fn all_tokens_are_returned<A: Adapter>() {
    let world = World::<A>::new();
    let mut first = tokens(&world.emulator, Age::Over);
    first.scope = Some("email profile".to_owned());
    first.id_token = Some("an.id.token".into());
    let session = world.session(ADA);
    session.start(&first).unwrap();
    let tokens = session.tokens().unwrap();
    assert!(world.is_live(&tokens.access_token));
    assert_eq!(tokens.scope.as_deref(), Some("email profile"), "a refresh that says nothing of it changes nothing");
    assert_eq!(tokens.id_token.unwrap().expose(), "an.id.token");
    assert_eq!(tokens.token_type.as_deref(), Some("access_token"));
    let left = tokens.expires_in.unwrap();
    assert!(left <= Duration::from_secs(3600) && left > Duration::from_secs(3500), "{left:?}");
    assert_eq!(Some(tokens.refresh_token.unwrap().expose().to_owned()), world.store.refresh_token(ADA));
    assert_eq!(world.asked_to_refresh(), 1);
}

fn no_login_means_sign_in_required<A: Adapter>() {
    let world = World::<A>::new();
    let session = world.session(ADA);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(session.tokens().unwrap_err().kind(), ErrorKind::SignInRequired);
    assert_kind(session.refresh_rejected(&AccessToken::new("of an earlier life")), ErrorKind::SignInRequired);
    assert!(session.save_error().is_none());
    session.sign_out().unwrap();
    session.forget().unwrap();
    session.flush().unwrap();
    assert_eq!((world.emulator.requests().len(), world.store.len()), (0, 0));
    world.events.expect(ADA, &[]);
    assert!(!world.store.is_locked(ADA));
}

fn different_names_are_different_sessions<A: Adapter>() {
    let world = World::<A>::new();
    let long = "n".repeat(5000);
    let names = ["", " ", "a", "A", "a/b", "a\\b", "../a", "a\0b", "\u{e9}", "e\u{301}", "a:b", "CON", "a.json", &long];
    let all: Vec<_> = names.iter().map(|name| world.signed_in(name, Age::Good)).collect();
    let (sessions, _) = world.another_process();
    for (name, (session, token)) in names.iter().zip(&all) {
        assert_eq!(session.name(), *name);
        assert_token(session.access_token(), token);
        assert_token(sessions.session(name).access_token(), token);
        world.events.expect(name, &["signed in"]);
    }
    assert_eq!(world.store.len(), names.len());
}

fn equal_names_are_one_session<A: Adapter>() {
    let world = World::<A>::new();
    let other = world.session(ADA);
    let (_, token) = world.signed_in(ADA, Age::Good);
    let before = world.store.counts();
    assert_token(other.access_token(), &token);
    assert_token(world.session(ADA).access_token(), &token);
    assert_token(world.sessions.clone().session(ADA).access_token(), &token);
    assert_eq!(world.store.counts(), before, "a handle of the same name looked into the store");
}

/// A long chain of refreshes, each by the process that did not make the last one.
fn two_processes_refresh_in_turns<A: Adapter>() {
    let world = World::<A>::new();
    let (one, mut token) = world.signed_in(ADA, Age::Good);
    let (sessions, events) = world.another_process();
    let other = sessions.session(ADA);
    for turn in 0..20 {
        let session = if turn % 2 == 0 { &other } else { &one };
        // What it knows is two turns old, except for the first time.
        let known = session.access_token().unwrap();
        let newest = if turn == 0 { known } else { session.refresh_rejected(&known).unwrap() };
        assert_token(Ok(newest), &token);
        let next = session.refresh_rejected(&token).unwrap();
        assert!(next.expose() != token.expose() && world.is_live(&next));
        token = next;
    }
    assert_eq!((world.asked_to_refresh(), world.emulator.refreshes()), (20, 20));
    world.assert_nothing_lost(ADA);
    assert_eq!(events.of(ADA)[..3], ["rotated", "adopted", "rotated"]);
}

/// What another process has refreshed is taken over, without a request.
fn a_newer_pair_is_adopted<A: Adapter>() {
    let world = World::<A>::new();
    let (one, old) = world.signed_in(ADA, Age::Over);
    let (sessions, _) = world.another_process();
    let token = sessions.session(ADA).access_token().unwrap();
    assert!(token.expose() != old.expose());
    assert_token(one.access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "adopted"]);
}

fn another_login_replaces_the_first<A: Adapter>() {
    let world = World::<A>::new();
    let (session, ada) = world.signed_in(ADA, Age::Good);
    let grace = tokens_of(&world.emulator, &seeded::GRACE);
    session.start(&grace).unwrap();
    assert_token(session.access_token(), &grace.access_token);
    // The first one's token is not the newest any more.
    assert_token(session.refresh_rejected(&ada), &grace.access_token);
    assert_eq!((world.store.len(), world.asked_to_refresh()), (1, 0));
    world.events.expect(ADA, &["signed in", "signed in"]);
    let token = session.refresh_rejected(&grace.access_token).unwrap();
    assert_eq!(world.emulator.live_logins_of(seeded::GRACE.email)[0].access_token, token.expose());
}

fn no_refresh_token_means_sign_in_required_at_expiry<A: Adapter>() {
    let world = World::<A>::new();
    world.emulator.issue_refresh_tokens(false);
    let (session, token) = world.signed_in("good", Age::Good);
    assert_token(session.access_token(), &token);
    assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    // Its end is near, and there is nothing to do about that.
    let (session, token) = world.signed_in("early", Age::Early);
    assert_token(session.access_token(), &token);
    let (session, _) = world.signed_in("over", Age::Over);
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    session.sign_out().unwrap();
    assert_eq!(world.emulator.requests().len(), 0);
}

fn a_response_without_rotation_keeps_the_refresh_token<A: Adapter>() {
    let world = World::<A>::new();
    world.emulator.rotate_refresh_tokens(false);
    let (session, mut token) = world.signed_in(ADA, Age::Over);
    let refresh_token = world.store.refresh_token(ADA);
    for _ in 0..3 {
        token = session.refresh_rejected(&token).unwrap();
        assert!(world.is_live(&token));
        assert_eq!(world.store.refresh_token(ADA), refresh_token, "the refresh token was lost");
    }
    assert_eq!(world.emulator.refreshes(), 3);
    world.assert_nothing_lost(ADA);
}

/// Neither handed out nor overwritten: somebody has mixed up two apps.
fn another_apps_session_is_neither_used_nor_changed<A: Adapter>() {
    let world = World::<A>::new();
    world.signed_in(ADA, Age::Over);
    let before = world.store.json(ADA);
    let service = Service::classic_at(world.emulator.base_url()).unwrap();
    let app = App::new(seeded::OTHER_CLIENT_ID).with_client_secret(seeded::OTHER_CLIENT_SECRET).with_service(service);
    let client = A::new(app, &Settings::default()).unwrap();
    let session = client.sessions(world.store.clone(), &SessionSettings::default()).session(ADA);
    let error = assert_kind(session.access_token(), ErrorKind::Configuration);
    assert!(error.to_string().contains(seeded::CLIENT_ID), "{error}");
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!((world.store.json(ADA), world.emulator.requests().len()), (before, 0));
}

/// Tokens whose lifetime is unknown are good until an API refuses them.
fn a_token_of_unknown_lifetime_is_used_until_it_is_rejected<A: Adapter>() {
    let world = World::<A>::new();
    let mut tokens = tokens(&world.emulator, Age::Good);
    tokens.expires_in = None;
    let token = tokens.access_token.clone();
    let session = world.session(ADA);
    session.start(&tokens).unwrap();
    assert_token(session.access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 0);
    assert!(world.is_live(&session.refresh_rejected(&token).unwrap()));
    assert_eq!(world.asked_to_refresh(), 1);
}

fn ten_thousand_sessions_keep_their_own_tokens<A: Adapter>() {
    const ALL: usize = 10_000;
    let world = World::<A>::new();
    let name = |number: usize| format!("user {number}");
    let all: Vec<_> = (0..ALL).map(|number| world.session(&name(number))).collect();
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
    assert_eq!(world.store.len(), ALL / 10);
    world.sessions.flush().unwrap();
}

/// Handles come and go in other threads, and whoever has one has the one session of that name all the time: nobody
/// has to look into the store again.
fn handles_in_other_threads_share_one_session<A: Adapter>() {
    let world = World::<A>::new();
    drop(world.signed_in(ADA, Age::Good));
    let (sessions, done) = (&world.sessions, &AtomicBool::new(false));
    let two_of_a_name = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    sessions.session(ADA).access_token().unwrap();
                }
            });
        }
        let found = (0..15_000).find(|_| {
            let held = world.session(ADA);
            held.access_token().unwrap();
            let loads = world.store.counts().loads;
            world.session(ADA).access_token().unwrap();
            world.store.counts().loads != loads
        });
        done.store(true, Ordering::SeqCst);
        found
    });
    assert_eq!(two_of_a_name, None);
    assert_eq!(world.emulator.requests().len(), 0);
}

/// A session is known as long as somebody holds it, and so are all of them together.
fn a_session_without_handles_is_dropped_from_memory<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    let other = session.clone();
    drop(session);
    let loads = world.store.counts().loads;
    assert_token(world.session(ADA).access_token(), &token);
    assert_eq!(world.store.counts().loads, loads, "a handle is still held");
    drop(other);
    // A task that has told its result may still hold the session for a moment.
    thread::sleep(Duration::from_millis(20));
    assert_token(world.session(ADA).access_token(), &token);
    assert_eq!(world.store.counts().loads, loads + 1, "the tokens of a session that nobody holds stayed in memory");

    let heard = Arc::new(());
    let held = Arc::clone(&heard);
    let on_event: OnEvent = Arc::new(move |_, _| drop(Arc::clone(&held)));
    let settings = SessionSettings { on_event: Some(on_event), ..SessionSettings::default() };
    let sessions = world.client.sessions(Store::new(), &settings);
    drop(settings);
    let session = sessions.session(ADA);
    session.start(&tokens(&world.emulator, Age::Over)).unwrap();
    session.access_token().unwrap();
    drop(sessions);
    assert!(Arc::strong_count(&heard) > 1, "a session works without its sessions");
    drop(session);
    assert!(eventually(|| Arc::strong_count(&heard) == 1), "something that nobody can reach is kept");
}

/// What the client was told of time and patience holds for its sessions, too.
fn sessions_have_their_clients_policy<A: Adapter>() {
    let retry = Retry::default()
        .with_attempts(3)
        .with_first_wait(Duration::from_millis(5))
        .with_max_wait(Duration::from_millis(6));
    let settings = Settings { timeout: Duration::from_millis(7), retry, ..Settings::default() };
    let world = World::<A>::with(|builder| builder, &settings, &SessionSettings::default());
    let early_refresh = Some(Duration::from_millis(8));
    let settings =
        SessionSettings { early_refresh, lock_wait: Some(Duration::from_millis(9)), ..SessionSettings::default() };
    let expected = SessionPolicy::default()
        .with_early(Duration::from_millis(8))
        .with_lock_wait(Duration::from_millis(9))
        .with_timeout(Duration::from_millis(7))
        .with_retry(retry);
    let sessions = world.client.sessions(Store::new(), &settings);
    for text in [format!("{sessions:?}"), world.client.sessions_builder(&settings)] {
        assert!(text.contains(&format!("{expected:?}")), "{text}");
    }
}

/// The session's requests are those of its client: its address, its app, its format.
fn sessions_send_their_clients_requests<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    let refresh_token = world.store.refresh_token(ADA);
    session.access_token().unwrap();
    let requests = world.emulator.requests();
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
