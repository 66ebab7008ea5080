use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};
use tokio::runtime::Handle;

use super::{FileSessionLock, FileStore};
use crate::store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore};

/// The system's calls on files block, so they run on threads for blocking work.
///
/// An operation whose future is dropped after it has begun still runs to its end.
impl AsyncSessionStore for FileStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            let (store, name) = (self.clone(), name.to_owned());
            let lock = run(move || store.lock(&name)).await.map_err(NotRun::into_error)??;
            Ok(lock.map(|lock| Box::new(AsyncFileSessionLock { lock: Arc::new(Mutex::new(lock)) }) as _))
        })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(async move {
            let (store, name) = (self.clone(), name.to_owned());
            run(move || SessionStore::peek(&store, &name)).await.ok().flatten()
        })
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let (store, prefix, after) = (self.clone(), prefix.to_owned(), after.map(str::to_owned));
            run(move || store.list(&prefix, after.as_deref())).await.map_err(NotRun::into_error)?
        })
    }
}

/// An operation that is running shares the lock until it ends, even if its future was dropped.
struct AsyncFileSessionLock {
    lock: Arc<Mutex<FileSessionLock>>,
}

impl AsyncSessionLock for AsyncFileSessionLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async { self.run(FileSessionLock::load).await.map_err(NotRun::into_error)? })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            let record = record.clone();
            self.run(move |lock| lock.save(&record, expected)).await.map_err(NotRun::into_save_error)?
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move { self.run(move |lock| lock.clear(expected)).await.map_err(NotRun::into_save_error)? })
    }

    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // After the operation that is still running. If that cannot be waited for, the lock ends with it.
            let lock = self.lock;
            let _ = run(move || drop(lock.lock().map(|_| ()))).await;
        })
    }
}

impl AsyncFileSessionLock {
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut FileSessionLock) -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let lock = self.lock.clone();
        // What a panic left is whole: each step of a save leaves the old or the new record.
        run(move || operation(&mut lock.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn run<T: Send + 'static>(operation: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRun> {
    let runtime = Handle::try_current().map_err(|_| NotRun::NoRuntime)?;
    // tokio panics if it has no thread for blocking work and cannot start one. The operation stays in its queue, and
    // runs as soon as there is a thread.
    let queued = catch_unwind(AssertUnwindSafe(|| runtime.spawn_blocking(operation)));
    queued.map_err(|_| NotRun::NoThread)?.await.map_err(|error| match error.is_panic() {
        true => NotRun::Panicked,
        false => NotRun::Cancelled,
    })
}

/// Why an operation has no outcome.
enum NotRun {
    NoRuntime,
    /// It may run later.
    NoThread,
    /// The runtime is shutting down, and did not begin the operation.
    Cancelled,
    Panicked,
}

impl NotRun {
    fn into_error(self) -> Error {
        match self {
            Self::NoRuntime => Error::misuse("a FileStore needs a tokio runtime in async code: start one"),
            Self::NoThread => Error::unavailable(
                "no thread could be started for the session's store: allow this program more threads, open files and \
                 memory, or let it do less at a time",
                "tokio could not start one",
            ),
            Self::Cancelled => {
                Error::unavailable("the tokio runtime is shutting down: use the store before that", "not run")
            }
            Self::Panicked => Error::unavailable("the session's store failed: try again later", "it panicked"),
        }
    }

    fn into_save_error(self) -> SaveError {
        match self {
            Self::NoThread | Self::Panicked => SaveError::Unknown(self.into_error()),
            Self::NoRuntime | Self::Cancelled => SaveError::Failed(self.into_error()),
        }
    }
}
