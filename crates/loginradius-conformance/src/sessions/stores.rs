//! Stores that fail, and locks that others have.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::{AccessToken, Error, ErrorKind};
use loginradius_store::{SessionLock, SessionStore};

use super::{ADA, Age, World, assert_kind, assert_token, eventually, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::Trouble;

/// The lock of Ada's session, as another process takes it.
fn lock<A: Adapter>(world: &World<A>) -> Box<dyn SessionLock> {
    SessionStore::try_lock(&world.store, ADA).unwrap().expect("the lock is free")
}

/// A session whose newest pair could not be stored: the spent token is what the store holds.
fn unsaved<A: Adapter>(world: &World<A>) -> (<A::Sessions as Sessions>::Session, AccessToken) {
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.store.trouble(Trouble::FullAfterIntent);
    let token = session.access_token().expect("the token is good, stored or not");
    assert!(world.is_live(&token));
    (session, token)
}

fn assert_is_unsaved(session: &impl Session) -> Error {
    let error = session.save_error().expect("it is told that the tokens are in memory alone");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    error
}

/// What was spent stays locked up, and what was gained is used and stored later.
fn an_unsaved_pair_is_used_and_retains_the_lock<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = unsaved(&world);
    let error = assert_is_unsaved(&session);
    assert!(error.to_string().contains("the test's store is out of order"), "{error}");
    world.events.expect(ADA, &["signed in", "unsaved"]);
    assert!(world.store.is_locked(ADA), "somebody else may get at the spent token");
    assert_token(session.access_token(), &token);

    // Another process is told to wait, and does not get to send the spent token.
    let (sessions, _) = world.another_process();
    assert_kind(sessions.session(ADA).access_token(), ErrorKind::Unavailable);
    assert_eq!(sessions.session(ADA).sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(sessions.session(ADA).forget().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((world.asked_to_refresh(), world.emulator.requests().len(), world.emulator.replays()), (1, 1, 0));

    // As long as the store fails, closing says so.
    assert_eq!(session.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.sessions.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_is_unsaved(&session);
    assert_token(session.access_token(), &token);

    world.store.repair();
    session.flush().unwrap();
    assert!(session.save_error().is_none());
    world.assert_nothing_lost(ADA);
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "unsaved", "saved"]);
}

/// Without anybody's doing but a caller's who wants a token, once in a while.
fn a_later_call_saves_an_unsaved_pair<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = unsaved(&world);
    let saves = world.store.counts().saves;
    for _ in 0..20 {
        assert_token(session.access_token(), &token);
    }
    assert_eq!(world.store.counts().saves, saves, "a store that fails is not hammered");
    world.store.repair();
    let saved = eventually(|| {
        assert_token(session.access_token(), &token);
        session.save_error().is_none()
    });
    assert!(saved, "nobody has saved the pair");
    world.assert_nothing_lost(ADA);
    world.events.expect(ADA, &["signed in", "unsaved", "saved"]);
    assert_eq!(world.asked_to_refresh(), 1);
}

/// It is kept for whoever asks for that name again.
fn an_unsaved_pair_outlives_its_handles<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = unsaved(&world);
    drop(session);
    thread::sleep(Duration::from_millis(20));
    assert!(world.store.is_locked(ADA), "the lock went with the handles");
    let session = world.session(ADA);
    assert_is_unsaved(&session);
    assert_token(session.access_token(), &token);
    drop(session);
    world.store.repair();
    world.sessions.flush().unwrap();
    world.assert_nothing_lost(ADA);

    // And then it is let go of.
    thread::sleep(Duration::from_millis(20));
    let loads = world.store.counts().loads;
    assert_token(world.session(ADA).access_token(), &token);
    assert_eq!(world.store.counts().loads, loads + 1, "a session that nobody holds is kept");
    assert_eq!((world.asked_to_refresh(), world.emulator.replays()), (1, 0));
}

