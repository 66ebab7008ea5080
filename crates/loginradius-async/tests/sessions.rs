//! Sessions with futures that are dropped, runtimes that end, and tasks that panic.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use loginradius_async::store::{FileStore, SessionStore, store_tests};
use loginradius_async::{
    AccessToken, App, Client, ErrorKind, Retry, Service, Session, SessionEvent, Sessions, SessionsBuilder, TokenSet,
};
use loginradius_conformance::emulator::{Emulator, Fault, Operation, seeded};
use loginradius_conformance::{Store, StoreFault};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const fn assert_shared<T: Send + Sync + Clone + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const _: () = assert_shared::<Sessions>();
const _: () = assert_shared::<Session>();
const _: () = assert_send::<SessionsBuilder>();
const _: () = assert_shared::<SessionEvent>();

fn assert_future_send(_: &impl Send) {}

const ADA: &str = "ada";

/// Ada's session, its server and its store.
struct Fixture {
    emulator: Emulator,
    client: Client,
    store: Store,
    sessions: Sessions,
    session: Session,
    /// The first access token, which is fresh.
    token: AccessToken,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(Emulator::builder().start().unwrap(), |builder| builder).await
    }

    /// Lets the server accept a consumed refresh token once more, because the end of a runtime can lose a response.
    async fn graceful() -> Self {
        let emulator = Emulator::builder().refresh_grace(Duration::from_secs(60)).start().unwrap();
        Self::with(emulator, |builder| builder).await
    }

    async fn with(emulator: Emulator, configure: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Self {
        let service = Service::classic_at(emulator.base_url()).unwrap();
        let app = App::new(seeded::CLIENT_ID).with_client_secret(seeded::CLIENT_SECRET).with_service(service);
        let client = Client::builder(app).retry(Retry::OFF).build().unwrap();
        let store = Store::new();
        let sessions = configure(Sessions::builder(&client, store.clone())).build();
        let session = sessions.session(ADA);
        let tokens = tokens(&emulator);
        session.start(&tokens).await.unwrap();
        Self { emulator, client, store, sessions, session, token: tokens.access_token }
    }

    fn delay(&self, millis: u64) {
        self.emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(millis)));
    }

    /// Makes the session of another process over the same store, which waits for locks for 50 ms only.
    fn another_process(&self) -> Session {
        let builder = Sessions::builder(&self.client, self.store.clone());
        builder.lock_wait(Duration::from_millis(50)).build().session(ADA)
    }

    /// Checks that nothing was replayed, that the newest refresh token is stored, and that the lock is free.
    fn assert_nothing_lost(&self) {
        let stored = self.store.refresh_token(ADA).unwrap();
        assert!(self.emulator.is_live_refresh_token(&stored), "the stored refresh token is not the server's newest");
        assert_eq!(self.emulator.replays(), 0);
        assert!(!self.store.is_locked(ADA), "the lock was not released");
    }
}

fn tokens(emulator: &Emulator) -> TokenSet {
    let response = emulator.login(&seeded::ADA);
    let mut tokens = TokenSet::new(response.access_token);
    tokens.refresh_token = response.refresh_token.map(Into::into);
    tokens.expires_in = Some(Duration::from_secs(3600));
    tokens
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn eventually(mut is_true: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(2);
    while !is_true() {
        if Instant::now() > until {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    true
}

/// Polls a future once and drops it. Returns its result, if it has one by then.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn the_suites_store_is_an_async_store() {
    let storages = Mutex::new(HashMap::<String, Store>::new());
    store_tests::check_async(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone()).await;
}

#[tokio::test]
async fn futures_are_send() {
    let Fixture { sessions, session, token, emulator, .. } = &Fixture::new().await;
    assert_future_send(&session.access_token());
    assert_future_send(&session.tokens());
    assert_future_send(&session.refresh_rejected(token));
    assert_future_send(&session.start(&tokens(emulator)));
    assert_future_send(&session.sign_out());
    assert_future_send(&session.forget());
    assert_future_send(&session.flush());
    assert_future_send(&sessions.flush());
}

/// On a runtime of one thread and on one of several.
#[test]
fn fifty_tasks_cause_one_refresh() {
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            fixture.delay(100);
            let mut tasks = JoinSet::new();
            for _ in 0..50 {
                let (session, token) = (fixture.session.clone(), fixture.token.clone());
                tasks.spawn(async move { session.refresh_rejected(&token).await.unwrap() });
            }
            let all = tasks.join_all().await;
            let token = fixture.session.access_token().await.unwrap();
            assert!(all.iter().all(|other| other.expose() == token.expose()));
            assert_eq!((fixture.emulator.requests().len(), fixture.emulator.refreshes()), (1, 1));
            fixture.assert_nothing_lost();
        });
    }
}

