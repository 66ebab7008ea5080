use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use self::all::{MoveAll, Step};
use self::lock::MovingLock;
use crate::blocking::BlockingLock;
use crate::store::{AsyncSessionLock, AsyncSessionStore, BoxFuture, SessionLock, SessionStore};

mod all;
mod lock;

pub use all::Moved;

/// Moves sessions from one store to another while they are used, such as from files to a database. No user is signed
/// out.
///
/// It is one store made of two. A session moves when it is next used, and [`move_all`](Self::move_all) moves the rest.
/// Every save goes to the new store, none to the old one.
///
/// ```
/// use loginradius_store::{Expected, FileStore, MemoryStore, MovingStore, SessionStore, StoredRecord};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// # let home = home.path();
/// # let database = MemoryStore::new();
/// let files = FileStore::open(home.join("my-service"))?;
/// # let record = StoredRecord::from_bytes(*b"the tokens of a login");
/// # SessionStore::try_lock(&files, "ada/laptop")?.expect("it is free").save(&record, Expected::Nothing)?;
/// # SessionStore::try_lock(&files, "bob/phone")?.expect("it is free").save(&record, Expected::Nothing)?;
/// let store = MovingStore::new(files.clone(), database.clone());
///
/// // Give a clone of it to `Sessions`, and move the sessions that no caller uses.
/// let moved = store.move_all()?;
/// assert_eq!((moved.sessions, moved.locked.len()), (2, 0));
/// assert!(SessionStore::names(&files, "", None)?.is_empty());
/// assert_eq!(SessionStore::names(&database, "", None)?, ["ada/laptop", "bob/phone"]);
/// # Ok(())
/// # }
/// ```
///
/// # How to move
///
/// 1. Stop all programs that use the old store alone. If you replace them one after the other instead, no token is lost
///    and none is sent twice, because old and new programs take the old store's lock. But an old program does not see
///    the sessions that have moved. There, their users seem to be signed out; and if one signs in again there, that
///    login is dropped in favor of the session that has moved.
/// 2. Start the programs with a `MovingStore`, all with the same two stores. They may run for as long as you like. A
///    wrapper that seals records goes around the `MovingStore`; if the seal changes with the move, each of the two
///    stores gets its own wrapper instead.
/// 3. In one of them call [`move_all`](Self::move_all) until it returns no error and no [locked](Moved::locked) name.
///    Then the old store has no record, and gets none. If it is a folder of files, also look for `session-*.json`
///    there: [a long name that only older programs have saved](crate#programs-of-two-versions) is not listed, and moves
///    when its session is next used.
/// 4. One after the other, replace the programs by those that use the new store alone. Then remove the old store. Never
///    use it or a backup of it again: sessions that have been signed out since would come back.
///
/// # What it promises
///
/// | promise | how |
/// | --- | --- |
/// | A session has one holder at a time. | A lock is both locks: first the old store's, then the new one's. If another holder has the second, the first is released, and `try_lock` returns `None`. |
/// | No record is lost. | Under both locks, before anything else, the record is copied to the new store, durably, and only then cleared in the old one. |
/// | A session that was signed out does not come back. | If the new store has a record, that one counts, and what is left in the old one is cleared. No save and no clear is passed on to the new store before the old one has no record. |
/// | No crash loses a session. | It leaves the record in one store, or the same record in both. The next holder continues from there. |
/// | A failure of one store changes nothing. | The operation fails with that store's error, and was not passed on to the new store. |
///
/// The record is copied as it is, with its generation, also if it is damaged or a newer program's. Copies that the old
/// store keeps of damaged records stay there. If the old store itself returns
/// [`LoadError::Damaged`](crate::LoadError::Damaged), as a wrapper that seals records may, that record is not moved,
/// and its session fails: restore it there, or remove it.
///
/// As long as the `MovingStore` is in use, each lock takes two locks, and each first load two loads. The old store has
/// to work until then.
#[derive(Debug, Clone)]
pub struct MovingStore<From, To> {
    from: From,
    to: To,
}

impl<From, To> MovingStore<From, To> {
    /// Makes one store of the old store, `from`, and the new one, `to`. This does not use them yet.
    pub fn new(from: From, to: To) -> Self {
        Self { from, to }
    }
}

