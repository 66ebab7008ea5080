//! Sessions, futures and runtimes: what is dropped, what ends, what panics.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use loginradius_async::store::store_tests;
use loginradius_async::{
    AccessToken, App, Client, Error, ErrorKind, Retry, Service, Session, SessionEvent, Sessions, SessionsBuilder,
    TokenSet,
};
use loginradius_conformance::emulator::{Emulator, Fault, Operation, seeded};
use loginradius_conformance::{Store, Trouble};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const fn is_shared<T: Send + Sync + Clone + 'static>() {}
const fn is_sent<T: Send + 'static>() {}
const _: () = is_shared::<Sessions>();
const _: () = is_shared::<Session>();
const _: () = is_sent::<SessionsBuilder>();
const _: () = is_shared::<SessionEvent>();

fn is_send(_: &impl Send) {}

const ADA: &str = "ada";

/// Ada's session, its server and its store.
struct World {
    emulator: Emulator,
    client: Client,
    store: Store,
    sessions: Sessions,
    session: Session,
    /// Her first access token, which is good.
    token: AccessToken,
}

impl World {
    async fn new() -> Self {
        Self::with(Emulator::builder().start().unwrap(), |builder| builder).await
    }

    /// With a server that forgives lost answers, as the end of a runtime costs one.
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

    /// Another process over the same store, which does not wait for locks for long.
    fn another_process(&self) -> Session {
        let builder = Sessions::builder(&self.client, self.store.clone());
        builder.lock_wait(Duration::from_millis(50)).build().session(ADA)
    }

    /// The newest refresh token is stored, and nobody has the lock.
    fn assert_nothing_lost(&self) {
        let stored = self.store.refresh_token(ADA).unwrap();
        assert!(self.emulator.is_live_refresh_token(&stored), "the stored refresh token is none of the server's");
        assert_eq!(self.emulator.replays(), 0);
        assert!(!self.store.is_locked(ADA), "the lock was not given back");
    }
}

fn tokens(emulator: &Emulator) -> TokenSet {
    let answer = emulator.login(&seeded::ADA);
    let mut tokens = TokenSet::new(answer.access_token);
    tokens.refresh_token = answer.refresh_token.map(Into::into);
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

/// Polls it once, and drops it unless that is enough.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The suite's own store is one for async code, too.
#[tokio::test]
async fn the_suites_store_is_an_async_store() {
    let storages = Mutex::new(HashMap::<String, Store>::new());
    store_tests::check_async(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone()).await;
}

#[tokio::test]
async fn futures_are_send() {
    let World { sessions, session, token, emulator, .. } = &World::new().await;
    is_send(&session.access_token());
    is_send(&session.tokens());
    is_send(&session.refresh_rejected(token));
    is_send(&session.start(&tokens(emulator)));
    is_send(&session.sign_out());
    is_send(&session.forget());
    is_send(&session.flush());
    is_send(&sessions.flush());
}

/// On one thread, and on several.
#[test]
fn fifty_tasks_cause_one_refresh() {
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            let world = World::new().await;
            world.delay(100);
            let mut tasks = JoinSet::new();
            for _ in 0..50 {
                let (session, token) = (world.session.clone(), world.token.clone());
                tasks.spawn(async move { session.refresh_rejected(&token).await.unwrap() });
            }
            let all = tasks.join_all().await;
            let token = world.session.access_token().await.unwrap();
            assert!(all.iter().all(|other| other.expose() == token.expose()));
            assert_eq!((world.emulator.requests().len(), world.emulator.refreshes()), (1, 1));
            world.assert_nothing_lost();
        });
    }
}

