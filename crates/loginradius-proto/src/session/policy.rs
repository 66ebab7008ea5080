use std::time::Duration;

use crate::flow::{DEFAULT_TIMEOUT, Retry};

/// How often a flow begins again before it gives up.
pub(super) const MAX_RESTARTS: u32 = 5;

/// When a session is refreshed, and how long and how often that is tried.
///
/// ```
/// use std::time::Duration;
/// use loginradius_proto::session::SessionPolicy;
///
/// let policy = SessionPolicy::default().with_early(Duration::ZERO);
/// assert_eq!(policy.lock_wait, Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionPolicy {
    /// How long before the end of its lifetime an access token is refreshed. It is at most a tenth of the lifetime, or
    /// 1 s if that is longer, but never more than a quarter of the lifetime. Up to a quarter of this time is added at
    /// random, so that processes do not all begin at once. 60 s by default; zero turns early refreshes off.
    pub early: Duration,
    /// How long to wait for another process that holds the session's lock. 30 s by default.
    pub lock_wait: Duration,
    /// How long the response to one request may take. 30 s by default.
    pub timeout: Duration,
    /// How often a refresh is tried for one caller, and the waits in between. They also keep the next callers from
    /// trying again at once.
    pub retry: Retry,
}

impl SessionPolicy {
    /// Returns how long a flow takes at most, besides the store's own time: six times
    /// [`lock_wait`](Self::lock_wait) and [`timeout`](Self::timeout) together
    /// ([the reason](super::SessionFlow#how-long-a-flow-takes)). Six minutes by default.
    #[must_use]
    pub fn max_time(&self) -> Duration {
        self.lock_wait.saturating_add(self.timeout).saturating_mul(MAX_RESTARTS + 1)
    }

    /// Sets how long before its end a token is refreshed.
    #[must_use]
    pub const fn with_early(self, early: Duration) -> Self {
        Self { early, ..self }
    }

    /// Sets how long to wait for another process that holds the lock.
    #[must_use]
    pub const fn with_lock_wait(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    /// Sets how long the response to one request may take.
    #[must_use]
    pub const fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets how often a refresh is tried, and the waits in between.
    #[must_use]
    pub const fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            early: Duration::from_secs(60),
            lock_wait: Duration::from_secs(30),
            timeout: DEFAULT_TIMEOUT,
            retry: Retry::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::s;

    #[test]
    fn the_longest_time_is_that_of_six_rounds() {
        let policy = SessionPolicy::default();
        assert_eq!(policy.max_time(), s(360));
        assert_eq!(policy.with_lock_wait(s(1)).with_timeout(s(2)).max_time(), s(18));
        assert_eq!(policy.with_timeout(Duration::MAX).max_time(), Duration::MAX);
    }
}
