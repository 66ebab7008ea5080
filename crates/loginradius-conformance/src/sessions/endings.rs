//! How sessions end: by signing out, by the server's word, by the end of a program.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation, seeded};
use loginradius_proto::{Dialect, ErrorKind, RevocationKey};

use super::{ADA, Age, World, assert_kind, assert_token, at_once, tokens, tokens_of};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Trouble;

const SLOW: Duration = Duration::from_millis(150);

fn signing_out_revokes_and_clears<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Good);
    let other = world.session(ADA);
    let (bob, bobs) = world.signed_in("bob", Age::Good);
    session.sign_out().unwrap();
    assert_eq!((world.emulator.counters().revocations, world.emulator.live_logins()), (1, 1));
    assert!(world.store.json(ADA).is_none());
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert_token(bob.access_token(), &bobs);
    world.events.expect(ADA, &["signed in", "signed out"]);
    // Once more is no error, and no request.
    session.sign_out().unwrap();
    assert_eq!(world.asked(Operation::Revoke), 1);
    // And then somebody signs in again.
    let tokens = tokens(&world.emulator, Age::Good);
    session.start(&tokens).unwrap();
    assert_token(other.access_token(), &tokens.access_token);
}

/// Another process learns of it as soon as it looks into the store.
fn a_sign_out_in_another_process_ends_the_session<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    let (sessions, events) = world.another_process();
    let other = sessions.session(ADA);
    assert_token(other.access_token(), &token);
    session.sign_out().unwrap();
    assert_kind(other.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert_eq!(world.asked_to_refresh(), 0);
    events.expect(ADA, &["over"]);
}

/// From its beginning on, nobody gets the token, however slow the server is.
fn no_token_is_returned_during_a_sign_out<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    world.emulator.fault(Operation::Revoke, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let out = scope.spawn(|| session.sign_out());
        world.wait_for(Operation::Revoke, 1);
        assert_kind(session.access_token(), ErrorKind::SignInRequired);
        assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired);
        out.join().unwrap().unwrap();
    });
    assert_eq!(world.asked_to_refresh(), 0);
}

/// The session is marked: nobody gets its token any more, and signing out can be completed later.
fn a_sign_out_without_a_network_can_be_completed_later<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    let (sessions, _) = world.another_process();
    let other = sessions.session(ADA);
    world.emulator.fault(Operation::Revoke, Fault::DropBefore);
    let error = session.sign_out().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("sign out again"), "{error}");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.access_token(), ErrorKind::SignInRequired);
    assert!(world.store.json(ADA).is_some() && world.is_live(&token));

    world.emulator.clear_faults();
    other.sign_out().unwrap();
    assert_eq!((world.emulator.counters().revocations, world.emulator.live_logins()), (1, 0));
    assert!(world.store.is_empty());
    session.sign_out().unwrap();
    assert_eq!(world.asked(Operation::Revoke), 2);
}

/// If not even the mark can be stored, nothing has happened.
fn a_sign_out_without_a_store_changes_nothing<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    world.store.trouble(Trouble::Full);
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(session.forget().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.emulator.requests().len(), 0);
    assert_token(session.access_token(), &token);
    world.store.repair();
    session.sign_out().unwrap();
    assert!(world.store.is_empty());
}

fn forgetting_clears_without_a_request<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    session.forget().unwrap();
    assert!(world.store.is_empty() && world.is_live(&token), "LoginRadius knows nothing of it");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(world.emulator.requests().len(), 0);
    world.events.expect(ADA, &["signed in", "signed out"]);
}

/// What the server does not know any more need not be revoked.
fn signing_out_of_an_ended_login_succeeds<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Good);
    world.emulator.end_all_logins();
    session.sign_out().unwrap();
    assert!(world.store.is_empty());
    assert_eq!((world.asked(Operation::Revoke), world.emulator.replays()), (1, 0));
}

fn a_revocation_uses_the_key_of_its_dialect<A: Adapter>() {
    use RevocationKey::{RefreshToken, Token};
    for (name, key, other) in [(RefreshToken, "refresh_token", "token"), (Token, "token", "refresh_token")] {
        let world = World::<A>::speaking(Dialect::new().with_revocation_key(name));
        let (session, _) = world.signed_in(ADA, Age::Good);
        let refresh_token = world.store.refresh_token(ADA);
        // The emulator's classic address knows the one key alone.
        let body = String::new();
        world.emulator.fault(Operation::Revoke, Fault::Respond { status: 200, headers: Vec::new(), body });
        session.sign_out().unwrap();
        let requests = world.emulator.requests();
        assert_eq!(requests[0].param(key), refresh_token.as_deref());
        assert_eq!(requests[0].param(other), None);
    }
}

/// A refresh that is running comes to its end first, and what it brought is revoked.
fn signing_out_waits_for_a_refresh<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    thread::scope(|scope| {
        let refresh = scope.spawn(|| session.access_token());
        world.wait_for(Operation::Refresh, 1);
        session.sign_out().unwrap();
        refresh.join().unwrap().expect("it came first");
    });
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!((world.emulator.counters().revocations, world.emulator.live_logins()), (1, 0));
    assert_eq!((world.emulator.replays(), world.asked_to_refresh()), (0, 1));
    assert!(world.store.is_empty());
}

