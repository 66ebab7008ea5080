use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use loginradius_proto::Seed;
use loginradius_proto::session::{Admission, Coordinator, SessionEvent, SessionMemory, SessionRequest};

use super::clock::now;
use super::runtime::Runtime;
use super::settings::SessionSettings;
use super::stakes::Stakes;
use crate::store::{AsyncSessionLock, AsyncSessionStore};

/// The sessions of one store in one process.
pub(super) struct Sessions<R: Runtime> {
    pub(super) runtime: R,
    pub(super) store: Box<dyn AsyncSessionStore>,
    pub(super) settings: SessionSettings,
    pub(super) stakes: Stakes,
    registry: Mutex<Registry<R>>,
}

struct Registry<R: Runtime> {
    known: HashMap<Arc<str>, Weak<Session<R>>>,
    /// Sessions whose newest tokens are in memory alone. They stay, with their locks, even if no caller has a handle:
    /// the next caller that asks for the name gets them, and no other process sends a consumed token again.
    retained: HashMap<Arc<str>, Arc<Session<R>>>,
    /// Whether no caller can ask for a session any more.
    closed: bool,
}

/// A session in one process.
pub(super) struct Session<R: Runtime> {
    pub(super) sessions: Arc<Sessions<R>>,
    pub(super) name: Arc<str>,
    /// What the coordinator has published, to be read without its mutex.
    pub(super) memory: ArcSwap<SessionMemory>,
    state: Mutex<State<R>>,
}

pub(super) struct State<R: Runtime> {
    pub(super) coordinator: Coordinator,
    /// For the outcome of the flow in flight, or else of the next one.
    pub(super) outcome: R::OutcomeCell,
    /// The store's lock, if a flow retained it.
    pub(super) lock: Option<Box<dyn AsyncSessionLock>>,
}

impl<R: Runtime> Sessions<R> {
    pub(super) fn new(runtime: R, store: Box<dyn AsyncSessionStore>, settings: SessionSettings) -> Self {
        let registry = Registry { known: HashMap::new(), retained: HashMap::new(), closed: false };
        Self { runtime, store, settings, stakes: Stakes::default(), registry: Mutex::new(registry) }
    }

    pub(super) fn session(self: &Arc<Self>, name: &str) -> Arc<Session<R>> {
        let mut registry = lock(&self.registry);
        if let Some(session) = registry.known.get(name).and_then(Weak::upgrade) {
            return session;
        }
        let state = State { coordinator: Coordinator::default(), outcome: R::OutcomeCell::default(), lock: None };
        let name = Arc::from(name);
        let session = Arc::new(Session {
            sessions: Arc::clone(self),
            name: Arc::clone(&name),
            memory: ArcSwap::new(state.coordinator.published()),
            state: Mutex::new(state),
        });
        registry.known.insert(name, Arc::downgrade(&session));
        session
    }

    pub(super) fn in_use(&self) -> Vec<Arc<Session<R>>> {
        lock(&self.registry).known.values().filter_map(Weak::upgrade).collect()
    }

    /// Returns the sessions whose newest tokens are in memory alone.
    pub(super) fn unsaved(&self) -> Vec<Arc<Session<R>>> {
        lock(&self.registry).retained.values().cloned().collect()
    }

    /// Retains no session any more: no caller is left that could save its tokens, and its lock would stay held until the
    /// process ends.
    pub(super) fn close(&self) {
        let mut registry = lock(&self.registry);
        registry.closed = true;
        let retained = std::mem::take(&mut registry.retained);
        drop(registry);
        for session in retained.into_values() {
            // The thread of its last flow may not have dropped the session yet.
            let lock = session.state().lock.take();
            drop(lock);
        }
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        lock(&self.registry).known.len()
    }
}

impl<R: Runtime> Session<R> {
    pub(super) fn state(&self) -> MutexGuard<'_, State<R>> {
        lock(&self.state)
    }

    /// Admits a caller, and publishes what the coordinator now knows.
    pub(super) fn admit(&self, state: &mut State<R>, request: SessionRequest<'_>) -> Admission {
        let Sessions { runtime, settings, .. } = &*self.sessions;
        let seed = Seed(RandomState::new().hash_one(()));
        let admission = state.coordinator.admit(request, runtime.app(), settings.policy, now(), seed);
        self.publish(state);
        admission
    }

    /// Replaces the memory that callers read by what the coordinator publishes.
    pub(super) fn publish(&self, state: &State<R>) {
        let published = state.coordinator.published();
        if !Arc::ptr_eq(&self.memory.load(), &published) {
            self.memory.store(published);
        }
    }

    /// Keeps the session as long as its newest tokens are in memory alone, and a caller may ask for it.
    pub(super) fn retain(self: &Arc<Self>, state: &State<R>) {
        let mut registry = lock(&self.sessions.registry);
        if state.coordinator.is_unsaved() && !registry.closed {
            registry.retained.insert(Arc::clone(&self.name), Arc::clone(self));
        } else {
            registry.retained.remove(&self.name);
        }
    }

    /// Delivers the events in order, unless another caller is doing that: then that caller delivers these too, even if
    /// the callback panics in between.
    pub(super) fn deliver_events(&self) {
        let mut panicked = None;
        while let Some(event) = self.next_event() {
            if let Some(on_event) = &self.sessions.settings.on_event {
                let delivered = panic::catch_unwind(AssertUnwindSafe(|| on_event(&self.name, &event)));
                panicked = panicked.or(delivered.err());
            }
            self.state().coordinator.event_delivered();
        }
        if let Some(payload) = panicked {
            panic::resume_unwind(payload);
        }
    }

    fn next_event(&self) -> Option<SessionEvent> {
        self.state().coordinator.next_event()
    }
}

impl<R: Runtime> Drop for Session<R> {
    fn drop(&mut self) {
        let known = &mut lock(&self.sessions.registry).known;
        // Another session of that name may have begun.
        if known.get(&self.name).is_some_and(|session| session.strong_count() == 0) {
            known.remove(&self.name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves nothing unfinished: no code of a store, a transport or a callback runs under these mutexes.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
