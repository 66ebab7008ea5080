//! Sessions that move from one store to another.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use loginradius_proto::{Error, ErrorKind};
use loginradius_store::{
    AsyncSessionStore, Expected, FileStore, LoadError, MemoryStore, Moved, MovingStore, SaveError, SessionLock,
    SessionStore, StoredRecord, store_tests,
};

use crate::record;

fn generation(record: Option<&StoredRecord>) -> Expected {
    record.map_or(Expected::Nothing, |record| Expected::Generation(record.generation()))
}

/// Puts a record into a store, in place of any other, or removes it.
fn put(store: &impl SessionStore, name: &str, record: Option<&StoredRecord>) {
    let mut lock = store.try_lock(name).unwrap().expect("the lock is free");
    let expected = generation(lock.load().unwrap().as_ref());
    match record {
        Some(record) => lock.save(record, expected).unwrap(),
        None => lock.clear(expected).unwrap(),
    }
}

fn names(store: &impl SessionStore) -> Vec<String> {
    store.names("", None).unwrap()
}

// The promises of a store

/// Two stores, in which each session is put back into the old one before it is used again.
struct PutBack<F, T>(F, T);

impl<F: SessionStore + Clone, T: SessionStore + Clone> SessionStore for PutBack<F, T> {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        if let (Some(mut from), Some(mut to)) = (self.0.try_lock(name)?, self.1.try_lock(name)?)
            && let Some(record) = to.load().unwrap()
        {
            from.save(&StoredRecord::new(record.generation(), record.as_bytes()), Expected::Nothing).unwrap();
            to.clear(generation(Some(&record))).unwrap();
        }
        MovingStore::new(self.0.clone(), self.1.clone()).try_lock(name)
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        MovingStore::new(self.0.clone(), self.1.clone()).peek(name)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        MovingStore::new(self.0.clone(), self.1.clone()).names(prefix, after)
    }
}

#[derive(Default)]
struct Storages(Mutex<HashMap<String, MemoryStore>>);

impl Storages {
    fn open(&self, storage: &str, which: &str) -> MemoryStore {
        self.0.lock().unwrap().entry(format!("{storage} {which}")).or_default().clone()
    }
}

fn open_files(folder: &Path, storage: &str, which: &str) -> FileStore {
    FileStore::open(folder.join(format!("{storage}-{which}"))).unwrap()
}

#[test]
fn a_moving_store_passes() {
    let storages = Storages::default();
    let open = |storage: &str, which: &str| storages.open(storage, which);
    store_tests::check(|storage| MovingStore::new(open(storage, "from"), open(storage, "to")));
    let storages = Storages::default();
    let open = |storage: &str, which: &str| storages.open(storage, which);
    store_tests::check(|storage| PutBack(open(storage, "from"), open(storage, "to")));
}

#[test]
fn a_moving_store_of_files_passes() {
    let folder = tempfile::tempdir().unwrap();
    let storages = Storages::default();
    store_tests::check(|storage| PutBack(open_files(folder.path(), storage, "from"), storages.open(storage, "to")));
}

#[tokio::test]
async fn a_moving_store_passes_for_async_code() {
    let storages = Storages::default();
    let open = |storage: &str, which: &str| storages.open(storage, which);
    store_tests::check_async(|storage| MovingStore::new(open(storage, "from"), open(storage, "to"))).await;
    let folder = tempfile::tempdir().unwrap();
    let open = |storage: &str, which: &str| open_files(folder.path(), storage, which);
    store_tests::check_async(|storage| MovingStore::new(open(storage, "from"), open(storage, "to"))).await;
}

// Failures and crashes at each step

/// A store that fails or dies at one of the steps of the two stores.
#[derive(Clone)]
struct Stepping {
    which: &'static str,
    store: MemoryStore,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    steps: Vec<String>,
    fault: Option<(usize, Fault)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    Fails,
    UnknownAndNotDone,
    UnknownAndDone,
    /// Another holder has the lock by now.
    LockIsLost,
    DiesBefore,
    DiesAfter,
}

