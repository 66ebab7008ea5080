//! A store that fails as its test says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BoxFuture, Expected, LoadError, SaveError, SessionLock, SessionStore,
    StoredRecord,
};

/// A store in memory, for blocking and for async code. A clone is another handle to it, as another process has one.
///
/// Its futures are pending once before they do anything, so that they can be dropped between any two steps.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: BTreeMap<String, StoredRecord>,
    locked: BTreeSet<String>,
    /// With a name, it concerns that session only.
    fault: Option<(StoreFault, Option<String>)>,
    counts: Counts,
}

/// What goes wrong in a [`Store`], until the fault is [cleared](Store::clear_fault).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// A lock is an error.
    LockFails,
    /// A load is an error.
    LoadFails,
    /// A save and a clear are errors.
    SaveFails,
    /// A clear, and a save of anything but an intent, are errors.
    SaveFailsAfterIntent,
    /// A save is done, and its outcome is unknown.
    SavedUnknown,
    /// A save of anything but an intent is not done, and its outcome is unknown.
    NotSavedUnknown,
    /// A lock panics.
    PanicInLock,
    /// A load panics.
    PanicInLoad,
    /// A save of anything but an intent panics.
    PanicInSave,
    /// A clear panics.
    PanicInClear,
    /// The future of a load never ends.
    LoadHangs,
    /// The future of an unlock never ends, although the lock is free.
    UnlockHangs,
}

/// How often each method of a [`Store`] was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls of `try_lock`, whether the lock was free or not.
    pub locks: usize,
    /// Calls of `load`.
    pub loads: usize,
    /// Calls of `save`.
    pub saves: usize,
    /// Calls of `clear`.
    pub clears: usize,
    /// Calls of the async `unlock`; a lock that is only dropped does not count.
    pub unlocks: usize,
}

impl Store {
    /// Makes an empty store without a fault.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the fault of all sessions, in place of any other.
    pub fn set_fault(&self, fault: StoreFault) {
        self.state().fault = Some((fault, None));
    }

    /// Sets the fault of that session, in place of any other.
    pub fn set_fault_of(&self, name: &str, fault: StoreFault) {
        self.state().fault = Some((fault, Some(name.to_owned())));
    }

    /// Ends the fault.
    pub fn clear_fault(&self) {
        self.state().fault = None;
    }

    /// Returns how often each method was called.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Returns whether the lock of that session is held.
    #[must_use]
    pub fn is_locked(&self, name: &str) -> bool {
        self.state().locked.contains(name)
    }

    /// Returns the stored refresh token of that session, which is empty if its record has none.
    #[must_use]
    pub fn refresh_token(&self, name: &str) -> Option<String> {
        self.state().records.get(name).map(refresh_token)
    }

    /// Returns the stored record of that session.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<String> {
        self.state().records.get(name).map(json)
    }

    /// Returns the number of stored sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().records.len()
    }

    /// Returns whether no session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the stored tokens of that session older. Processes that have loaded them already do not notice.
    ///
    /// # Panics
    ///
    /// If there is no such session.
    pub fn age(&self, name: &str, by: Duration) {
        let mut state = self.state();
        let record = state.records.get_mut(name).expect("a session");
        let json = json(record);
        let json = with_obtained_at(&json, obtained_at(&json) - by.as_millis());
        *record = StoredRecord::new(record.generation(), json);
    }

    /// Returns names by twos, so that there are pages.
    fn page(&self, prefix: &str, after: Option<&str>) -> Vec<String> {
        let state = self.state();
        let names = state.records.keys().map(String::as_str);
        let names = names.filter(|name| name.starts_with(prefix) && after.is_none_or(|after| *name > after));
        names.take(2).map(str::to_owned).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, name: &str) -> Result<Option<Locked>, Error> {
        let mut state = self.state();
        state.counts.locks += 1;
        if state.has(StoreFault::PanicInLock, name) {
            drop(state);
            panic!("the store panics in a lock");
        }
        if state.has(StoreFault::LockFails, name) {
            return Err(failure());
        }
        let free = state.locked.insert(name.to_owned());
        Ok(free.then(|| Locked { store: self.clone(), name: name.to_owned() }))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("sessions", &self.len()).finish_non_exhaustive()
    }
}

impl State {
    fn has(&self, fault: StoreFault, name: &str) -> bool {
        let concerns = |(_, only): &&(StoreFault, Option<String>)| only.as_ref().is_none_or(|only| only == name);
        self.fault.as_ref().filter(concerns).is_some_and(|(current, _)| *current == fault)
    }

    fn generation(&self, name: &str) -> Option<u64> {
        self.records.get(name).map(StoredRecord::generation)
    }
}

fn failure() -> Error {
    Error::unavailable("the test's store fails", "its test has set a fault")
}

