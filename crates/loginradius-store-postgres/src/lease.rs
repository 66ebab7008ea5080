use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hmac_sha256::Hash;
use loginradius_proto::Error;

/// One moment by both clocks: while a machine is suspended, one of them may stand still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    #[allow(clippy::disallowed_methods, reason = "a lease is counted by the machine's clocks")]
    pub(crate) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns how long ago an earlier moment was, by the clock that says more.
    fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.saturating_duration_since(earlier.monotonic).max(wall)
    }
}

/// The lease of a lock, of which this process is the holder.
#[derive(Debug)]
pub(crate) struct Lease {
    key: [u8; 32],
    token: i64,
    length: Duration,
    /// When the last statement that took or renewed it was sent. The server counts from a later moment.
    extended: Mutex<Option<Clocks>>,
    /// The mark that the last clear under this lock left in the row, or may have left.
    cleared: Mutex<Option<i64>>,
    /// Lets one operation of a lock run at a time, in order: one whose future was dropped still runs.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Lease {
    pub(crate) fn new(key: [u8; 32], length: Duration) -> Result<Self, Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Error::unavailable("the system has no random bytes for the session's lease: try again later", error)
        })?;
        // A positive `bigint`, and never 0, which means that there is no holder.
        let token = (i64::from_be_bytes(random) & i64::MAX).max(1);
        Ok(Self {
            key,
            token,
            length,
            extended: Mutex::default(),
            cleared: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(crate) fn token(&self) -> i64 {
        self.token
    }

    pub(crate) fn cleared(&self) -> Option<i64> {
        *self.cleared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_cleared(&self, mark: Option<i64>) {
        *self.cleared.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    /// Notes that a statement took or renewed it, and when that statement was sent.
    pub(crate) fn extend(&self, sent: Clocks) {
        let mut extended = self.extended.lock().unwrap_or_else(PoisonError::into_inner);
        // A later save may have ended before this renewal.
        if extended.is_none_or(|extended| extended.monotonic <= sent.monotonic) {
            *extended = Some(sent);
        }
    }

    /// Returns whether at least half of it is left. That is enough to send a request, and renewals that come in time
    /// leave more.
    pub(crate) fn is_held(&self) -> bool {
        let extended = *self.extended.lock().unwrap_or_else(PoisonError::into_inner);
        extended.is_some_and(|extended| Clocks::now().since(extended) < self.length / 2)
    }
}

/// Returns the key that a name is stored under. No index has room for a name of 10 kB.
pub(crate) fn key(name: &str) -> [u8; 32] {
    Hash::hash(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_held_for_half_of_its_length_by_the_clock_that_says_more() {
        let lease = Lease::new(key("alice"), Duration::from_secs(10)).unwrap();
        assert!(!lease.is_held(), "it was not taken yet");
        let now = Clocks::now();
        lease.extend(now);
        assert!(lease.is_held());
        let extended = |monotonic: u64, wall: SystemTime| {
            let lease = Lease::new(key("alice"), Duration::from_secs(10)).unwrap();
            let monotonic = now.monotonic.checked_sub(Duration::from_secs(monotonic)).unwrap();
            lease.extend(Clocks { monotonic, wall });
            lease
        };
        for (monotonic, wall, held) in [(4, 0, true), (6, 0, false), (0, 4, true), (0, 6, false)] {
            let lease = extended(monotonic, now.wall - Duration::from_secs(wall));
            assert_eq!(lease.is_held(), held, "{monotonic:?} {wall:?}");
        }
        // A clock that was set back since says nothing.
        assert!(extended(0, now.wall + Duration::from_secs(3600)).is_held());
    }

    #[test]
    fn a_slow_renewal_does_not_shorten_a_lease() {
        let lease = Lease::new(key("alice"), Duration::from_secs(10)).unwrap();
        let now = Clocks::now();
        lease.extend(now);
        let early = now.monotonic.checked_sub(Duration::from_secs(9)).unwrap();
        lease.extend(Clocks { monotonic: early, ..now });
        assert!(lease.is_held());
    }

    #[test]
    fn each_lease_has_a_token_of_its_own() {
        let token = || Lease::new(key("alice"), Duration::from_secs(10)).unwrap().token();
        assert!((0..100).all(|_| token() > 0));
        assert_ne!(token(), token());
    }
}
