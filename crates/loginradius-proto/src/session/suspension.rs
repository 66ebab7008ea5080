use std::time::Duration;

use super::now::Now;
use super::policy::SessionPolicy;

/// Detects that this process was suspended for so long that its lock may be lost, if locks are leases.
#[derive(Debug, Clone, Default)]
pub(super) struct SuspensionDetector {
    last_seen_running: Option<Now>,
    suspended: bool,
}

impl SuspensionDetector {
    /// Notes that the process is running. It was suspended if it was last seen running longer ago than the threshold.
    pub(super) fn observe(&mut self, now: Now, threshold: Duration) {
        let last = self.last_seen_running.replace(now).unwrap_or(now);
        self.suspended |= now.since(last) > threshold;
    }

    /// Returns whether the process was suspended since the last [`reset`](Self::reset).
    pub(super) fn was_suspended(&self) -> bool {
        self.suspended
    }

    /// Forgets earlier suspensions, because the lock is about to be taken, or the record to be loaded again.
    pub(super) fn reset(&mut self) {
        self.suspended = false;
    }
}

/// Returns how long a flow may stand still before that counts as a suspension.
pub(super) fn suspension_threshold(policy: &SessionPolicy, awaits_response: bool) -> Duration {
    let limit = policy.timeout.max(policy.retry.max_wait);
    // Socket timeouts fire late, on Linux by up to an eighth.
    let lateness = if awaits_response { (limit / 4).saturating_add(Duration::from_secs(1)) } else { Duration::ZERO };
    limit.saturating_add(lateness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Retry;
    use crate::testing::{ms, now, s};

    #[test]
    fn a_gap_over_the_threshold_is_a_suspension_by_either_clock() {
        let later = |monotonic: u64, wall: u64| Now::new(now().monotonic + s(monotonic), now().wall + s(wall));
        let rows = [
            // By the monotonic clock, by the wall clock, whether it was a suspension.
            (0, 0, false),
            (30, 30, false),
            (31, 30, true),
            // A monotonic clock that stands still while the machine is suspended.
            (0, 31, true),
            // A wall clock that is set back.
            (30, 0, false),
            (31, 0, true),
        ];
        for (monotonic, wall, expected) in rows {
            let mut detector = SuspensionDetector::default();
            detector.observe(now(), s(30));
            detector.observe(later(monotonic, wall), s(30));
            assert_eq!(detector.was_suspended(), expected, "{monotonic} {wall}");
        }
    }

    #[test]
    fn a_response_may_come_later_than_anything_else() {
        let policy = |timeout, max_wait| {
            let retry = Retry::default().with_max_wait(max_wait);
            SessionPolicy::default().with_timeout(timeout).with_retry(retry)
        };
        let rows = [
            // The timeout, `max_wait`, the threshold, and that while a response is awaited.
            (s(30), s(10), s(30), ms(38_500)),
            (s(4), s(10), s(10), ms(13_500)),
            (Duration::MAX, s(10), Duration::MAX, Duration::MAX),
        ];
        for (timeout, wait, threshold, awaited) in rows {
            assert_eq!(suspension_threshold(&policy(timeout, wait), false), threshold);
            assert_eq!(suspension_threshold(&policy(timeout, wait), true), awaited);
        }
    }

    #[test]
    fn a_suspension_is_remembered_until_the_reset() {
        let mut detector = SuspensionDetector::default();
        detector.observe(now(), s(30));
        detector.observe(Now::new(now().monotonic + s(60), now().wall), s(30));
        detector.observe(Now::new(now().monotonic + s(61), now().wall), s(30));
        assert!(detector.was_suspended());
        detector.reset();
        detector.observe(Now::new(now().monotonic + s(62), now().wall), s(30));
        assert!(!detector.was_suspended());
    }
}
