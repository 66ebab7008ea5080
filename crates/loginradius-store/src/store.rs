use std::pin::Pin;

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

/// Stores sessions, for blocking code.
///
/// Every session has a name, and is locked, loaded, saved and cleared under that name alone. Any text is a name, the
/// empty one too, and no two names share a record.
///
/// A store neither reads nor judges the bytes of a record. It returns what was saved, whole, and compares generations.
///
/// The crate's documentation says [how to write a store](crate#a-store-of-your-own), and
/// [`store_tests`](crate::store_tests) checks one.
pub trait SessionStore: Send + Sync + 'static {
    /// Tries to take the lock on a session, without waiting. Returns `None` if another holder has it, in this process
    /// or another one.
    ///
    /// The lock is released when it is dropped, and when its process dies.
    ///
    /// # Errors
    ///
    /// [`Error::store_refused`] if the user has to fix something, and the message says what; [`Error::unavailable`] if
    /// that may pass by itself. These two kinds, [`Error::configuration`] and [`Error::misuse`] reach the caller of a
    /// session as they are; an error of another kind becomes the source of an unavailable one.
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error>;

    /// Reads the record without the lock, while another holder may replace it: what was saved last, whole. Returns
    /// `None` if there is no record, or if it could not be read.
    ///
    /// While another process refreshes a session, a caller gets the stored access token by this, if that is still
    /// valid. A purge looks at each record by this, and takes the lock only if the session seems to be dead. By default
    /// this returns `None`: then the caller waits for the lock, and the purge takes the lock of every session.
    fn peek(&self, name: &str) -> Option<StoredRecord> {
        let _ = name;
        None
    }

    /// Returns the names of the sessions that have a record, begin with `prefix` and come after `after`, in the order
    /// of their bytes.
    ///
    /// It returns a *page*: the first of these names, without a gap, and as many as suit the store. An empty page is
    /// the end. The last name of a page is the `after` of the next one. A session that gets or loses its record
    /// meanwhile may or may not be among them.
    ///
    /// A record does not mean that a user is signed in: it stays if its refresh token was rejected, or if its sign-out
    /// was not completed.
    ///
    /// ```
    /// use loginradius_store::{Expected, MemoryStore, SessionStore, StoredRecord};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryStore::new();
    /// for name in ["ada/laptop", "ada/phone", "adam/laptop"] {
    ///     let mut lock = SessionStore::try_lock(&store, name)?.expect("it has no other holder");
    ///     lock.save(&StoredRecord::from_bytes(*b"the tokens of a login"), Expected::Nothing)?;
    /// }
    /// assert_eq!(SessionStore::names(&store, "ada/", None)?, ["ada/laptop", "ada/phone"]);
    /// assert_eq!(SessionStore::names(&store, "ada/", Some("ada/laptop"))?, ["ada/phone"]);
    /// assert!(SessionStore::names(&store, "ada/", Some("ada/phone"))?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock). The default implementation always returns [`Error::misuse`]: this store cannot
    /// list its sessions.
    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let _ = (prefix, after);
        Err(cannot_list())
    }
}

/// A store that is chosen at run time.
impl<S: SessionStore + ?Sized> SessionStore for Box<S> {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        (**self).try_lock(name)
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        (**self).peek(name)
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        (**self).names(prefix, after)
    }
}

/// The lock on a session, of which the caller is the holder.
pub trait SessionLock: Send {
    /// Loads the record: the bytes and the generation that were saved. Returns `None` if there is no record.
    ///
    /// # Errors
    ///
    /// | error | when |
    /// | --- | --- |
    /// | [`LoadError::Failed`] | There may be a record, and it could not be read, with an error as that of [`SessionStore::try_lock`]. The `?` operator turns any [`Error`] into this. |
    /// | [`LoadError::Damaged`] | Only from a wrapper that seals records, where a seal is broken, with [`Error::record_damaged`]. A store that keeps bytes returns them, whatever they are. |
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError>;

