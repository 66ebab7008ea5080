//! Stores that fail, and locks that another process holds.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::{AccessToken, Error, ErrorKind};
use loginradius_store::{SessionLock, SessionStore};

use super::{ADA, Age, Fixture, assert_kind, assert_token, eventually, tokens};
use crate::adapter::{Adapter, Settings};
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::StoreFault;

/// Takes the lock of Ada's session, as another process does.
fn lock<A: Adapter>(fixture: &Fixture<A>) -> Box<dyn SessionLock> {
    SessionStore::try_lock(&fixture.store, ADA).unwrap().expect("the lock is free")
}

/// Signs a user in and makes a refresh whose pair is not saved: the store has the consumed refresh token. Returns the
/// session and its new access token.
fn unsaved<A: Adapter>(fixture: &Fixture<A>) -> (<A::Sessions as Sessions>::Session, AccessToken) {
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
    let token = session.access_token().expect("an unsaved pair is returned");
    assert!(fixture.is_live(&token));
    (session, token)
}

fn assert_is_unsaved(session: &impl Session) -> Error {
    let error = session.save_error().expect("the pair is unsaved");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    error
}

/// Until it is saved.
fn an_unsaved_pair_is_used_and_retains_the_lock<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = unsaved(&fixture);
    let error = assert_is_unsaved(&session);
    assert!(error.to_string().contains("the test's store fails"), "{error}");
    fixture.events.expect(ADA, &["started", "unsaved"]);
    assert!(fixture.store.is_locked(ADA), "another process could send the consumed token");
    assert_token(session.access_token(), &token);

    // Another process cannot get the lock, and so cannot send the consumed token.
    let (sessions, _) = fixture.another_process();
    assert_kind(sessions.session(ADA).access_token(), ErrorKind::Unavailable);
    assert_eq!(sessions.session(ADA).sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(sessions.session(ADA).forget().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((fixture.refresh_requests(), fixture.emulator.requests().len(), fixture.emulator.replays()), (1, 1, 0));

    // A flush is an error as long as the store fails.
    assert_eq!(session.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fixture.sessions.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_is_unsaved(&session);
    assert_token(session.access_token(), &token);

    fixture.store.clear_fault();
    session.flush().unwrap();
    assert!(session.save_error().is_none());
    fixture.assert_nothing_lost(ADA);
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "unsaved", "saved"]);
}

/// A call of `access_token` is enough, after the backoff.
fn a_later_call_saves_an_unsaved_pair<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = unsaved(&fixture);
    let saves = fixture.store.counts().saves;
    for _ in 0..20 {
        assert_token(session.access_token(), &token);
    }
    assert_eq!(fixture.store.counts().saves, saves, "there is no save during the backoff");
    fixture.store.clear_fault();
    let saved = eventually(|| {
        assert_token(session.access_token(), &token);
        session.save_error().is_none()
    });
    assert!(saved, "no call has saved the pair");
    fixture.assert_nothing_lost(ADA);
    fixture.events.expect(ADA, &["started", "unsaved", "saved"]);
    assert_eq!(fixture.refresh_requests(), 1);
}

/// The next handle of that name has it.
fn an_unsaved_pair_outlives_its_handles<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = unsaved(&fixture);
    drop(session);
    thread::sleep(Duration::from_millis(20));
    assert!(fixture.store.is_locked(ADA), "the lock was released with the handles");
    let session = fixture.session(ADA);
    assert_is_unsaved(&session);
    assert_token(session.access_token(), &token);
    drop(session);
    fixture.store.clear_fault();
    fixture.sessions.flush().unwrap();
    fixture.assert_nothing_lost(ADA);

    // Once it is saved, the session is dropped from memory.
    thread::sleep(Duration::from_millis(20));
    let loads = fixture.store.counts().loads;
    assert_token(fixture.session(ADA).access_token(), &token);
    assert_eq!(fixture.store.counts().loads, loads + 1, "a session without handles is still in memory");
    assert_eq!((fixture.refresh_requests(), fixture.emulator.replays()), (1, 0));
}

/// As long as it cannot be saved, it cannot be refreshed.
fn an_unsaved_pair_is_saved_before_it_is_redeemed<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = unsaved(&fixture);
    assert_kind(session.refresh_rejected(&token), ErrorKind::Unavailable);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.store.clear_fault();
    let next = session.refresh_rejected(&token).unwrap();
    assert!(next.expose() != token.expose() && fixture.is_live(&next));
    assert_eq!((fixture.refresh_requests(), fixture.emulator.refreshes()), (2, 2));
    assert!(session.save_error().is_none());
    fixture.assert_nothing_lost(ADA);
}