/// At whatever point its caller goes away, the refresh comes to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_caller_does_not_stop_the_refresh() {
    const ROUNDS: u64 = 120;
    let world = World::new().await;
    world.delay(2);
    let mut token = world.token.clone();
    let mut dropped = 0;
    for round in 0..ROUNDS {
        let after = Duration::from_micros(round * 7919 % 8000);
        dropped += u32::from(timeout(after, world.session.refresh_rejected(&token)).await.is_err());
        world.session.flush().await.unwrap();
        let next = world.session.access_token().await.unwrap();
        assert!(next.expose() != token.expose(), "the refresh went with its caller, after {after:?}");
        world.assert_nothing_lost();
        token = next;
    }
    assert!(dropped > 10, "{dropped} callers were dropped");
    assert_eq!(world.emulator.refreshes(), ROUNDS);
    assert!(world.emulator.is_live_access_token(token.expose()));
}

/// The same on one thread, where nothing goes on but what somebody waits for.
#[tokio::test]
async fn a_dropped_caller_does_not_stop_the_refresh_on_one_thread() {
    let world = World::new().await;
    world.delay(2);
    let mut token = world.token.clone();
    for round in 0..40 {
        let _ = timeout(Duration::from_micros(round * 7919 % 8000), world.session.refresh_rejected(&token)).await;
        token = world.session.refresh_rejected(&token).await.unwrap();
        world.session.flush().await.unwrap();
        world.assert_nothing_lost();
    }
    assert_eq!(world.emulator.refreshes(), 40);
}

/// Nobody waits any more, nobody even holds the session: what was gained is stored all the same.
#[tokio::test]
async fn the_pair_is_saved_after_all_callers_are_dropped() {
    let World { emulator, client, store, sessions, session, token } = World::new().await;
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

/// Who waits along with one who is dropped still gets the token.
#[tokio::test]
async fn a_waiter_outlives_a_dropped_leader() {
    let world = World::new().await;
    world.delay(60);
    let first = timeout(Duration::from_millis(20), world.session.refresh_rejected(&world.token));
    let second = async {
        sleep(Duration::from_millis(5)).await;
        world.session.refresh_rejected(&world.token).await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err());
    assert!(world.emulator.is_live_access_token(second.unwrap().expose()));
    assert_eq!(world.emulator.refreshes(), 1);
}

/// Signing in and out come to their end as well.
#[tokio::test]
async fn dropped_starts_and_sign_outs_complete() {
    let world = World::new().await;
    let newer = tokens(&world.emulator);
    assert!(poll_once(world.session.start(&newer)).is_none());
    world.session.flush().await.unwrap();
    assert_eq!(world.session.access_token().await.unwrap().expose(), newer.access_token.expose());
    world.assert_nothing_lost();

    assert!(poll_once(world.session.sign_out()).is_none());
    world.session.flush().await.unwrap();
    assert_eq!(world.session.access_token().await.unwrap_err().kind(), ErrorKind::SignInRequired);
    assert_eq!((world.emulator.counters().revocations, world.store.len()), (1, 0));
}

/// A token that is there is there; whatever needs a task says what is missing.
#[test]
fn only_a_fresh_token_is_returned_outside_a_runtime() {
    let runtime = current_thread();
    let world = runtime.block_on(World::new());
    let session = &world.session;
    assert_eq!(poll_once(session.access_token()).unwrap().unwrap().expose(), world.token.expose());
    let check = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("tokio runtime"), "{error}");
    };
    check(poll_once(session.refresh_rejected(&world.token)).unwrap().unwrap_err());
    check(poll_once(session.access_token()).unwrap().unwrap_err());
    check(poll_once(session.tokens()).unwrap().unwrap_err());
    check(poll_once(session.start(&tokens(&world.emulator))).unwrap().unwrap_err());
    check(poll_once(session.sign_out()).unwrap().unwrap_err());
    check(poll_once(session.forget()).unwrap().unwrap_err());
    poll_once(session.flush()).unwrap().unwrap();
    poll_once(world.sessions.flush()).unwrap().unwrap();
    assert_eq!(world.emulator.requests().len(), 0);
    // Nothing of it stays.
    assert!(world.emulator.is_live_access_token(runtime.block_on(session.access_token()).unwrap().expose()));
    assert_eq!(world.emulator.refreshes(), 1);
    world.assert_nothing_lost();
}

