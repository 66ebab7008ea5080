//! Tests a store of your own against the promises of [`SessionStore`] and [`AsyncSessionStore`], in four parts.
//!
//! | part | what it checks | which stores need it | what it needs |
//! | --- | --- | --- | --- |
//! | [`check`] | locks, saves, clears, peeks, names and bytes | all | |
//! | [`check_damage`] | damaged bytes in place of a record are replaced, and a copy of them is kept | those that outlive their process | [`DamageHooks`] |
//! | [`check_leases`] | a lease is renewed; a lock is free soon after the death of its holder; a holder whose lease has lapsed changes nothing, and its `is_held` returned `false` before that | those whose locks are [leases](crate#a-store-of-your-own) | [`LeaseHooks`] |
//! | [`check_network`] | after a save without a reply, a load shows whether it was done; a statement that arrives late changes nothing | those that send statements over a network | [`NetworkHooks`] |
//!
//! Each part also exists for async stores, such as [`check_async`]. Call every part that the table names for your
//! store: a part checks nothing of another one.
//!
//! Each takes a function that opens your store by the name of a *storage*: a database, a table or a folder for tests.
//! In all there are about thirty storages, with names such as `locks`. Each must be empty when it is first opened, so
//! remove what an earlier run left. To wait for a lock, a test sleeps for a millisecond at a time, on the thread that
//! runs it.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use loginradius_store::{MemoryStore, store_tests};
//!
//! let storages = Mutex::new(HashMap::<String, MemoryStore>::new());
//! store_tests::check(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone());
//! ```
//!
//! The feature `test-util` turns them on: `cargo add --dev loginradius-store --features test-util`.
//!
//! Three promises are left to tests of your own:
//!
//! - What is saved outlives a loss of power.
//! - A save that is interrupted leaves the old record, or the new one.
//! - A lock that is no lease ends with its process.

mod common;
mod damage;
mod leases;
mod network;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use loginradius_proto::ErrorKind;
use loginradius_proto::session::{Expected, LoadError, StoredRecord};

pub use damage::DamageHooks;
pub use leases::LeaseHooks;
pub use network::NetworkHooks;

use self::common::{
    CLEARED, EXCLUSIVE, FIRST, FREE, KEPT, LOCK_TIMEOUT, REPLACED, SECOND, UNCHANGED, block_on, broken, damaged,
    generation, is_same, join, keep, keep_conflict, keep_done, keep_done_as, keep_done_or_conflict, keep_nothing,
    keep_stored, outcome, pause, poll_and_drop, session, session_with, show, some, take, take_within, try_lock,
};
use crate::blocking::BlockingStore;
use crate::store::{AsyncSessionStore, SessionStore};

/// Checks a store for blocking code.
///
/// `open` gets the name of a storage, and opens a handle to it: an empty storage at the first call, the same one at
/// each later call with the same name. These names are short and made of a-z and `-`; the names of sessions in them may
/// be any text. There are hundreds of operations, some of them from four threads, and about eighty locks of one storage
/// are held at once. A lock must be free as soon as it is dropped.
///
/// # Panics
///
/// At the first promise that is broken, with a message that says which one.
pub fn check<S: SessionStore>(open: impl Fn(&str) -> S) {
    let open = |storage: &str| BlockingStore::new(open(storage));
    block_on(check_all(&open, Duration::ZERO));

    let handles = [open("threads"), open("threads"), open("threads"), open("threads")];
    let held = &AtomicBool::new(false);
    block_on(begin_counting(&handles[0]));
    // `scope` would pass on the panic of a thread without its message.
    let failures: Vec<_> = thread::scope(|scope| {
        let count = |handle| scope.spawn(move || block_on(count(handle, held)));
        let threads: Vec<_> = handles.iter().map(count).collect();
        threads.into_iter().filter_map(|thread| thread.join().err()).collect()
    });
    if let Some(failure) = failures.into_iter().next() {
        std::panic::resume_unwind(failure);
    }
    block_on(end_counting(&handles[0]));
}