/// The consumed token, which the store still has, is not sent.
fn signing_out_revokes_an_unsaved_pair<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = unsaved(&fixture);
    // If the mark of the sign-out cannot be saved, nothing changes.
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_is_unsaved(&session);
    assert!(fixture.store.is_locked(ADA));
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.requests_of(Operation::Revoke), 0);
    fixture.store.clear_fault();
    session.sign_out().unwrap();
    assert_eq!((fixture.emulator.counters().revocations, fixture.emulator.live_logins()), (1, 0));
    assert!(fixture.store.is_empty() && !fixture.store.is_locked(ADA));
    assert!(session.save_error().is_none());
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_eq!(fixture.emulator.replays(), 0);
    fixture.events.expect(ADA, &["started", "unsaved", "signed out"]);
}

fn a_login_replaces_an_unsaved_pair<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = unsaved(&fixture);
    fixture.store.clear_fault();
    let newer = tokens(&fixture.emulator, Age::Fresh);
    session.start(&newer).unwrap();
    assert!(session.save_error().is_none());
    assert_token(session.access_token(), &newer.access_token);
    fixture.assert_nothing_lost(ADA);
    let (sessions, _) = fixture.another_process();
    assert_token(sessions.session(ADA).access_token(), &newer.access_token);
    session.flush().unwrap();
    fixture.events.expect(ADA, &["started", "unsaved", "started"]);
}

fn flushing_saves_every_unsaved_pair<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let names = ["a", "b", "c"];
    let all: Vec<_> = names.iter().map(|name| fixture.signed_in(name, Age::Expired).0).collect();
    fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
    for session in &all {
        session.access_token().unwrap();
        assert_is_unsaved(session);
    }
    drop(all);
    // One of them cannot be saved, and the others are saved all the same.
    for failing in names {
        fixture.store.set_fault_of(failing, StoreFault::SaveFailsAfterIntent);
        assert_eq!(fixture.sessions.flush().unwrap_err().kind(), ErrorKind::Unavailable);
        for name in names {
            assert_eq!(fixture.session(name).save_error().is_some(), name == failing, "{name}");
        }
        fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
        for name in names.into_iter().filter(|name| *name != failing) {
            let session = fixture.session(name);
            session.refresh_rejected(&session.access_token().unwrap()).unwrap();
            assert_is_unsaved(&session);
        }
    }
    fixture.store.clear_fault();
    fixture.sessions.flush().unwrap();
    for name in names {
        fixture.assert_nothing_lost(name);
        assert!(fixture.session(name).save_error().is_none());
    }
}

/// The caller still has the tokens, and can start the session again.
fn a_login_that_cannot_be_saved_is_not_kept<A: Adapter>() {
    for fault in [StoreFault::SaveFails, StoreFault::LockFails, StoreFault::LoadFails, StoreFault::NotSavedUnknown] {
        let fixture = Fixture::<A>::new();
        fixture.store.set_fault(fault);
        let session = fixture.session(ADA);
        let tokens = tokens(&fixture.emulator, Age::Fresh);
        let error = session.start(&tokens).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        // The session is not unsaved: it has no tokens.
        assert!(session.save_error().is_none() && !fixture.store.is_locked(ADA));
        session.flush().unwrap();
        fixture.store.clear_fault();
        assert_kind(session.access_token(), ErrorKind::SignInRequired);
        session.start(&tokens).unwrap();
        assert_token(session.access_token(), &tokens.access_token);
        fixture.assert_nothing_lost(ADA);
        fixture.events.expect(ADA, &["started"]);
    }
}

/// The save was done: `start` loads the record, and does not save it twice.
fn a_login_whose_save_is_unknown_is_saved_once<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.store.set_fault(StoreFault::SavedUnknown);
    let (session, token) = fixture.signed_in(ADA, Age::Fresh);
    assert_eq!(fixture.store.counts().saves, 1);
    assert_token(session.access_token(), &token);
    fixture.events.expect(ADA, &["started"]);
}

/// The second start does not undo the refreshes since the first.
fn a_login_that_is_started_twice_is_one_login<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let session = fixture.session(ADA);
    let tokens = tokens(&fixture.emulator, Age::Expired);
    session.start(&tokens).unwrap();
    let newer = session.access_token().unwrap();
    session.start(&tokens).unwrap();
    assert_token(session.access_token(), &newer);
    let (sessions, _) = fixture.another_process();
    sessions.session(ADA).start(&tokens).unwrap();
    assert_token(sessions.session(ADA).access_token(), &newer);
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.assert_nothing_lost(ADA);
    fixture.events.expect(ADA, &["started", "refreshed"]);
}