/// That is like a crash, and the next runtime goes on from what is stored.
#[test]
fn a_runtime_that_ends_during_a_refresh_wakes_the_waiters() {
    for (first, second) in [(multi_thread(), current_thread()), (current_thread(), multi_thread())] {
        let world = second.block_on(World::graceful());
        world.delay(150);
        let (session, token) = (world.session.clone(), world.token.clone());
        let waits = first.spawn(async move { session.refresh_rejected(&token).await });
        // On a runtime of one thread a task needs somebody who drives it.
        first.block_on(async { assert!(eventually(|| world.emulator.requests().len() == 1).await) });
        let (session, token) = (world.session.clone(), world.token.clone());
        let joins = second.spawn(async move { session.refresh_rejected(&token).await });
        second.block_on(async { sleep(Duration::from_millis(20)).await });
        drop(first);
        let since = Instant::now();
        // Who waits from elsewhere is not left alone.
        let error = second.block_on(joins).unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(second.block_on(waits).is_err(), "its task ended with its runtime");
        assert!(since.elapsed() < Duration::from_millis(100), "{:?}", since.elapsed());

        world.emulator.clear_faults();
        let token = second.block_on(world.session.access_token()).unwrap();
        assert!(world.emulator.is_live_access_token(token.expose()));
        // The answer to the first refresh was lost, and the server forgave that.
        assert_eq!(world.emulator.grace_refreshes(), 1);
        second.block_on(world.session.flush()).unwrap();
        world.assert_nothing_lost();
    }
}

/// Like a crash, too, in that other processes get the lock.
#[test]
fn a_runtime_that_ends_releases_the_lock() {
    let (first, second) = (multi_thread(), current_thread());
    let world = second.block_on(World::graceful());
    world.delay(100);
    let (session, token) = (world.session.clone(), world.token.clone());
    first.spawn(async move { session.refresh_rejected(&token).await });
    second.block_on(async { assert!(eventually(|| world.emulator.requests().len() == 1).await) });
    drop(first);
    world.emulator.clear_faults();
    assert!(!world.store.is_locked(ADA), "no other process gets at the session");
    let token = second.block_on(world.another_process().refresh_rejected(&world.token)).unwrap();
    // Nor does the first one think that it still has it.
    assert_eq!(second.block_on(world.session.access_token()).unwrap().expose(), token.expose());
    world.assert_nothing_lost();
}

/// A store whose unlocking takes its time, and a runtime that ends meanwhile: the lock of an unsaved pair is gone, and
/// the session does not go on believing that it has it.
#[test]
fn a_runtime_that_ends_during_an_unlock_retains_no_lock() {
    let last = current_thread();
    for what in 0..4 {
        let world = last.block_on(World::new());
        world.store.trouble(Trouble::FullAfterIntent);
        last.block_on(world.session.refresh_rejected(&world.token)).unwrap();
        assert!(world.session.save_error().is_some());
        world.store.trouble(Trouble::StuckInUnlock);
        let first = current_thread();
        assert!(first.block_on(async { timeout(Duration::from_millis(20), world.session.flush()).await }).is_err());
        drop(first);
        world.store.repair();
        assert!(!world.store.is_locked(ADA));
        last.block_on(async {
            match what {
                0 => world.session.flush().await.unwrap(),
                1 => world.session.sign_out().await.unwrap(),
                2 => world.session.forget().await.unwrap(),
                _ => world.session.start(&tokens(&world.emulator)).await.unwrap(),
            }
        });
        assert!(world.session.save_error().is_none());
        assert!(!world.store.is_locked(ADA));
        assert_eq!(world.emulator.replays(), 0);
    }
}