    /// Saves the record in place of what is expected, durably: it outlives a loss of power. Whatever happens, the old
    /// or the new record is there, whole.
    ///
    /// | expected | what has to be there | what becomes of it |
    /// | --- | --- | --- |
    /// | [`Expected::Nothing`] | no record | |
    /// | [`Expected::Generation`] | the record of that generation | It is replaced. |
    /// | [`Expected::Damaged`] | the record of that generation, which is damaged | It is replaced, and in the same step a copy of it is kept under another name. |
    ///
    /// A save may be repeated after it was done: if this very record is stored, bytes and generation, the outcome may
    /// be success or a conflict, whatever is expected. So a store may send a statement again if it did not learn the
    /// outcome.
    ///
    /// # Errors
    ///
    /// | error | when |
    /// | --- | --- |
    /// | [`SaveError::Conflict`] | Something else is there than is expected, or the lock was lost, as when a lease has lapsed. Nothing was changed. |
    /// | [`SaveError::Failed`] | It was certainly not done, and what was there still is: a full disk, a statement that the database refused. Construct it by name: `SaveError::Failed(error)`. |
    /// | [`SaveError::Unknown`] | All else: a connection that broke after the statement was sent, a timeout. The `?` operator turns any [`Error`] into this; the flow then loads the record to find out. |
    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError>;

    /// Removes what is expected, durably. No copy is kept, not even of a damaged record.
    ///
    /// If there is no record, the outcome is success if none is expected, and may be success otherwise.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    fn clear(&mut self, expected: Expected) -> Result<(), SaveError>;

    /// Returns whether the lock is certainly still held, without asking a server. A session calls this right before it
    /// sends a request, and takes the lock again if it is `false`. So a process that was suspended between the save of
    /// its intent and its request does not send a refresh token that another holder may be sending.
    ///
    /// By default this returns `true`, which is right for a lock that ends with its process: it is held until it is
    /// released.
    ///
    /// If the lock is a lease, return `false` once a renewal has found another holder, or once less than half of the
    /// lease is left, because connecting takes time too. Count the lease from before its last renewal was sent, by the
    /// monotonic clock or the wall clock, whichever says that more time has passed: the first may stand still while the
    /// machine is suspended, and the second may be set back.
    fn is_held(&self) -> bool {
        true
    }
}

/// Stores sessions, for async code. It mirrors [`SessionStore`].
pub trait AsyncSessionStore: Send + Sync + 'static {
    /// Tries to take the lock on a session, without waiting for another holder. Returns `None` if there is one.
    ///
    /// The lock is released by [`unlock`](AsyncSessionLock::unlock), when it is dropped, and when its process dies.
    ///
    /// # Errors
    ///
    /// As [`SessionStore::try_lock`].
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>>;

    /// Reads the record without the lock.
    ///
    /// As [`SessionStore::peek`].
    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        let _ = name;
        Box::pin(std::future::ready(None))
    }

    /// Returns the names of the sessions that have a record, begin with `prefix` and come after `after`, in the order
    /// of their bytes: a page of them. As [`SessionStore::names`].
    ///
    /// # Errors
    ///
    /// As [`SessionStore::names`].
    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        let _ = (prefix, after);
        Box::pin(std::future::ready(Err(cannot_list())))
    }
}

/// A store that is chosen at run time.
impl<S: AsyncSessionStore + ?Sized> AsyncSessionStore for Box<S> {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        (**self).try_lock(name)
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        (**self).peek(name)
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        (**self).names(prefix, after)
    }
}

/// The lock on a session, for async code. It mirrors [`SessionLock`].
///
/// A future may be dropped at any time. Even then, what it has begun leaves the old or the new record, and ends before
/// another holder gets the lock.
pub trait AsyncSessionLock: Send {
    /// Loads the record.
    ///
    /// # Errors
    ///
    /// As [`SessionLock::load`].
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>>;

    /// Saves the record in place of what is expected.
    ///
    /// # Errors
    ///
    /// As [`SessionLock::save`].
    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>>;

    /// Removes what is expected.
    ///
    /// # Errors
    ///
    /// As [`SessionLock::clear`].
    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>>;

    /// Returns whether the lock is certainly still held, without asking a server.
    ///
    /// As [`SessionLock::is_held`].
    fn is_held(&self) -> bool {
        true
    }

    /// Releases the lock, before the future is ready.
    ///
    /// A flow that ends calls this; a flow whose task was dropped, or that panicked, drops the lock instead. By default
    /// this drops the lock, which is enough if dropping releases it. Implement it if releasing takes a request. `drop`
    /// cannot await that request, so let `drop` pass the lease to a task, or [lapse](crate#a-store-of-your-own).
    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}

/// A boxed future, which the methods of the async traits return, so that a store can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

fn cannot_list() -> Error {
    Error::misuse("this store cannot list its sessions: add the method `names` to it, or use another store")
}