/// At whatever point the caller's future is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_caller_does_not_stop_the_refresh() {
    const ROUNDS: u64 = 120;
    let fixture = Fixture::new().await;
    fixture.delay(2);
    let mut token = fixture.token.clone();
    let mut dropped = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_micros(round * 7919 % 8000);
        dropped += u32::from(timeout(after, fixture.session.refresh_rejected(&token)).await.is_err());
        fixture.session.flush().await.unwrap();
        let next = fixture.session.access_token().await.unwrap();
        assert!(next.expose() != token.expose(), "the refresh stopped with its caller, after {after:?}");
        fixture.assert_nothing_lost();
        token = next;
    }
    assert!(dropped > 10, "{dropped} callers were dropped");
    assert_eq!(fixture.emulator.refreshes(), ROUNDS);
    assert!(fixture.emulator.is_live_access_token(token.expose()));
}

/// There a task runs only while the thread waits for something.
#[tokio::test]
async fn a_dropped_caller_does_not_stop_the_refresh_on_one_thread() {
    let fixture = Fixture::new().await;
    fixture.delay(2);
    let mut token = fixture.token.clone();
    for round in 0..40 {
        let _ = timeout(Duration::from_micros(round * 7919 % 8000), fixture.session.refresh_rejected(&token)).await;
        token = fixture.session.refresh_rejected(&token).await.unwrap();
        fixture.session.flush().await.unwrap();
        fixture.assert_nothing_lost();
    }
    assert_eq!(fixture.emulator.refreshes(), 40);
}

/// All handles to the session, and its client, are dropped as well.
#[tokio::test]
async fn the_pair_is_saved_after_all_callers_are_dropped() {
    let Fixture { emulator, client, store, sessions, session, token } = Fixture::new().await;
    emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(50)));
    let old = store.refresh_token(ADA);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (session, token) = (session.clone(), token.clone());
        callers.spawn(async move { session.refresh_rejected(&token).await });
    }
    sleep(Duration::from_millis(20)).await;
    callers.shutdown().await;
    drop((session, sessions, client));
    assert!(eventually(|| store.refresh_token(ADA) != old && !store.is_locked(ADA)).await);
    assert!(emulator.is_live_refresh_token(&store.refresh_token(ADA).unwrap()));
    assert_eq!((emulator.refreshes(), emulator.replays()), (1, 0));
}

#[tokio::test]
async fn a_waiter_outlives_a_dropped_leader() {
    let fixture = Fixture::new().await;
    fixture.delay(60);
    let first = timeout(Duration::from_millis(20), fixture.session.refresh_rejected(&fixture.token));
    let second = async {
        sleep(Duration::from_millis(5)).await;
        fixture.session.refresh_rejected(&fixture.token).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err());
    assert!(fixture.emulator.is_live_access_token(second.unwrap().expose()));
    assert_eq!(fixture.emulator.refreshes(), 1);
}

#[tokio::test]
async fn dropped_starts_and_sign_outs_complete() {
    let fixture = Fixture::new().await;
    // Until their first poll is over, the store's lock is held, so that none is done by then.
    let lock = || SessionStore::try_lock(&fixture.store, ADA).unwrap().expect("the lock is free");
    let newer = tokens(&fixture.emulator);
    let held = lock();
    assert!(poll_once(fixture.session.start(&newer)).is_none());
    drop(held);
    fixture.session.flush().await.unwrap();
    assert_eq!(fixture.session.access_token().await.unwrap().expose(), newer.access_token.expose());
    fixture.assert_nothing_lost();

    let held = lock();
    assert!(poll_once(fixture.session.sign_out()).is_none());
    drop(held);
    fixture.session.flush().await.unwrap();
    assert_eq!(fixture.session.access_token().await.unwrap_err().kind(), ErrorKind::SignInRequired);
    assert_eq!((fixture.emulator.counters().revocations, fixture.store.len()), (1, 0));
}