/// The pair that is in memory alone is refreshed only after it was saved.
fn an_unsaved_pair_is_saved_before_it_is_redeemed<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = unsaved(&world);
    assert_kind(session.refresh_rejected(&token), ErrorKind::Unavailable);
    assert_eq!(world.asked_to_refresh(), 1);
    world.store.repair();
    let next = session.refresh_rejected(&token).unwrap();
    assert!(next.expose() != token.expose() && world.is_live(&next));
    assert_eq!((world.asked_to_refresh(), world.emulator.refreshes()), (2, 2));
    assert!(session.save_error().is_none());
    world.assert_nothing_lost(ADA);
}

/// With tokens in memory alone, signing out revokes those, and not the spent one.
fn signing_out_revokes_an_unsaved_pair<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = unsaved(&world);
    // If not even that can be stored, everything is as it was.
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_is_unsaved(&session);
    assert!(world.store.is_locked(ADA));
    assert_token(session.access_token(), &token);
    assert_eq!(world.asked(Operation::Revoke), 0);
    world.store.repair();
    session.sign_out().unwrap();
    assert_eq!((world.emulator.counters().revocations, world.emulator.live_logins()), (1, 0));
    assert!(world.store.is_empty() && !world.store.is_locked(ADA));
    assert!(session.save_error().is_none());
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(world.emulator.replays(), 0);
    world.events.expect(ADA, &["signed in", "unsaved", "signed out"]);
}

/// The tokens of another sign-in count for more than an old pair that was never stored.
fn a_login_replaces_an_unsaved_pair<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = unsaved(&world);
    world.store.repair();
    let newer = tokens(&world.emulator, Age::Good);
    session.start(&newer).unwrap();
    assert!(session.save_error().is_none());
    assert_token(session.access_token(), &newer.access_token);
    world.assert_nothing_lost(ADA);
    let (sessions, _) = world.another_process();
    assert_token(sessions.session(ADA).access_token(), &newer.access_token);
    session.flush().unwrap();
    world.events.expect(ADA, &["signed in", "unsaved", "signed in"]);
}

fn flushing_saves_every_unsaved_pair<A: Adapter>() {
    let world = World::<A>::new();
    let names = ["a", "b", "c"];
    let all: Vec<_> = names.iter().map(|name| world.signed_in(name, Age::Over).0).collect();
    world.store.trouble(Trouble::FullAfterIntent);
    for session in &all {
        session.access_token().unwrap();
        assert_is_unsaved(session);
    }
    drop(all);
    // One of them cannot be saved now, and that does not keep the others.
    for unlucky in names {
        world.store.trouble_with(unlucky, Trouble::FullAfterIntent);
        assert_eq!(world.sessions.flush().unwrap_err().kind(), ErrorKind::Unavailable);
        for name in names {
            assert_eq!(world.session(name).save_error().is_some(), name == unlucky, "{name}");
        }
        world.store.trouble(Trouble::FullAfterIntent);
        for name in names.into_iter().filter(|name| *name != unlucky) {
            let session = world.session(name);
            session.refresh_rejected(&session.access_token().unwrap()).unwrap();
            assert_is_unsaved(&session);
        }
    }
    world.store.repair();
    world.sessions.flush().unwrap();
    for name in names {
        world.assert_nothing_lost(name);
        assert!(world.session(name).save_error().is_none());
    }
}

/// The caller has the tokens still, and starts the session again.
fn a_login_that_cannot_be_saved_is_not_kept<A: Adapter>() {
    for trouble in [Trouble::Full, Trouble::Lock, Trouble::Load, Trouble::DoubtAndLoss] {
        let world = World::<A>::new();
        world.store.trouble(trouble);
        let session = world.session(ADA);
        let tokens = tokens(&world.emulator, Age::Good);
        let error = session.start(&tokens).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        // The session does not keep them.
        assert!(session.save_error().is_none() && !world.store.is_locked(ADA));
        session.flush().unwrap();
        world.store.repair();
        assert_kind(session.access_token(), ErrorKind::SignInRequired);
        session.start(&tokens).unwrap();
        assert_token(session.access_token(), &tokens.access_token);
        world.assert_nothing_lost(ADA);
        world.events.expect(ADA, &["signed in"]);
    }
}

