use std::time::{Duration, Instant, SystemTime};

use super::now::{CLOCK_LEEWAY, Now};
use super::record::Backoff;
use crate::error::{Error, ErrorKind};
use crate::flow::Retry;
use crate::jitter::{Jitter, after, doubled};

/// How often a request is sent for one caller, and how long to wait after each failure.
#[derive(Debug, Clone)]
pub(super) struct BackoffPolicy {
    retry: Retry,
    /// One if there were failures just before.
    max_attempts: u32,
    attempts: u32,
    /// Failures in a row, those in the record included.
    failures: u32,
}

impl BackoffPolicy {
    /// The shortest time between the attempts of two callers, whatever the policy.
    pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);
    /// The maximum of a `Retry-After` that is obeyed: a session must not be lost to a wrong header.
    const MAX_BACKOFF: Duration = Duration::from_secs(3600);

    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, max_attempts: retry.attempts, attempts: 0, failures: 0 }
    }

    /// Continues the count of failures in the record.
    pub(super) fn continue_from(&mut self, stored: Option<&Backoff>, wall: SystemTime) {
        self.failures = stored.filter(|backoff| backoff.is_recent(wall)).map_or(0, |backoff| backoff.failures);
        self.max_attempts = if self.failures > 0 { 1 } else { self.retry.attempts };
    }

    pub(super) fn count_attempt(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Counts a failure and returns how long to wait after it.
    pub(super) fn count_failure(&mut self, error: &Error, jitter: &mut Jitter) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let Retry { first_wait, max_wait, .. } = self.retry;
        let wait = jitter.shorten(doubled(first_wait, self.failures, max_wait));
        wait.max(error.retry_after().unwrap_or_default().min(Self::MAX_BACKOFF))
    }

    /// Returns whether this caller may wait that long and try again.
    pub(super) fn may_retry(&self, wait: Duration) -> bool {
        self.attempts < self.max_attempts && wait <= self.retry.max_wait
    }

    /// Returns the backoff that the record holds for other callers and processes.
    pub(super) fn stored(&self, error: &Error, wait: Duration, wall: SystemTime) -> Backoff {
        let until = wall.checked_add(wait).unwrap_or(wall);
        // The advice of an unknown outcome is for a caller that repeats the request. Here the session repeats it.
        let failure = error.clone().into_unavailable().to_string();
        Backoff { since: wall, until, failures: self.failures, failure }
    }
}

impl Backoff {
    /// Returns whether the failures are recent enough to be counted.
    fn is_recent(&self, wall: SystemTime) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        let forgotten = self.until.checked_add(MINUTE).is_none_or(|end| wall > end);
        !forgotten && !self.is_from_the_future(wall)
    }

    /// Returns how long it lasts from now by this clock, or `None` if it is over or does not count.
    pub(super) fn left(&self, wall: SystemTime) -> Option<Duration> {
        if self.is_from_the_future(wall) {
            return None;
        }
        let length = self.until.duration_since(self.since).ok()?.min(BackoffPolicy::MAX_BACKOFF);
        let end = self.since.checked_add(length)?;
        end.duration_since(wall).ok().filter(|left| !left.is_zero()).map(|left| left.min(length))
    }

    /// Returns whether a wrong clock wrote it, so that it does not count.
    fn is_from_the_future(&self, wall: SystemTime) -> bool {
        wall.checked_add(CLOCK_LEEWAY).is_none_or(|latest| self.since > latest)
    }
}

/// Until when this process tries no refresh, and the error for callers until then.
#[derive(Debug, Clone)]
pub(super) struct KnownBackoff {
    pub(super) until: Instant,
    pub(super) error: Error,
}

impl KnownBackoff {
    pub(super) fn new(wait: Duration, error: Error, now: Now) -> Self {
        Self { until: after(now.monotonic, wait), error }
    }

    /// Reads the stored backoff, if it still lasts.
    pub(super) fn from_stored(stored: &Backoff, now: Now) -> Option<Self> {
        let left = stored.left(now.wall)?;
        let message = format!("the last refresh failed ({}); the session has not ended", stored.failure);
        let error = Error::new(ErrorKind::Unavailable, message).with_retry_after(left);
        Some(Self::new(left, error, now))
    }