/// Checks a store for async code, on the runtime that it needs.
///
/// `open` is as for [`check`]. It checks what [`check`] does, with tasks instead of threads, and what becomes of
/// operations whose futures are dropped. A dropped lock must be free within 10 s. If only its lease frees it, because a
/// drop cannot send a request, open the store with a lease of a few seconds.
///
/// ```
/// # use std::collections::HashMap;
/// # use std::sync::Mutex;
/// # use loginradius_store::{MemoryStore, store_tests};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let storages = Mutex::new(HashMap::<String, MemoryStore>::new());
/// store_tests::check_async(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone()).await;
/// # });
/// ```
///
/// # Panics
///
/// At the first promise that is broken, with a message that says which one.
pub async fn check_async<S: AsyncSessionStore>(open: impl Fn(&str) -> S) {
    check_all(&open, LOCK_TIMEOUT).await;
    dropped_futures_leave_no_trace(&open).await;

    let handles = [open("tasks"), open("tasks"), open("tasks"), open("tasks")];
    let held = AtomicBool::new(false);
    begin_counting(&handles[0]).await;
    join(handles.iter().map(|handle| Box::pin(count(handle, &held))).collect()).await;
    end_counting(&handles[0]).await;
}

/// Checks how a store for blocking code replaces damaged records.
///
/// `open` is as for [`check`]. [`DamageHooks`] has an example.
///
/// # Panics
///
/// As [`check`].
pub fn check_damage<S: SessionStore>(open: impl Fn(&str) -> S, hooks: &impl DamageHooks) {
    block_on(damage::check_all(&|storage: &str| BlockingStore::new(open(storage)), hooks));
}

/// Checks how a store for async code replaces damaged records.
///
/// It is [`check_damage`] on the runtime that the store needs.
///
/// # Panics
///
/// As [`check`].
pub async fn check_damage_async<S: AsyncSessionStore>(open: impl Fn(&str) -> S, hooks: &impl DamageHooks) {
    damage::check_all(&open, hooks).await;
}

/// Checks the leases of a store for blocking code.
///
/// `open` is as for [`check`], and `lease` is the length of the store's leases. Let it be between 300 ms and 1 s: these
/// tests take about thirteen times as long, but on a slow machine, a lease that is too short lapses before its renewal,
/// which looks like a broken promise.
///
/// # Panics
///
/// As [`check`].
pub fn check_leases<S: SessionStore>(open: impl Fn(&str) -> S, lease: Duration, hooks: &impl LeaseHooks<S>) {
    let hooks = leases::BlockingHooks(hooks);
    block_on(leases::check_all(&|storage: &str| BlockingStore::new(open(storage)), lease, &hooks));
}

/// Checks the leases of a store for async code.
///
/// It is [`check_leases`] on the runtime that the store needs, which has to run the store's tasks meanwhile.
///
/// # Panics
///
/// As [`check`].
pub async fn check_leases_async<S: AsyncSessionStore>(
    open: impl Fn(&str) -> S,
    lease: Duration,
    hooks: &impl LeaseHooks<S>,
) {
    leases::check_all(&open, lease, hooks).await;
}

/// Checks what a store for blocking code makes of a bad network.
///
/// `open` and `lease` are as for [`check_leases`]. The store's timeout for a statement without a reply has to be much
/// shorter than its lease, which may otherwise lapse meanwhile. About thirty statements lose their reply or are
/// delayed: if the store waits for its timeout each time, these tests take at least thirty timeouts.
///
/// # Panics
///
/// As [`check`], and if the hooks disturb no statement.
pub fn check_network<S: SessionStore>(open: impl Fn(&str) -> S, lease: Duration, hooks: &impl NetworkHooks) {
    block_on(network::check_all(&|storage: &str| BlockingStore::new(open(storage)), lease, hooks));
}

/// Checks what a store for async code makes of a bad network.
///
/// It is [`check_network`] on the runtime that the store needs.
///
/// # Panics
///
/// As [`check_network`].
pub async fn check_network_async<S: AsyncSessionStore>(
    open: impl Fn(&str) -> S,
    lease: Duration,
    hooks: &impl NetworkHooks,
) {
    network::check_all(&open, lease, hooks).await;
}

