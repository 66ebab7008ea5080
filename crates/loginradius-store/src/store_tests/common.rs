//! What the parts share: promises, records, messages, locks and waits.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use crate::store::{AsyncSessionLock, AsyncSessionStore, BoxFuture};

pub(super) const EXCLUSIVE: &str = "a lock has one holder at a time";
pub(super) const FREE: &str = "a lock that was released is free";
pub(super) const KEPT: &str = "what was saved is loaded, byte for byte and with its generation";
pub(super) const UNCHANGED: &str = "a conflict changes nothing";
pub(super) const CLEARED: &str = "what was cleared is gone";
pub(super) const REPLACED: &str = "a damaged record of the expected generation is replaced";

/// How long a lock may take to become free after it was released or dropped.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// Large generations, which change if a store rounds them.
pub(super) const FIRST: u64 = 0x000f_edcb_a987_6540;
pub(super) const SECOND: u64 = FIRST + 2;

// Records.

/// Makes a record as programs write it. The text is put into JSON as it is, so quotes in it need a backslash.
pub(super) fn session(generation: u64, text: &str) -> StoredRecord {
    let more = format!(r#","refresh_token":"{text}","token_type":"{text}","scope":"{text}","lifetime_ms":600000"#);
    session_with(generation, text, &more)
}

pub(super) fn session_with(generation: u64, text: &str, more: &str) -> StoredRecord {
    let login = format!(r#""client_id":"{text}","sign_in":1,"access_token":"{text}","obtained_at_unix_ms":1000000"#);
    let record = StoredRecord::from_bytes(format!(r#"{{"version":1,"generation":{generation},{login}{more}}}"#));
    assert_eq!(record.generation(), generation, "the store tests made a record that is damaged");
    record
}

pub(super) fn generation(record: &StoredRecord) -> Expected {
    Expected::Generation(record.generation())
}

pub(super) fn damaged(record: &StoredRecord) -> Expected {
    Expected::Damaged(record.generation())
}

/// Returns whether both have the same generation and bytes. A store may add where the record is located.
pub(super) fn is_same(found: &StoredRecord, expected: &StoredRecord) -> bool {
    found.generation() == expected.generation() && found.as_bytes() == expected.as_bytes()
}

// Messages of broken promises.

/// Shortens a name for a message.
pub(super) fn show(name: &str) -> String {
    let length = name.chars().count();
    let start: String = name.chars().take(20).collect();
    if length > 20 { format!("{start:?}... ({length} characters)") } else { format!("{name:?}") }
}

#[track_caller]
pub(super) fn broken(promise: &str, detail: &str) -> ! {
    panic!("this store breaks a promise: {promise} ({detail})")
}

#[track_caller]
pub(super) fn keep(kept: bool, promise: &str, detail: &str) {
    if !kept {
        broken(promise, detail);
    }
}

#[track_caller]
pub(super) fn some<T>(value: Option<T>, promise: &str, detail: &str) -> T {
    value.unwrap_or_else(|| broken(promise, detail))
}

#[track_caller]
pub(super) fn keep_done(outcome: Result<(), SaveError>, what: &str) {
    keep_done_as("what is as expected is changed, without an error", outcome, what);
}

#[track_caller]
pub(super) fn keep_done_as(promise: &str, outcome: Result<(), SaveError>, what: &str) {
    if let Err(error) = outcome {
        broken(promise, &format!("{what}: it returned `{error:?}`"));
    }
}

#[track_caller]
pub(super) fn keep_conflict(outcome: Result<(), SaveError>, promise: &str, what: &str) {
    match outcome {
        Err(SaveError::Conflict) => {}
        other => broken(promise, &format!("{what}: it returned `{other:?}`")),
    }
}

#[track_caller]
pub(super) fn keep_done_or_conflict(outcome: Result<(), SaveError>, what: &str) {
    match outcome {
        Ok(()) | Err(SaveError::Conflict) => {}
        other => broken("what is done already is success or a conflict", &format!("{what}: it returned `{other:?}`")),
    }
}

#[track_caller]
pub(super) fn keep_nothing(found: Result<Option<StoredRecord>, LoadError>, promise: &str, detail: &str) {
    match found {
        Ok(None) => {}
        found => broken(promise, &format!("{detail}: {}", outcome(&found))),
    }
}

#[track_caller]
pub(super) fn keep_stored(
    found: Result<Option<StoredRecord>, LoadError>,
    expected: &StoredRecord,
    promise: &str,
    detail: &str,
) {
    match found {
        Ok(Some(found)) if is_same(&found, expected) => {}
        Ok(Some(found)) => broken(promise, &format!("{detail}: {}", difference(&found, expected))),
        found => broken(promise, &format!("{detail}: {}", outcome(&found))),
    }
}

pub(super) fn difference(found: &StoredRecord, expected: &StoredRecord) -> String {
    let (bytes, expected_bytes) = (found.as_bytes(), expected.as_bytes());
    if bytes == expected_bytes {
        return format!("it had the generation {}, not {}", found.generation(), expected.generation());
    }
    let (length, expected_length) = (bytes.len(), expected_bytes.len());
    let same = bytes.iter().zip(expected_bytes).take_while(|(found, expected)| found == expected).count();
    format!("it had {length} bytes, not {expected_length}, and the first {same} were the same")
}

pub(super) fn outcome(found: &Result<Option<StoredRecord>, LoadError>) -> String {
    match found {
        Ok(Some(_)) => "there was another record".to_owned(),
        Ok(None) => "there was nothing".to_owned(),
        Err(LoadError::Damaged { error, .. }) => format!("it was damaged, which no store judges: {error:?}"),
        Err(LoadError::Failed(error)) => format!("it could not be loaded: {error:?}"),
    }
}

// Locks, waits and futures, on no runtime in particular.

pub(super) async fn try_lock<S: AsyncSessionStore>(store: &S, name: &str) -> Option<Box<dyn AsyncSessionLock>> {
    store.try_lock(name).await.unwrap_or_else(|error| {
        broken("a lock can be taken under every name", &format!("of {}: {error:?}", show(name)))
    })
}

/// Waits for a lock whose last holder has released or dropped it.
pub(super) async fn take<S: AsyncSessionStore>(store: &S, name: &str) -> Box<dyn AsyncSessionLock> {
    take_within(LOCK_TIMEOUT, store, name).await
}

pub(super) async fn take_within<S: AsyncSessionStore>(
    timeout: Duration,
    store: &S,
    name: &str,
) -> Box<dyn AsyncSessionLock> {
    take_within_as("a lock that was released or dropped is free", timeout, store, name, "after that").await
}

pub(super) async fn take_within_as<S: AsyncSessionStore>(
    promise: &str,
    timeout: Duration,
    store: &S,
    name: &str,
    detail: &str,
) -> Box<dyn AsyncSessionLock> {
    let since = Instant::now();
    loop {
        if let Some(lock) = try_lock(store, name).await {
            return lock;
        }
        let detail = format!("{detail}: that of {} was not free for {} ms", show(name), timeout.as_millis());
        keep(since.elapsed() < timeout, promise, &detail);
        pause().await;
    }
}

/// Lets other tasks run. It blocks the thread for a moment, because no timer works on every runtime.
pub(super) async fn pause() {
    thread::sleep(Duration::from_millis(1));
    let mut paused = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(super) async fn poll_and_drop<T>(mut future: BoxFuture<'_, T>, polls: u32) {
    for _ in 0..polls {
        let ended = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if ended {
            return;
        }
        pause().await;
    }
}

/// Runs futures at the same time, on one task.
pub(super) async fn join<F: Future<Output = ()> + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs a future of a [`BlockingStore`], which never waits for anything but [`pause`].
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
