//! Tests for stores of your own: every promise of [`TokenStore`] and [`AsyncTokenStore`] that can be tried out
//! from outside.
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::Mutex;
//! use loginradius_store::{MemoryStore, kit};
//!
//! let storages = Mutex::new(HashMap::<String, MemoryStore>::new());
//! kit::check(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone());
//! ```
//!
//! What only the insides of a store can show is left to its own tests: that what it calls saved outlives a
//! loss of power, that half a save leaves the old record, that a lock ends with its process, and what happens
//! when a lease ends under its holder.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::{
    LoadOutcome, SaveOutcome, SessionFlow, SessionInput, SessionMemory, SessionPolicy, SessionRecord, SessionStep,
};
use loginradius_proto::{App, Error, IdToken, RefreshToken, TokenSet};

use crate::store::{AsyncLockedSession, AsyncTokenStore, BoxFuture, LockedSession, TokenStore};

/// Checks a store for blocking code.
///
/// `open` opens a handle to the storage of that name: an empty one at the first call, the same one at each
/// later call with the same text. The texts are short and made of a-z and `-`; the names of sessions are not.
/// There are hundreds of operations, some of them from several threads.
///
/// # Panics
///
/// At the first promise that is broken, with a message that says which one.
pub fn check<S: TokenStore>(open: impl Fn(&str) -> S) {
    let open = |storage: &str| Blocking(open(storage));
    block_on(check_all(&open, Duration::ZERO));

    let handles = [open("threads"), open("threads"), open("threads"), open("threads")];
    let busy = &AtomicBool::new(false);
    let start = block_on(begin_counting(&handles[0]));
    // A panic of a thread is passed on by `scope` without its message, hence by hand.
    let failures: Vec<_> = thread::scope(|scope| {
        let count = |handle| scope.spawn(move || block_on(count(handle, busy)));
        let threads: Vec<_> = handles.iter().map(count).collect();
        threads.into_iter().filter_map(|thread| thread.join().err()).collect()
    });
    if let Some(failure) = failures.into_iter().next() {
        std::panic::resume_unwind(failure);
    }
    block_on(end_counting(&handles[0], start));
}

/// Checks a store for async code, on whatever runtime it needs.
///
/// As [`check`], and besides that what a dropped future may leave. If dropping a lock does not give it back,
/// because that takes a request, the store has to be given a lease of a few seconds for this.
///
/// ```
/// # use std::collections::HashMap;
/// # use std::sync::Mutex;
/// # use loginradius_store::{MemoryStore, kit};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let storages = Mutex::new(HashMap::<String, MemoryStore>::new());
/// kit::check_async(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone()).await;
/// # });
/// ```
///
/// # Panics
///
/// At the first promise that is broken, with a message that says which one.
pub async fn check_async<S: AsyncTokenStore>(open: impl Fn(&str) -> S) {
    check_all(&open, PATIENCE).await;
    dropped_futures_leave_no_trace(&open).await;

    let handles = [open("tasks"), open("tasks"), open("tasks"), open("tasks")];
    let busy = AtomicBool::new(false);
    let start = begin_counting(&handles[0]).await;
    join(handles.iter().map(|handle| Box::pin(count(handle, &busy))).collect()).await;
    end_counting(&handles[0], start).await;
}

/// How long a lock that nobody needs any more may take to become free.
const PATIENCE: Duration = Duration::from_secs(10);

async fn check_all<S: AsyncTokenStore>(open: &impl Fn(&str) -> S, patience: Duration) {
    locks_exclude_each_other(open, patience).await;
    names_do_not_meet(open).await;
    nothing_is_there_at_first(open).await;
    a_record_is_kept(open).await;
    every_record_is_kept_whole(open).await;
    a_save_is_conditional(open).await;
    a_clearing_is_conditional(open).await;
}

// The promises.

