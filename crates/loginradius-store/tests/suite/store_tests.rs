//! The store tests: the stores of this crate pass them, and stores that break one promise each do not.

use std::collections::HashMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use loginradius_proto::Error;
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BlockingStore, BoxFuture, Expected, FileStore, LoadError, MemoryStore,
    SaveError, SessionLock, SessionStore, StoredRecord, store_tests,
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
    store_tests::check(|storage| storages.open(storage));
}

#[tokio::test]
async fn memory_store_passes_for_async_code() {
    let storages = Storages::default();
    store_tests::check_async(|storage| storages.open(storage)).await;
}

/// As the blocking adapter drives it.
#[tokio::test]
async fn blocking_store_passes_for_async_code() {
    let storages = Storages::default();
    store_tests::check_async(|storage| BlockingStore::new(storages.open(storage))).await;
}

#[test]
fn file_store_passes() {
    let folder = tempfile::tempdir().unwrap();
    store_tests::check(|storage| open_file(folder.path(), storage));
}

#[tokio::test]
async fn file_store_passes_for_async_code_on_one_thread() {
    let folder = tempfile::tempdir().unwrap();
    store_tests::check_async(|storage| open_file(folder.path(), storage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_store_passes_for_async_code_on_several_threads() {
    let folder = tempfile::tempdir().unwrap();
    store_tests::check_async(|storage| open_file(folder.path(), storage)).await;
}

/// The files of storages, past their stores. The names of sessions are those of their files.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn open(&self, storage: &str) -> FileStore {
        open_file(self.0.path(), storage)
    }
}

impl store_tests::DamageHooks for Files {
    async fn damage(&self, storage: &str, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(storage).join(format!("session-{name}.json")), bytes).unwrap();
    }

    async fn copies(&self, storage: &str, name: &str) -> Vec<Vec<u8>> {
        let start = format!("session-{name}.json.damaged-");
        let files = fs::read_dir(self.0.path().join(storage)).unwrap().map(|file| file.unwrap());
        let copies = files.filter(|file| file.file_name().to_str().unwrap().starts_with(&start));
        copies.map(|file| fs::read(file.path()).unwrap()).collect()
    }
}

#[tokio::test]
async fn file_store_keeps_copies_of_damaged_records() {
    let files = Files::new();
    store_tests::check_damage(|storage| files.open(storage), &files);
    let files = Files::new();
    store_tests::check_damage_async(|storage| files.open(storage), &files).await;
}

/// One broken promise each, but for those that are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fault {
    None,
    /// A save that is done already is success, and so is a clear where there is nothing. It is no fault: a store may
    /// send its statements again.
    Idempotent,
    ForgetsLock,
    LocksPerHandle,
    OneLockForAll,
    NeverUnlocks,
    UnlocksOnSave,
    UnlocksOnLoad,
    SaysItIsNotHeld,
    LastWriteWins,
    SavesOverAnythingIfNothingIsExpected,
    SavesOverDamagedIfNothingIsExpected,
    /// It takes another record of the same generation for its own save.
    RecognizesGenerationAlone,
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
    TearsMegabytes,
    ForgetsIntent,
    GenerationsOf32Bits,
    GenerationsAsFloats,
    ForgetsGeneration,
    KeepsPerHandle,
    KeepsUntilLastHandle,
    ReportsFailure,
    DoneTwiceIsFailure,
    RefusesEmptyName,
    /// Looks and takes, and in between there is time for another.
    RacyLock,
    // Of bytes.
    ColumnOfText,
    TextUntilNul,
    TrimsBytes,
    ColumnOfJson,
    EmptyIsNothing,
    JudgesOnLoad,
    RefusesDamagedOnSave,
    // Of damaged records.
    DamagedIsConflict,
    DamagedIsFailure,
    DamagedOfAnyGeneration,
    DamagedOverNothing,
    DamagedMovesAwayAlone,
    DamagedTwiceIsFailure,
    OnlyWhatIsDamaged,
    DamagedIsConflictIf(When),
    ClearOfDamagedIsConflict,
    ClearOfDamagedOfAnyGeneration,
    ClearOfDamagedLeavesIt,
    // Of peeks.
    PeeksUnderAnyName,
    PeeksTheFirstRecord,
    PeeksWhatWasCleared,
    PeeksUnderTheLock,
    // Of lists.
    /// It cannot list its sessions, and says so: no fault.
    ListsNothing,
    ListsByTwos,
    ListsInAnyOrder,
    ListsInTheOrderOfLetters,
    ListsByPattern,
    ListsPrefixOfAnyCase,
    ListsAfterInclusive,
    ListsFirstPageAlone,
    ListsWhatWasCleared,
    ListsWhatIsLocked,
    ListsShortNames,
    ListFails,
}