const FAULTS: [Fault; 6] = [
    Fault::Fails,
    Fault::UnknownAndNotDone,
    Fault::UnknownAndDone,
    Fault::LockIsLost,
    Fault::DiesBefore,
    Fault::DiesAfter,
];

struct SteppingLock(Box<dyn SessionLock>, Stepping);

fn broken() -> Error {
    Error::unavailable("the store is broken", "a test")
}

impl Stepping {
    /// Takes a step. Returns its fault if it is neither to be done nor fatal.
    fn step<T>(&self, what: &str, act: impl FnOnce() -> T) -> Result<T, Fault> {
        let fault = {
            let mut plan = self.plan.lock().unwrap();
            plan.steps.push(format!("{what} {}", self.which));
            plan.fault.filter(|(at, _)| *at == plan.steps.len() - 1).map(|(_, fault)| fault)
        };
        // Without the message of a panic.
        let die = || resume_unwind(Box::new("died"));
        match fault {
            None => Ok(act()),
            Some(Fault::DiesBefore) => die(),
            Some(fault @ (Fault::DiesAfter | Fault::UnknownAndDone)) => {
                act();
                if fault == Fault::DiesAfter { die() } else { Err(fault) }
            }
            Some(fault) => Err(fault),
        }
    }
}

impl SessionStore for Stepping {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        match self.step("lock", || SessionStore::try_lock(&self.store, name)) {
            Ok(locked) => Ok(locked?.map(|lock| Box::new(SteppingLock(lock, self.clone())) as _)),
            Err(Fault::LockIsLost) => Ok(None),
            Err(_) => Err(broken()),
        }
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        SessionStore::names(&self.store, prefix, after)
    }
}

impl SteppingLock {
    fn change(
        &mut self,
        what: &str,
        act: impl FnOnce(&mut dyn SessionLock) -> Result<(), SaveError>,
    ) -> Result<(), SaveError> {
        match self.1.step(what, || act(&mut *self.0)) {
            Ok(outcome) => outcome,
            Err(Fault::Fails) => Err(SaveError::Failed(broken())),
            Err(Fault::LockIsLost) => Err(SaveError::Conflict),
            Err(_) => Err(SaveError::Unknown(broken())),
        }
    }
}

impl SessionLock for SteppingLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        match self.1.step("load", || self.0.load()) {
            Ok(found) => found,
            Err(_) => Err(LoadError::Failed(broken())),
        }
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.change("save", |lock| lock.save(record, expected))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.change("clear", |lock| lock.clear(expected))
    }
}

/// Two stores with a fault at one step of both.
struct Scene {
    from: MemoryStore,
    to: MemoryStore,
    plan: Arc<Mutex<Plan>>,
}

impl Scene {
    fn new(from: Option<&StoredRecord>, to: Option<&StoredRecord>) -> Self {
        let scene = Self { from: MemoryStore::new(), to: MemoryStore::new(), plan: Arc::default() };
        put(&scene.from, "ada", from);
        put(&scene.to, "ada", to);
        scene
    }

    fn store(&self, fault: Option<(usize, Fault)>) -> MovingStore<Stepping, Stepping> {
        *self.plan.lock().unwrap() = Plan { steps: Vec::new(), fault };
        let stepping =
            |which, store: &MemoryStore| Stepping { which, store: store.clone(), plan: Arc::clone(&self.plan) };
        MovingStore::new(stepping("from", &self.from), stepping("to", &self.to))
    }

    fn stored(&self) -> (Option<StoredRecord>, Option<StoredRecord>) {
        (SessionStore::peek(&self.from, "ada"), SessionStore::peek(&self.to, "ada"))
    }
}

/// What a holder does under one lock.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Act {
    Load,
    Save,
    LoadAndSave,
    Clear,
    LoadAndClear,
}