async fn check_all<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, drop_timeout: Duration) {
    locks_exclude_each_other(open, drop_timeout).await;
    names_are_kept_apart(open).await;
    an_empty_storage_has_no_record(open).await;
    a_record_is_kept(open).await;
    every_record_is_kept_whole(open).await;
    a_save_is_conditional(open).await;
    a_save_that_is_done_changes_nothing(open).await;
    a_clear_is_conditional(open).await;
    a_damaged_record_is_replaced(open).await;
    a_damaged_record_is_cleared(open).await;
    damage::every_damaged_record_is_replaced(open).await;
    a_peek_sees_what_was_saved_last(open).await;
    every_session_with_a_record_is_listed(open).await;
}

// The promises.

const DISTINCT: &str = "no two names share a record or a lock";
const PEEKED: &str = "a peek returns what was saved last, or nothing";

async fn locks_exclude_each_other<S: AsyncSessionStore>(open: &impl Fn(&str) -> S, drop_timeout: Duration) {
    let (one, other) = (open("locks"), open("locks"));
    let lock = take(&one, "default").await;
    keep(lock.is_held(), "a lock that was just taken is held", "`is_held` says that it is not");
    keep(try_lock(&one, "default").await.is_none(), EXCLUSIVE, "the same handle got it a second time");
    keep(try_lock(&other, "default").await.is_none(), EXCLUSIVE, "another handle got it");
    lock.unlock().await;

    let mut lock = some(try_lock(&other, "default").await, FREE, "another handle did not get it after `unlock`");
    let promise = "a lock is held until it is released";
    let record = named("locks");
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a save");
    let _ = lock.load().await;
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a load");
    keep_done(lock.clear(generation(&record)).await, "the first clear");
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a clear");
    drop(lock);

    let since = Instant::now();
    let mut free = try_lock(&one, "default").await;
    while free.is_none() && since.elapsed() < drop_timeout {
        pause().await;
        free = try_lock(&one, "default").await;
    }
    some(free, "a lock that was dropped is free", "another handle did not get it").unlock().await;
}

async fn names_are_kept_apart<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let names = names();
    let (one, other) = (open("names"), open("names"));
    let mut locks = Vec::new();
    for name in &names {
        let detail = format!("the lock of {} was taken, and it was another name's", show(name));
        locks.push(some(try_lock(&one, name).await, DISTINCT, &detail));
    }
    for (name, lock) in names.iter().zip(&mut locks) {
        keep_nothing(lock.load().await, DISTINCT, &format!("under {} is the record of another name", show(name)));
        keep_done(lock.save(&named(name), Expected::Nothing).await, &format!("a save under {}", show(name)));
    }
    for lock in locks {
        lock.unlock().await;
    }
    for (index, name) in names.iter().enumerate() {
        let mut lock = take(&other, name).await;
        let expected = named(name);
        let detail = format!("of {}, loaded through another handle", show(name));
        keep_stored(lock.load().await, &expected, "a record is there under its own name", &detail);
        // Every second one, so that the last round shows what clearing did to the rest.
        if index % 2 == 0 {
            keep_done(lock.clear(generation(&expected)).await, "a clear");
        }
        lock.unlock().await;
    }
    for (index, name) in names.iter().enumerate() {
        let mut lock = take(&one, name).await;
        let found = lock.load().await;
        lock.unlock().await;
        if index % 2 == 0 {
            keep_nothing(found, CLEARED, &format!("of {}", show(name)));
        } else {
            let detail = format!("of {}, after others were cleared", show(name));
            keep_stored(found, &named(name), "a record is there until it is cleared itself", &detail);
        }
    }
}

async fn an_empty_storage_has_no_record<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let store = open("nothing");
    let mut lock = take(&store, "default").await;
    let promise = "where nothing was saved, there is nothing";
    keep_nothing(lock.load().await, promise, "the first load found something");
    let record = named("nothing");
    let promise = "where there is nothing, a save that expects a record is a conflict";
    for expected in [generation(&record), damaged(&record)] {
        keep_conflict(lock.save(&record, expected).await, promise, &format!("it expected {expected:?}"));
        keep_nothing(lock.load().await, UNCHANGED, "there was nothing, and now there is something");
        keep_done_or_conflict(lock.clear(expected).await, "a clear where there is nothing");
        keep_nothing(lock.load().await, UNCHANGED, "there was nothing, and now there is something");
    }
    keep_done(lock.clear(Expected::Nothing).await, "a clear where nothing is expected, and is there");
    keep_nothing(lock.load().await, CLEARED, "where there was nothing before");
    lock.unlock().await;
}

