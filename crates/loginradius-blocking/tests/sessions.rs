//! Sessions and threads: what a panic leaves behind, and what a callback may do.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_blocking::{
    App, Client, Error, ErrorKind, Retry, Service, Session, SessionEvent, Sessions, SessionsBuilder, TokenSet,
};
use loginradius_conformance::emulator::{Emulator, Fault, Operation, seeded};
use loginradius_conformance::{Store, StoreFault};

const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const _: () = assert_shared::<Sessions>();
const _: () = assert_shared::<Session>();
const _: () = assert_send::<SessionsBuilder>();
const _: () = assert_shared::<SessionEvent>();

const ADA: &str = "ada";

/// Starts a server that accepts a consumed refresh token once more, because a panic can lose a response.
fn emulator() -> Emulator {
    Emulator::builder().refresh_grace(Duration::from_secs(60)).start().unwrap()
}

fn client(emulator: &Emulator) -> Client {
    let service = Service::classic_at(emulator.base_url()).unwrap();
    let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET).with_service(service);
    Client::builder(app).retry(Retry::OFF).build().unwrap()
}

fn sign_in(session: &Session, emulator: &Emulator) -> TokenSet {
    let response = emulator.login(&seeded::ADA);
    let mut tokens = TokenSet::new(response.access_token);
    tokens.refresh_token = response.refresh_token.map(Into::into);
    tokens.expires_in = Some(Duration::from_secs(3600));
    session.start(&tokens).unwrap();
    tokens
}

fn eventually(is_true: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while !is_true() && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    is_true()
}

/// The store's panic ends the thread of the refresh. Its callers get an error, unless there is a token that is not
/// saved, and the next call works.
#[test]
fn a_panic_in_the_store_leaves_no_caller_waiting() {
    for fault in [StoreFault::PanicInLock, StoreFault::PanicInLoad, StoreFault::PanicInSave] {
        let (emulator, store) = (emulator(), Store::new());
        let sessions = Sessions::new(&client(&emulator), store.clone());
        let session = sessions.session(ADA);
        let old = sign_in(&session, &emulator).access_token;
        store.set_fault(fault);
        // The delay lets the other threads join the refresh.
        emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(100)));
        let since = Instant::now();
        let barrier = Barrier::new(8);
        let results: Vec<Result<_, Error>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        session.refresh_rejected(&old)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("a caller has panicked")).collect()
        });
        assert!(since.elapsed() < Duration::from_secs(5), "{fault:?}: {:?}", since.elapsed());
        let unsaved = matches!(fault, StoreFault::PanicInSave);
        for result in results {
            match result {
                Ok(token) => assert!(unsaved && token.expose() != old.expose(), "{fault:?}"),
                Err(error) => {
                    assert!(!unsaved && error.kind() == ErrorKind::Unavailable, "{fault:?}: {error:?}");
                }
            }
        }
        store.clear_fault();
        emulator.clear_faults();
        let token = session.access_token().unwrap();
        assert!(emulator.is_live_access_token(token.expose()) && token.expose() != old.expose());
        session.flush().unwrap();
        assert!(!store.is_locked(ADA), "{fault:?}");
        assert_eq!(emulator.replays(), 0);
    }
}

/// An unsaved pair retains it, because the store has a consumed token.
#[test]
fn a_panic_releases_the_lock_unless_the_pair_is_unsaved() {
    for fault in [StoreFault::PanicInLoad, StoreFault::PanicInSave] {
        let (emulator, store) = (emulator(), Store::new());
        let client = client(&emulator);
        let sessions = Sessions::new(&client, store.clone());
        let session = sessions.session(ADA);
        let old = sign_in(&session, &emulator).access_token;
        store.set_fault(fault);
        let result = session.refresh_rejected(&old);
        store.clear_fault();
        let unsaved = matches!(fault, StoreFault::PanicInSave);
        assert_eq!(result.is_ok(), unsaved, "{fault:?}");
        assert_eq!((store.is_locked(ADA), session.save_error().is_some()), (unsaved, unsaved), "{fault:?}");
        session.flush().unwrap();
        assert!(!store.is_locked(ADA), "{fault:?}: the lock is held after a flush");
        let other_sessions = Sessions::builder(&client, store.clone()).lock_wait(Duration::from_millis(50)).build();
        other_sessions.session(ADA).refresh_rejected(&old).unwrap();
        // The session works without the lock that it had.
        session.access_token().unwrap();
        assert_eq!(emulator.replays(), 0);
    }
}