/// A task that panics while it saves costs no tokens that are in memory alone, and not their lock.
#[tokio::test]
async fn a_panic_in_a_flush_keeps_the_unsaved_pair() {
    let world = World::new().await;
    world.store.trouble(Trouble::FullAfterIntent);
    let token = world.session.refresh_rejected(&world.token).await.unwrap();
    world.store.trouble(Trouble::PanicInSave);
    assert_eq!(world.session.flush().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(world.session.save_error().is_some(), "the new pair is lost");
    assert!(world.store.is_locked(ADA), "others may send the spent token");
    world.store.repair();
    world.session.flush().await.unwrap();
    assert_eq!(world.session.access_token().await.unwrap().expose(), token.expose());
    world.assert_nothing_lost();
}

/// A sign-out that a runtime's end breaks off costs no tokens that are in memory alone, and not their lock.
#[test]
fn a_runtime_that_ends_during_a_sign_out_keeps_the_unsaved_pair() {
    let (first, last) = (multi_thread(), current_thread());
    let world = last.block_on(World::new());
    world.store.trouble(Trouble::FullAfterIntent);
    let token = last.block_on(world.session.refresh_rejected(&world.token)).unwrap();
    world.store.trouble(Trouble::StuckInLoad);
    let session = world.session.clone();
    let loads = world.store.counts().loads;
    first.spawn(async move { session.sign_out().await });
    assert!(last.block_on(eventually(|| world.store.counts().loads > loads)));
    drop(first);
    assert!(world.session.save_error().is_some(), "the new pair is lost");
    assert!(world.store.is_locked(ADA), "others may send the spent token");
    world.store.repair();
    assert_eq!(last.block_on(world.session.access_token()).unwrap().expose(), token.expose());
    last.block_on(world.session.flush()).unwrap();
    world.assert_nothing_lost();
}

/// Once a sign-out has left its mark, the end of its runtime does not bring the token back.
#[test]
fn a_runtime_that_ends_does_not_undo_a_sign_out() {
    for unsaved in [false, true] {
        let (first, last) = (multi_thread(), current_thread());
        let world = last.block_on(World::new());
        if unsaved {
            world.store.trouble(Trouble::FullAfterIntent);
            last.block_on(world.session.refresh_rejected(&world.token)).unwrap();
            world.store.repair();
        }
        let before = world.emulator.requests().len();
        world.emulator.fault_times(Operation::Revoke, Fault::Delay(Duration::from_millis(200)), 1);
        let session = world.session.clone();
        first.spawn(async move { session.sign_out().await });
        assert!(last.block_on(eventually(|| world.emulator.requests().len() > before)));
        drop(first);
        let result = last.block_on(world.session.access_token());
        assert_eq!(result.expect_err("a token after a sign-out").kind(), ErrorKind::SignInRequired);
        last.block_on(world.session.sign_out()).unwrap();
        assert_eq!((world.emulator.live_logins(), world.emulator.replays()), (0, 0));
        assert!(world.store.is_empty() && !world.store.is_locked(ADA) && world.session.save_error().is_none());
    }
}

/// A runtime ends at any point of a refresh, over and over again: the session always goes on.
#[test]
fn a_session_outlives_its_runtimes() {
    let last = current_thread();
    let world = last.block_on(World::graceful());
    world.delay(1);
    let mut token = world.token.clone();
    for round in 0..60 {
        let runtime = multi_thread();
        let (session, dead) = (world.session.clone(), token.clone());
        runtime.spawn(async move { session.refresh_rejected(&dead).await });
        std::thread::sleep(Duration::from_micros(round * 7919 % 6000));
        runtime.shutdown_background();
        let patience = Instant::now() + Duration::from_secs(2);
        token = loop {
            match last.block_on(world.session.refresh_rejected(&token)) {
                Ok(token) => break token,
                // What was broken off is tried again.
                Err(error) => assert!(error.kind() == ErrorKind::Unavailable && Instant::now() < patience, "{error:?}"),
            }
        };
        assert!(world.emulator.is_live_access_token(token.expose()));
    }
    last.block_on(world.session.flush()).unwrap();
    world.assert_nothing_lost();
    assert_eq!(world.emulator.live_logins(), 1);
}

/// Its task ends. Whoever waits for it gets an error, and the next call works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_the_store_leaves_no_caller_waiting() {
    for trouble in [Trouble::PanicInLock, Trouble::PanicInLoad, Trouble::PanicInSave] {
        let world = World::graceful().await;
        world.delay(50);
        world.store.trouble(trouble);
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (session, token) = (world.session.clone(), world.token.clone());
            tasks.spawn(async move { session.refresh_rejected(&token).await });
        }
        let results = timeout(Duration::from_secs(5), tasks.join_all()).await.expect("nobody waits for ever");
        for result in results {
            let error = result.expect_err("nobody has got a token");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{trouble:?}: {error:?}");
        }
        world.store.repair();
        world.emulator.clear_faults();
        // Of a pair that could not be stored the lock is retained, so that no other process sends what was consumed.
        let unsaved = matches!(trouble, Trouble::PanicInSave);
        assert_eq!(world.store.is_locked(ADA), unsaved, "{trouble:?}");
        assert_eq!(world.session.save_error().is_some(), unsaved, "{trouble:?}");
        let token = world.session.access_token().await.unwrap();
        assert!(world.emulator.is_live_access_token(token.expose()) && token.expose() != world.token.expose());
        world.session.flush().await.unwrap();
        world.assert_nothing_lost();
    }
}