async fn a_record_is_kept<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("kept"), open("kept"));
    let record = named("kept");
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    keep_stored(lock.load().await, &record, KEPT, "under the same lock");
    keep_stored(lock.load().await, &record, KEPT, "under the same lock, a second time");
    lock.unlock().await;
    let mut lock = take(&other, "default").await;
    keep_stored(lock.load().await, &record, KEPT, "through another handle");
    lock.unlock().await;
    drop((one, other));
    let store = open("kept");
    let mut lock = take(&store, "default").await;
    keep_stored(lock.load().await, &record, KEPT, "through a handle that was opened after all others had ended");
    lock.unlock().await;
}

async fn every_record_is_kept_whole<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let store = open("whole");
    let mut lock = take(&store, "default").await;
    let mut expected = Expected::Nothing;
    // A store does not judge: each is replaced like any other record, and of a long one nothing may stay.
    for (what, record) in records() {
        keep_done(lock.save(&record, expected).await, &format!("the save of {what}"));
        keep_stored(lock.load().await, &record, KEPT, what);
        expected = generation(&record);
    }
    keep_done(lock.clear(expected).await, "a clear");
    lock.unlock().await;
}

async fn a_save_is_conditional<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let store = open("saves");
    let (first, second) = (session(FIRST, "first"), session(SECOND, "second"));
    let mut lock = take(&store, "default").await;
    keep_done(lock.save(&first, Expected::Nothing).await, "the first save");

    let rows = [
        (Expected::Nothing, "a save that expects nothing, over a record, is a conflict"),
        (Expected::Generation(FIRST ^ 1), "a save over another generation than the expected one is a conflict"),
        (Expected::Generation(FIRST ^ (1 << 52)), "all 53 bits of a generation are compared"),
        (Expected::Generation(SECOND), "what is compared is the stored generation, not the new one"),
    ];
    for (expected, promise) in rows {
        keep_conflict(lock.save(&second, expected).await, promise, &format!("it expected {expected:?}"));
        keep_stored(lock.load().await, &first, UNCHANGED, promise);
    }

    keep_done(lock.save(&second, Expected::Generation(FIRST)).await, "a save over the expected generation");
    keep_stored(lock.load().await, &second, KEPT, "in place of an older one");
    let promise = "a save that expects an earlier generation is a conflict";
    for (what, record) in [
        ("of the record before", &first),
        ("of the next record", &session(SECOND + 1, "third")),
        ("of another record of the stored generation", &session(SECOND, "another")),
    ] {
        keep_conflict(lock.save(record, Expected::Generation(FIRST)).await, promise, what);
        keep_stored(lock.load().await, &second, UNCHANGED, promise);
    }
    // Generations begin at random: the next one may be lower.
    keep_done(lock.save(&first, Expected::Generation(SECOND)).await, "a save of a lower generation");
    keep_stored(lock.load().await, &first, KEPT, "with a lower generation");
    lock.unlock().await;
}

/// Saves again what is stored: a store may recognize its own save, or return a conflict.
async fn a_save_that_is_done_changes_nothing<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let store = open("done");
    let mut lock = take(&store, "default").await;
    let record = named("done");
    keep_done(lock.save(&record, Expected::Nothing).await, "the first save");
    for expected in [Expected::Nothing, Expected::Generation(5), Expected::Damaged(5)] {
        keep_done_or_conflict(lock.save(&record, expected).await, "the save of what is stored");
        keep_stored(lock.load().await, &record, KEPT, "saved a second time");
    }
    lock.unlock().await;
}

