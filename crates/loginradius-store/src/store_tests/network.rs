//! Bad networks: replies that are lost, and statements that arrive late.

use std::time::Duration;

use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use super::common::{
    EXCLUSIVE, FIRST, FREE, KEPT, SECOND, broken, damaged, generation, is_same, keep, keep_done, keep_done_as,
    keep_nothing, keep_stored, outcome, session, some, take, take_within_as, try_lock,
};
use super::leases::patience;
use crate::store::{AsyncSessionLock, AsyncSessionStore};

/// How the tests of [`check_network`](super::check_network) disturb what is sent between a store and its storage.
///
/// A *statement* here is whatever the store sends: a SQL statement, a script, a call. If the store sends several for
/// one operation, the first is meant. Pass over the statements that renew leases, or little is tested. The methods are
/// `async fn`s for blocking stores too, and block there.
///
/// ```
/// use loginradius_store::store_tests;
/// # mod proxy {
/// #     #[derive(Clone, Copy)]
/// #     pub enum Fault { CloseBeforeReply, HoldBack }
/// #     pub struct Proxy;
/// #     impl Proxy {
/// #         pub fn strike_next(&self, _: Fault) {}
/// #         pub fn restore(&self) -> usize { 1 }
/// #     }
/// # }
/// # use proxy::{Fault, Proxy};
///
/// struct Proxies(Proxy); // between the store and its database
///
/// impl store_tests::NetworkHooks for Proxies {
///     async fn lose_reply(&self, _storage: &str) {
///         self.0.strike_next(Fault::CloseBeforeReply);
///     }
///
///     async fn hold_back(&self, _storage: &str) {
///         self.0.strike_next(Fault::HoldBack);
///     }
///
///     async fn restore(&self, _storage: &str) -> usize {
///         self.0.restore()
///     }
/// }
/// ```
pub trait NetworkHooks {
    /// Lets the next statement arrive, and loses its reply: the connection breaks, or the store waits in vain.
    fn lose_reply(&self, storage: &str) -> impl Future<Output = ()>;

    /// Holds back the next statement until [`restore`](Self::restore), so that the store gives it up. Later statements
    /// arrive before it.
    fn hold_back(&self, storage: &str) -> impl Future<Output = ()>;

    /// Ends the disturbance: lets arrive what was held back, and waits until it was done or refused. Returns how many
    /// statements lost their reply or were held back since the last call.
    fn restore(&self, storage: &str) -> impl Future<Output = usize>;
}

pub(super) async fn check_all<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl NetworkHooks,
) {
    a_lost_reply_is_settled(open, hooks).await;
    a_load_without_a_reply_is_not_nothing(open, hooks).await;
    a_lock_without_a_reply_is_free_again(open, length, hooks).await;
    an_unlock_without_a_reply_is_done(open, length, hooks).await;
    a_late_write_changes_nothing(open, hooks).await;
    a_late_lock_or_unlock_changes_nothing(open, length, hooks).await;
}

const SETTLED: &str = "a save or clear without a reply is `Ok`, or `Unknown`";
const SHOWN: &str = "after a save or clear without a reply, a load under the same lock shows what was done";
const FAILED_LOAD: &str = "a load without a reply is the record, or `Failed`";
const UNBLOCKED: &str = "a lock or unlock without a reply leaves the lock free within the length of a lease";
const LATE: &str = "a statement that arrives late changes nothing that is saved or held since";
const LATE_AFTER_UNLOCK: &str = "a statement that arrives after the unlock changes nothing";

/// A change of a record.
#[derive(Clone, Copy, Debug)]
enum Write {
    First,
    Next,
    OverDamaged,
    Clear,
}

impl Write {
    const ALL: [Self; 4] = [Self::First, Self::Next, Self::OverDamaged, Self::Clear];

    /// Returns what is stored before, and after it was done.
    fn records(self) -> (Option<StoredRecord>, Option<StoredRecord>) {
        let (before, after) = (session(FIRST, "before"), session(SECOND, "after"));
        match self {
            Self::First => (None, Some(after)),
            Self::Next | Self::OverDamaged => (Some(before), Some(after)),
            Self::Clear => (Some(before), None),
        }
    }

    /// Makes the change, and returns its outcome, unless it is a broken promise.
    async fn run(self, lock: &mut dyn AsyncSessionLock) -> Result<(), SaveError> {
        let (before, after) = self.records();
        let expected = match (self, &before) {
            (Self::OverDamaged, Some(before)) => damaged(before),
            (_, before) => expected(before),
        };
        let outcome = match &after {
            Some(after) => lock.save(after, expected).await,
            None => lock.clear(expected).await,
        };
        match outcome {
            Ok(()) | Err(SaveError::Unknown(_)) => outcome,
            other => broken(SETTLED, &format!("{self:?}: it returned `{other:?}`")),
        }
    }
}