/// The store keeps a login and says that it may not have: the start looks, and does not store it twice.
fn a_login_whose_save_is_unknown_is_saved_once<A: Adapter>() {
    let world = World::<A>::new();
    world.store.trouble(Trouble::Doubt);
    let (session, token) = world.signed_in(ADA, Age::Good);
    assert_eq!(world.store.counts().saves, 1);
    assert_token(session.access_token(), &token);
    world.events.expect(ADA, &["signed in"]);
}

/// A login that is started twice is the same login, with what has become of it since.
fn a_login_that_is_started_twice_is_one_login<A: Adapter>() {
    let world = World::<A>::new();
    let session = world.session(ADA);
    let tokens = tokens(&world.emulator, Age::Over);
    session.start(&tokens).unwrap();
    let newer = session.access_token().unwrap();
    session.start(&tokens).unwrap();
    assert_token(session.access_token(), &newer);
    let (sessions, _) = world.another_process();
    sessions.session(ADA).start(&tokens).unwrap();
    assert_token(sessions.session(ADA).access_token(), &newer);
    assert_eq!(world.asked_to_refresh(), 1);
    world.assert_nothing_lost(ADA);
    world.events.expect(ADA, &["signed in", "rotated"]);
}

/// What cannot be written down is not begun.
fn nothing_is_sent_without_a_saved_intent<A: Adapter>() {
    let world = World::<A>::new();
    let (over, _) = world.signed_in("over", Age::Over);
    let (early, token) = world.signed_in("early", Age::Early);
    world.store.trouble(Trouble::Full);
    let error = assert_kind(over.access_token(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the test's store is out of order"), "{error}");
    assert_token(early.access_token(), &token);
    assert_eq!(world.emulator.requests().len(), 0);
    assert!(over.save_error().is_none() && early.save_error().is_none());
    world.store.repair();
    over.access_token().unwrap();
    world.assert_nothing_lost("over");
}

/// What is in memory may be spent already: nothing is refreshed from it.
fn nothing_is_sent_if_the_store_cannot_be_read<A: Adapter>() {
    for trouble in [Trouble::Load, Trouble::Lock] {
        let world = World::<A>::new();
        let (over, _) = world.signed_in("over", Age::Over);
        let (early, token) = world.signed_in("early", Age::Early);
        world.store.trouble(trouble);
        assert_kind(over.access_token(), ErrorKind::Unavailable);
        assert_token(early.access_token(), &token);
        assert_eq!(over.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(over.forget().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(world.emulator.requests().len(), 0);
        assert!(!world.store.is_locked("over") && !world.store.is_locked("early"));
        world.store.repair();
        over.access_token().unwrap();
        world.assert_nothing_lost("over");
    }
}

/// The store does not know whether it has stored what it was told to.
fn an_unknown_save_loses_no_pair<A: Adapter>() {
    // It has: then nothing is lost, and nothing sent twice.
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.store.trouble(Trouble::Doubt);
    let token = session.access_token().unwrap();
    assert!(world.is_live(&token));
    assert_eq!(world.asked_to_refresh(), 1);
    world.store.repair();
    session.flush().unwrap();
    world.assert_nothing_lost(ADA);

    // It has not: the pair stays in memory, and the lock with it.
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    world.store.trouble(Trouble::DoubtAndLoss);
    let token = session.access_token().unwrap();
    assert!(world.is_live(&token));
    assert_is_unsaved(&session);
    let (sessions, _) = world.another_process();
    assert_kind(sessions.session(ADA).access_token(), ErrorKind::Unavailable);
    world.store.repair();
    session.flush().unwrap();
    world.assert_nothing_lost(ADA);
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(world.asked_to_refresh(), 1);
}

/// Another process has the lock.
fn a_held_lock_is_waited_for_as_long_as_set<A: Adapter>() {
    let wait = Duration::from_millis(120);
    let world = World::<A>::sessions(&SessionSettings { lock_wait: Some(wait), ..SessionSettings::default() });
    let (session, _) = world.signed_in(ADA, Age::Over);
    let locked = lock(&world);
    let since = Instant::now();
    let error = assert_kind(session.access_token(), ErrorKind::Unavailable);
    let took = since.elapsed();
    assert!(took >= wait && took < wait * 5, "{took:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.emulator.requests().len(), 0);
    drop(locked);
    session.access_token().unwrap();
    world.assert_nothing_lost(ADA);
}

/// Who has a good token does not wait for whoever gets the next one.
fn a_held_lock_does_not_delay_an_unexpired_token<A: Adapter>() {
    let world = World::<A>::new();
    let (session, token) = world.signed_in(ADA, Age::Early);
    let locked = lock(&world);
    let since = Instant::now();
    assert_token(session.access_token(), &token);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    drop(locked);
    assert_eq!(world.emulator.requests().len(), 0);
}

/// A lock that comes free is taken, and what its holder did is what counts.
fn a_waiting_process_adopts_the_holders_pair<A: Adapter>() {
    let world = World::<A>::new();
    let (session, _) = world.signed_in(ADA, Age::Over);
    let other = world.client.sessions(world.store.clone(), &SessionSettings::default()).session(ADA);
    world.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(150)));
    thread::scope(|scope| {
        let first = scope.spawn(|| other.access_token().unwrap());
        world.wait_for(Operation::Refresh, 1);
        let second = session.access_token();
        assert_token(second, &first.join().unwrap());
    });
    assert_eq!(world.asked_to_refresh(), 1);
    world.events.expect(ADA, &["signed in", "adopted"]);
    world.assert_nothing_lost(ADA);
}

/// Whatever a session does, it gives the lock back.
fn every_operation_releases_the_lock<A: Adapter>() {
    let world = World::<A>::with(
        |builder| builder.refresh_grace(Duration::from_secs(60)),
        &Settings::attempts(2),
        &SessionSettings::default(),
    );
    let free = |what: &str| assert!(!world.store.is_locked(ADA), "after {what}");
    let (session, token) = world.signed_in(ADA, Age::Over);
    free("signing in");
    session.access_token().unwrap();
    free("a refresh");
    session.refresh_rejected(&token).unwrap();
    free("a report");
    world.emulator.fault(Operation::Refresh, Fault::DropAfter);
    assert_kind(session.refresh_rejected(&session.access_token().unwrap()), ErrorKind::Unavailable);
    free("a failure");
    world.emulator.fault(Operation::Revoke, Fault::DropBefore);
    session.sign_out().unwrap_err();
    free("signing out without a network");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    free("finding nobody");
    session.forget().unwrap();
    free("forgetting");
}

cases!(($) session_stores session_stores_cases {
    an_unsaved_pair_is_used_and_retains_the_lock,
    a_later_call_saves_an_unsaved_pair,
    an_unsaved_pair_outlives_its_handles,
    an_unsaved_pair_is_saved_before_it_is_redeemed,
    signing_out_revokes_an_unsaved_pair,
    a_login_replaces_an_unsaved_pair,
    flushing_saves_every_unsaved_pair,
    a_login_that_cannot_be_saved_is_not_kept,
    a_login_whose_save_is_unknown_is_saved_once,
    a_login_that_is_started_twice_is_one_login,
    nothing_is_sent_without_a_saved_intent,
    nothing_is_sent_if_the_store_cannot_be_read,
    an_unknown_save_loses_no_pair,
    a_held_lock_is_waited_for_as_long_as_set,
    a_held_lock_does_not_delay_an_unexpired_token,
    a_waiting_process_adopts_the_holders_pair,
    every_operation_releases_the_lock,
});
