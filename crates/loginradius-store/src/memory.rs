use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use crate::store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore};

/// Sessions in the memory of this process: for tests, and for programs whose users sign in at each start.
///
/// A clone is another handle to the same sessions. They end with the last handle. No copy is kept of a damaged record
/// that is replaced: there would be no way to restore it.
///
/// ```
/// use loginradius_store::{MemoryStore, SessionStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let mut alice = SessionStore::try_lock(&store, "alice")?.expect("it has no other holder");
/// assert!(alice.load()?.is_none());
///
/// // As long as `alice` lives, her session has no other holder. Bob's is another one.
/// assert!(SessionStore::try_lock(&store.clone(), "alice")?.is_none());
/// assert!(SessionStore::try_lock(&store.clone(), "bob")?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Sessions>>,
}

#[derive(Default)]
struct Sessions {
    records: BTreeMap<String, StoredRecord>,
    locked: HashSet<String>,
}

impl MemoryStore {
    /// Makes a store without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self, name: &str) -> Option<Box<MemorySessionLock>> {
        let free = self.sessions().locked.insert(name.to_owned());
        free.then(|| Box::new(MemorySessionLock { store: self.clone(), name: name.to_owned() }))
    }

    fn read(&self, name: &str) -> Option<StoredRecord> {
        self.sessions().records.get(name).cloned()
    }

    /// Lists all names as one page.
    fn list(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let records = &self.sessions().records;
        let names = records.range::<str, _>((from, Bound::Unbounded)).map(|(name, _)| name);
        names.take_while(|name| name.starts_with(prefix)).cloned().collect()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Nothing panics between two changes that belong together.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemoryStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.lock(name).map(|lock| lock as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.read(name)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(self.list(prefix, after))
    }
}

impl AsyncSessionStore for MemoryStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move { Ok(self.lock(name).map(|lock| lock as _)) })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(async move { self.read(name) })
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move { Ok(self.list(prefix, after)) })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.sessions().records.len()).finish()
    }
}

/// A name in [`Sessions::locked`], until it is dropped.
struct MemorySessionLock {
    store: MemoryStore,
    name: String,
}

impl SessionLock for MemorySessionLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        Ok(self.store.read(&self.name))
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        self.compare_and_swap(expected, Some(record.clone()))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        self.compare_and_swap(expected, None)
    }
}

impl MemorySessionLock {
    fn compare_and_swap(&self, expected: Expected, new: Option<StoredRecord>) -> Result<(), SaveError> {
        let records = &mut self.store.sessions().records;
        if records.get(&self.name).map(StoredRecord::generation) != expected.generation() {
            return Err(SaveError::Conflict);
        }
        match new {
            Some(record) => records.insert(self.name.clone(), record),
            None => records.remove(&self.name),
        };
        Ok(())
    }
}

impl AsyncSessionLock for MemorySessionLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async { SessionLock::load(self) })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move { SessionLock::save(self, record, expected) })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move { SessionLock::clear(self, expected) })
    }
}

impl Drop for MemorySessionLock {
    fn drop(&mut self) {
        self.store.sessions().locked.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_while_another_holder_has_the_lock() {
        let store = MemoryStore::new();
        let mut lock = SessionStore::try_lock(&store, "a").unwrap().unwrap();
        assert_eq!(SessionStore::peek(&store, "a"), None);
        let record = StoredRecord::from_bytes(*b"a record");
        lock.save(&record, Expected::Nothing).unwrap();
        assert_eq!(SessionStore::peek(&store, "a"), Some(record.clone()));
        assert_eq!(SessionStore::peek(&store, "b"), None);
        let poll = |mut future: BoxFuture<'_, Option<StoredRecord>>| {
            future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };
        let ready = std::task::Poll::Ready(Some(record));
        assert_eq!(poll(AsyncSessionStore::peek(&store, "a")), ready);
        assert_eq!(poll(crate::BlockingStore::new(store.clone()).peek("a")), ready);
    }

    #[test]
    fn the_names_are_those_of_the_records_in_their_order() {
        let store = MemoryStore::new();
        for name in ["b", "", "a", "a/2", "a/1", "é"] {
            let mut lock = SessionStore::try_lock(&store, name).unwrap().unwrap();
            lock.save(&StoredRecord::from_bytes(b"a record".to_vec()), Expected::Nothing).unwrap();
        }
        let _lock = SessionStore::try_lock(&store, "locked, and never saved").unwrap();
        let rows: [(&str, Option<&str>, &[&str]); 8] = [
            ("", None, &["", "a", "a/1", "a/2", "b", "é"]),
            ("", Some(""), &["a", "a/1", "a/2", "b", "é"]),
            ("a", None, &["a", "a/1", "a/2"]),
            ("a/", Some("a"), &["a/1", "a/2"]),
            ("a/", Some("a/1"), &["a/2"]),
            ("a/", Some("b"), &[]),
            ("é", None, &["é"]),
            ("c", None, &[]),
        ];
        for (prefix, after, expected) in rows {
            assert_eq!(SessionStore::names(&store, prefix, after).unwrap(), expected, "{prefix:?} after {after:?}");
        }
        assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 6 }");
    }
}