/// Whether the last change was done.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    Done,
    NotDone,
    Unknown,
}

fn act(store: &impl SessionStore, act: Act, before: Option<&StoredRecord>) -> Outcome {
    let Ok(Some(mut lock)) = store.try_lock("ada") else { return Outcome::NotDone };
    if matches!(act, Act::Load | Act::LoadAndSave | Act::LoadAndClear) {
        match lock.load() {
            Ok(found) => assert_eq!(found.as_ref(), before),
            Err(_) => return Outcome::NotDone,
        }
    }
    let outcome = match act {
        Act::Load => Ok(()),
        Act::Save | Act::LoadAndSave => lock.save(&record(9, "new"), generation(before)),
        Act::Clear | Act::LoadAndClear => lock.clear(generation(before)),
    };
    match outcome {
        Ok(()) => Outcome::Done,
        Err(SaveError::Unknown(_)) => Outcome::Unknown,
        Err(_) => Outcome::NotDone,
    }
}

/// What is stored before, and the record that counts.
fn states() -> [(Option<StoredRecord>, Option<StoredRecord>, Option<StoredRecord>); 5] {
    let (one, stale) = (Some(record(1, "t")), Some(record(5, "stale")));
    [
        (None, None, None),
        (one.clone(), None, one.clone()),
        (one.clone(), one.clone(), one.clone()),
        (None, one.clone(), one.clone()),
        (stale, one.clone(), one),
    ]
}

const ACTS: [Act; 5] = [Act::Load, Act::Save, Act::LoadAndSave, Act::Clear, Act::LoadAndClear];

#[test]
fn whatever_fails_or_dies_no_record_is_lost_and_none_comes_back() {
    let mut runs = 0;
    for (from, to, counts) in states() {
        for what in ACTS {
            let scene = Scene::new(from.as_ref(), to.as_ref());
            assert_eq!(act(&scene.store(None), what, counts.as_ref()), Outcome::Done);
            let steps = scene.plan.lock().unwrap().steps.clone();
            for first in faults(steps.len()) {
                for second in faults(4) {
                    runs += 1;
                    run((&from, &to, &counts), what, first, second);
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 10_000);
}

/// Returns each fault at each step, and none.
fn faults(steps: usize) -> impl Iterator<Item = Option<(usize, Fault)>> {
    let all = (0..steps).flat_map(|at| FAULTS.into_iter().map(move |fault| Some((at, fault))));
    std::iter::once(None).chain(all)
}

type State<'a> = (&'a Option<StoredRecord>, &'a Option<StoredRecord>, &'a Option<StoredRecord>);

fn run((from, to, counts): State<'_>, what: Act, first: Option<(usize, Fault)>, second: Option<(usize, Fault)>) {
    let scene = Scene::new(from.as_ref(), to.as_ref());
    let store = scene.store(first);
    let outcome = catch_unwind(AssertUnwindSafe(|| act(&store, what, counts.as_ref())));
    let steps = scene.plan.lock().unwrap().steps.clone();
    let detail = format!("{from:?}, {to:?}, {what:?}, {first:?}, {outcome:?}, {steps:?}, then {second:?}");
    assert!(!steps.contains(&"save from".to_owned()), "{detail}");
    assert!(outcome.as_ref().err().is_none_or(|panic| panic.is::<&str>()), "{detail}");

    let after = match what {
        Act::Load => counts.clone(),
        Act::Save | Act::LoadAndSave => Some(record(9, "new")),
        Act::Clear | Act::LoadAndClear => None,
    };
    let expected = match outcome {
        Ok(Outcome::Done) => vec![&after],
        Ok(Outcome::NotDone) => vec![counts],
        Ok(Outcome::Unknown) | Err(_) => vec![counts, &after],
    };
    // Nothing is passed on before there is no record in the old store.
    let (left, stored) = scene.stored();
    if left.is_some() {
        assert!(left == *from && (stored == *to || stored == *counts), "{detail}");
    } else {
        assert!(expected.contains(&&stored), "{detail}: {stored:?}");
    }

    // Another holder may be interrupted too.
    let store = scene.store(second);
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let found = store.try_lock("ada").ok().flatten().map(|mut lock| lock.load());
        if let Some(Ok(found)) = found {
            assert!(expected.contains(&&found), "{detail}: {found:?}");
        }
    }))
    .inspect_err(|panic| assert!(panic.is::<&str>(), "{detail}"));

    let mut lock = scene.store(None).try_lock("ada").unwrap().expect("the lock is free");
    let found = lock.load().unwrap();
    assert!(expected.contains(&&found), "{detail}: {found:?}");
    assert_eq!(scene.stored(), (None, found), "{detail}");
}