impl<From: SessionStore, To: SessionStore> MovingStore<From, To> {
    /// Moves all sessions that are in the old store, one after the other, and may be called at any time. If it is
    /// interrupted, call it again.
    ///
    /// A session whose lock is taken, because it is in use, is tried once more at the end. This blocks the calling
    /// thread: in async code, use [`move_all_async`](Self::move_all_async).
    ///
    /// ```no_run
    /// use std::{thread, time::Duration};
    /// use loginradius_store::{FileStore, MovingStore, SessionStore};
    ///
    /// /// Returns as soon as all sessions have moved.
    /// fn finish<To: SessionStore>(store: &MovingStore<FileStore, To>) -> Result<(), loginradius_proto::Error> {
    ///     while !store.move_all()?.locked.is_empty() {
    ///         thread::sleep(Duration::from_secs(1));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The first error of either store, with how many sessions were not moved; the other sessions are moved
    /// nevertheless, until there were ten errors. If the old store cannot list its sessions,
    /// [`ErrorKind::Misuse`](loginradius_proto::ErrorKind::Misuse).
    pub fn move_all(&self) -> Result<Moved, Error> {
        let mut all = MoveAll::default();
        loop {
            match all.step() {
                Step::List(after) => all.listed(self.from.names("", after.as_deref())?)?,
                Step::Move(name) => {
                    let loaded = self.try_lock(&name).map(|lock| lock.map(|mut lock| lock.load()));
                    all.tried(name, loaded);
                }
                Step::Done(result) => return result,
            }
        }
    }
}

impl<From: AsyncSessionStore, To: AsyncSessionStore> MovingStore<From, To> {
    /// Moves all sessions that are in the old store, like [`move_all`](Self::move_all), in async code.
    ///
    /// If its future is dropped, the sessions that have not moved stay where they are.
    ///
    /// # Errors
    ///
    /// Those of [`move_all`](Self::move_all).
    pub async fn move_all_async(&self) -> Result<Moved, Error> {
        let mut all = MoveAll::default();
        loop {
            match all.step() {
                Step::List(after) => all.listed(self.from.names("", after.as_deref()).await?)?,
                Step::Move(name) => {
                    let loaded = match AsyncSessionStore::try_lock(self, &name).await {
                        Ok(Some(mut lock)) => {
                            let loaded = lock.load().await;
                            lock.unlock().await;
                            Ok(Some(loaded))
                        }
                        Ok(None) => Ok(None),
                        Err(error) => Err(error),
                    };
                    all.tried(name, loaded);
                }
                Step::Done(result) => return result,
            }
        }
    }
}

impl<From: SessionStore, To: SessionStore> SessionStore for MovingStore<From, To> {
    fn try_lock(&self, name: &str) -> Result<Option<Box<dyn SessionLock>>, Error> {
        let Some(from) = self.from.try_lock(name)? else { return Ok(None) };
        let Some(to) = self.to.try_lock(name)? else { return Ok(None) };
        let lock = MovingLock::new(Box::new(BlockingLock(from)), Box::new(BlockingLock(to)));
        Ok(Some(Box::new(BlockingMovingLock(lock))))
    }

    fn peek(&self, name: &str) -> Option<StoredRecord> {
        self.to.peek(name).or_else(|| self.from.peek(name))
    }

    fn names(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        // In this order, or a name that moves between the two calls would be in neither.
        let from = self.from.names(prefix, after)?;
        Ok(merged(from, self.to.names(prefix, after)?))
    }
}

impl<From: AsyncSessionStore, To: AsyncSessionStore> AsyncSessionStore for MovingStore<From, To> {
    fn try_lock<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Box<dyn AsyncSessionLock>>, Error>> {
        Box::pin(async move {
            let Some(from) = self.from.try_lock(name).await? else { return Ok(None) };
            match self.to.try_lock(name).await {
                Ok(Some(to)) => Ok(Some(Box::new(MovingLock::new(from, to)) as _)),
                outcome => {
                    from.unlock().await;
                    outcome.map(|_| None)
                }
            }
        })
    }

    fn peek<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<StoredRecord>> {
        Box::pin(async move {
            match self.to.peek(name).await {
                None => self.from.peek(name).await,
                found => found,
            }
        })
    }

    fn names<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Vec<String>, Error>> {
        Box::pin(async move {
            let from = self.from.names(prefix, after).await?;
            Ok(merged(from, self.to.names(prefix, after).await?))
        })
    }
}

/// Merges two pages into one, in order and each name once. It ends where the first page ends, because that store may
/// have more names after its page.
fn merged(from: Vec<String>, to: Vec<String>) -> Vec<String> {
    let end = from.last().into_iter().chain(to.last()).min().cloned();
    let mut names = [from, to].concat();
    names.sort_unstable();
    names.dedup();
    if let Some(end) = end {
        names.retain(|name| *name <= end);
    }
    names
}

/// A [`MovingLock`] of two blocking stores: all its futures are ready at their first poll.
struct BlockingMovingLock(MovingLock);

impl SessionLock for BlockingMovingLock {
    fn load(&mut self) -> Result<Option<StoredRecord>, LoadError> {
        ready(self.0.load())?
    }

    fn save(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        ready(self.0.save(record, expected))?
    }

    fn clear(&mut self, expected: Expected) -> Result<(), SaveError> {
        ready(self.0.clear(expected))?
    }

    fn is_held(&self) -> bool {
        self.0.is_held()
    }
}

fn ready<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => {
            Err(Error::unavailable("the session's store did not block: try again later", "a pending future"))
        }
    }
}
