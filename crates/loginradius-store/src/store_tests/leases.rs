//! Leases: how they are renewed and lapse, and what a holder without its lease may change.

use std::time::{Duration, Instant};

use loginradius_proto::session::{Expected, StoredRecord};

use super::common::{
    FIRST, FREE, SECOND, UNCHANGED, broken, damaged, generation, keep, keep_conflict, keep_done, keep_done_as,
    keep_done_or_conflict, keep_nothing, keep_stored, pause, session, some, take, try_lock,
};
use crate::blocking::BlockingStore;
use crate::store::{AsyncSessionLock, AsyncSessionStore};

/// How the tests of [`check_leases`](super::check_leases) make leases lapse.
///
/// The methods are `async fn`s for blocking stores too, and block there.
///
/// ```
/// use loginradius_store::store_tests;
/// # mod table {
/// #     pub struct TableStore;
/// #     impl TableStore { pub fn renewer(&self) -> Renewer { Renewer } }
/// #     pub struct Renewer;
/// #     impl Renewer { pub fn stop(&self) {} }
/// #     pub struct Connection;
/// #     impl Connection { pub fn execute(&self, _: &str, _: &[&[u8]]) -> Result<u64, std::fmt::Error> { Ok(1) } }
/// #     pub fn connect(_: &str) -> Connection { Connection }
/// # }
/// # use table::{TableStore, connect};
///
/// struct Tables;
///
/// impl store_tests::LeaseHooks<TableStore> for Tables {
///     async fn lapse(&self, storage: &str, name: &str) {
///         let lapse = "UPDATE session SET leased_until = '-infinity' WHERE name = $1";
///         connect(storage).execute(lapse, &[name.as_bytes()]).unwrap();
///     }
///
///     async fn stop_renewing(&self, store: &TableStore) {
///         store.renewer().stop();
///     }
/// }
/// ```
///
/// `examples/tests/own_store.rs` has them for SQLite.
pub trait LeaseHooks<S> {
    /// Makes the lease of that name lapse now, as if its holder had been suspended for longer than the lease. It
    /// changes nothing else, and does not tell the holder.
    fn lapse(&self, storage: &str, name: &str) -> impl Future<Output = ()>;

    /// Stops all renewals by this handle for good, and releases nothing, as the death of its process would. The handle
    /// and its locks are not used to load or save after that, so you may also cut the handle off from its database.
    fn stop_renewing(&self, store: &S) -> impl Future<Output = ()>;
}

/// The hooks of a blocking store, for the async store that wraps it.
pub(super) struct BlockingHooks<'a, H>(pub(super) &'a H);

impl<S, H: LeaseHooks<S>> LeaseHooks<BlockingStore<S>> for BlockingHooks<'_, H> {
    async fn lapse(&self, storage: &str, name: &str) {
        self.0.lapse(storage, name).await;
    }

    async fn stop_renewing(&self, store: &BlockingStore<S>) {
        self.0.stop_renewing(&store.0).await;
    }
}

pub(super) async fn check_all<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl LeaseHooks<S>,
) {
    a_lease_is_renewed(open, length).await;
    a_holder_without_its_lease_changes_nothing(open, length, hooks).await;
    a_lease_is_never_given_twice(open, hooks).await;
    a_crash_frees_the_lock(open, length, hooks).await;
}

const FENCED: &str = "a holder whose lease has lapsed changes nothing: its save or clear is a conflict";
const NEXT_WORKS: &str = "the next holder of a lock whose lease has lapsed loads the record, and saves and clears";
const NOT_RELEASED: &str = "a holder whose lease has lapsed does not release the lock of the next one";
const RENEWED: &str = "a lock is held until it is released: its lease is renewed without a call";
const SAYS_HELD: &str = "`is_held` is true as long as the lease is renewed";
const SAYS_LOST: &str = "`is_held` is false once less than half of the lease is left, or another holder has it";
const FREE_AFTER_CRASH: &str = "a lock whose holder has died is free within the length of a lease";

/// How long after a lease's length a lock may still not be free, on a slow machine.
pub(super) fn patience(length: Duration) -> Duration {
    length + length / 2 + Duration::from_millis(500)
}

