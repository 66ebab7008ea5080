//! Files in async code, beyond what the kit checks.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loginradius_proto::ErrorKind;
use loginradius_store::{AsyncLockedSession, AsyncTokenStore, FileStore, LoadOutcome, SaveOutcome};
use tokio::runtime::Builder;

use crate::{record, saved};

async fn lock(store: &FileStore) -> Box<dyn AsyncLockedSession> {
    AsyncTokenStore::try_lock(store, "default").await.unwrap().expect("the lock is free")
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).unwrap();
    let Poll::Ready(Err(error)) = poll_once(AsyncTokenStore::try_lock(&store, "default")) else { panic!() };
    assert_eq!(error.kind(), ErrorKind::Settings);
    assert!(error.to_string().contains("needs a tokio runtime"), "{error}");

    let mut locked = Builder::new_current_thread().build().unwrap().block_on(lock(&store));
    let Poll::Ready(LoadOutcome::Failed(_)) = poll_once(locked.load()) else { panic!() };
    let Poll::Ready(SaveOutcome::Failed(_)) = poll_once(locked.save(&record(1, "t"), None)) else { panic!() };
    let Poll::Ready(SaveOutcome::Failed(_)) = poll_once(locked.clear(None)) else { panic!() };
    assert!(poll_once(locked.unlock()).is_ready());
    Builder::new_current_thread().build().unwrap().block_on(lock(&store));
}

/// Also if the thread for blocking work has something else to do for a while.
#[test]
fn a_save_whose_future_was_dropped_runs_to_its_end_before_the_lock_is_free() {
    let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        for generation in 1..20 {
            let mut locked = lock(&store).await;
            let (go_on, wait) = std::sync::mpsc::channel();
            let busy = tokio::task::spawn_blocking(move || wait.recv().unwrap());
            let expected = (generation > 1).then(|| generation - 1);
            assert!(poll_once(locked.save(&record(generation, "t"), expected)).is_pending());
            if generation % 2 == 0 {
                let mut unlocked = locked.unlock();
                assert!(poll_once(&mut unlocked).is_pending(), "the save is not done yet");
                go_on.send(()).unwrap();
                unlocked.await;
                assert!(loginradius_store::TokenStore::try_lock(&store, "default").unwrap().is_some());
            } else {
                drop(locked);
                let other = FileStore::open(folder.path()).unwrap();
                assert!(loginradius_store::TokenStore::try_lock(&other, "default").unwrap().is_none());
                go_on.send(()).unwrap();
                while loginradius_store::TokenStore::try_lock(&other, "default").unwrap().is_none() {
                    std::thread::yield_now();
                }
            }
            busy.await.unwrap();
            let LoadOutcome::Record(found) = lock(&store).await.load().await else { panic!() };
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
    let mut locked = runtime.block_on(async {
        let mut locked = lock(&store).await;
        saved(locked.save(&record(1, "t"), None).await);
        // The save waits behind this, and is begun or not when the runtime ends.
        drop(tokio::task::spawn_blocking(|| std::thread::sleep(std::time::Duration::from_millis(50))));
        assert!(poll_once(locked.save(&record(2, "t"), Some(1))).is_pending());
        locked
    });
    drop(runtime);
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let LoadOutcome::Record(found) = locked.load().await else { panic!() };
        assert!([1, 2].contains(&found.generation()));
        locked.unlock().await;
        lock(&store).await;
    });
}