async fn a_clear_is_conditional<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("clears"), open("clears"));
    let first = session(FIRST, "first");
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&first, Expected::Nothing).await, "the first save");
    let rows = [
        (Expected::Nothing, "a clear that expects nothing, over a record, is a conflict"),
        (Expected::Generation(FIRST ^ 1), "a clear of another generation than the expected one is a conflict"),
    ];
    for (expected, promise) in rows {
        keep_conflict(lock.clear(expected).await, promise, &format!("it expected {expected:?}"));
        keep_stored(lock.load().await, &first, UNCHANGED, promise);
    }
    keep_done(lock.clear(Expected::Generation(FIRST)).await, "a clear of the expected generation");
    keep_nothing(lock.load().await, CLEARED, "the same lock found something");
    lock.unlock().await;

    let mut lock = take(&other, "default").await;
    keep_nothing(lock.load().await, CLEARED, "another handle found something");
    keep_done_or_conflict(lock.clear(Expected::Generation(FIRST)).await, "a second clear");
    let promise = "where nothing is stored any more, a save that expects the earlier generation is a conflict";
    keep_conflict(
        lock.save(&session(FIRST + 1, "late"), Expected::Generation(FIRST)).await,
        promise,
        "it did not say so",
    );
    keep_nothing(lock.load().await, UNCHANGED, promise);
    let lower = session(3, "lower");
    keep_done(lock.save(&lower, Expected::Nothing).await, "a save after a clear");
    keep_stored(lock.load().await, &lower, KEPT, "after a clear");
    lock.unlock().await;
}

/// Replaces what a flow cannot read: the store compares its generation like any other.
async fn a_damaged_record_is_replaced<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("damaged"), open("damaged"));
    let mut before = Expected::Nothing;
    // The same bytes a second time: the copies need two names.
    let rows = [(7, "first", &b"\0half a rec"[..]), (8, "second", b"\0half a rec"), (9, "third", b"\xff\xfe")];
    for (new, text, bytes) in rows {
        let (found, new) = (StoredRecord::from_bytes(bytes), session(new, text));
        let mut lock = take(&one, "default").await;
        keep_done(lock.save(&found, before).await, "the save of bytes that are no session");
        let rows = [
            (Expected::Nothing, "a save or clear that expects nothing, over a damaged record, is a conflict"),
            (Expected::Damaged(found.generation() ^ 1), "a damaged record of another generation stays"),
            (Expected::Damaged(new.generation()), "a damaged record of another generation stays"),
        ];
        for (expected, promise) in rows {
            keep_conflict(lock.save(&new, expected).await, promise, &format!("a save expected {expected:?}"));
            keep_stored(lock.load().await, &found, UNCHANGED, promise);
            keep_conflict(lock.clear(expected).await, promise, &format!("a clear expected {expected:?}"));
            keep_stored(lock.load().await, &found, UNCHANGED, promise);
        }
        keep_done_as(REPLACED, lock.save(&new, damaged(&found)).await, "a save did not do so");
        keep_stored(lock.load().await, &new, REPLACED, "loaded under the same lock");
        lock.unlock().await;

        let mut lock = take(&other, "default").await;
        keep_stored(lock.load().await, &new, REPLACED, "loaded through another handle");
        let promise = "a damaged record is replaced once";
        keep_conflict(lock.save(&session(10, "late"), damaged(&found)).await, promise, "a second save did so");
        keep_stored(lock.load().await, &new, UNCHANGED, promise);
        lock.unlock().await;
        before = generation(&new);
    }

    // A wrapper may report damage although the bytes are a session.
    let (intact, new) = (session(50, "intact"), session(60, "new"));
    let mut lock = take(&one, "default").await;
    keep_done(lock.save(&intact, before).await, "a save");
    keep_done_as(REPLACED, lock.save(&new, damaged(&intact)).await, "a save over bytes that are a session");
    keep_stored(lock.load().await, &new, REPLACED, "where the bytes were a session");
    lock.unlock().await;
}

async fn a_damaged_record_is_cleared<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let store = open("damaged-clears");
    let mut lock = take(&store, "default").await;
    for bytes in [&b"{\"version\":1,"[..], b"\0", b"{\"version\":1,"] {
        let found = StoredRecord::from_bytes(bytes);
        keep_done(lock.save(&found, Expected::Nothing).await, "the save of bytes that are no session");
        let promise = "a damaged record of the expected generation is cleared";
        keep_done_as(promise, lock.clear(damaged(&found)).await, "a clear did not do so");
        keep_nothing(lock.load().await, CLEARED, "of a damaged record");
    }
    lock.unlock().await;
}