/// When a store refuses to replace a damaged record, although it is the expected one.
#[derive(Clone, Copy, PartialEq, Debug)]
enum When {
    FirstInStorage,
    FirstOfHandle,
    FirstUnderLock,
    SecondUnderLock,
    SameBytesAgain,
    CopyExists,
    CopyExistsUnderAnotherName,
    SavedByAnotherHandle,
    SavedUnderAnotherLock,
    SavedUnderThisLock,
    NotLoadedUnderThisLock,
    NothingWasStoredBefore,
    LengthIs(usize),
    LongerThan(usize),
    ReplacedByLongerThan(usize),
    Text,
    NoText,
}

impl Fault {
    const ALL: [(Self, &str); 64] = [
        (Self::ForgetsLock, "one holder at a time"),
        (Self::LocksPerHandle, "one holder at a time"),
        (Self::OneLockForAll, "no two names share"),
        (Self::NeverUnlocks, "a lock that was released is free"),
        (Self::UnlocksOnSave, "held until it is released"),
        (Self::UnlocksOnLoad, "held until it is released"),
        (Self::SaysItIsNotHeld, "a lock that was just taken is held"),
        (Self::LastWriteWins, "expects nothing, over a record, is a conflict"),
        (Self::SavesOverAnythingIfNothingIsExpected, "expects nothing, over a record, is a conflict"),
        (Self::SavesOverDamagedIfNothingIsExpected, "expects nothing, over a damaged record, is a conflict"),
        (Self::RecognizesGenerationAlone, "an earlier generation is a conflict (of another record"),
        (Self::OnlyHigherGenerations, "changed, without an error"),
        (Self::ConflictWritesAnyway, "a conflict changes nothing"),
        (Self::ClearsAlways, "a clear that expects nothing, over a record, is a conflict"),
        (Self::ClearsNothing, "what was cleared is gone"),
        (Self::ClearsAll, "there under its own name"),
        (Self::FoldsCase, "no two names share"),
        (Self::TrimsNames, "no two names share"),
        (Self::CutsNames, "no two names share"),
        (Self::CutsNamesAtNul, "no two names share"),
        (Self::ListsOneRecord, "no two names share"),
        (Self::TearsLongRecords, "tokens of 100,000 bytes"),
        (Self::TearsMegabytes, "(1 MiB: it had 1000000 bytes"),
        (Self::ForgetsIntent, "a session with an intent"),
        (Self::GenerationsOf32Bits, "all 53 bits"),
        (Self::GenerationsAsFloats, "another generation than the expected one"),
        (Self::ForgetsGeneration, "it had the generation 0"),
        (Self::KeepsPerHandle, "loaded"),
        (Self::KeepsUntilLastHandle, "through a handle that was opened after all others had ended"),
        (Self::ReportsFailure, "changed, without an error"),
        (Self::DoneTwiceIsFailure, "the save of what is stored"),
        (Self::RefusesEmptyName, "a lock can be taken under every name"),
        (Self::RacyLock, "one holder at a time"),
        (Self::ColumnOfText, "every byte there is, which is no UTF-8"),
        (Self::TextUntilNul, "a NUL between letters"),
        (Self::TrimsBytes, "spaces and line ends"),
        (Self::ColumnOfJson, "spaces, order and doubles"),
        (Self::EmptyIsNothing, "no byte: there was nothing"),
        (Self::JudgesOnLoad, "which no store judges"),
        (Self::RefusesDamagedOnSave, "the save of JSON"),
        (Self::DamagedIsConflict, "a damaged record of the expected generation is replaced"),
        (Self::DamagedIsFailure, "a damaged record of the expected generation is replaced"),
        (Self::DamagedOfAnyGeneration, "a damaged record of another generation stays"),
        (Self::DamagedOverNothing, "where there is nothing, a save that expects a record is a conflict"),
        (Self::DamagedMovesAwayAlone, "a damaged record of the expected generation is replaced"),
        (Self::DamagedTwiceIsFailure, "a damaged record of the expected generation is replaced"),
        (Self::OnlyWhatIsDamaged, "over bytes that are a session"),
        (Self::ClearOfDamagedIsConflict, "a damaged record of the expected generation is cleared"),
        (Self::ClearOfDamagedOfAnyGeneration, "a damaged record of another generation stays"),
        (Self::ClearOfDamagedLeavesIt, "what was cleared is gone (of a damaged record"),
        (Self::PeeksUnderAnyName, "a peek returns what was saved last, or nothing (under another name"),
        (Self::PeeksTheFirstRecord, "a peek returns what was saved last, or nothing (after the second save"),
        (Self::PeeksWhatWasCleared, "a peek returns what was saved last, or nothing (after the clear"),
        (Self::PeeksUnderTheLock, "a lock that was released is free (a peek took it"),
        (Self::ListsInAnyOrder, "in the order of their bytes"),
        (Self::ListsInTheOrderOfLetters, "in the order of their bytes"),
        (Self::ListsByPattern, "only names with the prefix are listed"),
        (Self::ListsPrefixOfAnyCase, "only names with the prefix are listed"),
        (Self::ListsAfterInclusive, "come after the last page"),
        (Self::ListsFirstPageAlone, "is missing"),
        (Self::ListsWhatWasCleared, "is there, and should not be"),
        (Self::ListsWhatIsLocked, "is there, and should not be"),
        (Self::ListsShortNames, "is missing"),
        (Self::ListFails, "the sessions with a record are listed"),
    ];
}