async fn a_lost_reply_is_settled<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, hooks: &impl NetworkHooks) {
    let storage = "lost";
    let (one, other) = (open(storage), open(storage));
    for write in Write::ALL {
        for round in 1..=2 {
            let name = format!("{write:?} {round}");
            let mut lock = begin(&one, &name, write).await;
            hooks.lose_reply(storage).await;
            let _ = write.run(lock.as_mut()).await;
            restored(hooks, storage).await;

            let (_, after) = write.records();
            keep_found(&load(lock.as_mut()).await, &after, SHOWN, &name);
            let next = session(SECOND + 1, "next");
            keep_done_as(SHOWN, lock.save(&next, expected(&after)).await, &format!("{name}: a save over that"));
            lock.unlock().await;
            let mut lock = take(&other, &name).await;
            keep_stored(lock.load().await, &next, KEPT, "after a lost reply");
            lock.unlock().await;
        }
    }
}

async fn a_load_without_a_reply_is_not_nothing<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    hooks: &impl NetworkHooks,
) {
    let storage = "loads";
    let store = open(storage);
    let record = session(FIRST, "first");
    let mut lock = take(&store, "default").await;
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    hooks.lose_reply(storage).await;
    let found = lock.load().await;
    restored(hooks, storage).await;
    if !matches!(found, Err(LoadError::Failed(_))) {
        keep_stored(found, &record, FAILED_LOAD, "its reply was lost");
    }
    keep_found(&load(lock.as_mut()).await, &Some(record), KEPT, "after the lost reply of a load");
    lock.unlock().await;
}

async fn a_lock_without_a_reply_is_free_again<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl NetworkHooks,
) {
    let storage = "lost-locks";
    let (one, other) = (open(storage), open(storage));
    let record = session(FIRST, "first");
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    lock.unlock().await;

    hooks.lose_reply(storage).await;
    let taken = one.try_lock("default").await;
    restored(hooks, storage).await;
    let mut lock = match taken {
        Ok(Some(lock)) => lock,
        Ok(None) | Err(_) => unblocked(&one, length, "a lock").await,
    };
    keep(try_lock(&other, "default").await.is_none(), EXCLUSIVE, "another handle got it after a lost reply");
    keep_stored(lock.load().await, &record, KEPT, "under a lock after a lost reply");
    let next = session(SECOND, "next");
    keep_done(lock.save(&next, generation(&record)).await, "a save under a lock after a lost reply");
    lock.unlock().await;
    some(try_lock(&other, "default").await, FREE, "after a lost reply").unlock().await;
}

async fn an_unlock_without_a_reply_is_done<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl NetworkHooks,
) {
    let storage = "lost-unlocks";
    let (one, other) = (open(storage), open(storage));
    let record = session(FIRST, "first");
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    hooks.lose_reply(storage).await;
    lock.unlock().await;
    restored(hooks, storage).await;
    let mut lock = unblocked(&other, length, "an unlock").await;
    keep_stored(lock.load().await, &record, KEPT, "after an unlock without a reply");
    lock.unlock().await;
}

/// When a save or clear arrives that the store has given up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Arrival {
    AfterASave,
    AfterTheUnlock,
    UnderAnotherLock,
    AfterAnothersSave,
}

