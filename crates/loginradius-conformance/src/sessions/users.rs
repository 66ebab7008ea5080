//! All sessions of a user, whose names begin with the same text, and the records that no user will miss.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::ErrorKind;
use loginradius_store::{Expected, SessionLock, SessionStore, StoredRecord};

use super::{Age, Fixture, assert_kind, assert_token, tokens};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::{Store, StoreFault, with_obtained_at};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn names_are_listed_by_their_prefix<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    assert!(fixture.sessions.names("").unwrap().is_empty());
    for name in ["ada/2", "ada/1", "ada/3", "adam/1", "ada", "bob/1"] {
        fixture.signed_in(name, Age::Fresh);
    }
    // A session that has only a handle has no record.
    let _handle = fixture.session("ada/4");
    assert_eq!(fixture.sessions.names("ada/").unwrap(), ["ada/1", "ada/2", "ada/3"]);
    assert_eq!(fixture.sessions.names("").unwrap(), ["ada", "ada/1", "ada/2", "ada/3", "adam/1", "bob/1"]);
    assert!(fixture.sessions.names("carol/").unwrap().is_empty());
    assert_eq!(fixture.emulator.requests().len(), 0);
}

/// More of them than are signed out at once, and started by another process.
fn all_sessions_of_a_user_are_signed_out<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (others, _) = fixture.another_process();
    for number in 0..20 {
        others.session(&format!("ada/{number}")).start(&tokens(&fixture.emulator, Age::Fresh)).unwrap();
    }
    let (here, _) = fixture.signed_in("ada/here", Age::Fresh);
    let (adam, adams_token) = fixture.signed_in("adam/1", Age::Fresh);
    assert_eq!(fixture.sessions.sign_out_all("ada/").unwrap(), 21);
    assert_eq!((fixture.emulator.counters().revocations, fixture.emulator.live_logins()), (21, 1));
    assert_eq!(fixture.sessions.names("").unwrap(), ["adam/1"]);
    assert_kind(here.access_token(), ErrorKind::SignInRequired);
    assert_token(adam.access_token(), &adams_token);
    fixture.events.expect("ada/here", &["started", "signed out"]);
    assert_eq!(fixture.sessions.sign_out_all("ada/").unwrap(), 0);
    assert_eq!(fixture.requests_of(Operation::Revoke), 21);
}

fn an_error_of_one_session_does_not_keep_the_others_signed_in<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    for name in ["ada/1", "ada/2", "ada/3"] {
        fixture.signed_in(name, Age::Fresh);
    }
    fixture.store.set_fault_of("ada/1", StoreFault::SaveFails);
    let error = fixture.sessions.sign_out_all("ada/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().ends_with("; 1 of 3 sessions were not signed out: try again"), "{error}");
    assert_eq!((fixture.sessions.names("").unwrap(), fixture.emulator.live_logins()), (vec!["ada/1".to_owned()], 1));
    fixture.store.clear_fault();

    // Nor does a server that fails once.
    fixture.signed_in("ada/2", Age::Fresh);
    fixture.emulator.fault_times(Operation::Revoke, Fault::DropBefore, 1);
    let error = fixture.sessions.sign_out_all("ada/").unwrap_err();
    assert!(error.to_string().ends_with("; 1 of 2 sessions were not signed out: try again"), "{error}");
    assert_eq!(fixture.sessions.sign_out_all("ada/").unwrap(), 1);
    assert_eq!((fixture.sessions.names("").unwrap().len(), fixture.emulator.live_logins()), (0, 0));
}

/// As a user's id that is missing would make it.
fn an_empty_prefix_signs_nobody_out<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, token) = fixture.signed_in("ada/1", Age::Fresh);
    assert_eq!(fixture.sessions.sign_out_all("").unwrap_err().kind(), ErrorKind::Misuse);
    assert_token(session.access_token(), &token);
    assert_eq!(fixture.emulator.requests().len(), 0);
}

/// With a lock wait of 10 ms, and so little time for a request, no operation takes longer than 0.7 s.
fn a_sign_out_of_all_sessions_ends_in_time<A: Adapter>() {
    let lock_wait = Some(Duration::from_millis(10));
    let settings = crate::adapter::Settings { timeout: Duration::from_millis(100), ..Default::default() };
    let fixture =
        Fixture::<A>::with(|builder| builder, &settings, &SessionSettings { lock_wait, ..SessionSettings::default() });
    for number in 0..200 {
        fixture.signed_in(&format!("ada/{number}"), Age::Fresh);
    }
    fixture.emulator.fault(Operation::Revoke, Fault::Delay(Duration::from_secs(5)));
    let since = Instant::now();
    let error = fixture.sessions.sign_out_all("ada/").unwrap_err();
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert!(error.to_string().ends_with("; 200 of 200 sessions were not signed out: try again"), "{error}");
    // What has not begun by then never begins.
    thread::sleep(Duration::from_millis(300));
    let begun = fixture.requests_of(Operation::Revoke);
    assert!((8..100).contains(&begun), "{begun}");
}

