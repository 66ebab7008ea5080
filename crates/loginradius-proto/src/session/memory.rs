use std::time::{Duration, Instant, SystemTime};

use super::record::{Mark, SessionRecord, StoredHold, Tokens};
use crate::error::Error;
use crate::flow::{DEFAULT_TIMEOUT, Retry};
use crate::jitter::{Jitter, after};
use crate::secret::AccessToken;
use crate::token::TokenSet;

/// How far in the future a token may have been obtained: clocks of two machines differ, and are corrected.
const CLOCK_LEEWAY: Duration = Duration::from_secs(5);

/// When a session is refreshed, and how patiently.
///
/// ```
/// use std::time::Duration;
/// use loginradius_proto::session::SessionPolicy;
///
/// let policy = SessionPolicy { early: Duration::ZERO, ..SessionPolicy::default() };
/// assert_eq!(policy.lock_wait, Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a policy is data, and is written out by those who change it")]
pub struct SessionPolicy {
    /// How long before the end of an access token's lifetime it is refreshed, or a tenth of the lifetime
    /// if that is less; up to a quarter of it is added at random, so that processes do not all begin at once.
    /// 60 s by default. Zero turns early refreshes off.
    pub early: Duration,
    /// How long to wait for another process that holds the session's lock. 30 s by default.
    pub lock_wait: Duration,
    /// How long the answer to one request may take. 30 s by default.
    pub timeout: Duration,
    /// How often a refresh is tried for one caller, and the waits in between, which also keep the next
    /// callers from trying again at once.
    pub retry: Retry,
    /// Whether signing out sends the refresh token under the key `token`, as RFC 7009 has it, and not under
    /// LoginRadius's `refresh_token`. False by default.
    pub revoke_with_token_key: bool,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            early: Duration::from_secs(60),
            lock_wait: Duration::from_secs(30),
            timeout: DEFAULT_TIMEOUT,
            retry: Retry::default(),
            revoke_with_token_key: false,
        }
    }
}

/// The present moment by both clocks: `now` for waits, `clock` for whatever is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) now: Instant,
    pub(super) clock: SystemTime,
}

/// What this process knows of a session: a plain value that one [`SessionFlow`](super::SessionFlow) leaves
/// to the next, and that says at any moment, without a lock and without the store, whether its token is good.
///
/// ```
/// # use std::time::{Instant, SystemTime};
/// use loginradius_proto::session::{Handout, SessionMemory};
///
/// let memory = SessionMemory::default();
/// // Nothing is known yet: a flow has to look into the store.
/// assert!(matches!(memory.handout(Instant::now(), SystemTime::now()), Handout::Refresh));
/// ```
#[derive(Debug, Clone, Default)]
pub struct SessionMemory {
    pub(super) pair: Option<Pair>,
    /// An access token that an API refused.
    pub(super) bad: Option<AccessToken>,
    pub(super) hold: Option<Hold>,
    /// Until when nobody starts anything as long as the token is good: another one does, or it just failed.
    pub(super) quiet_until: Option<Instant>,
    pub(super) unsaved: Option<Unsaved>,
    /// Whether the store has to be looked at first.
    pub(super) doubted: bool,
}

/// The newest record that is known, and its times by this process's monotonic clock.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) record: SessionRecord,
    /// The token was not obtained in the future as long as the clock is not before this.
    from: SystemTime,
    /// The end of the lifetime, by each of the clocks; far away if there is none.
    expires: (Instant, SystemTime),
    /// When to refresh early; far away if that is not wanted.
    early: (Instant, SystemTime),
}

/// Until when no refresh is tried, and why.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) until: Instant,
    pub(super) error: Error,
}

/// Why the pair in memory is not in the store, and what a later save has to know.
#[derive(Debug, Clone)]
pub(super) struct Unsaved {
    pub(super) error: Error,
    pub(super) retry_at: Instant,
    pub(super) failures: u32,
    /// What the store is known to hold.
    pub(super) expected: Option<u64>,
    /// The tokens that were spent for the pair; `None` after a sign-in.
    pub(super) spent: Option<Tokens>,
    /// Of a new sign-in: the one that it replaces, as far as is known, and when.
    pub(super) replaces: Option<Option<u64>>,
    pub(super) since: SystemTime,
    /// Whether the session's lock is kept, because the store still holds the spent token.
    pub(super) locked: bool,
}

