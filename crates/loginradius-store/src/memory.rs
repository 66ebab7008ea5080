use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loginradius_proto::Error;
use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};

use crate::store::{AsyncLockedSession, AsyncTokenStore, BoxFuture, LockedSession, TokenStore};

/// Sessions in the memory of this process: for tests, and for programs whose users sign in again each time.
///
/// A clone is another handle to the same sessions. They end with the last handle.
///
/// ```
/// use loginradius_store::{LoadOutcome, MemoryStore, TokenStore};
///
/// # fn main() -> Result<(), loginradius_proto::Error> {
/// let store = MemoryStore::new();
/// let mut alice = TokenStore::try_lock(&store, "alice")?.expect("nobody else has it");
/// assert!(matches!(alice.load(), LoadOutcome::Nothing));
///
/// // As long as `alice` lives, nobody else gets her lock, but everybody gets Bob's.
/// assert!(TokenStore::try_lock(&store.clone(), "alice")?.is_none());
/// assert!(TokenStore::try_lock(&store.clone(), "bob")?.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<Sessions>>,
}

#[derive(Default)]
struct Sessions {
    records: HashMap<String, SessionRecord>,
    locked: HashSet<String>,
}

/// A name in [`Sessions::locked`], until it is dropped.
struct Locked {
    store: MemoryStore,
    name: String,
}

impl MemoryStore {
    /// A store in which nobody is signed in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // Nothing panics between two changes that belong together.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, name: &str) -> Option<Box<Locked>> {
        let free = self.sessions().locked.insert(name.to_owned());
        free.then(|| Box::new(Locked { store: self.clone(), name: name.to_owned() }))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("sessions", &self.sessions().records.len()).finish()
    }
}

impl Locked {
    fn change(&self, expected: Option<u64>, change: impl FnOnce(&mut HashMap<String, SessionRecord>)) -> SaveOutcome {
        let mut sessions = self.store.sessions();
        if sessions.records.get(&self.name).map(SessionRecord::generation) != expected {
            return SaveOutcome::Conflict;
        }
        change(&mut sessions.records);
        SaveOutcome::Saved
    }
}

impl LockedSession for Locked {
    fn load(&mut self) -> LoadOutcome {
        self.store.sessions().records.get(&self.name).cloned().map_or(LoadOutcome::Nothing, LoadOutcome::Record)
    }

    fn save(&mut self, record: &SessionRecord, expected: Option<u64>) -> SaveOutcome {
        self.change(expected, |records| drop(records.insert(self.name.clone(), record.clone())))
    }

    fn clear(&mut self, expected: Option<u64>) -> SaveOutcome {
        self.change(expected, |records| drop(records.remove(&self.name)))
    }
}

impl AsyncLockedSession for Locked {
    fn load(&mut self) -> BoxFuture<'_, LoadOutcome> {
        Box::pin(async { LockedSession::load(self) })
    }

    fn save<'a>(&'a mut self, record: &'a SessionRecord, expected: Option<u64>) -> BoxFuture<'a, SaveOutcome> {
        Box::pin(async move { LockedSession::save(self, record, expected) })
    }

    fn clear(&mut self, expected: Option<u64>) -> BoxFuture<'_, SaveOutcome> {
        Box::pin(async move { LockedSession::clear(self, expected) })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.store.sessions().locked.remove(&self.name);
    }
}

impl TokenStore for MemoryStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockedSession>>, Error> {
        Ok(self.lock(name).map(|locked| locked as Box<dyn LockedSession>))
    }
}

impl AsyncTokenStore for MemoryStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncLockedSession>>, Error>> {
        Box::pin(async move { Ok(self.lock(name).map(|locked| locked as Box<dyn AsyncLockedSession>)) })
    }
}