/// Saves what stands for a record of another program, or of another time.
fn put(store: &Store, name: &str, record: &StoredRecord) {
    let mut lock = SessionStore::try_lock(store, name).unwrap().unwrap();
    let found = SessionLock::load(&mut *lock).unwrap();
    let expected = found.map_or(Expected::Nothing, |found| Expected::Generation(found.generation()));
    SessionLock::save(&mut *lock, record, expected).unwrap();
}

/// Makes the stored tokens of a session as old as that, or from the future.
fn set_age(store: &Store, name: &str, hours: i128) {
    let now = i128::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let obtained_at = u128::try_from(now - hours * 60 * 60 * 1000).unwrap();
    let json = with_obtained_at(&store.json(name).unwrap(), obtained_at);
    put(store, name, &StoredRecord::from_bytes(json));
}

fn dead_records_are_purged_and_no_others<A: Adapter>() {
    let fixture = Fixture::<A>::attempts(1);
    let (store, sessions) = (&fixture.store, &fixture.sessions);
    let (rejected, token) = fixture.signed_in("rejected", Age::Fresh);
    fixture.emulator.end_all_logins();
    assert_kind(rejected.refresh_rejected(&token), ErrorKind::SignInRequired);
    let old = ["old", "old sign-out", "old and locked"];
    for name in ["fresh", "future", "sign-out"].into_iter().chain(old) {
        fixture.signed_in(name, Age::Fresh);
    }
    fixture.emulator.fault(Operation::Revoke, Fault::DropBefore);
    for name in ["sign-out", "old sign-out"] {
        fixture.session(name).sign_out().unwrap_err();
    }
    fixture.emulator.clear_faults();
    old.iter().for_each(|name| set_age(store, name, 3));
    set_age(store, "fresh", 1);
    set_age(store, "future", -24 * 365);
    put(store, "damaged", &StoredRecord::from_bytes(*b"half a rec"));
    let locked = SessionStore::try_lock(store, "old and locked").unwrap().unwrap();
    let requests = fixture.emulator.requests().len();

    let purged = sessions.purge(2 * HOUR).unwrap();
    assert_eq!((purged.removed, purged.skipped, purged.unreadable), (3, 1, 1));
    assert_eq!(sessions.names("").unwrap(), ["damaged", "fresh", "future", "old and locked", "sign-out"]);
    drop(locked);
    let purged = sessions.purge(2 * HOUR).unwrap();
    assert_eq!((purged.removed, purged.skipped, purged.unreadable), (1, 0, 1));
    let purged = sessions.purge(2 * HOUR).unwrap();
    assert_eq!((purged.removed, purged.skipped, purged.unreadable), (0, 0, 1));
    assert_eq!(fixture.emulator.requests().len(), requests, "it sends nothing");
    assert!(!store.is_locked("fresh") && !store.is_locked("damaged") && !store.is_locked("old"));
    assert_kind(fixture.another_process().0.session("old").access_token(), ErrorKind::SignInRequired);
}

/// The store's errors are of single sessions, or of all.
fn a_purge_goes_on_after_errors_but_not_for_ever<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    for number in 10..40 {
        let name = format!("{number}");
        fixture.signed_in(&name, Age::Fresh);
        set_age(&fixture.store, &name, 3);
    }
    for (fault, left) in [(StoreFault::LockFails, 30), (StoreFault::LoadFails, 30), (StoreFault::SaveFails, 30)] {
        fixture.store.set_fault(fault);
        let before = fixture.store.counts().locks;
        let error = fixture.sessions.purge(HOUR).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().ends_with("; the purge ended after ten such errors"), "{error}");
        assert_eq!((fixture.store.counts().locks - before, fixture.store.len()), (10, left));
        fixture.store.set_fault_of("20", fault);
        // One session fails, and the others are removed.
        if fault == StoreFault::SaveFails {
            let error = fixture.sessions.purge(HOUR).unwrap_err();
            assert!(error.to_string().ends_with("; sessions that were not purged: 1"), "{error}");
            assert_eq!(fixture.sessions.names("").unwrap(), ["20"]);
        }
        fixture.store.clear_fault();
    }
    assert!(!fixture.store.is_locked("20"));
    assert_eq!(fixture.sessions.purge(HOUR).unwrap().removed, 1);
}

/// The next caller is not affected.
fn a_purge_whose_store_panics_is_an_error<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    fixture.signed_in("old", Age::Fresh);
    set_age(&fixture.store, "old", 3);
    for fault in [StoreFault::PanicInLock, StoreFault::PanicInLoad, StoreFault::PanicInClear] {
        fixture.store.set_fault(fault);
        assert_eq!(fixture.sessions.purge(HOUR).unwrap_err().kind(), ErrorKind::Unavailable);
        fixture.store.clear_fault();
        assert!(!fixture.store.is_locked("old"));
    }
    assert_eq!(fixture.sessions.purge(HOUR).unwrap().removed, 1);
}

cases!(($) session_users session_users_cases {
    names_are_listed_by_their_prefix,
    all_sessions_of_a_user_are_signed_out,
    an_error_of_one_session_does_not_keep_the_others_signed_in,
    an_empty_prefix_signs_nobody_out,
    a_sign_out_of_all_sessions_ends_in_time,
    dead_records_are_purged_and_no_others,
    a_purge_goes_on_after_errors_but_not_for_ever,
    a_purge_whose_store_panics_is_an_error,
});