async fn locks_exclude_each_other<S: AsyncTokenStore>(open: &impl Fn(&str) -> S, patience: Duration) {
    let (one, other) = (open("locks"), open("locks"));
    let locked = lock(&one, "default").await;
    let promise = "while a lock is held, nobody else gets it";
    keep(try_lock(&one, "default").await.is_none(), promise, "the same handle got it a second time");
    keep(try_lock(&other, "default").await.is_none(), promise, "another handle got it");
    locked.unlock().await;

    let promise = "a lock that was given back is free";
    let mut locked = some(try_lock(&other, "default").await, promise, "another handle did not get it after `unlock`");
    let promise = "a lock is held until it is given back";
    let record = record("locks");
    keep_saved(locked.save(&record, None).await, "the first save");
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a save");
    let _ = locked.load().await;
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a load");
    keep_saved(locked.clear(Some(record.generation())).await, "the first clearing");
    keep(try_lock(&one, "default").await.is_none(), promise, "another handle got it after a clearing");
    drop(locked);

    let since = Instant::now();
    let mut free = try_lock(&one, "default").await;
    while free.is_none() && since.elapsed() < patience {
        pause().await;
        free = try_lock(&one, "default").await;
    }
    some(free, "a lock that was dropped is free", "another handle did not get it").unlock().await;
}

async fn names_do_not_meet<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let names = names();
    let (one, other) = (open("names"), open("names"));
    let mut locks = Vec::new();
    for name in &names {
        let detail = format!("the lock of {} was taken, and it was another name's", show(name));
        locks.push(some(try_lock(&one, name).await, "no two names meet", &detail));
    }
    for (name, lock) in names.iter().zip(&mut locks) {
        let nothing = matches!(lock.load().await, LoadOutcome::Nothing);
        keep(nothing, "no two names meet", &format!("under {} is the record of another name", show(name)));
        keep_saved(lock.save(&record(name), None).await, &format!("a save under {}", show(name)));
    }
    for lock in locks {
        lock.unlock().await;
    }
    for (cleared, name) in names.iter().enumerate() {
        let mut locked = lock(&other, name).await;
        let expected = record(name);
        let detail = format!("of {}, loaded through another handle", show(name));
        keep_stored(locked.load().await, &expected, "a record is there under its own name", &detail);
        // Every other one, so that the last round sees what clearing did to the rest.
        if cleared % 2 == 0 {
            keep_saved(locked.clear(Some(expected.generation())).await, "a clearing");
        }
        locked.unlock().await;
    }
    for (cleared, name) in names.iter().enumerate() {
        let mut locked = lock(&one, name).await;
        let found = locked.load().await;
        locked.unlock().await;
        if cleared % 2 == 0 {
            let detail = format!("of {}", show(name));
            keep(matches!(found, LoadOutcome::Nothing), "what was cleared is gone", &detail);
        } else {
            let detail = format!("of {}, after others were cleared", show(name));
            keep_stored(found, &record(name), "a record is there until it is cleared itself", &detail);
        }
    }
}

async fn nothing_is_there_at_first<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let store = open("nothing");
    let mut locked = lock(&store, "default").await;
    let promise = "where nothing was stored, there is nothing";
    keep(matches!(locked.load().await, LoadOutcome::Nothing), promise, "the first load found something");
    let record = record("nothing");
    let promise = "where nothing is stored, a generation that is expected is a conflict";
    let unchanged = ("a conflict changes nothing", "there was nothing, and now there is something");
    keep_conflict(locked.save(&record, Some(record.generation())).await, promise, "the save of a record");
    keep(matches!(locked.load().await, LoadOutcome::Nothing), unchanged.0, unchanged.1);
    keep_conflict(locked.clear(Some(record.generation())).await, promise, "a clearing");
    keep(matches!(locked.load().await, LoadOutcome::Nothing), unchanged.0, unchanged.1);
    keep_saved(locked.clear(None).await, "a clearing where nothing is expected, and is there");
    locked.unlock().await;
}

