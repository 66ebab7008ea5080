//! How long callers wait, and what the end of a program waits for.

use std::thread;
use std::time::{Duration, Instant};

use loginradius_emulator::{Fault, Operation};
use loginradius_proto::ErrorKind;

use super::{ADA, Age, Fixture, assert_kind, assert_token, at_once, eventually, tokens};
use crate::adapter::Adapter;
use crate::cases::cases;
use crate::session::{Session, SessionSettings, Sessions};
use crate::store::StoreFault;

/// Longer than a caller waits for an early refresh.
const SLOW: Duration = Duration::from_millis(2500);
/// A time that no passing test needs.
const LONG: Duration = Duration::from_secs(20);

/// The one that begins the refresh gets its token after a second, and the others at once. The refresh continues.
fn an_early_refresh_costs_its_caller_little<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let since = Instant::now();
    assert_token(session.access_token(), &old);
    assert!((1000..2000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    let since = Instant::now();
    for result in at_once(10, |_| session.access_token()) {
        assert_token(result, &old);
    }
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    session.flush().unwrap();
    let token = session.access_token().unwrap();
    assert!(fixture.is_live(&token) && token.expose() != old.expose());
    assert_eq!(fixture.refresh_requests(), 1);
    fixture.assert_nothing_lost(ADA);
}

/// It finds the lock taken, and the stored token still valid.
fn an_early_refresh_of_another_process_costs_nothing<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    assert_token(session.access_token(), &old);
    let (sessions, events) = fixture.another_process();
    let joining = sessions.session(ADA);
    let since = Instant::now();
    assert_token(joining.access_token(), &old);
    assert!(since.elapsed() < Duration::from_millis(500), "{:?}", since.elapsed());
    session.flush().unwrap();
    let token = session.access_token().unwrap();
    assert_token(joining.refresh_rejected(&old), &token);
    events.expect(ADA, &["adopted"]);
    assert_eq!(fixture.refresh_requests(), 1);
}

/// A refresh token that was sent may be consumed: its successor is saved before the program can end.
fn the_last_handle_waits_for_a_response<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    fixture.emulator.fault(Operation::Refresh, Fault::Delay(SLOW));
    let before = fixture.store.refresh_token(ADA);
    assert_token(session.access_token(), &old);
    assert_eq!(fixture.store.refresh_token(ADA), before, "the response cannot be there yet");
    let Fixture { emulator, store, sessions, .. } = fixture;
    let since = Instant::now();
    drop(sessions);
    assert!(since.elapsed() < Duration::from_millis(500), "there is another handle");
    drop(session);
    assert!(since.elapsed() < LONG, "{:?}", since.elapsed());
    let stored = store.refresh_token(ADA).unwrap();
    assert!(Some(&stored) != before.as_ref() && emulator.is_live_refresh_token(&stored));
    assert!(!store.is_locked(ADA));
    assert_eq!((emulator.refreshes(), emulator.replays()), (1, 0));
}

/// What has sent nothing is given up.
fn the_last_handle_waits_for_nothing_else<A: Adapter>() {
    let fixture = Fixture::<A>::new();
    let (session, _) = fixture.signed_in(ADA, Age::Expired);
    let lock = loginradius_store::SessionStore::try_lock(&fixture.store, ADA).unwrap().unwrap();
    assert_kind(session.within(Duration::from_millis(100)).access_token(), ErrorKind::DeadlineExceeded);
    let Fixture { emulator, store, sessions, .. } = fixture;
    let since = Instant::now();
    drop((session, sessions));
    assert!(since.elapsed() < Duration::from_millis(1000), "{:?}", since.elapsed());
    drop(lock);
    // The flow takes the lock, and gives it back instead of sending.
    let locks = store.counts().locks;
    assert!(eventually(|| store.counts().locks > locks && !store.is_locked(ADA)));
    thread::sleep(Duration::from_millis(100));
    assert_eq!(emulator.requests().len(), 0);
}

/// And if the store fails once more, the pair is lost, and the next sessions of this program can store another login.
fn the_last_handle_saves_what_is_unsaved<A: Adapter>() {
    for repaired in [true, false] {
        let fixture = Fixture::<A>::new();
        let (session, token) = fixture.signed_in(ADA, Age::Fresh);
        fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
        session.refresh_rejected(&token).unwrap();
        assert!(session.save_error().is_some());
        if repaired {
            fixture.store.clear_fault();
        }
        let Fixture { emulator, client, store, sessions, .. } = fixture;
        let since = Instant::now();
        drop((session, sessions));
        assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
        let stored = store.refresh_token(ADA).unwrap();
        assert_eq!(emulator.is_live_refresh_token(&stored), repaired);
        assert!(!store.is_locked(ADA));
        store.clear_fault();
        let sessions = client.sessions(store, &SessionSettings::default());
        let login = tokens(&emulator, Age::Fresh);
        sessions.session(ADA).start(&login).unwrap();
        assert_token(sessions.session(ADA).access_token(), &login.access_token);
        assert_eq!((emulator.refreshes(), emulator.replays()), (1, 0));
    }
}

/// A caller whose time is zero begins nothing, and gets what is there.
fn a_caller_without_time_gets_what_is_there<A: Adapter>() {
    let fixture = Fixture::<A>::sessions(&SessionSettings::default());
    let (session, old) = fixture.signed_in(ADA, Age::RefreshDue);
    let at_once = session.within(Duration::ZERO);
    assert_token(at_once.access_token(), &old);
    at_once.flush().unwrap();
    assert_kind(at_once.refresh_rejected(&old), ErrorKind::DeadlineExceeded);
    assert_eq!(fixture.refresh_requests(), 0);
    let (sessions, _) = fixture.another_process();
    assert_kind(sessions.session(ADA).within(Duration::ZERO).access_token(), ErrorKind::DeadlineExceeded);
}

cases!(($) session_waits session_waits_cases {
    an_early_refresh_costs_its_caller_little,
    an_early_refresh_of_another_process_costs_nothing,
    the_last_handle_waits_for_a_response,
    the_last_handle_waits_for_nothing_else,
    the_last_handle_saves_what_is_unsaved,
    a_caller_without_time_gets_what_is_there,
});
