/// A generator of pseudo-random numbers, the same on every run for one seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Begins with that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Draws a number from `min` to `max`, both included.
    pub fn within(&mut self, min: u64, max: u64) -> u64 {
        min + self.bits() % (max.max(min) - min + 1)
    }

    /// Returns true with that probability, in percent.
    pub fn percent(&mut self, probability: u64) -> bool {
        self.bits() % 100 < probability
    }

    /// Picks an element.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.bits() >> 1).unwrap_or(0) % from.len()]
    }
}
