use std::time::{Duration, SystemTime};

use super::record::{SessionRecord, SessionStatus};
use super::stored::{LoadError, StoredRecord};
use crate::error::Error;

/// What a record says about its session, without secrets, for a program that lists or cleans up sessions.
///
/// The record may be replaced at any time. So before you change it, decide by a record that you loaded under the
/// session's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordSummary {
    /// Whether the tokens may be used.
    pub status: SessionStatus,
    /// When the tokens were requested: by the login, or by the last refresh that is stored.
    pub obtained_at: SystemTime,
    /// When the access token expires; `None` if that is unknown.
    pub expires_at: Option<SystemTime>,
    /// Whether there is a refresh token.
    pub has_refresh_token: bool,
    /// When a refresh began whose outcome is not stored: it is under way, or its response was lost. `None` if there is
    /// no such refresh.
    pub intent_at: Option<SystemTime>,
}

impl RecordSummary {
    /// Returns whether the record can be removed, because no user will miss it: its refresh token was rejected, or its
    /// tokens were obtained longer than `older_than` before `now`.
    ///
    /// A session that is used gets new tokens, at the latest when its access token expires. So `older_than` has to be
    /// longer than the access token's lifetime.
    ///
    /// The record of a sign-out that has not ended counts like any other: it does not say when the sign-out began. If
    /// `obtained_at` is after `now`, because a clock was set back, the record is not old.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use loginradius_proto::session::StoredRecord;
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// # let json = r#"{"version":1,"generation":1,"client_id":"c","sign_in":1,"access_token":"a","obtained_at_unix_ms":0}"#;
    /// # let record = StoredRecord::from_bytes(json);
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// if record.summary()?.is_dead(30 * DAY, SystemTime::now()) {
    ///     // Take the lock, load the record again, decide again, and clear it.
    /// #   return Ok(());
    /// }
    /// # unreachable!()
    /// # }
    /// ```
    #[must_use]
    pub fn is_dead(&self, older_than: Duration, now: SystemTime) -> bool {
        let is_old = || now.duration_since(self.obtained_at).is_ok_and(|age| age > older_than);
        matches!(self.status, SessionStatus::Rejected(_)) || is_old()
    }
}

impl StoredRecord {
    /// Reads what the record says about its session, whichever client id it belongs to.
    ///
    /// ```
    /// use loginradius_proto::ErrorKind;
    /// use loginradius_proto::session::{SessionStatus, StoredRecord};
    ///
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// # let json = r#"{"version":1,"generation":1,"client_id":"c","sign_in":1,"access_token":"a","obtained_at_unix_ms":0}"#;
    /// # let record = StoredRecord::from_bytes(json);
    /// let summary = record.summary()?;
    /// assert_eq!(summary.status, SessionStatus::Active);
    /// assert!(!summary.has_refresh_token && summary.intent_at.is_none());
    ///
    /// let damaged = StoredRecord::from_bytes(*b"half a rec");
    /// assert_eq!(damaged.summary().unwrap_err().kind(), ErrorKind::RecordDamaged);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RecordDamaged`](crate::ErrorKind::RecordDamaged) if it is damaged, and
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if a newer program wrote it.
    pub fn summary(&self) -> Result<RecordSummary, Error> {
        let record = self.read().map_err(|error| match error {
            LoadError::Damaged { error, .. } | LoadError::Failed(error) => error,
        })?;
        let SessionRecord { status, tokens, intent, .. } = record;
        Ok(RecordSummary {
            status,
            obtained_at: tokens.obtained_at,
            expires_at: tokens.lifetime.and_then(|lifetime| tokens.obtained_at.checked_add(lifetime)),
            has_refresh_token: tokens.refresh_token.is_some(),
            intent_at: intent.map(|intent| intent.at),
        })
    }
}