async fn a_holder_without_its_lease_changes_nothing<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl LeaseHooks<S>,
) {
    let storage = "lapses";
    let one = open(storage);
    // So that the two do not renew at the same moments.
    sleep(length / 7).await;
    let other = open(storage);
    for (name, is_dropped) in [("unlocked", false), ("dropped", true)] {
        let (first, second) = (session(FIRST, "first"), session(SECOND, "of the lost lease"));
        let mut lost = take(&one, name).await;
        keep_done(lost.save(&first, Expected::Nothing).await, "the first save");
        sleep(length / 7).await;
        let mut lock = take_lapsed(hooks, storage, &other, name).await;
        keep_fenced(lost.as_mut(), &second, &first, lock.as_mut()).await;
        keep_stored(lock.load().await, &first, NEXT_WORKS, "loaded by the next holder");
        // The renewals of the lost lease go on meanwhile.
        let mut stored = first.clone();
        for number in 1..=10 {
            keep_held(&one, &[name], length / 10, NEXT_WORKS).await;
            let next = session(SECOND + number, "of the next holder");
            let detail = format!("the save number {number} of the next holder");
            keep_done_as(NEXT_WORKS, lock.save(&next, generation(&stored)).await, &detail);
            stored = next;
        }
        keep(!lost.is_held(), SAYS_LOST, "after another one had the lock for the length of a lease");
        keep_fenced(lost.as_mut(), &second, &stored, lock.as_mut()).await;
        // What is already stored: the store may return success or a conflict.
        keep_done_or_conflict(lost.save(&stored, generation(&first)).await, "the save of what is stored");
        keep_stored(lock.load().await, &stored, UNCHANGED, "of a holder whose lease has lapsed");

        if is_dropped {
            drop(lost);
        } else {
            lost.unlock().await;
        }
        keep_held(&one, &[name], length, NOT_RELEASED).await;
        let next = session(SECOND + 20, "of the next holder again");
        keep_done_as(NOT_RELEASED, lock.save(&next, generation(&stored)).await, "a save of the next holder");
        stored = next;
        lock.unlock().await;
        let mut lock = take(&one, name).await;
        keep_stored(lock.load().await, &stored, NEXT_WORKS, "loaded after the next holder");
        lock.unlock().await;
    }

    // After the next holder has released the lock as well, and with nothing stored.
    let mut lost = take(&one, "released").await;
    let stored = session(FIRST, "first");
    keep_done(lost.save(&stored, Expected::Nothing).await, "the first save");
    let lock = take_lapsed(hooks, storage, &other, "released").await;
    lock.unlock().await;
    let late = lost.save(&session(SECOND, "late"), generation(&stored)).await;
    keep_conflict(late, FENCED, "a save after the next holder had released the lock");
    let late = lost.clear(generation(&stored)).await;
    keep_conflict(late, FENCED, "a clear after the next holder had released the lock");
    lost.unlock().await;
    let mut lock = some_at_once(&one, "released", "after two holders had released it").await;
    keep_stored(lock.load().await, &stored, UNCHANGED, "of a holder whose lease has lapsed");
    keep_done_as(NEXT_WORKS, lock.clear(generation(&stored)).await, "a clear");
    lock.unlock().await;
}

/// Tries every change as a holder without its lease.
async fn keep_fenced(
    lost: &mut dyn AsyncSessionLock,
    new: &StoredRecord,
    stored: &StoredRecord,
    lock: &mut dyn AsyncSessionLock,
) {
    for expected in [generation(stored), damaged(stored)] {
        keep_conflict(lost.save(new, expected).await, FENCED, &format!("a save that expected {expected:?}"));
        keep_stored(lock.load().await, stored, FENCED, &format!("after a save that expected {expected:?}"));
        keep_conflict(lost.clear(expected).await, FENCED, &format!("a clear that expected {expected:?}"));
        keep_stored(lock.load().await, stored, FENCED, &format!("after a clear that expected {expected:?}"));
    }
}

/// If fencing tokens were counted from 1 in each new row, the first holder's would be given to a later one.
async fn a_lease_is_never_given_twice<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, hooks: &impl LeaseHooks<S>) {
    let storage = "leases";
    let (one, other) = (open(storage), open(storage));
    let mut lost = take(&one, "default").await;
    take_lapsed(hooks, storage, &other, "default").await.unlock().await;
    for round in 1..=4 {
        let mut lock = take(&other, "default").await;
        let late = lost.save(&session(FIRST, "late"), Expected::Nothing).await;
        keep_conflict(late, FENCED, &format!("a save under the lock number {round} after its own"));
        keep_nothing(lock.load().await, FENCED, "nothing was stored before");
        lock.unlock().await;
    }
    lost.unlock().await;
}

