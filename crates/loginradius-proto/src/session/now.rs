use std::time::{Duration, Instant, SystemTime};

/// How far in the future a stored time may lie: the clocks of two machines differ, and are corrected.
pub(super) const CLOCK_LEEWAY: Duration = Duration::from_secs(5);

/// The present moment by both clocks of a machine: the core reads neither.
///
/// ```
/// use std::time::{Instant, SystemTime};
/// use loginradius_proto::session::Now;
///
/// let now = Now::new(Instant::now(), SystemTime::now());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a machine has these two clocks")]
pub struct Now {
    /// For waits. It never goes back, and may stand still while the machine is suspended.
    pub monotonic: Instant,
    /// For what is stored. It may be set forward and back.
    pub wall: SystemTime,
}

impl Now {
    /// Joins the times of the two clocks. A wall clock that shows a time before 1970 counts as 1970.
    #[must_use]
    pub fn new(monotonic: Instant, wall: SystemTime) -> Self {
        // No stored time can be earlier: all would seem to lie in the future.
        Self { monotonic, wall: wall.max(SystemTime::UNIX_EPOCH) }
    }

    /// Returns how long ago that was, by the clock that shows the longer time.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let by_wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.saturating_duration_since(earlier.monotonic).max(by_wall)
    }

    /// Returns whether both clocks are before that moment.
    pub(super) fn is_before(self, end: Self) -> bool {
        self.monotonic < end.monotonic && self.wall < end.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, s};

    #[test]
    fn a_wall_clock_before_1970_stands_at_1970() {
        let monotonic = now().monotonic;
        for (wall, expected) in [
            (SystemTime::UNIX_EPOCH - s(1), SystemTime::UNIX_EPOCH),
            (SystemTime::UNIX_EPOCH - s(100 * 365 * 86_400), SystemTime::UNIX_EPOCH),
            (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH),
            (SystemTime::UNIX_EPOCH + s(1), SystemTime::UNIX_EPOCH + s(1)),
        ] {
            assert_eq!(Now::new(monotonic, wall).wall, expected);
        }
    }
}