/// A store with a fault, which otherwise is like a good one.
#[derive(Clone)]
struct Faulty {
    fault: Fault,
    shared: Arc<Mutex<Shared>>,
    /// What only this handle sees.
    own: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    records: HashMap<String, StoredRecord>,
    copies: Vec<(String, StoredRecord)>,
    /// Saves that expected a damaged record.
    damaged_saves: u32,
    /// The handle and the lock that saved each record.
    savers: HashMap<String, (usize, u64)>,
    /// What was saved, and the name, in order.
    saves: Vec<(String, StoredRecord)>,
    locked: Vec<String>,
    /// The names under which a lock was tried.
    tried: Vec<String>,
}

struct FaultyLock {
    store: Faulty,
    name: String,
    locked: String,
    id: u64,
    loaded: bool,
    damaged_saves: u32,
}

impl FaultyLock {
    fn new(store: &Faulty, name: String, locked: String) -> Self {
        static LOCKS: AtomicU64 = AtomicU64::new(0);
        let id = LOCKS.fetch_add(1, Ordering::Relaxed);
        Self { store: store.clone(), name, locked, id, loaded: false, damaged_saves: 0 }
    }

    fn saver(&self) -> (usize, u64) {
        (Arc::as_ptr(&self.store.own) as usize, self.id)
    }