async fn a_record_is_kept<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("kept"), open("kept"));
    let record = record("kept");
    let promise = "what was saved is loaded";
    let mut locked = lock(&one, "default").await;
    keep_saved(locked.save(&record, None).await, "the first save");
    keep_stored(locked.load().await, &record, promise, "under the same lock");
    keep_stored(locked.load().await, &record, promise, "under the same lock, a second time");
    locked.unlock().await;
    let mut locked = lock(&other, "default").await;
    keep_stored(locked.load().await, &record, promise, "through another handle");
    locked.unlock().await;
    drop((one, other));
    let store = open("kept");
    let mut locked = lock(&store, "default").await;
    keep_stored(locked.load().await, &record, promise, "through a handle that was opened after all others had ended");
    locked.unlock().await;
}

async fn every_record_is_kept_whole<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let store = open("whole");
    let first = record("whole");
    let rows = [
        ("generation 0", with_generation(&first, 0)),
        ("the highest generation, 2^53 - 1", with_generation(&first, (1 << 53) - 1)),
        ("the generation after 2^32", with_generation(&first, (1 << 32) + 1)),
        ("an open intent", intent()),
        ("all fields, in many scripts, with quotes, NUL and line ends", sign_in("\"\\\0\r\n\t\u{7f}é漢🦀", 1)),
        ("tokens of 100,000 bytes", sign_in(&"x".repeat(100_000), 1)),
        ("the shortest token", sign_in("x", 1)),
    ];
    let mut locked = lock(&store, "default").await;
    let mut expected = None;
    // Also a long one before a short one, of which nothing may stay.
    for (what, record) in rows {
        keep_saved(locked.save(&record, expected).await, &format!("the save of a record with {what}"));
        keep_stored(locked.load().await, &record, "what was saved is loaded, byte for byte", what);
        expected = Some(record.generation());
    }
    keep_saved(locked.clear(expected).await, "a clearing");
    locked.unlock().await;
}

async fn a_save_is_conditional<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let store = open("saves");
    let first = record("saves");
    let (wrong, second) = (first.generation() ^ 1, with_generation(&first, first.generation() + 2));
    let mut locked = lock(&store, "default").await;
    keep_saved(locked.save(&first, None).await, "the first save");

    let rows = [
        (None, "a save that expects nothing, over a record, is a conflict"),
        (Some(wrong), "a save over another generation than the expected one is a conflict"),
        (Some(first.generation() ^ (1 << 52)), "all 53 bits of a generation are compared"),
        (Some(second.generation()), "what is compared is the stored generation, not the new one"),
    ];
    for (expected, promise) in rows {
        keep_conflict(locked.save(&second, expected).await, promise, "it did not say so");
        keep_stored(locked.load().await, &first, "a conflict changes nothing", promise);
    }
    keep_conflict(locked.save(&first, None).await, rows[0].1, "it did not say so of the same record");

    keep_saved(locked.save(&second, Some(first.generation())).await, "a save over the expected generation");
    keep_stored(locked.load().await, &second, "what was saved is loaded", "in place of an older one");
    let promise = "the generation before the last save is no longer the expected one";
    keep_conflict(locked.save(&first, Some(first.generation())).await, promise, "a save was taken");
    keep_stored(locked.load().await, &second, "a conflict changes nothing", promise);
    // Generations begin at random: the next one may be lower.
    keep_saved(locked.save(&first, Some(second.generation())).await, "a save of a lower generation");
    keep_stored(locked.load().await, &first, "what was saved is loaded", "with a lower generation");
    locked.unlock().await;
}