async fn a_peek_sees_what_was_saved_last<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("peeks"), open("peeks"));
    let peek = async |name: &str, expected: Option<&StoredRecord>, when: &str| {
        let found = other.peek(name).await;
        keep(found.is_none() || found.as_ref() == expected, PEEKED, when);
    };
    peek("default", None, "before the first save").await;
    let mut lock = some(try_lock(&one, "default").await, FREE, "a peek took it");
    peek("default", None, "under the lock, before the first save").await;
    let (first, second) = (named("peeks first"), named("peeks second"));
    keep_done(lock.save(&first, Expected::Nothing).await, "the first save");
    peek("default", Some(&first), "after the first save").await;
    peek("another", None, "under another name").await;
    keep_done(lock.save(&second, generation(&first)).await, "the second save");
    peek("default", Some(&second), "after the second save").await;
    lock.unlock().await;
    peek("default", Some(&second), "without a holder").await;
    let mut lock = some(try_lock(&one, "default").await, FREE, "a peek took it");
    keep_done(lock.clear(generation(&second)).await, "the clear");
    peek("default", None, "after the clear").await;
}

// Lists of names. A store that cannot list its sessions keeps the trait's method, which says so.

const LISTED: &str = "the sessions with a record are listed, in the order of their bytes";

async fn every_session_with_a_record_is_listed<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("lists"), open("lists"));
    match one.names("", None).await {
        Err(error) if error.kind() == ErrorKind::Misuse => return,
        Err(error) => broken(LISTED, &format!("of an empty storage: {error:?}")),
        Ok(listed) => keep(listed.is_empty(), LISTED, &format!("an empty storage has {} names", listed.len())),
    }
    let mut names = names();
    names.extend(NAMES_OF_USERS.map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    let mut expected = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let mut lock = take(&one, name).await;
        // Some are only locked, and some are cleared.
        if index % 7 != 0 {
            keep_done(lock.save(&named(name), Expected::Nothing).await, &format!("a save under {}", show(name)));
        }
        if index % 7 == 1 {
            keep_done(lock.clear(generation(&named(name))).await, "a clear");
        } else if index % 7 != 0 {
            expected.push(name.as_str());
        }
        lock.unlock().await;
    }

    let long = "x".repeat(9_999);
    for prefix in
        ["", "a", "a/", "ada/", "ada%", "ada_", "{", "}", "'", "%", "_", "\0", "🦀", "no name has this", &long]
    {
        let expected: Vec<&str> = expected.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        let (mut listed, mut pages) = (Vec::new(), 0);
        loop {
            let after = listed.last().map(String::as_str);
            let page = page(&other, prefix, after).await;
            if page.is_empty() {
                break;
            }
            listed.extend(page);
            pages += 1;
        }
        keep_listed(&listed, &expected, &format!("with the prefix {}, from {pages} pages", show(prefix)));
    }

    for (index, name) in expected.iter().enumerate() {
        let next = expected.get(index + 1).copied();
        let between = format!("{name}\0");
        for after in [name, between.as_str()].into_iter().filter(|after| next != Some(after)) {
            let listed = page(&other, "", Some(after)).await;
            keep_listed(&listed[..listed.len().min(1)], next.as_slice(), &format!("the first after {}", show(after)));
        }
    }
    // A prefix is one of bytes, and what a page comes after need not have it.
    let of_ada: Vec<&str> = expected.iter().copied().filter(|name| name.starts_with("ada/")).collect();
    for (after, expected) in [("", &of_ada[..1]), ("ada", &of_ada[..1]), ("ada0", &[]), ("\u{10ffff}", &[])] {
        let listed = page(&other, "ada/", Some(after)).await;
        let detail = format!("the first with the prefix \"ada/\" after {}", show(after));
        keep_listed(&listed[..listed.len().min(1)], expected, &detail);
    }
}

/// Names beside those of [`names`]: several sessions of one user, and what patterns and other orders confuse with them.
const NAMES_OF_USERS: [&str; 26] = [
    "ada",
    "ada/",
    "ada/1",
    "ada/10",
    "ada/2",
    "ada/9",
    "ada/A",
    "ada/a",
    "ada/_",
    "ada/é",
    "ada/z",
    "ada/\u{10ffff}",
    "Ada/1",
    "ada0",
    "ada0/1",
    "adaX1",
    "ada%1",
    "ada_1",
    "ad",
    "adam/1",
    "ada.1",
    "{ada}",
    "{",
    "}",
    "}1",
    "'ada'",
];

