use super::now::Now;
use super::record::{Intent, SessionRecord, SessionStatus};
use crate::secret::RefreshToken;

/// A request that is about to be sent, or was: a refresh under its intent, or a revocation under its sign-out mark.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// What the store holds while the request is out.
    pub(super) record: SessionRecord,
    pub(super) token: RefreshToken,
    /// The intent that was open before this one.
    pub(super) earlier_intent: Option<Intent>,
    /// When the attempt was made. If it is older than a response may take, its request is not sent.
    pub(super) since: Now,
}

impl Attempt {
    /// Makes the attempt to refresh by that token, with a record that holds the intent.
    pub(super) fn refresh(stored: SessionRecord, token: RefreshToken, now: Now) -> Self {
        let earlier_intent = stored.intent;
        let attempt = earlier_intent.map_or(0, |intent| intent.attempt).saturating_add(1);
        let intent = Some(Intent { at: now.wall, attempt });
        let record = SessionRecord { intent, ..stored.into_next() };
        Self { record, token, earlier_intent, since: now }
    }

    /// Makes the attempt to revoke the refresh token; `None` if there is none, or LoginRadius has rejected it.
    pub(super) fn revocation(record: SessionRecord, now: Now) -> Option<Self> {
        let token =
            record.tokens.refresh_token.clone().filter(|_| !matches!(record.status, SessionStatus::Rejected(_)))?;
        Some(Self { record, token, earlier_intent: None, since: now })
    }

    /// Returns whether the record is active and still holds the refresh token of this attempt.
    pub(super) fn was_made_for(&self, record: &SessionRecord) -> bool {
        record.status == SessionStatus::Active && record.tokens.same_refresh_token(&self.record.tokens)
    }

    /// Removes the intent of a request that consumed nothing.
    pub(super) fn withdraw_intent(&mut self) {
        self.record.intent = self.earlier_intent;
    }
}