async fn a_clearing_is_conditional<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("clearings"), open("clearings"));
    let first = record("clearings");
    let generation = first.generation();
    let mut locked = lock(&one, "default").await;
    keep_saved(locked.save(&first, None).await, "the first save");
    let rows = [
        (None, "a clearing that expects nothing, over a record, is a conflict"),
        (Some(generation ^ 1), "a clearing of another generation than the expected one is a conflict"),
    ];
    for (expected, promise) in rows {
        keep_conflict(locked.clear(expected).await, promise, "it did not say so");
        keep_stored(locked.load().await, &first, "a conflict changes nothing", promise);
    }
    keep_saved(locked.clear(Some(generation)).await, "a clearing of the expected generation");
    let promise = "what was cleared is gone";
    keep(matches!(locked.load().await, LoadOutcome::Nothing), promise, "the same lock found something");
    locked.unlock().await;

    let mut locked = lock(&other, "default").await;
    keep(matches!(locked.load().await, LoadOutcome::Nothing), promise, "another handle found something");
    let promise = "where nothing is stored any more, the generation of before is a conflict";
    keep_conflict(locked.clear(Some(generation)).await, promise, "a second clearing");
    keep_conflict(locked.save(&first, Some(generation)).await, promise, "a save");
    let lower = with_generation(&first, 3);
    keep_saved(locked.save(&lower, None).await, "a save after a clearing");
    keep_stored(locked.load().await, &lower, "what was saved is loaded", "after a clearing");
    locked.unlock().await;
}

/// Whoever waits for an operation may go away at any moment.
async fn dropped_futures_leave_no_trace<S: AsyncTokenStore>(open: &impl Fn(&str) -> S) {
    let (one, other) = (open("dropped"), open("dropped"));
    for polls in 0..3 {
        poll_and_drop(one.try_lock("default"), polls).await;
    }
    // Panics if it never comes free.
    let mut locked = lock(&other, "default").await;
    let mut stored = record("dropped");
    keep_saved(locked.save(&stored, None).await, "the first save");
    locked.unlock().await;

    for round in 0..30 {
        let mut locked = lock(&one, "default").await;
        let next = with_generation(&stored, stored.generation() + 1);
        poll_and_drop(locked.save(&next, Some(stored.generation())), round % 3).await;
        if round % 2 == 0 {
            drop(locked);
        } else {
            locked.unlock().await;
        }

        let mut locked = lock(&other, "default").await;
        let found = match locked.load().await {
            LoadOutcome::Record(found) if [json(&stored), json(&next)].contains(&json(&found)) => found,
            found => broken("a save whose future was dropped leaves the old or the new record", &outcome(&found)),
        };
        for _ in 0..10 {
            pause().await;
        }
        let promise = "what was begun has ended when its lock is free";
        keep_stored(locked.load().await, &found, promise, "a save whose future was dropped came later");
        stored = with_generation(&found, found.generation() + 1);
        keep_saved(locked.save(&stored, Some(found.generation())).await, "a save after one whose future was dropped");
        locked.unlock().await;
    }
}

/// How often each handle counts one up.
const COUNTS: u64 = 25;
/// How long one handle may wait for the others, on a slow disk.
const COUNTING: Duration = Duration::from_secs(300);

async fn begin_counting<S: AsyncTokenStore>(store: &S) -> u64 {
    let mut locked = lock(store, "default").await;
    let record = record("count");
    keep_saved(locked.save(&record, None).await, "the first save");
    locked.unlock().await;
    record.generation()
}

async fn count<S: AsyncTokenStore>(store: &S, busy: &AtomicBool) {
    let promise = "while a lock is held, nobody else gets it";
    for _ in 0..COUNTS {
        let mut locked = lock_within(COUNTING, store, "default").await;
        keep(!busy.swap(true, Ordering::SeqCst), promise, "two of several that count had it at once");
        let found = match locked.load().await {
            LoadOutcome::Record(found) => found,
            found => broken("a record that others replace is always there, whole", &outcome(&found)),
        };
        let next = with_generation(&found, found.generation() + 1);
        keep_saved(locked.save(&next, Some(found.generation())).await, "a save under the lock");
        busy.store(false, Ordering::SeqCst);
        locked.unlock().await;
    }
}