/// Gets a page, and checks what is true of every page.
async fn page<S: AsyncSessionStore>(store: &S, prefix: &str, after: Option<&str>) -> Vec<String> {
    let which = format!("the page with the prefix {} after {:?}", show(prefix), after.map(show));
    let page = match store.names(prefix, after).await {
        Ok(page) => page,
        Err(error) => broken(LISTED, &format!("{which}: {error:?}")),
    };
    let mut last = after;
    for name in &page {
        let detail = format!("{which} has {}", show(name));
        keep(name.starts_with(prefix), "only names with the prefix are listed", &detail);
        let promise = "names are in the order of their bytes, each once, and come after the last page";
        keep(last.is_none_or(|last| last < name.as_str()), promise, &detail);
        last = Some(name);
    }
    page
}

#[track_caller]
fn keep_listed(listed: &[String], expected: &[&str], detail: &str) {
    if let Some(missing) = expected.iter().find(|name| !listed.iter().any(|listed| listed == *name)) {
        broken(LISTED, &format!("{detail}: {} is missing", show(missing)));
    }
    if let Some(other) = listed.iter().find(|name| !expected.contains(&name.as_str())) {
        broken(LISTED, &format!("{detail}: {} is there, and should not be", show(other)));
    }
}

/// Drops futures, as a caller may at any moment.
async fn dropped_futures_leave_no_trace<S: AsyncSessionStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("dropped"), open("dropped"));
    for polls in 0..3 {
        poll_and_drop(one.try_lock("default"), polls).await;
    }
    // Panics if it never becomes free.
    let mut lock = take(&other, "default").await;
    let mut stored = session(0, "dropped");
    keep_done(lock.save(&stored, Expected::Nothing).await, "the first save");
    lock.unlock().await;

    for round in 0..30 {
        let mut lock = take(&one, "default").await;
        let next = session(stored.generation() + 1, "dropped");
        poll_and_drop(lock.save(&next, generation(&stored)), round % 3).await;
        if round % 2 == 0 {
            drop(lock);
        } else {
            lock.unlock().await;
        }

        let mut lock = take(&other, "default").await;
        let found = match lock.load().await {
            Ok(Some(found)) if is_same(&found, &stored) || is_same(&found, &next) => found,
            found => broken("a save whose future was dropped leaves the old or the new record", &outcome(&found)),
        };
        for _ in 0..10 {
            pause().await;
        }
        let promise = "what was begun has ended when its lock is free";
        keep_stored(lock.load().await, &found, promise, "a save whose future was dropped came later");
        stored = session(found.generation() + 1, "dropped");
        keep_done(lock.save(&stored, generation(&found)).await, "a save after one whose future was dropped");
        lock.unlock().await;
    }
}

/// How often each handle adds one.
const COUNTS: u64 = 25;
/// How long one handle may wait for the others, on a slow disk.
const COUNT_TIMEOUT: Duration = Duration::from_secs(300);

async fn begin_counting<S: AsyncSessionStore>(store: &S) {
    let mut lock = take(store, "default").await;
    keep_done(lock.save(&session(0, "count"), Expected::Nothing).await, "the first save");
    lock.unlock().await;
}

async fn count<S: AsyncSessionStore>(store: &S, held: &AtomicBool) {
    for _ in 0..COUNTS {
        let mut lock = take_within(COUNT_TIMEOUT, store, "default").await;
        keep(!held.swap(true, Ordering::SeqCst), EXCLUSIVE, "two of several that count had it at once");
        let found = counted(lock.load().await);
        let next = session(found.generation() + 1, "count");
        keep_done(lock.save(&next, generation(&found)).await, "a save under the lock");
        held.store(false, Ordering::SeqCst);
        lock.unlock().await;
    }
}

async fn end_counting<S: AsyncSessionStore>(store: &S) {
    let mut lock = take(store, "default").await;
    let found = counted(lock.load().await).generation();
    lock.unlock().await;
    let detail = format!("4 handles have counted to {}, and the store to {found}", 4 * COUNTS);
    keep(found == 4 * COUNTS, "no update is lost", &detail);
}