    /// Counts a save over a damaged record, and keeps a copy. Returns whether this store says that it is a conflict.
    fn refuses(&mut self, when: When, is_expected: bool, stored: &StoredRecord, new: &StoredRecord) -> bool {
        self.damaged_saves += 1;
        let saver = self.saver();
        let own = self.store.with(true, |own| {
            own.damaged_saves += 1;
            own.damaged_saves
        });
        self.store.with(false, |shared| {
            shared.damaged_saves += 1;
            let saved_by = shared.savers[&self.name];
            let copies =
                |is: &dyn Fn(&str, &StoredRecord) -> bool| shared.copies.iter().any(|(name, copy)| is(name, copy));
            let length = stored.as_bytes().len();
            let refuses = match when {
                When::FirstInStorage => shared.damaged_saves == 1,
                When::FirstOfHandle => own == 1,
                When::FirstUnderLock => self.damaged_saves == 1,
                When::SecondUnderLock => self.damaged_saves == 2,
                When::SameBytesAgain => copies(&|name, copy| name == self.name && copy == stored),
                When::CopyExists => copies(&|name, _| name == self.name),
                When::CopyExistsUnderAnotherName => copies(&|name, _| name != self.name),
                When::SavedByAnotherHandle => saved_by.0 != saver.0,
                When::SavedUnderAnotherLock => saved_by.1 != saver.1,
                When::SavedUnderThisLock => saved_by == saver,
                When::NotLoadedUnderThisLock => !self.loaded,
                When::NothingWasStoredBefore => shared.saves.iter().filter(|(name, _)| *name == self.name).count() == 1,
                When::LengthIs(refused) => length == refused,
                When::LongerThan(limit) => length > limit,
                When::ReplacedByLongerThan(limit) => new.as_bytes().len() > limit,
                When::Text => stored.as_bytes().is_ascii(),
                When::NoText => !stored.as_bytes().is_ascii(),
            };
            if is_expected && !refuses {
                shared.copies.push((self.name.clone(), stored.clone()));
            }
            refuses
        })
    }
}

