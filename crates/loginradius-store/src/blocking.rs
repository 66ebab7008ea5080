use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use crate::store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore};

/// An [`AsyncSessionStore`] made from a blocking [`SessionStore`], for code that is written once for both.
///
/// Blocking code needs no wrapper, and async code on a runtime should not use this one: each call blocks its thread
/// until it is done, and other tasks with it, so that each future is ready at its first poll. Use a store for async
/// code there.
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Poll, Waker};
/// use loginradius_store::{AsyncSessionStore, BlockingStore, MemoryStore};
///
/// let store = BlockingStore::new(MemoryStore::new());
/// let mut locked = pin!(AsyncSessionStore::try_lock(&store, "alice"));
/// let Poll::Ready(locked) = locked.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { unreachable!() };
/// assert!(locked?.is_some());
/// # Ok::<(), loginradius_proto::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BlockingStore<S>(pub(crate) S);

impl<S: SessionStore> BlockingStore<S> {
    /// Makes an async store from a blocking one.
    pub fn new(store: S) -> Self {
        Self(store)
    }
}

impl<S: SessionStore> AsyncSessionStore for BlockingStore<S> {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move { Ok(self.0.try_lock(name)?.map(|lock| Box::new(BlockingLock(lock)) as _)) })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(async move { self.0.peek(name) })
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move { self.0.names(prefix, after) })
    }
}

/// The lock of a blocking store, whose futures are ready at their first poll.
pub(crate) struct BlockingLock(pub(crate) Box<dyn SessionLock>);

impl AsyncSessionLock for BlockingLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async { self.0.load() })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move { self.0.save(record, expected) })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move { self.0.clear(expected) })
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}
