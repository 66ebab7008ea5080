use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use super::backoff::KnownBackoff;
use super::now::{CLOCK_LEEWAY, Now};
use super::record::{SessionRecord, SessionStatus};
use super::unsaved::UnsavedPair;
use crate::error::Error;
use crate::jitter::{Jitter, after};
use crate::secret::AccessToken;
use crate::token::TokenSet;

/// What this process knows of a session: a plain value that one [`SessionFlow`](super::SessionFlow) leaves to the next.
/// It tells, without taking a lock or reading the store, whether there is a valid access token.
///
/// ```
/// # use std::time::{Instant, SystemTime};
/// use loginradius_proto::session::{CachedToken, Now, SessionMemory};
///
/// let memory = SessionMemory::default();
/// // Nothing is known yet: a flow has to load the record.
/// let now = Now::new(Instant::now(), SystemTime::now());
/// assert!(matches!(memory.cached_token(now), CachedToken::Missing));
/// ```
#[derive(Debug, Clone, Default)]
pub struct SessionMemory {
    pub(super) known: Option<KnownRecord>,
    /// An access token that an API rejected.
    pub(super) rejected: Option<AccessToken>,
    pub(super) backoff: Option<KnownBackoff>,
    /// No early refresh before this instant: another process is refreshing, or a refresh just failed.
    pub(super) no_early_refresh_before: Option<Instant>,
    /// The newest pair, if the store does not hold it.
    pub(super) unsaved: Option<Box<UnsavedPair>>,
    /// Whether the record has to be loaded before a token is returned.
    pub(super) stale: bool,
}

/// The newest record that is known, and its times by this process's clocks.
#[derive(Debug, Clone)]
pub(super) struct KnownRecord {
    pub(super) record: SessionRecord,
    /// If the wall clock is before this, the token was obtained in the future.
    from: SystemTime,
    /// The end of the lifetime, by each clock; far away if there is none.
    expires: Now,
    /// When to refresh early; far away if that is not wanted.
    early: Now,
}

/// What a caller gets without a flow.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "an adapter has to handle every case there is")]
pub enum CachedToken<'a> {
    /// The access token is valid.
    Fresh(&'a AccessToken),
    /// The access token is valid, and one caller should start a flow, because its end is near or it is not saved yet.
    RefreshDue(&'a AccessToken),
    /// There is no valid access token: a flow has to get one.
    Missing,
    /// There is no valid access token, and the session backs off after failures: return this error.
    BackingOff(&'a Error),
}

impl SessionMemory {
    /// Returns a memory that knows nothing. All sessions of which nothing is known share it.
    #[must_use]
    pub fn empty() -> Arc<Self> {
        static EMPTY: LazyLock<Arc<SessionMemory>> = LazyLock::new(Arc::default);
        Arc::clone(&EMPTY)
    }

    /// Returns what a caller gets now, without a lock, the store or an allocation.
    #[must_use]
    pub fn cached_token(&self, now: Now) -> CachedToken<'_> {
        match (self.valid_token(now), self.backs_off(now)) {
            (Some(token), None) if self.is_due(now) => CachedToken::RefreshDue(token),
            (Some(token), _) => CachedToken::Fresh(token),
            (None, Some(error)) => CachedToken::BackingOff(error),
            (None, None) => CachedToken::Missing,
        }
    }

    /// Returns the tokens, valid or not; their `expires_in` is what is left of the lifetime.
    #[must_use]
    pub fn tokens(&self, now: Now) -> Option<TokenSet> {
        let known = self.known.as_ref()?;
        let tokens = &known.record.tokens;
        let left = tokens.lifetime.map(|_| {
            let by_wall = known.expires.wall.duration_since(now.wall).unwrap_or_default();
            known.expires.monotonic.saturating_duration_since(now.monotonic).min(by_wall)
        });
        Some(TokenSet {
            access_token: tokens.access_token.clone(),
            token_type: tokens.token_type.clone(),
            expires_in: left,
            refresh_token: tokens.refresh_token.clone(),
            scope: tokens.scope.clone(),
            id_token: tokens.id_token.clone(),
            nonce: None,
            requested_at: Some(now.monotonic),
        })
    }

    /// Returns whether this memory knows that a user is signed in. It does not know that before a flow has loaded the
    /// record, nor after a start, a sign-out or a forget that may or may not have been done.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        !self.stale && self.known.as_ref().is_some_and(|known| known.record.status == SessionStatus::Active)
    }

    /// Returns when the access token expires; `None` if there is none, or if its lifetime is unknown.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        let tokens = &self.known.as_ref()?.record.tokens;
        tokens.obtained_at.checked_add(tokens.lifetime?)
    }

    /// Returns the store's error if the newest tokens could not be saved, and `None` if they are saved. As long as it
    /// is not `None`, they are in this memory alone, and are lost if the process ends.
    #[must_use]
    pub fn save_error(&self) -> Option<&Error> {
        Some(&self.unsaved.as_ref()?.retention.as_ref()?.error)
    }

    /// Returns whether the session's lock has to stay held although no flow is running: the store still holds a
    /// consumed refresh token, and another process that got the lock would send it again.
    #[must_use]
    pub fn retains_lock(&self) -> bool {
        self.unsaved.as_ref().is_some_and(|pair| pair.retains_lock())
    }

    /// Notes that the [retained](Self::retains_lock) lock is not held any more. Without this call the next save is a
    /// conflict, and the flow takes the lock again.
    pub fn set_lock_lost(&mut self) {
        if let Some(retention) = self.unsaved.as_mut().and_then(|pair| pair.retention.as_mut()) {
            retention.holds_lock = false;
        }
    }

    /// Notes that an API rejected that access token. Returns whether a flow has to get another one: it does if this is
    /// the newest token that is known, or if none is known.
    pub fn reject(&mut self, token: &AccessToken) -> bool {
        let newest = self.known.as_ref().is_none_or(|known| same(&known.record.tokens.access_token, token));
        if newest {
            self.rejected = Some(token.clone());
        }
        newest
    }

    /// Returns the access token if it is valid now.
    pub(super) fn valid_token(&self, now: Now) -> Option<&AccessToken> {
        let known = self.known.as_ref()?;
        let token = &known.record.tokens.access_token;
        let rejected = self.rejected.as_ref().is_some_and(|rejected| same(rejected, token));
        let active = known.record.status == SessionStatus::Active;
        (!rejected && active && !self.stale && known.lives(now)).then_some(token)
    }

    /// Returns the error for callers while the session backs off.
    pub(super) fn backs_off(&self, now: Now) -> Option<&Error> {
        self.backoff.as_ref().filter(|backoff| backoff.lasts(now)).map(|backoff| &backoff.error)
    }

    /// Returns whether a valid token should be refreshed or saved.
    pub(super) fn is_due(&self, now: Now) -> bool {
        if self.no_early_refresh_before.is_some_and(|until| now.monotonic < until) {
            return false;
        }
        match self.unsaved.as_ref().and_then(|pair| pair.retention.as_ref()) {
            Some(retention) => now.monotonic >= retention.retry_at,
            None => self.known.as_ref().is_some_and(|known| !now.is_before(known.early)),
        }
    }

    /// Remembers a record. Its lifetime counts from `requested_at` if this process sent the request, else from its age
    /// by the wall clock.
    pub(super) fn remember(
        &mut self,
        record: SessionRecord,
        requested_at: Option<Instant>,
        now: Now,
        early: Duration,
        jitter: &mut Jitter,
    ) {
        // A token that this process has just requested is good, even if an API rejected the same one before.
        if requested_at.is_some() {
            self.rejected = None;
        }
        let known = self.known.take().filter(|known| known.record.tokens.same_lifetime(&record.tokens));
        self.known = Some(match (known, requested_at) {
            (Some(known), None) => KnownRecord { record, ..known },
            _ => KnownRecord::new(record, requested_at, now, early, jitter),
        });
    }

    /// Returns whether, by this machine's clock, the token was obtained in the future.
    pub(super) fn is_from_the_future(&self, now: Now) -> bool {
        self.known.as_ref().is_some_and(|known| known.is_from_the_future(now))
    }

    /// Forgets the session, but not that an API rejected its token, which may be loaded again.
    pub(super) fn forget(&mut self) {
        *self = Self { rejected: self.rejected.take(), ..Self::default() };
    }
}