    pub(super) fn lasts(&self, now: Now) -> bool {
        now.monotonic < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Seed;
    use crate::testing::{now, s};

    const RETRY: Retry =
        Retry::OFF.with_attempts(3).with_first_wait(Duration::from_secs(1)).with_max_wait(Duration::from_secs(10));

    fn backoff(since: i64, until: i64) -> Backoff {
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(seconds) => now().wall + s(seconds),
            Err(_) => now().wall - s(seconds.unsigned_abs()),
        };
        Backoff { since: at(since), until: at(until), failures: 4, failure: "no connection".into() }
    }

    #[test]
    fn a_stored_backoff_counts_while_it_lasts_and_unless_it_comes_from_the_future() {
        let rows = [
            // Since and until, in seconds from now; what is left; whether its failures count.
            (-10, 20, Some(20), true),
            (-10, 0, None, true),
            (-100, -60, None, true),
            (-100, -61, None, false),
            (5, 20, Some(15), true),
            (6, 20, None, false),
            // No record makes all wait for longer than an hour.
            (-3000, 1_000_000_000, Some(600), true),
            (-3600, 1_000_000_000, None, true),
            // Until before since.
            (0, -1, None, true),
        ];
        for (since, until, left, recent) in rows {
            let stored = backoff(since, until);
            assert_eq!(stored.left(now().wall), left.map(s), "{since} {until}");
            assert_eq!(stored.is_recent(now().wall), recent, "{since} {until}");
        }
    }

    #[test]
    fn one_attempt_is_made_after_failures_of_others() {
        let rows = [(None, 3), (Some(backoff(-10, 20)), 1), (Some(backoff(-1000, -900)), 3)];
        for (stored, attempts) in rows {
            let mut policy = BackoffPolicy::new(RETRY);
            policy.continue_from(stored.as_ref(), now().wall);
            let made = (0..10).take_while(|_| {
                policy.count_attempt();
                policy.may_retry(s(1))
            });
            assert_eq!(made.count() + 1, attempts);
        }
    }

    #[test]
    fn waits_double_and_obey_retry_after_up_to_an_hour() {
        let waits = |error: Error| {
            let (mut policy, mut jitter) = (BackoffPolicy::new(RETRY), Jitter::new(Seed(1)));
            [(); 6].map(|()| policy.count_failure(&error, &mut jitter))
        };
        for (wait, full) in waits(Error::outcome_unknown("reset")).into_iter().zip([1, 2, 4, 8, 10, 10]) {
            assert!((s(full) / 4 * 3..=s(full)).contains(&wait), "{wait:?} of {full} s");
        }
        assert_eq!(waits(Error::outcome_unknown("reset").with_retry_after(s(60)))[0], s(60));
        assert_eq!(waits(Error::outcome_unknown("reset").with_retry_after(s(86_400)))[0], s(3600));
        let policy = BackoffPolicy::new(RETRY);
        assert!(policy.may_retry(s(10)) && !policy.may_retry(s(11)));
    }

    #[test]
    fn what_is_stored_is_what_is_read() {
        let mut policy = BackoffPolicy::new(RETRY);
        policy.count_failure(&Error::outcome_unknown("reset"), &mut Jitter::new(Seed(1)));
        let stored = policy.stored(&Error::outcome_unknown("reset"), s(7), now().wall);
        assert_eq!((stored.since, stored.until, stored.failures), (now().wall, now().wall + s(7), 1));
        let known = KnownBackoff::from_stored(&stored, now()).unwrap();
        assert_eq!(known.until, now().monotonic + s(7));
        assert_eq!(known.error.retry_after(), Some(s(7)));
        assert!(known.lasts(now()) && !known.lasts(Now::new(now().monotonic + s(7), now().wall)));
        assert!(known.error.to_string().contains("no complete response"), "{}", known.error);
        // Whether to repeat the request is the session's concern, and the wait is the one that is left.
        assert!(!known.error.to_string().contains("repeat"), "{}", known.error);
        assert_eq!(known.error.to_string().matches("wait").count(), 1, "{}", known.error);
    }
}