#[test]
fn the_old_store_is_locked_first_and_released_if_the_new_one_is_taken_or_fails() {
    let scene = Scene::new(Some(&record(1, "t")), None);
    let store = scene.store(None);
    let from = SessionStore::try_lock(&scene.from, "ada").unwrap().unwrap();
    assert!(store.try_lock("ada").unwrap().is_none());
    assert_eq!(scene.plan.lock().unwrap().steps, ["lock from"]);
    drop(from);
    let to = SessionStore::try_lock(&scene.to, "ada").unwrap().unwrap();
    assert!(store.try_lock("ada").unwrap().is_none());
    assert!(SessionStore::try_lock(&scene.from, "ada").unwrap().is_some());
    drop(to);
    assert!(scene.store(Some((1, Fault::Fails))).try_lock("ada").is_err());
    assert!(SessionStore::try_lock(&scene.from, "ada").unwrap().is_some());
    let lock = scene.store(None).try_lock("ada").unwrap().unwrap();
    assert!(SessionStore::try_lock(&scene.from, "ada").unwrap().is_none());
    assert!(SessionStore::try_lock(&scene.to, "ada").unwrap().is_none());
    drop(lock);
    assert!(SessionStore::try_lock(&scene.to, "ada").unwrap().is_some());
}

#[tokio::test]
async fn async_locks_are_released_too() {
    let store = MovingStore::new(MemoryStore::new(), MemoryStore::new());
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    let both = MovingStore::new(from.clone(), to.clone());
    let lock = AsyncSessionStore::try_lock(&to, "ada").await.unwrap().unwrap();
    assert!(AsyncSessionStore::try_lock(&both, "ada").await.unwrap().is_none());
    assert!(AsyncSessionStore::try_lock(&from, "ada").await.unwrap().is_some());
    drop(lock);
    let lock = AsyncSessionStore::try_lock(&both, "ada").await.unwrap().unwrap();
    assert!(lock.is_held());
    lock.unlock().await;
    for store in [&from, &to] {
        assert!(AsyncSessionStore::try_lock(store, "ada").await.unwrap().is_some());
    }
    drop(store);
}

/// Once the record has moved, the old store is asked for it only once under each lock.
#[test]
fn each_step_is_taken_once() {
    let scene = Scene::new(Some(&record(1, "t")), None);
    let store = scene.store(None);
    let steps = || std::mem::take(&mut scene.plan.lock().unwrap().steps).join(", ");
    let mut lock = store.try_lock("ada").unwrap().unwrap();
    lock.load().unwrap();
    assert_eq!(steps(), "lock from, lock to, load to, load from, save to, clear from, load to");
    lock.save(&record(2, "t"), Expected::Generation(1)).unwrap();
    lock.load().unwrap();
    assert_eq!(steps(), "save to, load to");
    drop(lock);
    let mut lock = store.try_lock("ada").unwrap().unwrap();
    lock.load().unwrap();
    lock.clear(Expected::Generation(2)).unwrap();
    assert_eq!(steps(), "lock from, lock to, load to, load from, clear to");
    drop(lock);
    // A copy that was interrupted may not be durable yet.
    for store in [&scene.from, &scene.to] {
        put(store, "ada", Some(&record(1, "t")));
    }
    let mut lock = store.try_lock("ada").unwrap().unwrap();
    lock.load().unwrap();
    assert_eq!(steps(), "lock from, lock to, load to, load from, save to, clear from");
}