/// The lock is retained, too.
#[test]
fn a_panic_in_a_flush_keeps_the_unsaved_pair() {
    let (emulator, store) = (emulator(), Store::new());
    let sessions = Sessions::new(&client(&emulator), store.clone());
    let session = sessions.session(ADA);
    let old = sign_in(&session, &emulator).access_token;
    store.set_fault(StoreFault::SaveFailsAfterIntent);
    let token = session.refresh_rejected(&old).unwrap();
    store.set_fault(StoreFault::PanicInSave);
    assert_eq!(session.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(session.save_error().is_some(), "the new pair is lost");
    assert!(store.is_locked(ADA), "another process could send the consumed token");
    store.clear_fault();
    session.flush().unwrap();
    assert_eq!(session.access_token().unwrap().expose(), token.expose());
    assert!(emulator.is_live_refresh_token(&store.refresh_token(ADA).unwrap()) && !store.is_locked(ADA));
    assert_eq!((emulator.refreshes(), emulator.grace_refreshes()), (1, 0));
}

/// The lock is retained, too.
#[test]
fn a_panic_in_a_sign_out_keeps_the_unsaved_pair() {
    for fault in [StoreFault::PanicInLoad, StoreFault::PanicInSave] {
        let (emulator, store) = (emulator(), Store::new());
        let sessions = Sessions::new(&client(&emulator), store.clone());
        let session = sessions.session(ADA);
        let old = sign_in(&session, &emulator).access_token;
        store.set_fault(StoreFault::SaveFailsAfterIntent);
        let token = session.refresh_rejected(&old).unwrap();
        store.set_fault(fault);
        assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(session.save_error().is_some(), "{fault:?}: the new pair is lost");
        assert!(store.is_locked(ADA), "{fault:?}: another process could send the consumed token");
        store.clear_fault();
        assert_eq!(session.access_token().unwrap().expose(), token.expose());
        session.flush().unwrap();
        assert!(emulator.is_live_refresh_token(&store.refresh_token(ADA).unwrap()) && !store.is_locked(ADA));
        assert_eq!((emulator.refreshes(), emulator.grace_refreshes()), (1, 0));
    }
}

/// Once the record is marked as signing out, its token is not returned again.
#[test]
fn a_panic_does_not_undo_a_sign_out() {
    for unsaved in [false, true] {
        let (emulator, store) = (emulator(), Store::new());
        let sessions = Sessions::new(&client(&emulator), store.clone());
        let session = sessions.session(ADA);
        let old = sign_in(&session, &emulator).access_token;
        if unsaved {
            store.set_fault(StoreFault::SaveFailsAfterIntent);
            session.refresh_rejected(&old).unwrap();
        }
        store.set_fault(StoreFault::PanicInClear);
        assert_eq!(session.sign_out().unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(emulator.live_logins(), 0, "the token is revoked");
        store.clear_fault();
        assert_eq!(session.access_token().expect_err("a revoked token").kind(), ErrorKind::SignInRequired);
        session.sign_out().unwrap();
        assert!(store.is_empty() && !store.is_locked(ADA) && session.save_error().is_none());
        assert_eq!((emulator.grace_refreshes(), emulator.replays()), (0, 0));
    }
}

#[test]
fn a_panic_in_a_callback_ends_its_own_thread_only() {
    let (emulator, store) = (emulator(), Store::new());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let sessions = Sessions::builder(&client(&emulator), store.clone())
        .on_event(move |_, event| {
            if let SessionEvent::Refreshed = event {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("the callback panics");
            }
        })
        .build();
    let session = sessions.session(ADA);
    let old = sign_in(&session, &emulator).access_token;
    emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(100)));
    let tokens: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| session.refresh_rejected(&old))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    let token = session.access_token().unwrap();
    assert!(tokens.iter().all(|other| other.expose() == token.expose()));
    assert!(emulator.is_live_access_token(token.expose()) && !store.is_locked(ADA));
    assert!(eventually(|| calls.load(Ordering::SeqCst) == 1));
    session.refresh_rejected(&token).unwrap();
    assert!(eventually(|| calls.load(Ordering::SeqCst) == 2));
    assert_eq!((emulator.refreshes(), emulator.replays()), (2, 0));
}

/// The caller that leads an operation gets its result after the events, so that a program can print them in order.
#[test]
fn the_events_of_an_operation_come_before_its_result() {
    let emulator = emulator();
    let events = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&events);
    let sessions = Sessions::builder(&client(&emulator), Store::new())
        .on_event(move |_, _| {
            thread::sleep(Duration::from_millis(30));
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .build();
    let session = sessions.session(ADA);
    let old = sign_in(&session, &emulator).access_token;
    assert_eq!(events.load(Ordering::SeqCst), 1);
    session.refresh_rejected(&old).unwrap();
    assert_eq!(events.load(Ordering::SeqCst), 2);
    session.sign_out().unwrap();
    assert_eq!(events.load(Ordering::SeqCst), 3);
}

#[test]
fn a_callback_may_use_its_session() {
    let (emulator, store) = (emulator(), Store::new());
    let cell: Arc<OnceLock<Session>> = Arc::default();
    let used = Arc::new(AtomicBool::new(false));
    let (inner, done) = (Arc::clone(&cell), Arc::clone(&used));
    let sessions = Sessions::builder(&client(&emulator), store.clone())
        .on_event(move |name, event| {
            let Some(session) = inner.get() else { return };
            if let SessionEvent::Refreshed = event {
                assert_eq!(name, session.name());
                session.access_token().unwrap();
                session.flush().unwrap();
                session.sign_out().unwrap();
                done.store(true, Ordering::SeqCst);
            }
        })
        .build();
    let session = sessions.session(ADA);
    let old = sign_in(&session, &emulator).access_token;
    cell.set(session.clone()).unwrap();
    let token = session.refresh_rejected(&old).unwrap();
    assert!(eventually(|| used.load(Ordering::SeqCst)));
    assert!(!emulator.is_live_access_token(token.expose()) && emulator.live_logins() == 0);
    assert_eq!(session.access_token().unwrap_err().kind(), ErrorKind::SignInRequired);
    assert!(store.is_empty());
}
