//! Files in async code, beyond what the store tests check.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loginradius_proto::ErrorKind;
use loginradius_store::{AsyncSessionLock, AsyncSessionStore, Expected, FileStore, LoadError, SaveError, SessionStore};
use tokio::runtime::Builder;

use crate::record;

async fn lock(store: &FileStore) -> Box<dyn AsyncSessionLock> {
    AsyncSessionStore::try_lock(store, "default").await.unwrap().expect("the lock is free")
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let Poll::Ready(Err(error)) = poll_once(AsyncSessionStore::try_lock(&store, "default")) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("needs a tokio runtime"), "{error}");

    let mut held = Builder::new_current_thread().build().unwrap().block_on(lock(&store));
    let Poll::Ready(Err(LoadError::Failed(_))) = poll_once(held.load()) else { panic!() };
    let saved = poll_once(held.save(&record(1, "t"), Expected::Nothing));
    let Poll::Ready(Err(SaveError::Failed(_))) = saved else { panic!() };
    let Poll::Ready(Err(SaveError::Failed(_))) = poll_once(held.clear(Expected::Nothing)) else { panic!() };
    assert!(poll_once(held.unlock()).is_ready());
    Builder::new_current_thread().build().unwrap().block_on(lock(&store));
}

/// What was not begun stays in the runtime's queue: it may run as soon as there is a thread.
#[test]
fn where_no_thread_can_be_started_it_is_an_error_and_a_save_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let runtime = Builder::new_current_thread().build().unwrap();
    // No address space has room for such a stack.
    let without_threads = Builder::new_current_thread().thread_stack_size(1 << 46).build().unwrap();
    let mut held = runtime.block_on(lock(&store));
    without_threads.block_on(async {
        let Err(error) = AsyncSessionStore::try_lock(&store, "other").await else { panic!("a lock without a thread") };
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true));
        assert!(error.to_string().contains("no thread could be started"), "{error}");
        assert!(matches!(held.load().await, Err(LoadError::Failed(_))));
        assert!(matches!(held.save(&record(1, "t"), Expected::Nothing).await, Err(SaveError::Unknown(_))));
        assert!(matches!(held.clear(Expected::Nothing).await, Err(SaveError::Unknown(_))));
        assert_eq!(AsyncSessionStore::peek(&store, "default").await, None);
        held.unlock().await;
    });
    drop(without_threads);
    runtime.block_on(async {
        assert!(lock(&store).await.load().await.unwrap().is_none());
    });
}

/// Also if the thread for blocking work has something else to do for a while.
#[test]
fn a_save_whose_future_was_dropped_runs_to_its_end_before_the_lock_is_free() {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        for generation in 1..20 {
            let mut held = lock(&store).await;
            let (release, wait) = std::sync::mpsc::channel();
            let busy = tokio::task::spawn_blocking(move || wait.recv().unwrap());
            let expected = if generation > 1 { Expected::Generation(generation - 1) } else { Expected::Nothing };
            assert!(poll_once(held.save(&record(generation, "t"), expected)).is_pending());
            if generation % 2 == 0 {
                let mut unlocking = held.unlock();
                assert!(poll_once(&mut unlocking).is_pending(), "the save is not done yet");
                release.send(()).unwrap();
                unlocking.await;
                assert!(SessionStore::try_lock(&store, "default").unwrap().is_some());
            } else {
                drop(held);
                let other = FileStore::open(folder.path()).unwrap();
                assert!(SessionStore::try_lock(&other, "default").unwrap().is_none());
                release.send(()).unwrap();
                while SessionStore::try_lock(&other, "default").unwrap().is_none() {
                    std::thread::yield_now();
                }
            }
            busy.await.unwrap();
            assert_eq!(AsyncSessionStore::peek(&store, "default").await, Some(record(generation, "t")));
            let found = lock(&store).await.load().await.unwrap().unwrap();
            assert_eq!(found.generation(), generation);
        }
    });
}

/// What waited in the queue of a runtime that shuts down is not half done.
#[test]
fn a_runtime_that_shuts_down_leaves_the_old_or_the_new_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let mut held = runtime.block_on(async {
        let mut held = lock(&store).await;
        held.save(&record(1, "t"), Expected::Nothing).await.unwrap();
        // The save waits behind this, and is begun or not when the runtime ends.
        drop(tokio::task::spawn_blocking(|| std::thread::sleep(std::time::Duration::from_millis(50))));
        assert!(poll_once(held.save(&record(2, "t"), Expected::Generation(1))).is_pending());
        held
    });
    drop(runtime);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let found = held.load().await.unwrap().unwrap();
        assert!([1, 2].contains(&found.generation()));
        held.unlock().await;
        lock(&store).await;
    });
}