/// Returns the refresh token of a record, which is empty if it has none.
pub(crate) fn refresh_token(record: &StoredRecord) -> String {
    let json = json(record);
    let token = json.split_once(r#""refresh_token":""#).and_then(|(_, rest)| rest.split_once('"'));
    token.map(|(token, _)| token.to_owned()).unwrap_or_default()
}

fn json(record: &StoredRecord) -> String {
    String::from_utf8_lossy(record.as_bytes()).into_owned()
}

/// Returns where the JSON of a record has the time when its tokens were obtained.
fn time_range(json: &str) -> std::ops::Range<usize> {
    const KEY: &str = r#""obtained_at_unix_ms":"#;
    let begin = json.find(KEY).expect("a time") + KEY.len();
    begin..begin + json[begin..].find([',', '}']).expect("JSON")
}

/// Returns when the tokens of a record were obtained, in milliseconds since 1970.
fn obtained_at(json: &str) -> u128 {
    json[time_range(json)].parse().expect("milliseconds")
}

/// Returns the record with another such time. It has no checksum, which records of earlier versions lack too.
pub(crate) fn with_obtained_at(json: &str, obtained_at: u128) -> String {
    let (content, _) = json.split_once(r#","checksum":"#).unwrap_or((json.trim_end_matches('}'), ""));
    let mut json = format!("{content}}}");
    json.replace_range(time_range(&json), &obtained_at.to_string());
    json
}

/// The lock of a session, held.
struct Locked {
    store: Store,
    name: String,
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.store.state().locked.remove(&self.name);
    }
}

impl SessionLock for Locked {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let mut state = self.store.state();
        state.counts.loads += 1;
        if state.has(StoreFault::PanicInLoad, &self.name) {
            drop(state);
            panic!("the store panics in a load");
        }
        if state.has(StoreFault::LoadFails, &self.name) {
            return Err(LoadError::Failed(failure()));
        }
        Ok(state.records.get(&self.name).cloned())
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let is_intent = json(record).contains(r#""intent":"#);
        let mut state = self.store.state();
        state.counts.saves += 1;
        if state.has(StoreFault::PanicInSave, &self.name) && !is_intent {
            drop(state);
            panic!("the store panics in a save");
        }
        if state.has(StoreFault::SaveFails, &self.name)
            || (state.has(StoreFault::SaveFailsAfterIntent, &self.name) && !is_intent)
        {
            return Err(SaveError::Failed(failure()));
        }
        if state.generation(&self.name) != expected.generation() {
            return Err(SaveError::Conflict);
        }
        if state.has(StoreFault::NotSavedUnknown, &self.name) && !is_intent {
            return Err(SaveError::Unknown(failure()));
        }
        state.records.insert(self.name.clone(), record.clone());
        if state.has(StoreFault::SavedUnknown, &self.name) { Err(SaveError::Unknown(failure())) } else { Ok(()) }
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        let mut state = self.store.state();
        state.counts.clears += 1;
        if state.has(StoreFault::PanicInClear, &self.name) {
            drop(state);
            panic!("the store panics in a clear");
        }
        if state.has(StoreFault::SaveFails, &self.name) || state.has(StoreFault::SaveFailsAfterIntent, &self.name) {
            return Err(SaveError::Failed(failure()));
        }
        if state.generation(&self.name) != expected.generation() {
            return Err(SaveError::Conflict);
        }
        state.records.remove(&self.name);
        Ok(())
    }
}

impl AsyncSessionLock for Locked {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async {
            pause().await;
            let outcome = SessionLock::load(self);
            let hangs = self.store.state().has(StoreFault::LoadHangs, &self.name);
            if hangs {
                pending::<()>().await;
            }
            outcome
        })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            pause().await;
            SessionLock::save(self, record, expected)
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move {
            pause().await;
            SessionLock::clear(self, expected)
        })
    }

    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            pause().await;
            let store = self.store.clone();
            let hangs = store.state().has(StoreFault::UnlockHangs, &self.name);
            drop(self);
            store.state().counts.unlocks += 1;
            if hangs {
                pending::<()>().await;
            }
        })
    }
}

impl SessionStore for Store {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.lock(name)?.map(|locked| Box::new(locked) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.state().records.get(name).cloned()
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        Ok(self.page(prefix, after))
    }
}

impl AsyncSessionStore for Store {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            pause().await;
            Ok(self.lock(name)?.map(|locked| Box::new(locked) as _))
        })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(async move {
            pause().await;
            self.state().records.get(name).cloned()
        })
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            pause().await;
            Ok(self.page(prefix, after))
        })
    }
}

/// Is ready when it is polled for the second time.
async fn pause() {
    let mut polled = false;
    poll_fn(|context| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use loginradius_store::store_tests;

    use super::*;

    #[test]
    fn the_suites_store_is_a_blocking_store() {
        let storages = Mutex::new(HashMap::<String, Store>::new());
        store_tests::check(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone());
    }
}
