use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use loginradius_proto::Error;
use loginradius_store::{
    AsyncSessionLock, AsyncSessionStore, BoxFuture, Expected, LoadError, SaveError, SessionLock, SessionStore,
    StoredRecord,
};
use tokio_postgres::Client;

use crate::database::{Caller, Connect, Connection, Database};
use crate::failure::{Fault, thread_ended};
use crate::lease::{Lease, key};
use crate::settings::PostgresSettings;
use crate::thread::{DatabaseThread, wait};

impl PostgresSettings {
    /// Opens the store: connects, and creates the table, or checks the one that is there. This blocks the calling
    /// thread, for little more than the [timeout](Self::with_timeout) at most: in async code, use
    /// [`open_async`](Self::open_async).
    ///
    /// `connect` returns what [`Config::connect`](tokio_postgres::Config::connect) returns: a client, and the
    /// connection that the store then runs. It is called for each new connection, so it may get new credentials each
    /// time. It runs on the store's thread, and must not block it for long.
    ///
    /// If it fails with a [`tokio_postgres::Error`] that may go away by itself, because the server is being started for
    /// example, operations call it again until their timeout. Any other error ends the operation. Opening calls it
    /// once, so a server that is down is an error at once. A service that may start before its database opens the store
    /// again while [the error is transient](Error::is_transient).
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStore::open`].
    pub fn open<C, D, E>(self, connect: C) -> Result<PostgresStore, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        PostgresStore::open_blocking(connect, self)
    }

    /// Opens the store like [`open`](Self::open), for async code on any runtime.
    ///
    /// # Errors
    ///
    /// Those of [`PostgresStore::open`].
    pub async fn open_async<C, D, E>(self, connect: C) -> Result<PostgresStore, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        PostgresStore::open_anywhere(connect, self).await
    }
}

/// Stores sessions in a table of PostgreSQL, for blocking and for async code.
///
/// A clone is another handle to the same store. The store has one thread, on which its connections live, so async code
/// may run on any runtime. The thread ends when the last handle and the last lock are dropped. See [the crate's
/// documentation](crate) for what the store promises.
#[derive(Clone)]
pub struct PostgresStore {
    thread: Arc<DatabaseThread>,
    timeout: Duration,
    table: String,
}

impl PostgresStore {
    /// Opens the store with the default settings, and blocks the calling thread. [`PostgresSettings::open`] says what
    /// `connect` has to do; in async code, use [`open_async`](Self::open_async).
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// | --- | --- |
    /// | [`StoreRefused`](loginradius_proto::ErrorKind::StoreRefused) | The operator has to fix something, and the message says what: a wrong password, an untrusted certificate, a table that is missing or of a newer version, a missing right, a read-only replica. |
    /// | [`Unavailable`](loginradius_proto::ErrorKind::Unavailable) | It may pass: the server is down or does not respond in time, or `connect` failed with an error of its own. |
    /// | [`Configuration`](loginradius_proto::ErrorKind::Configuration) | A setting is out of its range. |
    ///
    /// No message shows the connection's password, unless `connect` puts it into an error of its own.
    pub fn open<C, D, E>(connect: C) -> Result<Self, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        PostgresSettings::default().open(connect)
    }

    /// Opens the store like [`open`](Self::open), for async code on any runtime.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_async<C, D, E>(connect: C) -> Result<Self, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        PostgresSettings::default().open_async(connect).await
    }

    pub(crate) fn open_blocking<C, D, E>(connect: C, settings: PostgresSettings) -> Result<Self, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = blocking_limit(settings.timeout);
        let opened = wait(limit, Self::open_anywhere(connect, settings));
        opened.unwrap_or_else(|| Err(thread_ended().into_error()))
    }

    pub(crate) async fn open_anywhere<C, D, E>(connect: C, settings: PostgresSettings) -> Result<Self, Error>
    where
        C: AsyncFn() -> Result<(Client, D), E> + Send + 'static,
        D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let table = settings.check()?;
        let (timeout, name) = (settings.timeout, table.quoted());
        let database = move || Database::new(settings, table, connecting(connect));
        let thread = DatabaseThread::start(timeout, database).map_err(|error| {
            let cause = error.to_string();
            Error::unavailable(
                format!(
                    "could not start the thread of the store over PostgreSQL, {cause}: allow this program more threads \
                     and files, or try again later"
                ),
                error,
            )
        })?;
        let opened = thread.begin(|database| async move { database.open().await }).await;
        opened.unwrap_or_else(|_| Err(thread_ended().into_error()))?;
        Ok(Self { thread: Arc::new(thread), timeout, table: name })
    }

    async fn lock(&self, name: &str) -> Result<Option<Lock>, Error> {
        let (name, thread) = (name.to_owned(), Arc::clone(&self.thread));
        let locked = self.thread.begin(move |database| async move {
            let locked = database.try_lock(&name).await?;
            Ok(locked.map(|(lease, record)| Lock { thread, lease, loaded: Some(record), is_released: false }))
        });
        // If this future is dropped, so is the lock, which releases it.
        locked.await.unwrap_or_else(|_| Err(thread_ended().into_error()))
    }

    async fn read(&self, name: &str) -> Option<StoredRecord> {
        let key = key(name);
        let read = self.thread.begin(move |database| async move { database.load(Caller::Newcomer, &key).await });
        read.await.ok()?.ok().flatten()
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let listed = self.thread.begin(move |database| async move { database.names(&prefix, after.as_deref()).await });
        listed.await.unwrap_or_else(|_| Err(thread_ended().into_error()))
    }

    /// Waits for an operation. It has a deadline of its own, so that this ends earlier only if the thread is stuck.
    fn wait<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        wait(blocking_limit(self.timeout), operation)
    }
}

/// The time of two operations, as one may wait for another of the same lock whose future was dropped, and of a busy
/// machine.
fn blocking_limit(timeout: Duration) -> Duration {
    timeout.saturating_mul(2).saturating_add(Duration::from_secs(1))
}

fn connecting<C, D, E>(connect: C) -> Connect
where
    C: AsyncFn() -> Result<(Client, D), E> + 'static,
    D: Future<Output = Result<(), tokio_postgres::Error>> + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connect = Rc::new(connect);
    Box::new(move || {
        let connect = Rc::clone(&connect);
        Box::pin(async move {
            let (client, driver) = connect().await.map_err(Into::into)?;
            Ok(Connection::new(client, driver))
        })
    })
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("table", &self.table).finish_non_exhaustive()
    }
}

impl SessionStore for PostgresStore {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let locked = self.wait(self.lock(name)).unwrap_or_else(|| Err(thread_ended().into_error()))?;
        Ok(locked.map(|lock| Box::new(BlockingLock { lock, limit: blocking_limit(self.timeout) }) as _))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.wait(self.read(name)).flatten()
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        self.wait(self.list(prefix, after)).unwrap_or_else(|| Err(thread_ended().into_error()))
    }
}

impl AsyncSessionStore for PostgresStore {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move { Ok(self.lock(name).await?.map(|lock| Box::new(lock) as _)) })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(self.read(name))
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(self.list(prefix, after))
    }
}

/// A lock. When it is dropped, the thread releases it.
struct Lock {
    thread: Arc<DatabaseThread>,
    lease: Arc<Lease>,
    /// The record that taking the lock returned, until it is loaded.
    loaded: Option<Option<StoredRecord>>,
    is_released: bool,
}

impl Lock {
    async fn read(&mut self) -> Result<Option<StoredRecord>, Error> {
        if let Some(loaded) = self.loaded.take()
            && self.lease.is_held()
        {
            return Ok(loaded);
        }
        let lease = Arc::clone(&self.lease);
        let read = self.thread.begin(move |database| async move {
            let _turn = lease.turn.lock().await;
            database.load(Caller::Holder, lease.key()).await
        });
        read.await.unwrap_or_else(|_| Err(thread_ended().into_error()))
    }

    async fn write(&mut self, record: Option<StoredRecord>, expected: Expected) -> Result<(), SaveError> {
        self.loaded = None;
        let lease = Arc::clone(&self.lease);
        let written = self.thread.begin(move |database| async move {
            let _turn = lease.turn.lock().await;
            database.save(&lease, record.as_ref(), expected).await
        });
        match written.await.unwrap_or_else(|_| Err(thread_ended())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SaveError::Conflict),
            Err(fault) => Err(Fault::into_save_error(fault)),
        }
    }

    /// Begins to release the lock, once.
    fn release(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        if std::mem::replace(&mut self.is_released, true) {
            return None;
        }
        let lease = Arc::clone(&self.lease);
        let released = self.thread.begin(move |database| async move {
            let _turn = lease.turn.lock().await;
            database.unlock(&lease).await;
        });
        Some(async move { drop(released.await) })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.release());
    }
}

impl AsyncSessionLock for Lock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async { Ok(self.read().await?) })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(self.write(Some(record.clone()), expected))
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(self.write(None, expected))
    }

    fn is_held(&self) -> bool {
        self.lease.is_held()
    }

    fn unlock(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let released = self.release();
        Box::pin(async move {
            if let Some(released) = released {
                released.await;
            }
        })
    }
}

/// A lock for blocking code. It is free as soon as it has been dropped.
struct BlockingLock {
    lock: Lock,
    limit: Duration,
}

impl SessionLock for BlockingLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        let limit = self.limit;
        Ok(wait(limit, self.lock.read()).unwrap_or_else(|| Err(thread_ended().into_error()))?)
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        let limit = self.limit;
        let saved = wait(limit, self.lock.write(Some(record.clone()), expected));
        saved.unwrap_or_else(|| Err(thread_ended().into_save_error()))
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        let limit = self.limit;
        wait(limit, self.lock.write(None, expected)).unwrap_or_else(|| Err(thread_ended().into_save_error()))
    }

    fn is_held(&self) -> bool {
        self.lock.lease.is_held()
    }
}

impl Drop for BlockingLock {
    fn drop(&mut self) {
        if let Some(released) = self.lock.release() {
            // If this takes too long, the lease lapses by itself.
            let _ = wait(self.limit, released);
        }
    }
}
