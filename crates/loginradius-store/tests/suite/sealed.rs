//! A wrapper that seals the records of another store, as one that encrypts them would: the traits are enough for it.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;

use loginradius_proto::Error;
use loginradius_store::{
    Expected, FileStore, LoadError, MemoryStore, SaveError, SessionLock, SessionStore, StoredRecord, store_tests,
};

use crate::record;
use crate::store_tests::Files;

struct Sealed<S>(S);

struct SealedLock(Box<dyn SessionLock>);

impl<S: SessionStore> SessionStore for Sealed<S> {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.0.try_lock(name)?.map(|lock| Box::new(SealedLock(lock)) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        unseal(&self.0.peek(name)?)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        self.0.names(prefix, after)
    }
}

impl SessionLock for SealedLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let Some(sealed) = self.0.load()? else { return Ok(None) };
        match unseal(&sealed) {
            Some(record) => Ok(Some(record)),
            None => Err(LoadError::Damaged {
                generation: sealed.generation(),
                error: Error::record_damaged("the stored session's seal is broken: sign in again"),
            }),
        }
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let expected = self.sealed(expected)?;
        self.0.save(&seal(record), expected)
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        let expected = self.sealed(expected)?;
        self.0.clear(expected)
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

impl SealedLock {
    /// Translates what is expected: the inner store has other generations.
    fn sealed(&mut self, expected: Expected) -> Result<Expected, SaveError> {
        let found = match self.0.load() {
            Ok(found) => found,
            Err(LoadError::Failed(error) | LoadError::Damaged { error, .. }) => return Err(SaveError::Failed(error)),
        };
        let sealed = found.as_ref().map(StoredRecord::generation);
        let unsealed = found.map(|sealed| unseal(&sealed).unwrap_or(sealed).generation());
        match expected {
            _ if unsealed != expected.generation() => Err(SaveError::Conflict),
            Expected::Damaged(_) => Ok(sealed.map_or(Expected::Nothing, Expected::Damaged)),
            _ => Ok(sealed.map_or(Expected::Nothing, Expected::Generation)),
        }
    }
}

/// Seals a record: its generation, its bytes in disguise, and their sum. A real seal is authenticated encryption.
fn seal(record: &StoredRecord) -> StoredRecord {
    let mut bytes = record.generation().to_be_bytes().to_vec();
    bytes.extend(record.as_bytes().iter().map(|byte| byte ^ 0x5a));
    bytes.push(sum(&bytes));
    StoredRecord::from_bytes(bytes)
}

fn unseal(sealed: &StoredRecord) -> Option<StoredRecord> {
    let (found, bytes) = sealed.as_bytes().split_last()?;
    let (generation, content) = bytes.split_first_chunk()?;
    let content: Vec<u8> = content.iter().map(|byte| byte ^ 0x5a).collect();
    (*found == sum(bytes)).then(|| StoredRecord::new(u64::from_be_bytes(*generation), content))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn a_wrapper_passes_over_any_store() {
    let storages = Mutex::new(HashMap::<String, MemoryStore>::new());
    store_tests::check(|storage| Sealed(storages.lock().unwrap().entry(storage.to_owned()).or_default().clone()));
    let folder = tempfile::tempdir().unwrap();
    store_tests::check(|storage| Sealed(FileStore::open(folder.path().join(storage)).unwrap()));
}

/// Where the seal is broken, the load says that the record is damaged.
#[test]
fn a_wrapper_keeps_copies_of_damaged_records() {
    let files = Files::new();
    store_tests::check_damage(|storage| Sealed(files.open(storage)), &files);
}

#[test]
fn a_broken_seal_is_a_damaged_record_and_its_copy_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sealed(FileStore::open(folder.path()).unwrap());
    let mut lock = store.try_lock("a").unwrap().unwrap();
    lock.save(&record(1, "t"), Expected::Nothing).unwrap();
    let path = folder.path().join("session-a.json");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();

    let Err(LoadError::Damaged { generation, .. }) = lock.load() else { panic!() };
    assert!(matches!(lock.save(&record(2, "t"), Expected::Generation(1)), Err(SaveError::Conflict)));
    lock.save(&record(2, "t"), Expected::Damaged(generation)).unwrap();
    assert_eq!(lock.load().unwrap().unwrap().generation(), 2);
    assert_eq!(fs::read(folder.path().join("session-a.json.damaged-1")).unwrap(), bytes);
}
