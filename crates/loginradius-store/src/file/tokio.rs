use std::sync::{Arc, Mutex, PoisonError};

use loginradius_proto::Error;
use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};
use tokio::runtime::Handle;

use super::{FileStore, LockedFile};
use crate::store::{AsyncLockedSession, AsyncTokenStore, BoxFuture, LockedSession};

/// What is running keeps the file, and so the lock, until it has ended, also if nobody waits for it any more.
struct AsyncLockedFile {
    file: Arc<Mutex<LockedFile>>,
}

/// The system's calls on files block, and so they run on threads that are made for it.
///
/// An operation whose future is dropped after it has begun still runs to its end.
impl AsyncTokenStore for FileStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncLockedSession>>, Error>> {
        Box::pin(async move {
            let (store, name) = (self.clone(), name.to_owned());
            let locked = run(move || store.lock(&name)).await.map_err(NotRun::into_error)??;
            Ok(locked.map(|file| Box::new(AsyncLockedFile { file: Arc::new(Mutex::new(file)) }) as _))
        })
    }
}

impl AsyncLockedSession for AsyncLockedFile {
    fn load(&mut self) -> BoxFuture<'_, LoadOutcome> {
        Box::pin(async {
            let outcome = self.run(LockedFile::load).await;
            outcome.unwrap_or_else(|error| LoadOutcome::Failed(error.into_error()))
        })
    }

    fn save<'a>(&'a mut self, record: &'a SessionRecord, expected: Option<u64>) -> BoxFuture<'a, SaveOutcome> {
        Box::pin(async move {
            let record = record.clone();
            self.run(move |file| file.save(&record, expected)).await.unwrap_or_else(NotRun::into_outcome)
        })
    }

    fn clear(&mut self, expected: Option<u64>) -> BoxFuture<'_, SaveOutcome> {
        Box::pin(async move { self.run(move |file| file.clear(expected)).await.unwrap_or_else(NotRun::into_outcome) })
    }

    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // After what is still running. If it cannot be waited for, the lock ends with it.
            let file = self.file;
            let _ = run(move || drop(file.lock().map(|_| ()))).await;
        })
    }
}

impl AsyncLockedFile {
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut LockedFile) -> T + Send + 'static,
    ) -> Result<T, NotRun> {
        let file = self.file.clone();
        // What a panic left is whole: each step of a save leaves the old or the new record.
        run(move || operation(&mut file.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

/// Why an operation has no outcome.
enum NotRun {
    NoRuntime,
    /// The runtime is shutting down, and did not begin with it.
    Cancelled,
    Panicked,
}

impl NotRun {
    fn into_error(self) -> Error {
        match self {
            Self::NoRuntime => Error::settings("a FileStore needs a tokio runtime in async code: start one"),
            Self::Cancelled => {
                Error::try_later("the tokio runtime is shutting down: use the store before that", "not run")
            }
            Self::Panicked => Error::try_later("the session's store failed; try again later", "it panicked"),
        }
    }

    fn into_outcome(self) -> SaveOutcome {
        match self {
            Self::Panicked => SaveOutcome::Unknown(self.into_error()),
            Self::NoRuntime | Self::Cancelled => SaveOutcome::Failed(self.into_error()),
        }
    }
}

async fn run<T: Send + 'static>(operation: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRun> {
    let runtime = Handle::try_current().map_err(|_| NotRun::NoRuntime)?;
    runtime.spawn_blocking(operation).await.map_err(|error| match error.is_panic() {
        true => NotRun::Panicked,
        false => NotRun::Cancelled,
    })
}