async fn a_lease_is_renewed<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, length: Duration) {
    let storage = "renewals";
    let (one, other) = (open(storage), open(storage));
    let mut first = take(&one, "first").await;
    let mut held_for = 0;
    let record = session(FIRST, "first");
    keep_done(first.save(&record, Expected::Nothing).await, "the first save");
    sleep(length / 5).await;
    let second = take(&one, "second").await;
    // The handle ends before its lock.
    let third = take(&open(storage), "third").await;
    for tenth in 1..=20 {
        keep_held(&other, &["first", "second", "third"], length / 10, RENEWED).await;
        if first.is_held() {
            held_for = tenth;
        }
    }
    // One renewal may have been late.
    keep(held_for > 15, SAYS_HELD, &format!("it was last true after {held_for} tenths of a lease's length, of 20"));
    // The others' renewals go on.
    second.unlock().await;
    let fourth = some_at_once(&other, "second", "from another handle").await;
    keep_held(&other, &["first", "third"], length * 2, RENEWED).await;
    keep_held(&one, &["second"], length / 2, RENEWED).await;
    let next = session(SECOND, "second");
    keep_done_as(RENEWED, first.save(&next, generation(&record)).await, "a save after some lengths of the lease");
    keep_stored(first.load().await, &next, RENEWED, "loaded after some lengths of the lease");
    for lock in [first, third, fourth] {
        lock.unlock().await;
    }
    // Nor are they renewed after that.
    sleep(length / 2).await;
    for name in ["first", "second", "third"] {
        some_at_once(&other, name, "some time after it was released").await.unlock().await;
    }
}

async fn a_crash_frees_the_lock<S: AsyncSessionStore>(
    open: &impl Fn(&str) -> S,
    length: Duration,
    hooks: &impl LeaseHooks<S>,
) {
    let storage = "crashes";
    let (earlier, other) = (open(storage), open(storage));
    for (name, is_renewed) in [("at once", false), ("after a renewal", true)] {
        // The handle of this lock continues, and must not renew the lease of the next holder.
        let lost = take(&earlier, name).await;
        let one = open(storage);
        let mut dead = take_lapsed(hooks, storage, &one, name).await;
        let record = session(FIRST, "first");
        keep_done(dead.save(&record, Expected::Nothing).await, "the first save");
        if is_renewed {
            keep_held(&other, &[name], length, RENEWED).await;
        }
        hooks.stop_renewing(&one).await;
        let since = Instant::now();
        let limit = patience(length);
        let mut last_held = None;
        let mut lock = loop {
            let now = Instant::now();
            if dead.is_held() {
                last_held = Some(now);
            }
            if let Some(lock) = try_lock(&other, name).await {
                break lock;
            }
            let detail = format!("of one that has died {name}: it was not after {} ms", limit.as_millis());
            keep(since.elapsed() < limit, FREE_AFTER_CRASH, &detail);
            pause().await;
        };
        keep(!dead.is_held(), SAYS_LOST, "another one has it");
        if let Some(since) = last_held.map(|last_held| last_held.elapsed()) {
            let detail = format!("another one has it, and it was true {} ms ago", since.as_millis());
            // Half of the lease was left, and a busy machine makes this longer.
            keep(since > length * 2 / 5, SAYS_LOST, &detail);
        }
        keep_stored(lock.load().await, &record, "the record of a holder that has died is there", name);
        let next = session(SECOND, "next");
        keep_done_as(NEXT_WORKS, lock.save(&next, generation(&record)).await, "a save after a crash");
        for lock in [lock, lost, dead] {
            lock.unlock().await;
        }
    }
}

/// Takes the lock of a holder whose lease lapses.
async fn take_lapsed<S: AsyncSessionStore>(
    hooks: &impl LeaseHooks<S>,
    storage: &str,
    store: &S,
    name: &str,
) -> Box<dyn AsyncSessionLock> {
    // A renewal may come between the two.
    for _ in 0..50 {
        hooks.lapse(storage, name).await;
        if let Some(lock) = try_lock(store, name).await {
            return lock;
        }
        pause().await;
    }
    broken("a lock whose lease has lapsed is free", "after the hook `lapse`, 50 times")
}

/// Checks for some time that these locks cannot be taken.
async fn keep_held<S: AsyncSessionStore>(store: &S, names: &[&str], time: Duration, promise: &str) {
    let since = Instant::now();
    while since.elapsed() < time {
        for name in names {
            let free = try_lock(store, name).await.is_some();
            let after = since.elapsed().as_millis();
            keep(!free, promise, &format!("{name:?} was free after {after} ms"));
        }
        sleep(time / 25).await;
    }
}

async fn some_at_once<S: AsyncSessionStore>(store: &S, name: &str, detail: &str) -> Box<dyn AsyncSessionLock> {
    some(try_lock(store, name).await, FREE, detail)
}

async fn sleep(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        pause().await;
    }
}
