//! A deterministic random number generator, and the two clocks of a simulated machine.

use std::time::{Duration, Instant, SystemTime};

use loginradius_proto::session::Now;

/// Milliseconds since the simulation began.
pub(crate) type Time = u64;

pub(crate) const SECOND: Time = 1_000;
pub(crate) const MINUTE: Time = 60 * SECOND;
pub(crate) const HOUR: Time = 60 * MINUTE;

/// The present moment by both clocks of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// It never goes back, and may stand still while its machine is suspended.
    pub(crate) monotonic: Time,
    /// Milliseconds since 1970. It may be set forward and back.
    pub(crate) wall: Time,
}

impl Moment {
    /// A date of today by the wall clock, and well after a boot by the monotonic clock.
    pub(crate) const START: Self = Self { monotonic: 10 * HOUR, wall: 1_767_268_800_000 };

    pub(crate) fn now(self) -> Now {
        Now::new(instant(self.monotonic), SystemTime::UNIX_EPOCH + Duration::from_millis(self.wall))
    }

    /// Moves both clocks forward.
    pub(crate) fn after(self, wait: Time) -> Self {
        Self { monotonic: self.monotonic + wait, wall: self.wall + wait }
    }
}

#[allow(clippy::disallowed_methods, reason = "there is no other source of an instant, and no outcome depends on it")]
pub(crate) fn instant(monotonic: Time) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_millis(monotonic)
}

/// Reverses [`instant`]; a fraction of a millisecond counts as a whole one.
pub(crate) fn monotonic(instant_of_core: Instant) -> Time {
    let nanos = instant_of_core.saturating_duration_since(instant(0)).as_nanos();
    Time::try_from(nanos.div_ceil(1_000_000)).unwrap_or(Time::MAX)
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Picks a number of the range, both ends included.
    pub(crate) fn within(&mut self, min: u64, max: u64) -> u64 {
        min + self.bits() % (max - min + 1)
    }

    /// Returns true with that probability, in permille.
    pub(crate) fn permille(&mut self, probability: u64) -> bool {
        self.bits() % 1000 < probability
    }

    /// Returns true with that probability, in percent.
    pub(crate) fn percent(&mut self, probability: u64) -> bool {
        self.permille(probability * 10)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.bits() >> 1).unwrap_or(0) % from.len()]
    }
}