/// A store whose lock is a lease, and may have lapsed.
struct Lapsed(MemoryStore);

struct LapsedLock(Box<dyn SessionLock>);

impl SessionStore for Lapsed {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(SessionStore::try_lock(&self.0, name)?.map(|lock| Box::new(LapsedLock(lock)) as _))
    }
}

impl SessionLock for LapsedLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        self.0.load()
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.0.save(record, expected)
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.clear(expected)
    }

    fn is_held(&self) -> bool {
        false
    }
}

#[test]
fn a_lock_is_held_if_both_are() {
    let memory = MemoryStore::new;
    let is_held = |store: &dyn SessionStore| store.try_lock("ada").unwrap().unwrap().is_held();
    assert!(is_held(&MovingStore::new(memory(), memory())));
    assert!(!is_held(&MovingStore::new(Lapsed(memory()), memory())));
    assert!(!is_held(&MovingStore::new(memory(), Lapsed(memory()))));
}

// Damaged records

#[test]
fn a_damaged_record_moves_like_any_other_and_names_its_new_place() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (FileStore::open(old.path()).unwrap(), FileStore::open(new.path()).unwrap());
    for bytes in [&b"half a rec"[..], b"", b"\xff\0"] {
        put(&from, "ada", Some(&StoredRecord::from_bytes(bytes)));
        let store = MovingStore::new(from.clone(), to.clone());
        let mut lock = SessionStore::try_lock(&store, "ada").unwrap().unwrap();
        let found = lock.load().unwrap().unwrap();
        assert_eq!(found.as_bytes(), bytes);
        let error = found.summary().unwrap_err().to_string();
        assert!(error.contains(new.path().to_str().unwrap()), "{error}");
        lock.save(&record(2, "t"), Expected::Damaged(found.generation())).unwrap();
        lock.clear(Expected::Generation(2)).unwrap();
        assert!(names(&from).is_empty());
    }
    assert_eq!(std::fs::read(new.path().join("session-ada.json.damaged-1")).unwrap(), b"half a rec");

    // In memory a record would keep the place that it came with.
    put(&from, "bob", Some(&StoredRecord::from_bytes(*b"half a rec")));
    let store = MovingStore::new(from, MemoryStore::new());
    let found = SessionStore::try_lock(&store, "bob").unwrap().unwrap().load().unwrap().unwrap();
    let error = found.summary().unwrap_err().to_string();
    assert!(!error.contains(old.path().to_str().unwrap()), "{error}");
}

/// A store that says of each record that it is damaged, as one whose key is lost.
#[derive(Clone)]
struct Sealed(MemoryStore);

struct SealedLock(Box<dyn SessionLock>);

impl SessionStore for Sealed {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(SessionStore::try_lock(&self.0, name)?.map(|lock| Box::new(SealedLock(lock)) as _))
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        SessionStore::names(&self.0, prefix, after)
    }
}

impl SessionLock for SealedLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let Some(record) = self.0.load()? else { return Ok(None) };
        Err(LoadError::Damaged { generation: record.generation(), error: Error::record_damaged("the seal is broken") })
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.0.save(record, expected)
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.0.clear(expected)
    }
}

