//! The kit: the stores of this crate pass it, and stores that break one promise each do not.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use loginradius_proto::Error;
use loginradius_store::{
    AsyncLockedSession, AsyncTokenStore, BoxFuture, FileStore, LoadOutcome, LockedSession, MemoryStore, SaveOutcome,
    SessionRecord, TokenStore, kit,
};

#[derive(Default)]
struct Storages(Mutex<HashMap<String, MemoryStore>>);

impl Storages {
    fn open(&self, storage: &str) -> MemoryStore {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(storage.to_owned()).or_default().clone()
    }
}

fn open_file(folder: &Path, storage: &str) -> FileStore {
    FileStore::open(folder.join(storage)).unwrap()
}

#[test]
fn memory_store_passes() {
    let storages = Storages::default();
    kit::check(|storage| storages.open(storage));
}

#[tokio::test]
async fn memory_store_passes_for_async_code() {
    let storages = Storages::default();
    kit::check_async(|storage| storages.open(storage)).await;
}

#[test]
fn file_store_passes() {
    let folder = tempfile::tempdir().unwrap();
    kit::check(|storage| open_file(folder.path(), storage));
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn file_store_passes_for_async_code_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    kit::check_async(|storage| open_file(folder.path(), storage)).await;
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_store_passes_for_async_code_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    kit::check_async(|storage| open_file(folder.path(), storage)).await;
}

/// One broken promise each.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    ForgetsLock,
    LocksPerHandle,
    OneLockForAll,
    NeverUnlocks,
    UnlocksOnSave,
    UnlocksOnLoad,
    LastWriteWins,
    SaveOverAnythingIfNothingExpected,
    SavesAgain,
    OnlyHigherGenerations,
    ConflictWritesAnyway,
    ClearsAlways,
    ClearsNothing,
    ClearsAll,
    FoldsCase,
    TrimsNames,
    CutsNames,
    CutsNamesAtNul,
    ListsOneRecord,
    TearsLongRecords,
    ForgetsIntent,
    GenerationsOf32Bits,
    GenerationsAsFloats,
    KeepsPerHandle,
    ReportsFailure,
    RefusesEmptyName,
    /// Looks and takes, and in between there is time for another.
    RacyLock,
}

impl Fault {
    const ALL: [(Self, &str); 27] = [
        (Self::ForgetsLock, "while a lock is held"),
        (Self::LocksPerHandle, "while a lock is held"),
        (Self::OneLockForAll, "no two names meet"),
        (Self::NeverUnlocks, "given back is free"),
        (Self::UnlocksOnSave, "held until it is given back"),
        (Self::UnlocksOnLoad, "held until it is given back"),
        (Self::LastWriteWins, "expects nothing, over a record, is a conflict"),
        (Self::SaveOverAnythingIfNothingExpected, "expects nothing, over a record, is a conflict"),
        (Self::SavesAgain, "said `Saved`"),
        (Self::OnlyHigherGenerations, "changed, and `Saved`"),
        (Self::ConflictWritesAnyway, "a conflict changes nothing"),
        (Self::ClearsAlways, "conflict"),
        (Self::ClearsNothing, "what was cleared is gone"),
        (Self::ClearsAll, "there under its own name"),
        (Self::FoldsCase, "no two names meet"),
        (Self::TrimsNames, "no two names meet"),
        (Self::CutsNames, "no two names meet"),
        (Self::CutsNamesAtNul, "no two names meet"),
        (Self::ListsOneRecord, "no two names meet"),
        (Self::TearsLongRecords, "tokens of 100,000 bytes"),
        (Self::ForgetsIntent, "an open intent"),
        (Self::GenerationsOf32Bits, "all 53 bits"),
        (Self::GenerationsAsFloats, "another generation than the expected one"),
        (Self::KeepsPerHandle, "loaded"),
        (Self::ReportsFailure, "changed, and `Saved`"),
        (Self::RefusesEmptyName, "a lock can be taken under every name"),
        (Self::RacyLock, "while a lock is held"),
    ];
}

/// A store with a fault, and the same insides as a good one.
#[derive(Clone)]
struct Faulty {
    fault: Fault,
    shared: Arc<Mutex<Shared>>,
    /// What only this handle sees.
    own: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    records: HashMap<String, String>,
    locked: Vec<String>,
}

struct FaultyLock {
    store: Faulty,
    name: String,
    locked: String,
}

impl Faulty {
    fn with<T>(&self, own: bool, change: impl FnOnce(&mut Shared) -> T) -> T {
        let shared = if own { &self.own } else { &self.shared };
        change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn locks<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        self.with(self.fault == Fault::LocksPerHandle, change)
    }

    fn records<T>(&self, change: impl FnOnce(&mut HashMap<String, String>) -> T) -> T {
        self.with(self.fault == Fault::KeepsPerHandle, |shared| change(&mut shared.records))
    }
}

