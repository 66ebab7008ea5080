//! Numbers that look random and are the same on every run, and the two clocks of a simulated machine.

use std::time::{Duration, Instant, SystemTime};

/// Milliseconds since the world began.
pub(crate) type Time = u64;

pub(crate) const SECOND: Time = 1_000;
pub(crate) const MINUTE: Time = 60 * SECOND;
pub(crate) const HOUR: Time = 60 * MINUTE;

/// What the clocks of one process say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The monotonic clock: it may stop while its machine sleeps, and never goes back.
    pub(crate) mono: Time,
    /// The wall clock, in milliseconds since 1970: it may be set forth and back.
    pub(crate) wall: Time,
}

impl Moment {
    /// Some day, as a wall clock says it, and well after a boot, as a monotonic clock does.
    pub(crate) const START: Self = Self { mono: 10 * HOUR, wall: 1_767_268_800_000 };

    pub(crate) fn instant(self) -> Instant {
        instant(self.mono)
    }

    pub(crate) fn clock(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.wall)
    }
}

#[allow(clippy::disallowed_methods, reason = "an instant can be had from nowhere else; nothing depends on which")]
pub(crate) fn instant(mono: Time) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_millis(mono)
}

/// The reverse of [`instant`]; a fraction of a millisecond counts as a whole one.
pub(crate) fn mono(of: Instant) -> Time {
    let nanos = of.saturating_duration_since(instant(0)).as_nanos();
    Time::try_from(nanos.div_ceil(1_000_000)).unwrap_or(Time::MAX)
}

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.bits() % (most - least + 1)
    }

    pub(crate) fn permille(&mut self, chance: u64) -> bool {
        self.bits() % 1000 < chance
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.permille(chance * 10)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.bits() >> 1).unwrap_or(0) % from.len()]
    }
}