/// In an executor that is not tokio's.
#[test]
fn every_operation_works_outside_a_runtime() {
    let fixture = blocked_on(Fixture::new());
    let session = &fixture.session;
    assert_eq!(poll_once(session.access_token()).unwrap().unwrap().expose(), fixture.token.expose());
    let token = blocked_on(session.refresh_rejected(&fixture.token)).unwrap();
    assert!(fixture.emulator.is_live_access_token(token.expose()));
    assert_eq!(blocked_on(session.access_token()).unwrap().expose(), token.expose());
    assert_eq!(blocked_on(session.tokens()).unwrap().access_token.expose(), token.expose());
    assert!(blocked_on(session.is_signed_in()).unwrap());
    blocked_on(session.flush()).unwrap();
    blocked_on(fixture.sessions.flush()).unwrap();
    fixture.assert_nothing_lost();

    // Its time is measured there, too.
    fixture.delay(1000);
    let since = Instant::now();
    let error = blocked_on(session.within(Duration::from_millis(100)).refresh_rejected(&token)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!((100..900).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    fixture.emulator.clear_faults();
    blocked_on(session.flush()).unwrap();

    blocked_on(session.start(&tokens(&fixture.emulator))).unwrap();
    blocked_on(session.sign_out()).unwrap();
    assert_eq!(blocked_on(session.access_token()).unwrap_err().kind(), ErrorKind::SignInRequired);
    blocked_on(session.forget()).unwrap();
    assert!(fixture.store.is_empty());
}

/// Runs a future on this thread, which is in no runtime.
fn blocked_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    assert!(tokio::runtime::Handle::try_current().is_err());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A refresh is no task of the runtime of its caller.
#[test]
fn a_runtime_that_ends_during_a_refresh_does_not_stop_it() {
    for (first, second) in [(multi_thread(), current_thread()), (current_thread(), multi_thread())] {
        let fixture = second.block_on(Fixture::new());
        fixture.delay(150);
        let (session, token) = (fixture.session.clone(), fixture.token.clone());
        let leader = first.spawn(async move { session.refresh_rejected(&token).await });
        // On a runtime of one thread a task runs only while the thread waits.
        first.block_on(async { assert!(eventually(|| fixture.emulator.requests().len() == 1).await) });
        let (session, token) = (fixture.session.clone(), fixture.token.clone());
        let waiter = second.spawn(async move { session.refresh_rejected(&token).await });
        second.block_on(async { sleep(Duration::from_millis(20)).await });
        drop(first);
        assert!(second.block_on(leader).is_err(), "the caller outlives its runtime");
        let token = second.block_on(waiter).unwrap().unwrap();
        assert!(fixture.emulator.is_live_access_token(token.expose()));
        second.block_on(fixture.session.flush()).unwrap();
        assert_eq!(fixture.emulator.refreshes(), 1);
        fixture.assert_nothing_lost();
    }
}

/// A runtime that no thread drives any more: neither callers of other runtimes nor other processes wait for it.
#[test]
fn a_refresh_that_an_idle_runtime_began_continues() {
    let (idle, second) = (current_thread(), current_thread());
    let fixture = second.block_on(Fixture::new());
    fixture.delay(100);
    let (session, token) = (fixture.session.clone(), fixture.token.clone());
    let leader = idle.spawn(async move { session.refresh_rejected(&token).await });
    idle.block_on(async { assert!(eventually(|| fixture.emulator.requests().len() == 1).await) });
    let since = Instant::now();
    let token = second.block_on(fixture.session.refresh_rejected(&fixture.token)).unwrap();
    second.block_on(fixture.session.flush()).unwrap();
    assert_eq!(second.block_on(fixture.another_process().access_token()).unwrap().expose(), token.expose());
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(fixture.emulator.refreshes(), 1);
    fixture.assert_nothing_lost();
    assert_eq!(idle.block_on(leader).unwrap().unwrap().expose(), token.expose());
}

/// Callers that block all of tokio's threads for blocking work. A store of files needs such threads, too.
#[test]
fn callers_that_fill_the_runtime_do_not_keep_their_refresh_from_running() {
    const THREADS: usize = 4;
    let runtime = Builder::new_multi_thread().worker_threads(1).max_blocking_threads(THREADS).enable_all().build();
    let runtime = runtime.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let files = FileStore::open(folder.path()).unwrap();
    let session = Sessions::new(&fixture.client, files).session(ADA);
    let login = tokens(&fixture.emulator);
    runtime.block_on(session.start(&login)).unwrap();
    fixture.delay(100);
    let callers: Vec<_> = (0..2 * THREADS)
        .map(|_| {
            let (session, token, handle) = (session.clone(), login.access_token.clone(), runtime.handle().clone());
            runtime.spawn_blocking(move || handle.block_on(session.refresh_rejected(&token)))
        })
        .collect();
    for caller in callers {
        let token = runtime.block_on(async { timeout(Duration::from_secs(20), caller).await });
        let token = token.expect("it hangs").unwrap().unwrap();
        assert!(fixture.emulator.is_live_access_token(token.expose()));
    }
    assert_eq!((fixture.emulator.refreshes(), fixture.emulator.replays()), (1, 0));
}

/// The lock is retained, too.
#[tokio::test]
async fn a_panic_in_a_flush_keeps_the_unsaved_pair() {
    let fixture = Fixture::new().await;
    fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
    let token = fixture.session.refresh_rejected(&fixture.token).await.unwrap();
    fixture.store.set_fault(StoreFault::PanicInSave);
    assert_eq!(fixture.session.flush().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(fixture.session.save_error().is_some(), "the new pair is lost");
    assert!(fixture.store.is_locked(ADA), "another process could send the consumed token");
    fixture.store.clear_fault();
    fixture.session.flush().await.unwrap();
    assert_eq!(fixture.session.access_token().await.unwrap().expose(), token.expose());
    fixture.assert_nothing_lost();
}

/// Once the record is marked as signing out, its token is not returned again.
#[test]
fn a_runtime_that_ends_does_not_undo_a_sign_out() {
    for unsaved in [false, true] {
        let (first, last) = (multi_thread(), current_thread());
        let fixture = last.block_on(Fixture::new());
        if unsaved {
            fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
            last.block_on(fixture.session.refresh_rejected(&fixture.token)).unwrap();
            fixture.store.clear_fault();
        }
        let before = fixture.emulator.requests().len();
        fixture.emulator.fault_times(Operation::Revoke, Fault::Delay(Duration::from_millis(200)), 1);
        let session = fixture.session.clone();
        first.spawn(async move { session.sign_out().await });
        assert!(last.block_on(eventually(|| fixture.emulator.requests().len() > before)));
        drop(first);
        let result = last.block_on(fixture.session.access_token());
        assert_eq!(result.expect_err("a token after a sign-out").kind(), ErrorKind::SignInRequired);
        last.block_on(fixture.session.sign_out()).unwrap();
        assert_eq!((fixture.emulator.live_logins(), fixture.emulator.replays()), (0, 0));
        assert!(fixture.store.is_empty() && !fixture.store.is_locked(ADA) && fixture.session.save_error().is_none());
    }
}

/// Sixty runtimes end at different points of a refresh, and it always continues.
#[test]
fn a_session_outlives_its_runtimes() {
    let last = current_thread();
    let fixture = last.block_on(Fixture::new());
    fixture.delay(1);
    let mut token = fixture.token.clone();
    for round in 0..60 {
        let runtime = multi_thread();
        let (session, rejected) = (fixture.session.clone(), token.clone());
        runtime.spawn(async move { session.refresh_rejected(&rejected).await });
        thread::sleep(Duration::from_micros(round * 7919 % 6000));
        runtime.shutdown_background();
        token = last.block_on(fixture.session.refresh_rejected(&token)).unwrap();
        assert!(fixture.emulator.is_live_access_token(token.expose()));
    }
    last.block_on(fixture.session.flush()).unwrap();
    fixture.assert_nothing_lost();
    assert_eq!(fixture.emulator.live_logins(), 1);
}

/// The panic ends the task. The callers that wait for it get an error, unless there is a token that is not saved, and
/// the next call works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_store_leaves_no_caller_waiting() {
    for fault in [StoreFault::PanicInLock, StoreFault::PanicInLoad, StoreFault::PanicInSave] {
        let fixture = Fixture::graceful().await;
        fixture.delay(50);
        fixture.store.set_fault(fault);
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (session, token) = (fixture.session.clone(), fixture.token.clone());
            tasks.spawn(async move { session.refresh_rejected(&token).await });
        }
        let results = timeout(Duration::from_secs(5), tasks.join_all()).await.expect("a caller waits for ever");
        let unsaved = matches!(fault, StoreFault::PanicInSave);
        for result in results {
            match result {
                Ok(token) => assert!(unsaved && token.expose() != fixture.token.expose(), "{fault:?}"),
                Err(error) => {
                    assert!(!unsaved && error.kind() == ErrorKind::Unavailable, "{fault:?}: {error:?}");
                }
            }
        }
        fixture.store.clear_fault();
        fixture.emulator.clear_faults();
        // An unsaved pair retains the lock, so that no other process sends the consumed token.
        assert_eq!(fixture.store.is_locked(ADA), unsaved, "{fault:?}");
        assert_eq!(fixture.session.save_error().is_some(), unsaved, "{fault:?}");
        let token = fixture.session.access_token().await.unwrap();
        assert!(fixture.emulator.is_live_access_token(token.expose()) && token.expose() != fixture.token.expose());
        fixture.session.flush().await.unwrap();
        fixture.assert_nothing_lost();
    }
}

#[tokio::test]
async fn a_panic_in_a_callback_ends_its_own_task_only() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let fixture = Fixture::with(Emulator::start().unwrap(), |builder| {
        builder.on_event(move |_, event| {
            if let SessionEvent::Refreshed = event {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("the callback panics");
            }
        })
    })
    .await;
    let token = fixture.session.refresh_rejected(&fixture.token).await.unwrap();
    let next = fixture.session.refresh_rejected(&token).await.unwrap();
    assert!(fixture.emulator.is_live_access_token(next.expose()) && next.expose() != token.expose());
    assert!(eventually(|| calls.load(Ordering::SeqCst) == 2).await);
    fixture.assert_nothing_lost();
}