/// A sign-in that comes while a refresh is running is not lost to it, in whatever process it is.
fn a_login_during_a_refresh_is_not_lost<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    let another = world.client.sessions(world.store.clone(), &SessionSettings::default()).session(ADA);
    for new in [&session, &another] {
        world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        let before = world.asked_to_refresh();
        let newer = tokens(&world.emulator, Age::Good);
        thread::scope(|scope| {
            let refresh = scope.spawn(|| session.access_token());
            world.wait_for(Operation::Refresh, before + 1);
            new.start(&newer).unwrap();
            refresh.join().unwrap().expect("it came first");
        });
        assert_token(new.access_token(), &newer.access_token);
        world.assert_nothing_lost(ADA);
        session.start(&tokens(&world.emulator, Age::Over)).unwrap();
    }
}

/// The access token lives on until its end, as LoginRadius has it; then only a new sign-in helps.
fn a_login_that_the_server_ended_means_sign_in_required<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    let (sessions, events) = world.another_process();
    let other = sessions.session(ADA);
    assert_token(other.access_token(), &token);
    world.emulator.end_all_logins();
    assert_token(session.access_token(), &token);

    let errors = at_once(20, |_| assert_kind(session.refresh_rejected(&token), ErrorKind::SignInRequired).to_string());
    assert_eq!(world.asked_to_refresh(), 1);
    assert!(errors.iter().all(|error| error.contains("sign in again")), "{errors:?}");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_kind(other.refresh_rejected(&token), ErrorKind::SignInRequired);
    assert_eq!(world.asked_to_refresh(), 1, "the store knows that it is over");
    world.events.expect(ADA, &["signed in", "over"]);
    events.expect(ADA, &["over"]);
    assert_eq!(world.emulator.replays(), 0);

    let grace = tokens_of(&world.emulator, &seeded::GRACE);
    session.start(&grace).unwrap();
    assert_token(session.access_token(), &grace.access_token);
    assert_token(other.access_token(), &grace.access_token);
    world.assert_nothing_lost(ADA);
}

/// Another process signs in as somebody else: whoever goes on with that is told.
fn another_users_login_is_adopted_and_notified<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    world.emulator.end_all_logins();
    let (sessions, _) = world.another_process();
    let grace = tokens_of(&world.emulator, &seeded::GRACE);
    sessions.session(ADA).start(&grace).unwrap();
    assert_token(session.refresh_rejected(&token), &grace.access_token);
    world.events.expect(ADA, &["signed in", "adopted another sign-in"]);
    assert_eq!(world.asked_to_refresh(), 0);
}

fn flushing_waits_for_a_refresh<A: Adapter>() {
    let world = World::<A>::new();
    for all in [false, true] {
        let (session, _) = world.signed_in(ADA, Age::Over);
        world.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
        let before = world.asked_to_refresh();
        thread::scope(|scope| {
            let refresh = scope.spawn(|| session.access_token().unwrap());
            world.wait_for(Operation::Refresh, before + 1);
            let since = Instant::now();
            if all {
                world.sessions.flush().unwrap()
            } else {
                session.flush().unwrap()
            }
            assert!(since.elapsed() > SLOW / 3, "the flush has not waited");
            // What the refresh brought is stored and known.
            world.assert_nothing_lost(ADA);
            assert_token(session.access_token(), &refresh.join().unwrap());
        });
        assert_eq!(world.asked_to_refresh(), before + 1);
    }
}

/// A session that was flushed can be used again.
fn a_flushed_session_can_be_used_again<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Good);
    session.flush().unwrap();
    world.sessions.flush().unwrap();
    assert_token(session.access_token(), &token);
    assert!(world.is_live(&session.refresh_rejected(&token).unwrap()));
    session.flush().unwrap();
    world.assert_nothing_lost(ADA);
}

/// A program that asks for a token, in the last minutes of the old one or after them, and ends at once: over and
/// over again.
fn short_processes_lose_nothing<A: Adapter>() {
    const PROGRAMS: u32 = 100;
    let world = World::<A>::new();
    world.signed_in(ADA, Age::Good);
    let mut last = None;
    for number in 0..PROGRAMS {
        // Emulated tokens live for an hour.
        let age = [3550, 3700][usize::from(number % 2 == 1)];
        world.store.age(ADA, Duration::from_secs(if number == 0 { 95 } else { age }));
        let (sessions, _) = world.another_process();
        let token = sessions.session(ADA).access_token().unwrap();
        drop(sessions);
        assert!(world.is_live(&token));
        assert!(last.is_none_or(|last: loginradius_proto::AccessToken| last.expose() != token.expose()));
        last = Some(token);
    }
    assert_eq!(world.emulator.refreshes(), u64::from(PROGRAMS));
    world.assert_nothing_lost(ADA);
}

cases!(($) session_endings session_endings_cases {
    signing_out_revokes_and_clears,
    a_sign_out_in_another_process_ends_the_session,
    no_token_is_returned_during_a_sign_out,
    a_sign_out_without_a_network_can_be_completed_later,
    a_sign_out_without_a_store_changes_nothing,
    forgetting_clears_without_a_request,
    signing_out_of_an_ended_login_succeeds,
    a_revocation_uses_the_key_of_its_dialect,
    signing_out_waits_for_a_refresh,
    a_login_during_a_refresh_is_not_lost,
    a_login_that_the_server_ended_means_sign_in_required,
    another_users_login_is_adopted_and_notified,
    flushing_waits_for_a_refresh,
    a_flushed_session_can_be_used_again,
    short_processes_lose_nothing,
});