#[track_caller]
fn counted(found: Result<Option<StoredRecord>, LoadError>) -> StoredRecord {
    match found {
        Ok(Some(found)) => found,
        found => broken("a record that others replace is always there, whole", &outcome(&found)),
    }
}

// Names and records.

/// Returns names that a file system, a database or a careless encoding may confuse or refuse.
fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        " ",
        ".",
        "..",
        "a",
        "A",
        "b",
        "a/b",
        "a\\b",
        "a:b",
        "a.b",
        "a_b",
        "a-b",
        "a%2fb",
        "a%2Fb",
        "a+b",
        "a b",
        "a.",
        "a ",
        " a",
        "a\0",
        "a\0b",
        "\0",
        "a\n",
        "%41",
        "_41",
        "%",
        "%%",
        "_",
        "-",
        "~",
        "*",
        "?",
        "'",
        "\"",
        "`a`",
        "$HOME",
        "/",
        "/a",
        "a/",
        "../a",
        "./a",
        "con",
        "CON",
        "nul",
        "nul.json",
        "aux",
        "a.json",
        "a.lock",
        "a.tmp",
        "null",
        "0",
        "00",
        "0.0",
        "é",
        "e\u{301}",
        "É",
        "ß",
        "ss",
        "i",
        "İ",
        "ı",
        "I",
        "🦀",
        "漢",
        "\u{202e}a",
        "\u{feff}a",
        "\u{fffd}",
        "' OR 1=1 --",
        "a%",
        "a*",
    ]
    .map(str::to_owned)
    .into();
    let long = "x".repeat(9_999);
    names.extend([
        long.clone(),
        format!("{long}x"),
        format!("{long}y"),
        format!("y{long}"),
        "X".repeat(10_000),
        "🦀".repeat(10_000),
        "x".repeat(255),
        "x".repeat(256),
    ]);
    names
}

/// Returns records of every kind that a store may be given. Each has the generation that a store which keeps only the
/// bytes reads from them.
fn records() -> Vec<(&'static str, StoredRecord)> {
    let bytes = |bytes: &[u8]| StoredRecord::from_bytes(bytes);
    let every_byte: Vec<u8> = (0..=255).collect();
    // A linear congruential generator: bytes without a pattern.
    let next = |number: &u32| Some(number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let random = std::iter::successors(Some(1), next).map(|number| number.to_be_bytes()[0]);
    let megabyte: Vec<u8> = random.take(1 << 20).collect();
    vec![
        ("a session of generation 0", session(0, "token")),
        ("a session of the highest generation, 2^53 - 1", session(StoredRecord::MAX_GENERATION, "token")),
        ("a session of the generation after 2^32", session((1 << 32) + 1, "token")),
        ("a session with an intent", session_with(1, "token", r#","intent":{"at_unix_ms":1000000,"attempt":3}"#)),
        ("a session in many scripts, with quotes, NUL and line ends", session(2, r#"\"\\\u0000\r\n\t\u007fé漢🦀"#)),
        ("a session with tokens of 100,000 bytes", session(3, &"x".repeat(100_000))),
        ("a session with the shortest token", session(4, "x")),
        ("JSON whose spaces, order and doubles matter", bytes(b"{ \"b\" : 1.0 ,\"a\":[ ],\"b\":1e0\t}")),
        ("JSON of another kind", bytes(b"null")),
        ("no JSON", bytes(b"half a rec")),
        ("a NUL between letters", bytes(b"before\0after")),
        ("NULs alone", bytes(&[0; 100])),
        ("every byte there is, which is no UTF-8", bytes(&every_byte)),
        ("letters that are no UTF-8", bytes(b"\xff\xfe\xc3")),
        ("spaces and line ends around a letter", bytes(b" \r\n\tx\t\n\r ")),
        ("a mark of the byte order", bytes("\u{feff}{}".as_bytes())),
        ("no byte", bytes(b"")),
        ("1 MiB", bytes(&megabyte)),
        ("one byte, after many", bytes(b"x")),
    ]
}

/// Makes the record of a session, a different one for each name.
fn named(name: &str) -> StoredRecord {
    // FNV-1a: it only has to make the names above distinct.
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    session(seed & StoredRecord::MAX_GENERATION, &format!("token {seed:x}"))
}