impl Faulty {
    fn with<T>(&self, own: bool, change: impl FnOnce(&mut Shared) -> T) -> T {
        let shared = if own { &self.own } else { &self.shared };
        change(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn locks<T>(&self, change: impl FnOnce(&mut Shared) -> T) -> T {
        self.with(self.fault == Fault::LocksPerHandle, change)
    }

    fn records<T>(&self, change: impl FnOnce(&mut HashMap<String, StoredRecord>) -> T) -> T {
        self.with(self.fault == Fault::KeepsPerHandle, |shared| change(&mut shared.records))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        // The other one is the test's.
        if self.fault == Fault::KeepsUntilLastHandle && Arc::strong_count(&self.shared) == 2 {
            self.records(HashMap::clear);
        }
    }
}

const BUSY: std::time::Duration = std::time::Duration::from_millis(30);

impl SessionStore for Faulty {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        self.with(false, |shared| shared.tried.push(name.to_owned()));
        let name = match self.fault {
            Fault::FoldsCase => name.to_lowercase(),
            Fault::TrimsNames => name.trim_end().to_owned(),
            Fault::CutsNames => name.chars().take(255).collect(),
            Fault::CutsNamesAtNul => name.split('\0').next().unwrap().to_owned(),
            Fault::RefusesEmptyName if name.is_empty() => return Err(Error::store_refused("a session needs a name")),
            _ => name.to_owned(),
        };
        let locked = if self.fault == Fault::OneLockForAll { String::new() } else { name.clone() };
        if self.fault == Fault::RacyLock {
            let free = self.locks(|shared| !shared.locked.contains(&locked));
            // Long enough for another thread on a machine that is busy, here and while the lock is held.
            std::thread::sleep(BUSY);
            self.locks(|shared| shared.locked.extend(free.then(|| locked.clone())));
            return Ok(free.then(|| Box::new(FaultyLock::new(self, name, locked)) as _));
        }
        let free = self.locks(|shared| {
            let free = self.fault == Fault::ForgetsLock || !shared.locked.contains(&locked);
            shared.locked.extend(free.then(|| locked.clone()));
            free
        });
        // A list that is not by name.
        let name = if self.fault == Fault::ListsOneRecord { String::new() } else { name };
        Ok(free.then(|| Box::new(FaultyLock::new(self, name, locked)) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        if self.fault == Fault::PeeksUnderTheLock {
            self.locks(|shared| shared.locked.push(name.to_owned()));
        }
        self.with(false, |shared| {
            let mut saves = shared.saves.iter().filter(|(saved, _)| saved == name);
            let found = match self.fault {
                Fault::PeeksUnderAnyName => shared.saves.last(),
                Fault::PeeksTheFirstRecord => saves.next(),
                Fault::PeeksWhatWasCleared => saves.next_back(),
                _ => return shared.records.get(name).cloned(),
            };
            found.map(|(_, record)| record.clone())
        })
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = self.records(|records| records.keys().cloned().collect());
        match self.fault {
            Fault::ListsNothing => return Err(Error::misuse("this store cannot list its sessions: do without")),
            Fault::ListFails => return Err(Error::unavailable("the list failed", "no reason")),
            Fault::ListsWhatWasCleared => {
                names.extend(
                    self.with(false, |shared| shared.saves.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()),
                );
            }
            Fault::ListsWhatIsLocked => {
                names.extend(self.with(false, |shared| shared.tried.clone()));
            }
            _ => {}
        }
        names.sort();
        names.dedup();
        names.retain(|name| match self.fault {
            Fault::ListsByPattern => {
                let mut letters = name.chars();
                prefix.chars().all(|wanted| letters.next().is_some_and(|letter| wanted == '_' || letter == wanted))
            }
            Fault::ListsPrefixOfAnyCase => name.to_lowercase().starts_with(&prefix.to_lowercase()),
            Fault::ListsShortNames => name.len() < 256 && name.starts_with(prefix),
            _ => name.starts_with(prefix),
        });
        names.retain(|name| match (self.fault, after) {
            (_, None) => true,
            (Fault::ListsAfterInclusive, Some(after)) => name.as_str() >= after,
            (Fault::ListsFirstPageAlone, Some(_)) => false,
            (_, Some(after)) => name.as_str() > after,
        });
        match self.fault {
            Fault::ListsInAnyOrder => names.reverse(),
            Fault::ListsInTheOrderOfLetters => names.sort_by_key(|name| name.to_lowercase()),
            Fault::ListsByTwos | Fault::ListsFirstPageAlone => names.truncate(2),
            _ => {}
        }
        Ok(names)
    }
}

impl FaultyLock {
    fn unlock(&self) {
        self.store.locks(|shared| shared.locked.retain(|name| *name != self.locked));
    }

    fn stored(&self) -> Option<StoredRecord> {
        self.store.records(|records| records.get(&self.name).cloned())
    }

    fn is_expected(&self, expected: Expected) -> bool {
        let stored = self.stored();
        let damaged = stored.as_ref().is_some_and(is_damaged);
        let (found, wanted) = (stored.map(|record| record.generation()), expected.generation());
        match (self.store.fault, expected) {
            (Fault::LastWriteWins, _) => found.is_some() || wanted.is_none(),
            (Fault::SavesOverAnythingIfNothingIsExpected, Expected::Nothing) => true,
            (Fault::SavesOverDamagedIfNothingIsExpected, Expected::Nothing) if damaged => true,
            (Fault::GenerationsAsFloats, _) => found.map(as_float) == wanted.map(as_float),
            (Fault::GenerationsOf32Bits, _) => found.map(as_32_bits) == wanted.map(as_32_bits),
            (Fault::DamagedOverNothing, Expected::Damaged(_)) if found.is_none() => true,
            (Fault::OnlyWhatIsDamaged, Expected::Damaged(_)) if !damaged => false,
            _ => found == wanted,
        }
    }
}

fn is_damaged(record: &StoredRecord) -> bool {
    !record.as_bytes().starts_with(br#"{"version":1,"generation":"#)
}

#[allow(clippy::cast_possible_truncation, reason = "that is the fault")]
fn as_32_bits(generation: u64) -> u32 {
    generation as u32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "that is the fault")]
fn as_float(generation: u64) -> u32 {
    (generation as f32).to_bits()
}

fn failed() -> SaveError {
    SaveError::Failed(Error::unavailable("it failed", "no reason"))
}

impl SessionLock for FaultyLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        self.loaded = true;
        let found = self.stored();
        match (self.store.fault, found) {
            (Fault::UnlocksOnLoad, found) => {
                self.unlock();
                Ok(found)
            }
            (Fault::RacyLock, found) => {
                std::thread::sleep(BUSY);
                Ok(found)
            }
            (Fault::EmptyIsNothing, Some(record)) if record.as_bytes().is_empty() => Ok(None),
            (Fault::ForgetsGeneration, Some(record)) => Ok(Some(StoredRecord::new(0, record.as_bytes()))),
            (Fault::JudgesOnLoad, Some(record)) if is_damaged(&record) => Err(LoadError::Damaged {
                generation: record.generation(),
                error: Error::record_damaged("it is no session"),
            }),
            (_, found) => Ok(found),
        }
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let is_expected = self.is_expected(expected);
        let stored = self.stored();
        let damaged = matches!(expected, Expected::Damaged(_));
        let fault = self.store.fault;
        let outcome = match fault {
            Fault::RecognizesGenerationAlone
                if stored.as_ref().is_some_and(|stored| stored.generation() == record.generation()) =>
            {
                return Ok(());
            }
            Fault::Idempotent if stored.as_ref() == Some(record) => return Ok(()),
            Fault::DoneTwiceIsFailure if stored.as_ref() == Some(record) => return Err(failed()),
            Fault::OnlyHigherGenerations
                if stored.as_ref().is_some_and(|stored| stored.generation() >= record.generation()) =>
            {
                return Err(SaveError::Conflict);
            }
            Fault::RefusesDamagedOnSave if is_damaged(record) => return Err(failed()),
            Fault::ConflictWritesAnyway if !is_expected => Err(SaveError::Conflict),
            Fault::DamagedOfAnyGeneration if damaged && stored.is_some() => Ok(()),
            Fault::DamagedIsConflictIf(when)
                if damaged && stored.as_ref().is_some_and(|stored| self.refuses(when, is_expected, stored, record)) =>
            {
                return Err(SaveError::Conflict);
            }
            _ if !is_expected => return Err(SaveError::Conflict),
            Fault::DamagedIsConflict if damaged => return Err(SaveError::Conflict),
            Fault::DamagedIsFailure if damaged => return Err(failed()),
            Fault::DamagedMovesAwayAlone if damaged => {
                self.store.records(|records| records.remove(&self.name));
                return Ok(());
            }
            Fault::DamagedTwiceIsFailure if damaged => {
                let stored = stored.unwrap();
                let twice = self.store.with(false, |shared| {
                    shared.copies.push((self.name.clone(), stored.clone()));
                    shared.copies.iter().filter(|(_, copy)| *copy == stored).count() > 1
                });
                if twice {
                    return Err(failed());
                }
                Ok(())
            }
            Fault::UnlocksOnSave => {
                self.unlock();
                Ok(())
            }
            Fault::ReportsFailure => Err(failed()),
            _ => Ok(()),
        };
        let record = StoredRecord::new(record.generation(), self.as_stored(record.as_bytes()));
        let saver = self.saver();
        self.store.with(false, |shared| {
            shared.saves.push((self.name.clone(), record.clone()));
            shared.savers.insert(self.name.clone(), saver);
        });
        self.store.records(|records| records.insert(self.name.clone(), record));
        outcome
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        let damaged = matches!(expected, Expected::Damaged(_));
        match self.store.fault {
            Fault::Idempotent if self.stored().is_none() => return Ok(()),
            Fault::ClearsAlways => {}
            Fault::ClearOfDamagedOfAnyGeneration if damaged => {}
            Fault::ClearOfDamagedIsConflict if damaged => return Err(SaveError::Conflict),
            _ if !self.is_expected(expected) => return Err(SaveError::Conflict),
            Fault::ClearOfDamagedLeavesIt if damaged => return Ok(()),
            _ => {}
        }
        self.store.records(|records| match self.store.fault {
            Fault::ClearsNothing => {}
            Fault::ClearsAll => records.clear(),
            _ => drop(records.remove(&self.name)),
        });
        Ok(())
    }

    fn is_held(&self) -> bool {
        self.store.fault != Fault::SaysItIsNotHeld
    }
}

impl FaultyLock {
    /// Returns what this store makes of bytes.
    fn as_stored(&self, bytes: &[u8]) -> Vec<u8> {
        match self.store.fault {
            Fault::TearsLongRecords => bytes[..bytes.len().min(65_535)].to_vec(),
            Fault::TearsMegabytes => bytes[..bytes.len().min(1_000_000)].to_vec(),
            Fault::ColumnOfText => String::from_utf8_lossy(bytes).into_owned().into_bytes(),
            Fault::TextUntilNul => bytes.split(|byte| *byte == 0).next().unwrap().to_vec(),
            Fault::TrimsBytes => bytes.trim_ascii().to_vec(),
            Fault::ColumnOfJson if bytes.starts_with(b"{ ") => {
                bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
            }
            Fault::ForgetsIntent => {
                let text = String::from_utf8_lossy(bytes);
                match text.split_once(",\"intent\":{") {
                    Some((start, _)) => format!("{start}}}").into_bytes(),
                    None => bytes.to_vec(),
                }
            }
            _ => bytes.to_vec(),
        }
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        if self.store.fault != Fault::NeverUnlocks {
            self.unlock();
        }
    }
}

pub(crate) fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast_ref::<String>().cloned().or(panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap()
}

#[test]
fn stores_without_a_fault_pass() {
    for fault in [Fault::None, Fault::Idempotent, Fault::ListsNothing, Fault::ListsByTwos] {
        check_fault(fault);
    }
}

fn check_fault(fault: Fault) {
    let storages = Mutex::new(HashMap::<String, Arc<Mutex<Shared>>>::new());
    store_tests::check(|storage| {
        let shared = storages.lock().unwrap().entry(storage.to_owned()).or_default().clone();
        Faulty { fault, shared, own: Arc::default() }
    });
}

impl When {
    const ALL: [Self; 22] = [
        Self::FirstInStorage,
        Self::FirstOfHandle,
        Self::FirstUnderLock,
        Self::SecondUnderLock,
        Self::SameBytesAgain,
        Self::CopyExists,
        Self::CopyExistsUnderAnotherName,
        Self::SavedByAnotherHandle,
        Self::SavedUnderAnotherLock,
        Self::SavedUnderThisLock,
        Self::NotLoadedUnderThisLock,
        Self::NothingWasStoredBefore,
        Self::LengthIs(0),
        Self::LengthIs(1),
        Self::LongerThan(20),
        Self::LongerThan(1_000),
        Self::LongerThan(65_535),
        Self::LongerThan(1_000_000),
        Self::ReplacedByLongerThan(1_000),
        Self::ReplacedByLongerThan(1_000_000),
        Self::Text,
        Self::NoText,
    ];
}

#[test]
fn a_damaged_record_that_is_expected_is_never_a_conflict() {
    let passed: Vec<_> = When::ALL
        .into_iter()
        .filter(|when| {
            let outcome = catch_unwind(|| check_fault(Fault::DamagedIsConflictIf(*when)));
            let message = outcome.map_or_else(message, |()| String::new());
            println!("{when:?}: {message}");
            !message.contains("a damaged record of the expected generation is replaced")
        })
        .collect();
    assert_eq!(passed, []);
}

#[test]
fn faulty_stores_do_not_pass() {
    for (fault, promise) in Fault::ALL {
        let panic = catch_unwind(|| check_fault(fault)).expect_err(&format!("{fault:?} passed"));
        let message = message(panic);
        println!("{fault:?}: {message}");
        assert!(message.contains("breaks a promise") && message.contains(promise), "{fault:?}: {message}");
    }
}

/// What only async code can do wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
enum AsyncFault {
    None,
    /// A lock that is dropped becomes free a moment later. It is no fault: releasing it may take a request.
    DropUnlocksLater,
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

impl AsyncSessionStore for AsyncFaulty {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            let locked = |shared: &mut Shared| {
                let free = !shared.locked.iter().any(|locked| locked == name);
                shared.locked.extend(free.then(|| name.to_owned()));
                free
            };
            if !self.store.locks(locked) {
                return Ok(None);
            }
            let lock = || FaultyLock::new(&self.store, name.to_owned(), name.to_owned());
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

impl AsyncSessionLock for AsyncFaultyLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async { SessionLock::load(self.lock.as_mut().unwrap()) })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            let lock = self.lock.as_mut().unwrap();
            match self.fault {
                AsyncFault::DroppedSaveTears => {
                    if !lock.is_expected(expected) {
                        return Err(SaveError::Conflict);
                    }
                    let half = StoredRecord::from_bytes(*b"{");
                    lock.store.records(|records| records.insert(lock.name.clone(), half));
                    once_pending().await;
                    lock.store.records(|records| records.insert(lock.name.clone(), record.clone()));
                    Ok(())
                }
                AsyncFault::DroppedSaveComesLate => {
                    let (store, name, record) = (lock.store.clone(), lock.name.clone(), record.clone());
                    let writing = tokio::task::spawn_blocking(move || {
                        std::thread::sleep(std::time::Duration::from_millis(3));
                        let mut late = std::mem::ManuallyDrop::new(FaultyLock::new(&store, name.clone(), name));
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

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move { SessionLock::clear(self.lock.as_mut().unwrap(), expected) })
    }

    fn is_held(&self) -> bool {
        SessionLock::is_held(self.lock.as_ref().unwrap())
    }

    fn unlock(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let lock = self.lock.take();
        if self.fault == AsyncFault::UnlockDoesNothing {
            std::mem::forget(lock);
        }
        Box::pin(std::future::ready(()))
    }
}

impl Drop for AsyncFaultyLock {
    fn drop(&mut self) {
        let lock = self.lock.take();
        if self.fault == AsyncFault::DropUnlocksLater && lock.is_some() {
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(3));
                drop(lock);
            });
        }
    }
}

async fn check_async_fault(fault: AsyncFault) {
    let storages = Mutex::new(HashMap::<String, Arc<Mutex<Shared>>>::new());
    store_tests::check_async(|storage| {
        let shared = storages.lock().unwrap().entry(storage.to_owned()).or_default().clone();
        AsyncFaulty { fault, store: Faulty { fault: Fault::None, shared, own: Arc::default() } }
    })
    .await;
}

#[tokio::test]
async fn async_stores_without_a_fault_pass() {
    for fault in [AsyncFault::None, AsyncFault::DropUnlocksLater] {
        check_async_fault(fault).await;
    }
}

#[test]
fn faulty_async_stores_do_not_pass() {
    let rows = [
        (AsyncFault::DroppedFutureKeepsLock, "released or dropped is free"),
        (AsyncFault::DroppedSaveTears, "leaves the old or the new record"),
        (AsyncFault::DroppedSaveComesLate, "has ended when its lock is free"),
        (AsyncFault::UnlockDoesNothing, "that was released is free"),
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