async fn end_counting<S: AsyncTokenStore>(store: &S, start: u64) {
    let mut locked = lock(store, "default").await;
    let found = match locked.load().await {
        LoadOutcome::Record(found) => found.generation().wrapping_sub(start),
        found => broken("a record that others replace is always there, whole", &outcome(&found)),
    };
    locked.unlock().await;
    let detail = format!("4 handles have counted to {}, and the store to {found}", 4 * COUNTS);
    keep(found == 4 * COUNTS, "no update is lost", &detail);
}

// Names and records.

/// Names that a file system, a database or a careless encoding may take for each other, or not take at all.
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

/// A name, short enough for a message.
fn show(name: &str) -> String {
    let length = name.chars().count();
    let start: String = name.chars().take(20).collect();
    if length > 20 { format!("{start:?}... ({length} characters)") } else { format!("{name:?}") }
}

/// The record of a sign-in, a different one for each name.
fn record(name: &str) -> SessionRecord {
    // FNV-1a: it only has to tell the names above apart.
    let seed = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    sign_in(&format!("token {seed:x}"), seed)
}

fn sign_in(token: &str, seed: u64) -> SessionRecord {
    let mut tokens = TokenSet::new(token);
    tokens.refresh_token = Some(RefreshToken::new(token));
    tokens.id_token = Some(IdToken::new(token));
    tokens.token_type = Some(token.to_owned());
    tokens.scope = Some(token.to_owned());
    tokens.expires_in = Some(Duration::from_secs(600));
    saved_by(|app, policy, memory| SessionFlow::sign_in(app, policy, memory, tokens, seed), None)
}

/// A record that says that a refresh has begun.
fn intent() -> SessionRecord {
    let stored = sign_in("token", 1);
    saved_by(|app, policy, memory| SessionFlow::token(app, policy, memory, 2), Some(stored))
}

/// What a flow saves first. The store that it sees holds `stored`, an hour later.
fn saved_by(
    flow: impl FnOnce(&App, SessionPolicy, SessionMemory) -> SessionFlow,
    stored: Option<SessionRecord>,
) -> SessionRecord {
    let mut flow = flow(&App::new("client id"), SessionPolicy::default(), SessionMemory::default());
    let now = Instant::now();
    let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(if stored.is_some() { 1_003_600 } else { 1_000_000 });
    loop {
        let input = match flow.step(now, clock) {
            SessionStep::Lock => SessionInput::Locked(Ok(true)),
            SessionStep::Load => SessionInput::Loaded(stored.clone().map_or(LoadOutcome::Nothing, LoadOutcome::Record)),
            SessionStep::Save { record, .. } => return record,
            step => panic!("the kit cannot make a record: {step:?}"),
        };
        flow.receive(input, now, clock);
    }
}

fn with_generation(record: &SessionRecord, generation: u64) -> SessionRecord {
    let field = |generation: u64| format!("\"generation\":{generation},");
    let json = record.to_json().replacen(&field(record.generation()), &field(generation), 1);
    match LoadOutcome::from_json(&json) {
        LoadOutcome::Record(record) if record.generation() == generation => record,
        _ => panic!("the kit cannot change a record's generation"),
    }
}

fn json(record: &SessionRecord) -> String {
    record.to_json()
}

// What is wrong, in words.

#[track_caller]
fn broken(promise: &str, detail: &str) -> ! {
    panic!("this store breaks a promise: {promise} ({detail})")
}

#[track_caller]
fn keep(kept: bool, promise: &str, detail: &str) {
    if !kept {
        broken(promise, detail);
    }
}

#[track_caller]
fn some<T>(value: Option<T>, promise: &str, detail: &str) -> T {
    value.unwrap_or_else(|| broken(promise, detail))
}

#[track_caller]
fn keep_saved(outcome: SaveOutcome, what: &str) {
    let said = match outcome {
        SaveOutcome::Saved => return,
        SaveOutcome::Conflict => "it said `Conflict`".to_owned(),
        SaveOutcome::Failed(error) => format!("it said `Failed`: {error:?}"),
        SaveOutcome::Unknown(error) => format!("it said `Unknown`: {error:?}"),
    };
    broken("what is as expected is changed, and `Saved`", &format!("{what}: {said}"));
}

