use std::pin::Pin;

use loginradius_proto::Error;
use loginradius_proto::session::{LoadOutcome, SaveOutcome, SessionRecord};

/// Where sessions live, for blocking code.
///
/// Every session has a name, and is locked, loaded, saved and cleared under that name alone: any string is
/// a name, and no two names may ever meet.
///
/// The crate's documentation has [an example of a store](crate#a-store-of-your-own), and [`kit`](crate::kit)
/// checks one.
pub trait TokenStore: Send + Sync + 'static {
    /// Tries to take the lock on that session, without waiting. `None`: another one has it, in this process
    /// or in another.
    ///
    /// The lock is given back when it is dropped, and frees itself when its process dies.
    ///
    /// # Errors
    ///
    /// [`Error::settings`] if a person has to mend something, with what to do; else [`Error::try_later`].
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn LockedSession>>, Error>;
}

/// A session whose lock is held.
pub trait LockedSession: Send {
    /// What is stored.
    fn load(&mut self) -> LoadOutcome;

    /// Stores the record durably: [`SaveOutcome::Saved`] outlives a loss of power. Whatever happens, the old
    /// or the new record is there whole.
    ///
    /// Only in place of a record of the `expected` generation, else it is a [`SaveOutcome::Conflict`].
    /// `None` expects that there is none; a damaged one is set aside.
    fn save(&mut self, record: &SessionRecord, expected: Option<u64>) -> SaveOutcome;

    /// Removes the record, if it has the `expected` generation, else it is a [`SaveOutcome::Conflict`].
    /// `None` expects that there is none, or a damaged one, which is removed.
    fn clear(&mut self, expected: Option<u64>) -> SaveOutcome;
}

/// What the methods of the async traits return, so that a store can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where sessions live, for async code. See [`TokenStore`], which it mirrors.
pub trait AsyncTokenStore: Send + Sync + 'static {
    /// Tries to take the lock on that session, without waiting for others that have it: `None` then.
    ///
    /// The lock is given back by [`unlock`](AsyncLockedSession::unlock) or when it is dropped, and frees
    /// itself when its process dies.
    ///
    /// # Errors
    ///
    /// As [`TokenStore::try_lock`].
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncLockedSession>>, Error>>;
}

/// A session whose lock is held.
pub trait AsyncLockedSession: Send {
    /// As [`LockedSession::load`].
    fn load(&mut self) -> BoxFuture<'_, LoadOutcome>;

    /// As [`LockedSession::save`].
    fn save<'a>(&'a mut self, record: &'a SessionRecord, expected: Option<u64>) -> BoxFuture<'a, SaveOutcome>;

    /// As [`LockedSession::clear`].
    fn clear(&mut self, expected: Option<u64>) -> BoxFuture<'_, SaveOutcome>;

    /// Gives the lock back. Dropping it does, too, unless that takes a request.
    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}
