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
    /// Joins the times of the two clocks.
    #[must_use]
    pub fn new(monotonic: Instant, wall: SystemTime) -> Self {
        Self { monotonic, wall }
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