#[track_caller]
fn keep_conflict(outcome: SaveOutcome, promise: &str, what: &str) {
    let said = match outcome {
        SaveOutcome::Conflict => return,
        SaveOutcome::Saved => "it said `Saved`".to_owned(),
        SaveOutcome::Failed(error) => format!("it said `Failed`: {error:?}"),
        SaveOutcome::Unknown(error) => format!("it said `Unknown`: {error:?}"),
    };
    broken(promise, &format!("{what}: {said}"));
}

#[track_caller]
fn keep_stored(found: LoadOutcome, expected: &SessionRecord, promise: &str, detail: &str) {
    match found {
        LoadOutcome::Record(found) if json(&found) == json(expected) => {}
        LoadOutcome::Record(_) => broken(promise, &format!("{detail}: it was another record")),
        found => broken(promise, &format!("{detail}: {}", outcome(&found))),
    }
}

fn outcome(found: &LoadOutcome) -> String {
    match found {
        LoadOutcome::Record(_) => "there was another record".to_owned(),
        LoadOutcome::Nothing => "there was nothing".to_owned(),
        LoadOutcome::Damaged(error) => format!("it was damaged: {error:?}"),
        LoadOutcome::Failed(error) => format!("it could not be loaded: {error:?}"),
    }
}

// Locks, waits and futures, on no runtime in particular.

async fn try_lock<S: AsyncTokenStore>(store: &S, name: &str) -> Option<Box<dyn AsyncLockedSession>> {
    store.try_lock(name).await.unwrap_or_else(|error| {
        broken("a lock can be taken under every name", &format!("of {}: {error:?}", show(name)))
    })
}

/// Waits for a lock that nobody needs any more.
async fn lock<S: AsyncTokenStore>(store: &S, name: &str) -> Box<dyn AsyncLockedSession> {
    lock_within(PATIENCE, store, name).await
}

async fn lock_within<S: AsyncTokenStore>(patience: Duration, store: &S, name: &str) -> Box<dyn AsyncLockedSession> {
    let since = Instant::now();
    loop {
        if let Some(locked) = try_lock(store, name).await {
            return locked;
        }
        let detail = format!("that of {} was not free for {} s", show(name), patience.as_secs());
        keep(since.elapsed() < patience, "a lock that was given back or dropped is free", &detail);
        pause().await;
    }
}

/// Lets others run. It blocks the thread for a moment, because there is no timer that every runtime has.
async fn pause() {
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

async fn poll_and_drop<T>(mut future: BoxFuture<'_, T>, polls: u32) {
    for _ in 0..polls {
        let ended = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if ended {
            return;
        }
        pause().await;
    }
}

/// Runs futures at the same time, on one task.
async fn join<F: Future<Output = ()> + Unpin>(mut futures: Vec<F>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// For the futures of [`Blocking`], which never wait for anything but [`pause`].
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// A store for blocking code, for checks that are written for both.
struct Blocking<S>(S);

struct BlockingLocked(Box<dyn LockedSession>);

impl<S: TokenStore> AsyncTokenStore for Blocking<S> {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncLockedSession>>, Error>> {
        Box::pin(async move {
            let locked = self.0.try_lock(name)?;
            Ok(locked.map(|locked| Box::new(BlockingLocked(locked)) as Box<dyn AsyncLockedSession>))
        })
    }
}

impl AsyncLockedSession for BlockingLocked {
    fn load(&mut self) -> BoxFuture<'_, LoadOutcome> {
        Box::pin(async { self.0.load() })
    }

    fn save<'a>(&'a mut self, record: &'a SessionRecord, expected: Option<u64>) -> BoxFuture<'a, SaveOutcome> {
        Box::pin(async move { self.0.save(record, expected) })
    }

    fn clear(&mut self, expected: Option<u64>) -> BoxFuture<'_, SaveOutcome> {
        Box::pin(async move { self.0.clear(expected) })
    }
}