impl KnownRecord {
    /// The shortest time before its end at which a token is refreshed early, unless the policy asks for less, or its
    /// lifetime is less than four times that.
    const MIN_EARLY: Duration = Duration::from_secs(1);

    fn new(
        record: SessionRecord,
        requested_at: Option<Instant>,
        now: Now,
        early: Duration,
        jitter: &mut Jitter,
    ) -> Self {
        let tokens = &record.tokens;
        let from = tokens.obtained_at.checked_sub(CLOCK_LEEWAY).unwrap_or(tokens.obtained_at);
        let never = Now::new(after(now.monotonic, Duration::MAX), far(now.wall));
        let (mut expires, mut early_from) = (never, never);
        if let Some(lifetime) = tokens.lifetime {
            let age = now.wall.duration_since(tokens.obtained_at).unwrap_or_default();
            let end = match requested_at {
                Some(requested_at) => after(requested_at, lifetime),
                None => after(now.monotonic, lifetime.saturating_sub(age)),
            };
            expires = Now::new(end, tokens.obtained_at.checked_add(lifetime).unwrap_or(never.wall));
            // A tenth of a very short lifetime would leave no time for the refresh.
            let margin = early.min((lifetime / 10).max(Self::MIN_EARLY)).min(lifetime / 4);
            // `shorten` takes up to a quarter off.
            let margin = margin + margin - jitter.shorten(margin);
            if !margin.is_zero() && tokens.refresh_token.is_some() {
                early_from = Now::new(
                    expires.monotonic.checked_sub(margin).unwrap_or(now.monotonic),
                    expires.wall.checked_sub(margin).unwrap_or(now.wall),
                );
            }
        }
        Self { record, from, expires, early: early_from }
    }

    /// Returns whether the token is within its lifetime by both clocks, and was not obtained in the future. Without a
    /// lifetime it lives until it is rejected.
    fn lives(&self, now: Now) -> bool {
        now.is_before(self.expires) && !self.is_from_the_future(now)
    }

    fn is_from_the_future(&self, now: Now) -> bool {
        now.wall < self.from
    }
}

/// Returns a time that no clock reaches.
fn far(wall: SystemTime) -> SystemTime {
    const MILLENNIUM: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);
    wall.checked_add(MILLENNIUM).unwrap_or(wall)
}

pub(super) fn same(one: &AccessToken, other: &AccessToken) -> bool {
    one.expose() == other.expose()
}