#[test]
fn what_the_old_store_calls_damaged_stays_there() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    put(&from, "ada", Some(&record(1, "t")));
    let store = MovingStore::new(Sealed(from.clone()), to.clone());
    let mut lock = store.try_lock("ada").unwrap().unwrap();
    let Err(LoadError::Failed(error)) = lock.load() else { panic!() };
    assert_eq!(error.kind(), ErrorKind::RecordDamaged);
    for outcome in [lock.save(&record(2, "t"), Expected::Nothing), lock.clear(Expected::Nothing)] {
        let Err(SaveError::Failed(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind(), ErrorKind::RecordDamaged);
    }
    assert_eq!((names(&from), names(&to)), (vec!["ada".to_owned()], vec![]));
    drop(lock);
    assert_eq!(store.move_all().unwrap_err().kind(), ErrorKind::RecordDamaged);
    // If the new store has a record, that one counts.
    put(&to, "ada", Some(&record(2, "t")));
    let found = store.try_lock("ada").unwrap().unwrap().load().unwrap();
    assert_eq!((found, names(&from).len()), (Some(record(2, "t")), 0));
}

/// What is left in the old store may be of use to restore it, until a login replaces it.
#[test]
fn what_the_new_store_calls_damaged_counts() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    put(&from, "ada", Some(&record(1, "t")));
    put(&to, "ada", Some(&record(1, "t")));
    let store = MovingStore::new(from.clone(), Sealed(to.clone()));
    let mut lock = store.try_lock("ada").unwrap().unwrap();
    assert!(matches!(lock.load(), Err(LoadError::Damaged { generation: 1, .. })));
    assert_eq!(names(&from), ["ada"]);
    lock.save(&record(2, "t"), Expected::Damaged(1)).unwrap();
    assert_eq!((names(&from).len(), SessionStore::peek(&to, "ada")), (0, Some(record(2, "t"))));
}

// Lists and peeks

/// A store whose pages have so many names.
#[derive(Clone)]
struct Pages(MemoryStore, usize);

impl SessionStore for Pages {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        SessionStore::try_lock(&self.0, name)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let mut names = SessionStore::names(&self.0, prefix, after)?;
        names.truncate(self.1);
        Ok(names)
    }
}

#[test]
fn the_names_of_both_are_listed_in_their_order_and_once() {
    // Each name is in one of them, in both or in neither.
    for number in 0..4_usize.pow(5) {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        let mut expected = BTreeSet::new();
        for (index, name) in ["a", "b/1", "b/2", "b/3", "c"].into_iter().enumerate() {
            let place = number / 4_usize.pow(u32::try_from(index).unwrap()) % 4;
            for (bit, store) in [(1, &from), (2, &to)] {
                if place & bit != 0 {
                    put(store, name, Some(&record(1, "t")));
                    expected.insert(name.to_owned());
                }
            }
        }
        let store = MovingStore::new(Pages(from, 1 + number % 3), Pages(to, 1 + number / 3 % 3));
        for prefix in ["", "b/"] {
            let mut listed: Vec<String> = Vec::new();
            loop {
                let page = store.names(prefix, listed.last().map(String::as_str)).unwrap();
                if page.is_empty() {
                    break;
                }
                listed.extend(page);
            }
            let expected: Vec<_> = expected.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
            assert_eq!(listed, expected, "{number}, {prefix:?}");
        }
    }
}

/// Two stores, of which a session moves from the old one to the new one after the first list.
#[test]
fn a_session_that_moves_meanwhile_is_listed() {
    #[derive(Clone)]
    struct Moves(MemoryStore, [MemoryStore; 2]);
    impl SessionStore for Moves {
        fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
            SessionStore::try_lock(&self.0, name)
        }

        fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
            let listed = SessionStore::names(&self.0, prefix, after);
            let [from, to] = &self.1;
            MovingStore::new(from.clone(), to.clone()).move_all().unwrap();
            listed
        }
    }
    let stores = [MemoryStore::new(), MemoryStore::new()];
    put(&stores[0], "ada", Some(&record(1, "t")));
    let [from, to] = stores.clone();
    let store = MovingStore::new(Moves(from, stores.clone()), Moves(to, stores));
    assert_eq!(names(&store), ["ada"]);
}