impl TokenStore for Faulty {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockedSession>>, Error> {
        let name = match self.fault {
            Fault::FoldsCase => name.to_lowercase(),
            Fault::TrimsNames => name.trim_end().to_owned(),
            Fault::CutsNames => name.chars().take(255).collect(),
            Fault::CutsNamesAtNul => name.split('\0').next().unwrap().to_owned(),
            Fault::RefusesEmptyName if name.is_empty() => return Err(Error::settings("a session needs a name")),
            _ => name.to_owned(),
        };
        let locked = if self.fault == Fault::OneLockForAll { String::new() } else { name.clone() };
        if self.fault == Fault::RacyLock {
            let free = self.locks(|shared| !shared.locked.contains(&locked));
            std::thread::sleep(std::time::Duration::from_millis(1));
            self.locks(|shared| shared.locked.extend(free.then(|| locked.clone())));
            return Ok(free.then(|| Box::new(FaultyLock { store: self.clone(), name, locked }) as _));
        }
        let free = self.locks(|shared| {
            let free = self.fault == Fault::ForgetsLock || !shared.locked.contains(&locked);
            shared.locked.extend(free.then(|| locked.clone()));
            free
        });
        // A list that is not by name.
        let name = if self.fault == Fault::ListsOneRecord { String::new() } else { name };
        Ok(free.then(|| Box::new(FaultyLock { store: self.clone(), name, locked }) as _))
    }
}

impl FaultyLock {
    fn unlock(&self) {
        self.store.locks(|shared| shared.locked.retain(|name| *name != self.locked));
    }

    fn stored(&self) -> Option<String> {
        self.store.records(|records| records.get(&self.name).cloned())
    }

    fn conflict(&self, expected: Option<u64>) -> bool {
        let stored = self.stored().map(|json| generation(&json));
        match self.store.fault {
            Fault::LastWriteWins => stored.is_none() && expected.is_some(),
            Fault::SaveOverAnythingIfNothingExpected => expected.is_some() && stored != expected,
            Fault::GenerationsAsFloats => stored.map(as_float) != expected.map(as_float),
            Fault::GenerationsOf32Bits => stored.map(as_32_bits) != expected.map(as_32_bits),
            _ => stored != expected,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "that is the fault")]
fn as_32_bits(generation: u64) -> u32 {
    generation as u32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "that is the fault")]
fn as_float(generation: u64) -> u32 {
    (generation as f32).to_bits()
}

fn generation(json: &str) -> u64 {
    match LoadOutcome::from_json(json) {
        LoadOutcome::Record(record) => record.generation(),
        _ => 0,
    }
}

impl LockedSession for FaultyLock {
    fn load(&mut self) -> LoadOutcome {
        if self.store.fault == Fault::UnlocksOnLoad {
            self.unlock();
        }
        self.stored().map_or(LoadOutcome::Nothing, |json| LoadOutcome::from_json(&json))
    }

    fn save(&mut self, record: &SessionRecord, expected: Option<u64>) -> SaveOutcome {
        let mut json = record.to_json();
        let stored = self.stored().map(|json| generation(&json));
        let conflict = match self.store.fault {
            Fault::SavesAgain => self.conflict(expected) && stored != Some(record.generation()),
            Fault::OnlyHigherGenerations => self.conflict(expected) || stored.is_some_and(|s| s >= record.generation()),
            _ => self.conflict(expected),
        };
        if conflict && self.store.fault != Fault::ConflictWritesAnyway {
            return SaveOutcome::Conflict;
        }
        match self.store.fault {
            Fault::UnlocksOnSave => self.unlock(),
            Fault::TearsLongRecords => json.truncate(65_535),
            Fault::ForgetsIntent => {
                if let Some((start, rest)) = json.split_once("\"intent\":{") {
                    json =
                        format!("{start}{}", rest.split_once("},").map_or(&rest[rest.len() - 1..], |(_, rest)| rest));
                    json = json.replace(",}", "}");
                }
            }
            _ => {}
        }
        self.store.records(|records| records.insert(self.name.clone(), json));
        match self.store.fault {
            Fault::ReportsFailure => SaveOutcome::Failed(Error::try_later("it failed", "no reason")),
            _ if conflict => SaveOutcome::Conflict,
            _ => SaveOutcome::Saved,
        }
    }

    fn clear(&mut self, expected: Option<u64>) -> SaveOutcome {
        if self.store.fault != Fault::ClearsAlways && self.conflict(expected) {
            return SaveOutcome::Conflict;
        }
        self.store.records(|records| match self.store.fault {
            Fault::ClearsNothing => {}
            Fault::ClearsAll => records.clear(),
            _ => drop(records.remove(&self.name)),
        });
        SaveOutcome::Saved
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        if self.store.fault != Fault::NeverUnlocks {
            self.unlock();
        }
    }
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap()
}