fn nothing_is_sent_without_a_saved_intent<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (expired, _) = fixture.signed_in("expired", Age::Expired);
    let (refresh_due, token) = fixture.signed_in("refresh due", Age::RefreshDue);
    fixture.store.set_fault(StoreFault::SaveFails);
    let error = assert_kind(expired.access_token(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the test's store fails"), "{error}");
    assert_token(refresh_due.access_token(), &token);
    assert_eq!(fixture.emulator.requests().len(), 0);
    assert!(expired.save_error().is_none() && refresh_due.save_error().is_none());
    fixture.store.clear_fault();
    expired.access_token().unwrap();
    fixture.assert_nothing_lost("expired");
}

/// The token in memory may be consumed.
fn nothing_is_sent_if_the_store_cannot_be_read<A: Adapter>() {
    for fault in [StoreFault::LoadFails, StoreFault::LockFails] {
        let fixture = Fixture::<A>::new();
        let (expired, _) = fixture.signed_in("expired", Age::Expired);
        let (refresh_due, token) = fixture.signed_in("refresh due", Age::RefreshDue);
        fixture.store.set_fault(fault);
        assert_kind(expired.access_token(), ErrorKind::Unavailable);
        assert_token(refresh_due.access_token(), &token);
        assert_eq!(expired.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(expired.forget().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(fixture.emulator.requests().len(), 0);
        assert!(!fixture.store.is_locked("expired") && !fixture.store.is_locked("refresh due"));
        fixture.store.clear_fault();
        expired.access_token().unwrap();
        fixture.assert_nothing_lost("expired");
    }
}

fn an_unknown_save_loses_no_pair<A: Adapter>() {
    // The save was done.
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.store.set_fault(StoreFault::SavedUnknown);
    let token = session.access_token().unwrap();
    assert!(fixture.is_live(&token));
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.store.clear_fault();
    session.flush().unwrap();
    fixture.assert_nothing_lost(ADA);

    // The save was not done: the pair stays in memory, and the lock is retained.
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    fixture.store.set_fault(StoreFault::NotSavedUnknown);
    let token = session.access_token().unwrap();
    assert!(fixture.is_live(&token));
    assert_is_unsaved(&session);
    let (sessions, _) = fixture.another_process();
    assert_kind(sessions.session(ADA).access_token(), ErrorKind::Unavailable);
    fixture.store.clear_fault();
    session.flush().unwrap();
    fixture.assert_nothing_lost(ADA);
    assert_token(sessions.session(ADA).access_token(), &token);
    assert_eq!(fixture.refresh_requests(), 1);
}

fn a_held_lock_is_waited_for_as_long_as_set<A: Adapter>() {
    let wait = Duration::from_millis(120);
    let fixture = Fixture::<A>::sessions(&SessionSettings { lock_wait: Some(wait), ..SessionSettings::default() });
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let locked = lock(&fixture);
    let since = Instant::now();
    let error = assert_kind(session.access_token(), ErrorKind::Unavailable);
    let took = since.elapsed();
    assert!(took >= wait && took < wait * 5, "{took:?}");
    assert!(error.to_string().contains("another process"), "{error}");
    assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fixture.emulator.requests().len(), 0);
    drop(locked);
    session.access_token().unwrap();
    fixture.assert_nothing_lost(ADA);
}

/// Although an early refresh is due.
fn a_held_lock_does_not_delay_an_unexpired_token<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in(ADA, Age::RefreshDue);
    let locked = lock(&fixture);
    let since = Instant::now();
    assert_token(session.access_token(), &token);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    drop(locked);
    assert_eq!(fixture.emulator.requests().len(), 0);
}

fn a_waiting_process_adopts_the_holders_pair<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let other = fixture.client.sessions(fixture.store.clone(), &SessionSettings::default()).session(ADA);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(150)));
    thread::scope(|scope| {
        let first = scope.spawn(|| other.access_token().unwrap());
        fixture.wait_for(Operation::Refresh, 1);
        let second = session.access_token();
        assert_token(second, &first.join().unwrap());
    });
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.events.expect(ADA, &["started", "adopted"]);
    fixture.assert_nothing_lost(ADA);
}

/// Whether it succeeds or fails.
fn every_operation_releases_the_lock<A: Adapter>() {
    let fixture = Fixture::<A>::with(
        |builder| builder.refresh_grace(Duration::from_secs(60)),
        &Settings::attempts(2),
        &SessionSettings::default(),
    );
    let assert_released = |operation: &str| assert!(!fixture.store.is_locked(ADA), "after {operation}");
    let (session, token) = fixture.signed_in(ADA, Age::Expired);
    assert_released("signing in");
    session.access_token().unwrap();
    assert_released("a refresh");
    session.refresh_rejected(&token).unwrap();
    assert_released("a report");
    fixture.emulator.fault(Operation::Refresh, Fault::DropAfter);
    assert_kind(session.refresh_rejected(&session.access_token().unwrap()), ErrorKind::Unavailable);
    assert_released("a failure");
    fixture.emulator.fault(Operation::Revoke, Fault::DropBefore);
    session.sign_out().unwrap_err();
    assert_released("signing out without a network");
    assert_kind(session.access_token(), ErrorKind::SignInRequired);
    assert_released("finding no login");
    session.forget().unwrap();
    assert_released("forgetting");
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