/// Neither delays others, even one that blocks its thread for long.
#[test]
fn a_callback_may_block_and_use_its_session() {
    let used = Arc::new(AtomicUsize::new(0));
    let cell: Arc<OnceLock<Session>> = Arc::default();
    let (inner, counted) = (Arc::clone(&cell), Arc::clone(&used));
    let runtime = current_thread();
    let fixture = runtime.block_on(Fixture::with(Emulator::start().unwrap(), |builder| {
        builder.on_event(move |name, event| {
            if let (SessionEvent::Refreshed, Some(session)) = (event, inner.get()) {
                assert_eq!(name, session.name());
                thread::sleep(Duration::from_millis(300));
                tokio::runtime::Handle::current().block_on(session.access_token()).unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
            }
        })
    }));
    cell.set(fixture.session.clone()).unwrap();
    let since = Instant::now();
    let token = runtime.block_on(fixture.session.refresh_rejected(&fixture.token)).unwrap();
    let other = fixture.sessions.session("another");
    let error = runtime.block_on(other.within(Duration::from_secs(5)).access_token()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SignInRequired);
    assert!(since.elapsed() < Duration::from_millis(280), "{:?}", since.elapsed());
    assert!(runtime.block_on(eventually(|| used.load(Ordering::SeqCst) == 1)));
    assert_eq!(runtime.block_on(fixture.session.access_token()).unwrap().expose(), token.expose());
}

