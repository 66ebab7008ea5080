use std::fmt;

use zeroize::Zeroizing;

use crate::error::Error;

/// A session's record as a store keeps it: bytes that it does not read, and the generation that it compares.
///
/// **The bytes hold tokens**: anyone who reads them can act as the user. Keep them where only their owner can read.
/// `Debug` prints only how many bytes there are, and the memory is overwritten on drop.
///
/// ```
/// use loginradius_proto::session::StoredRecord;
///
/// let record = StoredRecord::new(7, *b"what a session flow asked to save");
/// assert_eq!(record.generation(), 7);
/// assert_eq!(format!("{record:?}"), "StoredRecord { generation: 7, bytes: 33 }");
/// ```
#[derive(Clone)]
pub struct StoredRecord {
    generation: u64,
    bytes: Zeroizing<Vec<u8>>,
    location: Option<String>,
}

impl StoredRecord {
    /// The largest generation: beyond it, JSON readers of other languages round.
    pub const MAX_GENERATION: u64 = (1 << 53) - 1;

    /// Holds bytes whose generation the store keeps beside them, as a database does in a column.
    pub fn new(generation: u64, bytes: impl Into<Vec<u8>>) -> Self {
        Self { generation, bytes: Zeroizing::new(bytes.into()), location: None }
    }

    /// Names the place of the record, such as `` the file `/home/ada/session.json` ``, for errors about the record.
    #[must_use]
    pub fn located_at(self, location: impl Into<String>) -> Self {
        Self { location: Some(location.into()), ..self }
    }

    /// Returns the number that a store compares, at most [`MAX_GENERATION`](Self::MAX_GENERATION).
    ///
    /// Each save changes it. A login that finds no record, or a damaged one, begins with an unpredictable number, so
    /// that a cleared record is not taken for a later one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }
}

/// Two records are equal if their generations and their bytes are equal, wherever they are stored.
impl PartialEq for StoredRecord {
    fn eq(&self, other: &Self) -> bool {
        self.generation == other.generation && self.bytes == other.bytes
    }
}

impl Eq for StoredRecord {}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord").field("generation", &self.generation).field("bytes", &self.bytes.len()).finish()
    }
}

/// What a save or a clear expects to find in the store. With anything else there it fails with
/// [`SaveError::Conflict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a store has to handle every case there is")]
pub enum Expected {
    /// No record.
    Nothing,
    /// The record of that generation.
    Generation(u64),
    /// The record of that generation, which is damaged: a save keeps a copy of it under another name.
    Damaged(u64),
}

impl Expected {
    /// Returns the generation that has to be there, or `None` for no record.
    #[must_use]
    pub fn generation(self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Generation(generation) | Self::Damaged(generation) => Some(generation),
        }
    }
}

/// Why a load yielded no record although there may be one.
///
/// An [`Error`] becomes [`Failed`](Self::Failed) by `?`.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "a flow and a store agree on every outcome there is")]
pub enum LoadError {
    /// There is a record, and it is not what was saved. This is for a wrapper that seals records, where a seal is
    /// broken; a store that keeps bytes returns them, whatever they are.
    #[error("{error}")]
    Damaged {
        /// The generation for [`Expected::Damaged`].
        generation: u64,
        /// An [`Error::record_damaged`] that says where the record is, and what to do about it.
        error: Error,
    },
    /// There may be a record, and it could not be read, or must not be replaced. [`Error::unavailable`] if that passes,
    /// [`Error::store_refused`] if the user has to fix something.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Why a record was not saved or cleared, or may not have been.
///
/// An [`Error`] becomes [`Unknown`](Self::Unknown) by `?`, never [`Failed`](Self::Failed): a save that may have
/// happened must not be taken for one that did not.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(clippy::exhaustive_enums, reason = "a flow and a store agree on every outcome there is")]
pub enum SaveError {
    /// Something else is stored than was expected, or the lock is not held any more. Nothing was changed.
    #[error("the session's record is not the expected one: load it again")]
    Conflict,
    /// It was certainly not done: what was stored before still is.
    #[error(transparent)]
    Failed(Error),
    /// It may or may not have been done: the flow loads the record to find out.
    #[error(transparent)]
    Unknown(#[from] Error),
}
