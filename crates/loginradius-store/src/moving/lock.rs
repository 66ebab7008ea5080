use loginradius_proto::Error;
use loginradius_proto::session::{Expected, LoadError, SaveError, StoredRecord};

use crate::store::{AsyncSessionLock, BoxFuture};

/// Both locks of a session.
pub(super) struct MovingLock {
    // Dropped before `from`, because the next holder takes `from` first.
    to: Box<dyn AsyncSessionLock>,
    from: Box<dyn AsyncSessionLock>,
    /// Whether `from` has no record. It gets none as long as its lock is held.
    is_moved: bool,
}

impl MovingLock {
    pub(super) fn new(from: Box<dyn AsyncSessionLock>, to: Box<dyn AsyncSessionLock>) -> Self {
        Self { to, from, is_moved: false }
    }

    /// Moves the record before a save or a clear. If that fails, the operation has certainly not been done.
    async fn ensure_moved(&mut self) -> Result<(), SaveError> {
        if self.is_moved {
            return Ok(());
        }
        match self.to.load().await {
            Ok(found) => self.move_record(Stored::of(found.as_ref())).await.map(drop),
            Err(LoadError::Damaged { .. }) => self.move_record(Stored::Damaged).await.map(drop),
            Err(LoadError::Failed(error)) => Err(SaveError::Failed(error)),
        }
    }

    /// Leaves no record in `from`, once that of `to` is durable. Returns whether it was copied.
    async fn move_record(&mut self, stored: Stored<'_>) -> Result<bool, SaveError> {
        let expected = match self.from.load().await {
            Ok(None) => {
                self.is_moved = true;
                return Ok(false);
            }
            Ok(Some(record)) => {
                match stored {
                    Stored::Nothing => self.save_durably(&record, Expected::Nothing).await?,
                    // An earlier copy was interrupted, and may not outlive a loss of power yet.
                    Stored::Record(found) => {
                        self.save_durably(found, Expected::Generation(found.generation())).await?;
                    }
                    Stored::Damaged => {}
                }
                Expected::Generation(record.generation())
            }
            Err(LoadError::Damaged { generation, .. }) if stored != Stored::Nothing => Expected::Damaged(generation),
            Err(LoadError::Damaged { error, .. } | LoadError::Failed(error)) => return Err(SaveError::Failed(error)),
        };
        match self.from.clear(expected).await {
            Ok(()) => {}
            Err(SaveError::Unknown(error)) => match self.from.load().await {
                Ok(None) => {}
                _ => return Err(SaveError::Failed(error)),
            },
            Err(error) => return Err(error),
        }
        self.is_moved = true;
        Ok(stored == Stored::Nothing)
    }

    async fn save_durably(&mut self, record: &StoredRecord, expected: Expected) -> Result<(), SaveError> {
        // A new one, which does not say that it is located in `from`.
        let copy = StoredRecord::new(record.generation(), record.as_bytes());
        match self.to.save(&copy, expected).await {
            // A store may return this if it has this very record already.
            Err(SaveError::Conflict) if expected != Expected::Nothing => Ok(()),
            Err(SaveError::Unknown(error)) => match self.to.load().await {
                Ok(Some(_)) | Err(LoadError::Damaged { .. }) => Ok(()),
                Ok(None) | Err(LoadError::Failed(_)) => Err(SaveError::Failed(error)),
            },
            outcome => outcome,
        }
    }
}

/// What `to` has stored.
#[derive(Clone, Copy, PartialEq)]
enum Stored<'a> {
    Nothing,
    Record(&'a StoredRecord),
    Damaged,
}

impl<'a> Stored<'a> {
    fn of(found: Option<&'a StoredRecord>) -> Self {
        found.map_or(Self::Nothing, Self::Record)
    }
}

impl AsyncSessionLock for MovingLock {
    fn load(&mut self) -> BoxFuture<'_, Result<Option<StoredRecord>, LoadError>> {
        Box::pin(async {
            // If that record is damaged, what is left in `from` may be of use to restore it.
            let found = self.to.load().await?;
            if self.is_moved {
                return Ok(found);
            }
            match self.move_record(Stored::of(found.as_ref())).await {
                Ok(false) => Ok(found),
                // `to` may return another generation for the same bytes.
                Ok(true) => self.to.load().await,
                Err(SaveError::Conflict) => Err(LoadError::Failed(lock_lost())),
                Err(SaveError::Failed(error) | SaveError::Unknown(error)) => Err(LoadError::Failed(error)),
            }
        })
    }

    fn save<'a>(&'a mut self, record: &'a StoredRecord, expected: Expected) -> BoxFuture<'a, Result<(), SaveError>> {
        Box::pin(async move {
            self.ensure_moved().await?;
            self.to.save(record, expected).await
        })
    }

    fn clear(&mut self, expected: Expected) -> BoxFuture<'_, Result<(), SaveError>> {
        Box::pin(async move {
            self.ensure_moved().await?;
            self.to.clear(expected).await
        })
    }

    fn is_held(&self) -> bool {
        self.from.is_held() && self.to.is_held()
    }

    fn unlock(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.to.unlock().await;
            self.from.unlock().await;
        })
    }
}

fn lock_lost() -> Error {
    Error::unavailable("the session's lock was lost while its record was moved: try again", "a conflict")
}
