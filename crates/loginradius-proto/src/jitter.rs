//! Waits that grow, and that differ between clients.

use std::time::{Duration, Instant};

/// A random number that makes the waits of one flow differ from those of another. It need not be secret.
///
/// The core draws no random number, so draw one for each flow, as below. The adapters do. With a constant seed
/// everything still works, but all clients that fail at the same time also retry at the same time. In a test, use a
/// constant: it makes a run repeatable.
///
/// ```
/// use std::hash::{BuildHasher, RandomState};
/// use loginradius_proto::Seed;
///
/// let seed = Seed(RandomState::new().hash_one(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "it is a number with a name")]
#[doc(alias("jitter", "random", "rng"))]
pub struct Seed(
    /// The random number. Any will do, 0 too.
    pub u64,
);

/// A random number generator for jitter (SplitMix64). It is predictable: for nothing secret.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: Seed) -> Self {
        Self(seed.0)
    }

    /// Returns the next 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Returns a random wait between three quarters of `wait` and `wait`.
    pub(crate) fn shorten(&mut self, wait: Duration) -> Duration {
        let part = u32::try_from(self.bits() >> 52).unwrap_or(0);
        wait - wait / 4 / (1 << 12) * part
    }
}

/// Returns `first`, doubled for every failure after the first one, and at most `max`.
pub(crate) fn doubled(first: Duration, failures: u32, max: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

/// Returns the instant that is `wait` after `from`, and at most thirty years: an `Instant` cannot be any later.
pub(crate) fn after(from: Instant, wait: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    from.checked_add(wait.min(THIRTY_YEARS)).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_takes_at_most_a_quarter_and_differs() {
        let wait = Duration::from_secs(40);
        let mut jitter = Jitter::new(Seed(7));
        let waits: Vec<_> = (0..1000).map(|_| jitter.shorten(wait)).collect();
        assert!(waits.iter().all(|short| (Duration::from_secs(30)..=wait).contains(short)));
        assert!(waits.iter().min().unwrap() < &Duration::from_secs(31));
        assert!(waits.iter().max().unwrap() > &Duration::from_secs(39));
        assert_eq!(Jitter::new(Seed(1)).shorten(Duration::MAX).min(Duration::MAX / 4 * 3), Duration::MAX / 4 * 3);
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The first numbers of its published test vector for the seed 1234567.
        let numbers = [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        let mut jitter = Jitter::new(Seed(1_234_567));
        // A quarter of this wait is one nanosecond for each value of the number's upper 12 bits.
        let wait = Duration::from_nanos(4 << 12);
        for number in numbers {
            assert_eq!(jitter.shorten(wait), wait - Duration::from_nanos(number >> 52));
        }
    }

    #[test]
    fn doubling_ends_at_the_maximum() {
        let doubled = |failures| doubled(Duration::from_secs(1), failures, Duration::from_secs(60));
        assert_eq!([1, 2, 3, 6, 7, 200].map(doubled), [1, 2, 4, 32, 60, 60].map(Duration::from_secs));
    }
}