async fn a_late_write_changes_nothing<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, hooks: &impl NetworkHooks) {
    use Arrival::{AfterASave, AfterAnothersSave, AfterTheUnlock, UnderAnotherLock};
    let storage = "late";
    let (one, other) = (open(storage), open(storage));
    for write in Write::ALL {
        for arrival in [AfterASave, AfterTheUnlock, UnderAnotherLock, AfterAnothersSave] {
            let name = format!("{write:?} {arrival:?}");
            let mut lock = begin(&one, &name, write).await;
            hooks.hold_back(storage).await;
            let outcome = write.run(lock.as_mut()).await;
            let mut stored = load(lock.as_mut()).await;
            let (before, after) = write.records();
            if outcome.is_ok() || !is_same_as(&stored, &before) {
                keep_found(&stored, &after, SHOWN, &name);
            }
            if arrival != AfterASave {
                lock.unlock().await;
                if arrival == AfterTheUnlock {
                    restored(hooks, storage).await;
                }
                lock = some(try_lock(&other, &name).await, FREE, &format!("{name}: another handle did not get it"));
                keep_found(&load(lock.as_mut()).await, &stored, LATE_AFTER_UNLOCK, &name);
            }
            if arrival == UnderAnotherLock {
                restored(hooks, storage).await;
                keep_found(&load(lock.as_mut()).await, &stored, LATE, &name);
            }
            let next = session(SECOND + 1, "next");
            keep_done_as(LATE, lock.save(&next, expected(&stored)).await, &format!("{name}: the save of the holder"));
            stored = Some(next);
            if matches!(arrival, AfterASave | AfterAnothersSave) {
                restored(hooks, storage).await;
            }
            keep_found(&load(lock.as_mut()).await, &stored, LATE, &name);
            let last = session(SECOND + 3, "last");
            keep_done_as(LATE, lock.save(&last, expected(&stored)).await, &format!("{name}: the last save"));
            lock.unlock().await;
        }
    }
}

async fn a_late_lock_or_unlock_changes_nothing<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl NetworkHooks,
) {
    let storage = "late-locks";
    let (one, other) = (open(storage), open(storage));
    let mut stored = session(FIRST, "first");
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&stored, Expected::Nothing).await, "the first save");
    for what in ["a late unlock", "a late lock", "a late lock after the unlock"] {
        if what == "a late unlock" {
            hooks.hold_back(storage).await;
            lock.unlock().await;
        } else {
            lock.unlock().await;
            hooks.hold_back(storage).await;
            if let Ok(Some(lock)) = one.try_lock("default").await {
                lock.unlock().await;
            }
        }
        let mut next = unblocked(&other, length, what).await;
        keep_stored(next.load().await, &stored, LATE, what);
        if what == "a late lock after the unlock" {
            next.unlock().await;
            restored(hooks, storage).await;
            next = unblocked(&other, length, what).await;
        } else {
            restored(hooks, storage).await;
        }
        keep(try_lock(&one, "default").await.is_none(), LATE, &format!("{what}: its holder's lock was free"));
        let new = session(stored.generation() + 1, what);
        keep_done_as(LATE, next.save(&new, generation(&stored)).await, &format!("{what}: the save of the holder"));
        stored = new;
        next.unlock().await;
        lock = unblocked(&one, length, what).await;
        keep_stored(lock.load().await, &stored, KEPT, what);
    }
    lock.unlock().await;
}

/// Takes a lock, and saves what is there before the change.
async fn begin<S: AsyncSessionStore>(store: &S, name: &str, write: Write) -> Box<dyn AsyncSessionLock> {
    let mut lock = take(store, name).await;
    match write.records() {
        (Some(before), _) => keep_done(lock.save(&before, Expected::Nothing).await, "the first save"),
        (None, _) => keep_nothing(lock.load().await, "where nothing was saved, there is nothing", name),
    }
    lock
}

async fn restored(hooks: &impl NetworkHooks, storage: &str) {
    let struck = hooks.restore(storage).await;
    assert!(struck > 0, "the hooks struck no statement in the storage {storage:?}: these tests would test nothing");
}

async fn unblocked<S: AsyncSessionStore>(store: &S, length: Duration, what: &str) -> Box<dyn AsyncSessionLock> {
    take_within_as(UNBLOCKED, patience(length), store, "default", what).await
}

/// Loads the record, and tries again up to twice, because the store may have to connect again.
async fn load(lock: &mut dyn AsyncSessionLock) -> Option<StoredRecord> {
    for _ in 0..2 {
        if let Ok(found) = lock.load().await {
            return found;
        }
    }
    lock.load().await.unwrap_or_else(|error| broken(SHOWN, &outcome(&Err(error))))
}

fn expected(stored: &Option<StoredRecord>) -> Expected {
    stored.as_ref().map_or(Expected::Nothing, generation)
}

fn is_same_as(found: &Option<StoredRecord>, expected: &Option<StoredRecord>) -> bool {
    match (found, expected) {
        (Some(found), Some(expected)) => is_same(found, expected),
        (found, expected) => found.is_none() && expected.is_none(),
    }
}

#[track_caller]
fn keep_found(found: &Option<StoredRecord>, expected: &Option<StoredRecord>, promise: &str, what: &str) {
    if !is_same_as(found, expected) {
        let show = |record: &Option<StoredRecord>| record.as_ref().map(StoredRecord::generation);
        broken(promise, &format!("{what}: the generation is {:?}, not {:?}", show(found), show(expected)));
    }
}