/// What there is to hand out at a moment.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "an adapter has to handle every case there is")]
pub enum Handout<'a> {
    /// The token is good.
    Good(&'a AccessToken),
    /// The token is good, and one caller should start a flow, because its end is near or because it has not
    /// been saved yet.
    Early(&'a AccessToken),
    /// There is no good token: a flow has to get one.
    Refresh,
    /// There is no good token, and trying again so soon would only hammer: hand out this error.
    Held(&'a Error),
}

impl SessionMemory {
    /// What there is to hand out now: no lock, no store and no allocation.
    #[must_use]
    pub fn handout(&self, now: Instant, clock: SystemTime) -> Handout<'_> {
        let at = At { now, clock };
        let held = self.hold.as_ref().filter(|hold| now < hold.until);
        match (self.good(at), held) {
            (Some(token), None) if self.is_due(at) => Handout::Early(token),
            (Some(token), _) => Handout::Good(token),
            (None, Some(hold)) => Handout::Held(&hold.error),
            (None, None) => Handout::Refresh,
        }
    }

    /// The tokens, good or not; their `expires_in` is what is left of the lifetime.
    #[must_use]
    pub fn tokens(&self, now: Instant, clock: SystemTime) -> Option<TokenSet> {
        let pair = self.pair.as_ref()?;
        let tokens = &pair.record.tokens;
        let left = tokens.lifetime.map(|_| {
            let (expires, expires_at) = pair.expires;
            expires.saturating_duration_since(now).min(expires_at.duration_since(clock).unwrap_or_default())
        });
        Some(TokenSet {
            access_token: tokens.access_token.clone(),
            token_type: tokens.token_type.clone(),
            expires_in: left,
            refresh_token: tokens.refresh_token.clone(),
            scope: tokens.scope.clone(),
            id_token: tokens.id_token.clone(),
            requested_at: Some(now),
        })
    }

    /// Why the newest tokens are in this memory alone, if they are: they are lost if the process ends.
    #[must_use]
    pub fn unsaved(&self) -> Option<&Error> {
        self.unsaved.as_ref().map(|unsaved| &unsaved.error)
    }

    /// Whether the session's lock has to stay taken although no flow is running: the store still holds a
    /// refresh token that is spent, and whoever got the lock would send it again.
    #[must_use]
    pub fn keeps_lock(&self) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| unsaved.locked)
    }

    /// Takes note that the lock which it [keeps](Self::keeps_lock) is not held any more.
    pub fn lost_lock(&mut self) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.locked = false;
        }
    }

    /// Takes note that a flow was broken off, nobody knows where: nothing is handed out before another one has
    /// looked into the store.
    pub fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Takes note that an API refused that access token. Says whether it is the newest one here, or none is
    /// known: only then a flow has to get another one.
    pub fn report(&mut self, token: &AccessToken) -> bool {
        let newest = self.pair.as_ref().is_none_or(|pair| same(&pair.record.tokens.access_token, token));
        if newest {
            self.bad = Some(token.clone());
        }
        newest
    }

    pub(super) fn good(&self, at: At) -> Option<&AccessToken> {
        let pair = self.pair.as_ref()?;
        let token = &pair.record.tokens.access_token;
        let bad = self.bad.as_ref().is_some_and(|bad| same(bad, token));
        let marked = !matches!(pair.record.mark, Mark::None);
        (!bad && !marked && !self.doubted && pair.lives(at)).then_some(token)
    }

    /// Whether a good token should be refreshed, or saved.
    pub(super) fn is_due(&self, at: At) -> bool {
        if self.quiet_until.is_some_and(|until| at.now < until) {
            return false;
        }
        match &self.unsaved {
            Some(unsaved) => at.now >= unsaved.retry_at,
            None => self.pair.as_ref().is_some_and(|pair| !at.is_before(pair.early)),
        }
    }

    /// Takes a record in. Its lifetime counts from `asked`, if it was this process that asked for it, else
    /// from what the wall clock says of its age.
    pub(super) fn take(
        &mut self,
        record: SessionRecord,
        asked: Option<Instant>,
        at: At,
        early: Duration,
        jitter: &mut Jitter,
    ) {
        let known = self.pair.take().filter(|pair| pair.record.tokens.same_lifetime(&record.tokens));
        if let (Some(pair), None) = (known, asked) {
            self.pair = Some(Pair { record, ..pair });
            return;
        }
        self.pair = Some(Pair::new(record, asked, at, early, jitter));
    }
}

