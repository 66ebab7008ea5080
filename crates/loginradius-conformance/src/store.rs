//! A store whose troubles a test chooses.

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
/// Its futures wait once before they do anything, so that they can be dropped between any two steps.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: BTreeMap<String, StoredRecord>,
    locked: BTreeSet<String>,
    /// With a name, that session's alone.
    trouble: Option<(Trouble, Option<String>)>,
    counts: Counts,
}

/// What goes wrong in a [`Store`], until it is [repaired](Store::repair).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Locks cannot be asked for.
    Lock,
    /// Nothing can be read.
    Load,
    /// Nothing can be saved, nor cleared.
    Full,
    /// As soon as an intent is saved, nothing else can be.
    FullAfterIntent,
    /// Whatever is saved is stored, but nobody can tell.
    Doubt,
    /// Whatever is saved but an intent is not stored, and nobody can tell.
    DoubtAndLoss,
    /// A panic when the lock is taken.
    PanicInLock,
    /// A panic when the record is loaded.
    PanicInLoad,
    /// A panic when anything but an intent is saved.
    PanicInSave,
    /// A panic when a record is cleared.
    PanicInClear,
    /// An async caller's load never comes to its end.
    StuckInLoad,
    /// An async caller that gives a lock back by a call never hears that it is free.
    StuckInUnlock,
}

/// How often a [`Store`] was asked for something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Locks that were asked for.
    pub locks: usize,
    /// Loads.
    pub loads: usize,
    /// Saves.
    pub saves: usize,
    /// Clearings.
    pub clears: usize,
    /// Locks that an async caller gave back by a call, and not by dropping them alone.
    pub unlocks: usize,
}

impl Store {
    /// An empty store without troubles.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this goes wrong, in place of what went wrong before.
    pub fn trouble(&self, trouble: Trouble) {
        self.state().trouble = Some((trouble, None));
    }

    /// The same with that session alone.
    pub fn trouble_with(&self, name: &str, trouble: Trouble) {
        self.state().trouble = Some((trouble, Some(name.to_owned())));
    }

    /// Nothing goes wrong any more.
    pub fn repair(&self) {
        self.state().trouble = None;
    }

    /// How often it was asked for something.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Whether that session's lock is taken.
    #[must_use]
    pub fn is_locked(&self, name: &str) -> bool {
        self.state().locked.contains(name)
    }

    /// The stored refresh token of that session. The empty text if there is a record without one.
    #[must_use]
    pub fn refresh_token(&self, name: &str) -> Option<String> {
        let json = self.json(name)?;
        let token = json.split_once(r#""refresh_token":""#).and_then(|(_, rest)| rest.split_once('"'));
        Some(token.map(|(token, _)| token.to_owned()).unwrap_or_default())
    }

    /// What is stored of that session.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<String> {
        self.state().records.get(name).map(json)
    }

    /// How many sessions are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().records.len()
    }

    /// Whether no session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes that session's tokens older, as if so much time had passed since they were obtained. Whoever has
    /// loaded them already does not notice.
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, name: &str) -> Result<Option<Locked>, Error> {
        let mut state = self.state();
        state.counts.locks += 1;
        if state.has(Trouble::PanicInLock, name) {
            drop(state);
            panic!("the store panics in a lock");
        }
        if state.has(Trouble::Lock, name) {
            return Err(trouble());
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
    fn has(&self, trouble: Trouble, name: &str) -> bool {
        let troubled = |(_, only): &&(Trouble, Option<String>)| only.as_ref().is_none_or(|only| only == name);
        self.trouble.as_ref().filter(troubled).is_some_and(|(current, _)| *current == trouble)
    }

    fn generation(&self, name: &str) -> Option<u64> {
        self.records.get(name).map(StoredRecord::generation)
    }
}

fn trouble() -> Error {
    Error::unavailable("the test's store is out of order", "the test wants it so")
}

fn json(record: &StoredRecord) -> String {
    String::from_utf8_lossy(record.as_bytes()).into_owned()
}

/// Where a record's JSON says when its tokens were obtained.
fn date(json: &str) -> std::ops::Range<usize> {
    const KEY: &str = r#""obtained_at_unix_ms":"#;
    let begin = json.find(KEY).expect("a date") + KEY.len();
    begin..begin + json[begin..].find([',', '}']).expect("JSON")
}

/// When the tokens of a record were obtained, in milliseconds since 1970.
fn obtained_at(json: &str) -> u128 {
    json[date(json)].parse().expect("milliseconds")
}

/// The record with another date, and without a checksum, as an earlier version wrote it.
pub(crate) fn with_obtained_at(json: &str, obtained_at: u128) -> String {
    let (content, _) = json.split_once(r#","checksum":"#).unwrap_or((json.trim_end_matches('}'), ""));
    let mut json = format!("{content}}}");
    json.replace_range(date(&json), &obtained_at.to_string());
    json
}

/// A session whose lock is held.
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
        if state.has(Trouble::PanicInLoad, &self.name) {
            drop(state);
            panic!("the store panics in a load");
        }
        if state.has(Trouble::Load, &self.name) {
            return Err(LoadError::Failed(trouble()));
        }
        Ok(state.records.get(&self.name).cloned())
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let is_intent = json(record).contains(r#""intent":"#);
        let mut state = self.store.state();
        state.counts.saves += 1;
        if state.has(Trouble::PanicInSave, &self.name) && !is_intent {
            drop(state);
            panic!("the store panics in a save");
        }
        if state.has(Trouble::Full, &self.name) || (state.has(Trouble::FullAfterIntent, &self.name) && !is_intent) {
            return Err(SaveError::Failed(trouble()));
        }
        if state.generation(&self.name) != expected.generation() {
            return Err(SaveError::Conflict);
        }
        if state.has(Trouble::DoubtAndLoss, &self.name) && !is_intent {
            return Err(SaveError::Unknown(trouble()));
        }
        state.records.insert(self.name.clone(), record.clone());
        if state.has(Trouble::Doubt, &self.name) { Err(SaveError::Unknown(trouble())) } else { Ok(()) }
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        let mut state = self.store.state();
        state.counts.clears += 1;
        if state.has(Trouble::PanicInClear, &self.name) {
            drop(state);
            panic!("the store panics in a clearing");
        }
        if state.has(Trouble::Full, &self.name) || state.has(Trouble::FullAfterIntent, &self.name) {
            return Err(SaveError::Failed(trouble()));
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
            let stuck = self.store.state().has(Trouble::StuckInLoad, &self.name);
            if stuck {
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
            let stuck = store.state().has(Trouble::StuckInUnlock, &self.name);
            drop(self);
            store.state().counts.unlocks += 1;
            if stuck {
                pending::<()>().await;
            }
        })
    }
}

impl SessionStore for Store {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        Ok(self.lock(name)?.map(|locked| Box::new(locked) as _))
    }
}

impl AsyncSessionStore for Store {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            pause().await;
            Ok(self.lock(name)?.map(|locked| Box::new(locked) as _))
        })
    }
}

/// Is ready when it is polled for the second time.
async fn pause() {
    let mut asked = false;
    poll_fn(|context| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
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
    fn it_is_a_store() {
        let storages = Mutex::new(HashMap::<String, Store>::new());
        store_tests::check(|storage| storages.lock().unwrap().entry(storage.to_owned()).or_default().clone());
    }
}