#[test]
fn a_peek_finds_the_record_that_counts() {
    for (from, to, counts) in states() {
        let scene = Scene::new(from.as_ref(), to.as_ref());
        let store = MovingStore::new(scene.from.clone(), scene.to.clone());
        assert_eq!(SessionStore::peek(&store, "ada"), counts);
        assert_eq!(scene.stored(), (from, to));
    }
}

// Moving all

fn moved(moved: usize, locked: &[&str]) -> (usize, Vec<String>) {
    (moved, locked.iter().map(|name| (*name).to_owned()).collect())
}

fn parts(result: Result<Moved, Error>) -> (usize, Vec<String>) {
    let Moved { sessions: moved, locked, .. } = result.unwrap();
    (moved, locked)
}

#[tokio::test]
async fn all_sessions_move_but_those_that_are_locked() {
    for is_async in [false, true] {
        let (from, to) = (MemoryStore::new(), MemoryStore::new());
        for number in 0..25 {
            put(&from, &format!("{number}"), Some(&record(number, "t")));
        }
        put(&to, "new", Some(&record(1, "t")));
        let store = MovingStore::new(from.clone(), to.clone());
        let move_all = async || if is_async { store.move_all_async().await } else { store.move_all() };
        let locks = [SessionStore::try_lock(&from, "3").unwrap(), SessionStore::try_lock(&to, "4").unwrap()];
        assert_eq!(parts(move_all().await), moved(23, &["3", "4"]));
        assert_eq!((names(&from), names(&to).len()), (vec!["3".to_owned(), "4".to_owned()], 24));
        drop(locks);
        assert_eq!(parts(move_all().await), moved(2, &[]));
        assert_eq!(parts(move_all().await), moved(0, &[]));
        for number in 0..25 {
            assert_eq!(SessionStore::peek(&to, &format!("{number}")), Some(record(number, "t")));
        }
        assert!(names(&from).is_empty());
    }
}

/// As a session that is refreshed while the others move.
#[test]
fn a_lock_that_is_taken_is_tried_again_at_the_end() {
    #[derive(Clone)]
    struct Busy(MemoryStore, Arc<Mutex<usize>>);
    impl SessionStore for Busy {
        fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
            let mut tries = self.1.lock().unwrap();
            *tries += 1;
            if *tries < 3 { Ok(None) } else { SessionStore::try_lock(&self.0, name) }
        }

        fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
            SessionStore::names(&self.0, prefix, after)
        }
    }
    let from = MemoryStore::new();
    ["a", "b", "c"].iter().for_each(|name| put(&from, name, Some(&record(1, "t"))));
    let store = MovingStore::new(Busy(from.clone(), Arc::default()), MemoryStore::new());
    assert_eq!(parts(store.move_all()), moved(3, &[]));
}

#[tokio::test]
async fn a_move_goes_on_after_errors_but_not_for_ever() {
    let (from, to) = (MemoryStore::new(), MemoryStore::new());
    for number in 10..40 {
        put(&from, &format!("{number}"), Some(&record(1, "t")));
    }
    // The sixth step is the last but one of the first session.
    let scene = Scene { from: from.clone(), to: to.clone(), plan: Arc::default() };
    let error = scene.store(Some((5, Fault::Fails))).move_all().unwrap_err();
    assert!(error.to_string().ends_with("; sessions that were not moved: 1"), "{error}");
    assert_eq!((names(&from), names(&to).len()), (vec!["10".to_owned()], 30));

    for number in 10..40 {
        put(&from, &format!("{number}"), Some(&record(1, "t")));
        put(&to, &format!("{number}"), None);
    }
    let store = MovingStore::new(Sealed(from.clone()), to.clone());
    let error = store.move_all().unwrap_err();
    assert!(error.to_string().ends_with("; the move ended after ten such errors"), "{error}");
    assert_eq!((names(&from).len(), names(&to).len()), (30, 0));
    // A store that cannot list its sessions says so.
    let unlisted = MovingStore::new(Lapsed(from), to);
    assert_eq!(unlisted.move_all().unwrap_err().kind(), ErrorKind::Misuse);
}