/// A store of files needs such threads, too.
#[test]
fn many_callbacks_that_block_leave_the_store_its_threads() {
    /// How many threads tokio has for blocking work.
    const THREADS: usize = 512;
    let (blocked, opened) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(())));
    let (counted, gate) = (Arc::clone(&blocked), Arc::clone(&opened));
    let runtime = current_thread();
    let fixture = runtime.block_on(Fixture::new());
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path().join("sessions")).unwrap();
    let on_event = move |_: &str, _: &SessionEvent| {
        counted.fetch_add(1, Ordering::SeqCst);
        drop(gate.lock());
    };
    let sessions = Sessions::builder(&fixture.client, store).on_event(on_event).build();
    let shut = opened.lock().unwrap();
    let all: Vec<_> = (0..=THREADS).map(|number| sessions.session(number.to_string())).collect();
    for session in &all {
        let session = session.within(Duration::from_secs(10));
        runtime.block_on(session.start(&TokenSet::new("token"))).unwrap();
    }
    assert!(runtime.block_on(eventually(|| blocked.load(Ordering::SeqCst) == all.len())));
    drop(shut);
}

/// The flows need that thread: it does not wait for them when it drops the last handle.
#[test]
fn a_task_of_a_callback_may_drop_the_last_handle() {
    let dropped: Arc<Mutex<Option<Session>>> = Arc::default();
    let slot = Arc::clone(&dropped);
    let runtime = current_thread();
    let Fixture { emulator, store, sessions, session, token, .. } =
        runtime.block_on(Fixture::with(Emulator::start().unwrap(), |builder| {
            builder.on_event(move |name, _| {
                let slot = Arc::clone(&slot);
                if name == "another" {
                    tokio::spawn(async move {
                        while slot.lock().unwrap().take().is_none() {
                            sleep(Duration::from_millis(1)).await
                        }
                    });
                }
            })
        }));
    runtime.block_on(sessions.session("another").start(&tokens(&emulator))).unwrap();
    let consumed = store.refresh_token(ADA).unwrap();
    emulator.fault(Operation::Refresh, Fault::Delay(Duration::from_millis(300)));
    drop(sessions);
    let since = Instant::now();
    let hasty = session.within(Duration::from_millis(100));
    let error = runtime.block_on(hasty.refresh_rejected(&token)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    drop(hasty);
    *dropped.lock().unwrap() = Some(session);
    while store.refresh_token(ADA).unwrap() == consumed {
        assert!(since.elapsed() < Duration::from_secs(10), "the flow stands still");
        thread::sleep(Duration::from_millis(1));
    }
    assert!(emulator.is_live_refresh_token(&store.refresh_token(ADA).unwrap()));
}

/// So a store may need a request to unlock.
#[tokio::test]
async fn locks_are_released_by_an_awaited_unlock() {
    let fixture = Fixture::new().await;
    let token = fixture.session.refresh_rejected(&fixture.token).await.unwrap();
    fixture.store.set_fault(StoreFault::SaveFailsAfterIntent);
    fixture.session.refresh_rejected(&token).await.unwrap();
    assert!(fixture.session.save_error().is_some());
    let counts = fixture.store.counts();
    assert_eq!((counts.locks, counts.unlocks), (3, 2), "the lock of an unsaved pair is kept");
    fixture.store.clear_fault();
    fixture.session.flush().await.unwrap();
    fixture.session.sign_out().await.unwrap();
    let counts = fixture.store.counts();
    assert_eq!((counts.locks, counts.unlocks), (4, 4));
}

/// Without tokio's clock or sockets.
#[test]
fn a_runtime_without_drivers_will_do() {
    let runtimes = [
        Builder::new_current_thread().build(),
        Builder::new_current_thread().enable_io().build(),
        Builder::new_current_thread().enable_time().build(),
    ];
    for runtime in runtimes.map(Result::unwrap) {
        let fixture = runtime.block_on(Fixture::new());
        let token = runtime.block_on(fixture.session.refresh_rejected(&fixture.token)).unwrap();
        assert!(fixture.emulator.is_live_access_token(token.expose()));
        let within = fixture.session.within(Duration::from_secs(20));
        runtime.block_on(within.refresh_rejected(&token)).unwrap();
        runtime.block_on(fixture.session.flush()).unwrap();
        fixture.assert_nothing_lost();
    }
}

/// A hundred runtimes, each used for one token and dropped.
#[test]
fn short_runtimes_lose_nothing() {
    const RUNTIMES: u64 = 100;
    let fixture = current_thread().block_on(Fixture::new());
    let mut token = fixture.token.clone();
    for _ in 0..RUNTIMES {
        let runtime = current_thread();
        token = runtime.block_on(fixture.another_process().refresh_rejected(&token)).unwrap();
        drop(runtime);
        fixture.assert_nothing_lost();
    }
    assert_eq!(fixture.emulator.refreshes(), RUNTIMES);
}