/// It takes its own task along, and nothing else.
#[tokio::test]
async fn a_panic_in_a_callback_ends_its_own_task_only() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let world = World::with(Emulator::start().unwrap(), |builder| {
        builder.on_event(move |_, event| {
            if let SessionEvent::Refreshed = event {
                counted.fetch_add(1, Ordering::SeqCst);
                panic!("the callback panics");
            }
        })
    })
    .await;
    let token = world.session.refresh_rejected(&world.token).await.unwrap();
    let next = world.session.refresh_rejected(&token).await.unwrap();
    assert!(world.emulator.is_live_access_token(next.expose()) && next.expose() != token.expose());
    assert!(eventually(|| calls.load(Ordering::SeqCst) == 2).await);
    world.assert_nothing_lost();
}

/// A store whose unlocking takes a request gets to make it.
#[tokio::test]
async fn locks_are_released_by_an_awaited_unlock() {
    let world = World::new().await;
    let token = world.session.refresh_rejected(&world.token).await.unwrap();
    world.store.trouble(Trouble::FullAfterIntent);
    world.session.refresh_rejected(&token).await.unwrap();
    assert!(world.session.save_error().is_some());
    let counts = world.store.counts();
    assert_eq!((counts.locks, counts.unlocks), (3, 2), "the lock of an unsaved pair is kept");
    world.store.repair();
    world.session.flush().await.unwrap();
    world.session.sign_out().await.unwrap();
    let counts = world.store.counts();
    assert_eq!((counts.locks, counts.unlocks), (4, 4));
}

/// Without tokio's clock and sockets nothing works, but nobody waits for ever, and nothing is lost.
#[test]
fn a_runtime_without_drivers_loses_nothing() {
    let whole = current_thread();
    let world = whole.block_on(World::graceful());
    let bare = Builder::new_current_thread().build().unwrap();
    let error = bare.block_on(world.session.refresh_rejected(&world.token)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Configuration), "{error:?}");
    let token = whole.block_on(world.session.access_token()).unwrap();
    assert!(world.emulator.is_live_access_token(token.expose()));
    world.assert_nothing_lost();
}

/// Each request of a runtime that is built, used for one token, and dropped at once.
#[test]
fn short_runtimes_lose_nothing() {
    const PROGRAMS: u64 = 100;
    let world = current_thread().block_on(World::new());
    let mut token = world.token.clone();
    for _ in 0..PROGRAMS {
        let runtime = current_thread();
        token = runtime.block_on(world.another_process().refresh_rejected(&token)).unwrap();
        drop(runtime);
        world.assert_nothing_lost();
    }
    assert_eq!(world.emulator.refreshes(), PROGRAMS);
}