#[test]
fn faulty_stores_do_not_pass() {
    for (fault, promise) in Fault::ALL {
        let storages = Mutex::new(HashMap::<String, Arc<Mutex<Shared>>>::new());
        let open = |storage: &str| {
            let shared = storages.lock().unwrap().entry(storage.to_owned()).or_default().clone();
            Faulty { fault, shared, own: Arc::default() }
        };
        let panic = catch_unwind(AssertUnwindSafe(|| kit::check(open))).expect_err(&format!("{fault:?} passed"));
        let message = message(panic);
        println!("{fault:?}: {message}");
        assert!(message.contains("breaks a promise") && message.contains(promise), "{fault:?}: {message}");
    }
}

/// What only async code can do wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
enum AsyncFault {
    None,
    DroppedFutureKeepsLock,
    DroppedSaveTears,
    DroppedSaveComesLate,
    UnlockDoesNothing,
}

#[derive(Clone)]
struct AsyncFaulty {
    fault: AsyncFault,
    store: Faulty,
}

struct AsyncFaultyLock {
    fault: AsyncFault,
    lock: Option<FaultyLock>,
}

async fn once_pending() {
    let mut pending = true;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut pending, false) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
}

impl AsyncTokenStore for AsyncFaulty {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncLockedSession>>, Error>> {
        Box::pin(async move {
            let locked = |shared: &mut Shared| {
                let free = !shared.locked.iter().any(|locked| locked == name);
                shared.locked.extend(free.then(|| name.to_owned()));
                free
            };
            if !self.store.locks(locked) {
                return Ok(None);
            }
            let lock = || FaultyLock { store: self.store.clone(), name: name.to_owned(), locked: name.to_owned() };
            let lock = if self.fault == AsyncFault::DroppedFutureKeepsLock {
                once_pending().await;
                lock()
            } else {
                let lock = lock();
                once_pending().await;
                lock
            };
            Ok(Some(Box::new(AsyncFaultyLock { fault: self.fault, lock: Some(lock) }) as _))
        })
    }
}

impl AsyncLockedSession for AsyncFaultyLock {
    fn load(&mut self) -> BoxFuture<'_, LoadOutcome> {
        Box::pin(async { LockedSession::load(self.lock.as_mut().unwrap()) })
    }

    fn save<'a>(&'a mut self, record: &'a SessionRecord, expected: Option<u64>) -> BoxFuture<'a, SaveOutcome> {
        Box::pin(async move {
            let lock = self.lock.as_mut().unwrap();
            match self.fault {
                AsyncFault::DroppedSaveTears => {
                    let stored = lock.stored();
                    if stored.as_deref().map(generation) != expected {
                        return SaveOutcome::Conflict;
                    }
                    lock.store.records(|records| records.insert(lock.name.clone(), "{".into()));
                    once_pending().await;
                    lock.store.records(|records| records.insert(lock.name.clone(), record.to_json()));
                    SaveOutcome::Saved
                }
                AsyncFault::DroppedSaveComesLate => {
                    let (store, name, record) = (lock.store.clone(), lock.name.clone(), record.clone());
                    let writing = tokio::task::spawn_blocking(move || {
                        std::thread::sleep(std::time::Duration::from_millis(3));
                        let mut late = std::mem::ManuallyDrop::new(FaultyLock { store, locked: name.clone(), name });
                        late.save(&record, expected)
                    });
                    writing.await.unwrap()
                }
                _ => {
                    once_pending().await;
                    lock.save(record, expected)
                }
            }
        })
    }

    fn clear(&mut self, expected: Option<u64>) -> BoxFuture<'_, SaveOutcome> {
        Box::pin(async move { LockedSession::clear(self.lock.as_mut().unwrap(), expected) })
    }

    fn unlock(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        if self.fault == AsyncFault::UnlockDoesNothing {
            std::mem::forget(self.lock.take());
        }
        Box::pin(std::future::ready(()))
    }
}

async fn check_async_fault(fault: AsyncFault) {
    let storages = Mutex::new(HashMap::<String, Arc<Mutex<Shared>>>::new());
    kit::check_async(|storage| {
        let shared = storages.lock().unwrap().entry(storage.to_owned()).or_default().clone();
        AsyncFaulty { fault, store: Faulty { fault: Fault::ListsOneRecord, shared, own: Arc::default() } }
    })
    .await;
}

#[tokio::test]
async fn async_store_without_a_fault_passes() {
    check_async_fault(AsyncFault::None).await;
}

#[test]
fn faulty_async_stores_do_not_pass() {
    let rows = [
        (AsyncFault::DroppedFutureKeepsLock, "given back or dropped is free"),
        (AsyncFault::DroppedSaveTears, "leaves the old or the new record"),
        (AsyncFault::DroppedSaveComesLate, "has ended when its lock is free"),
        (AsyncFault::UnlockDoesNothing, "given back is free"),
    ];
    for (fault, promise) in rows {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(check_async_fault(fault))))
            .expect_err(&format!("{fault:?} passed"));
        let message = message(panic);
        println!("{fault:?}: {message}");
        assert!(message.contains("breaks a promise") && message.contains(promise), "{fault:?}: {message}");
    }
}