impl Pair {
    fn new(record: SessionRecord, asked: Option<Instant>, at: At, early: Duration, jitter: &mut Jitter) -> Self {
        let tokens = &record.tokens;
        let from = tokens.obtained_at.checked_sub(CLOCK_LEEWAY).unwrap_or(tokens.obtained_at);
        let never = (after(at.now, Duration::MAX), far(at.clock));
        let (mut expires, mut early_from) = (never, never);
        if let Some(lifetime) = tokens.lifetime {
            let age = at.clock.duration_since(tokens.obtained_at).unwrap_or_default();
            let end = match asked {
                Some(asked) => after(asked, lifetime),
                None => after(at.now, lifetime.saturating_sub(age)),
            };
            expires = (end, tokens.obtained_at.checked_add(lifetime).unwrap_or(never.1));
            let margin = early.min(lifetime / 10);
            // `shorten` takes up to a quarter off.
            let margin = margin + margin - jitter.shorten(margin);
            if !margin.is_zero() && tokens.refresh_token.is_some() {
                let earlier = (expires.0.checked_sub(margin), expires.1.checked_sub(margin));
                early_from = (earlier.0.unwrap_or(at.now), earlier.1.unwrap_or(at.clock));
            }
        }
        Self { record, from, expires, early: early_from }
    }

    /// Within its lifetime by both clocks, and not obtained in the future. Without a lifetime: until reported.
    fn lives(&self, at: At) -> bool {
        at.is_before(self.expires) && !self.is_from_the_future(at)
    }

    pub(super) fn is_from_the_future(&self, at: At) -> bool {
        at.clock < self.from
    }
}

impl At {
    /// How long ago that was, by the clock that says more.
    pub(super) fn since(self, (now, clock): (Instant, SystemTime)) -> Duration {
        self.now.saturating_duration_since(now).max(self.clock.duration_since(clock).unwrap_or_default())
    }

    fn is_before(self, end: (Instant, SystemTime)) -> bool {
        self.now < end.0 && self.clock < end.1
    }
}

/// A time that no clock reaches.
fn far(clock: SystemTime) -> SystemTime {
    const MILLENNIUM: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);
    clock.checked_add(MILLENNIUM).unwrap_or(clock)
}

impl Tokens {
    /// Whether both are one answer of the server, whose moment one process may know better than the other.
    pub(super) fn same_lifetime(&self, other: &Self) -> bool {
        same(&self.access_token, &other.access_token)
            && self.obtained_at == other.obtained_at
            && self.lifetime == other.lifetime
    }
}

impl StoredHold {
    /// Whether the failures have anything to do with what happens now.
    pub(super) fn is_recent(&self, clock: SystemTime) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        let forgotten = self.until.checked_add(MINUTE).is_none_or(|end| clock > end);
        !forgotten && clock.checked_add(CLOCK_LEEWAY).is_some_and(|latest| self.since <= latest)
    }

    /// How long the hold still lasts by this clock; one that began in the future was written by a clock that
    /// was wrong, and does not count.
    pub(super) fn left(&self, clock: SystemTime) -> Option<Duration> {
        clock.checked_add(CLOCK_LEEWAY).filter(|latest| self.since <= *latest)?;
        let longest = self.until.duration_since(self.since).ok()?;
        self.until.duration_since(clock).ok().filter(|left| !left.is_zero()).map(|left| left.min(longest))
    }
}

pub(super) fn same(one: &AccessToken, other: &AccessToken) -> bool {
    one.expose() == other.expose()
}
