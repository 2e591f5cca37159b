//! Random numbers that can be repeated with their seed.

use std::time::Duration;

/// SplitMix64, a small generator that is good enough to choose faults and requests.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Returns a generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the generator of one actor. Each actor has its own, so that the draws of one do not depend on the others.
    #[must_use]
    pub fn for_actor(seed: u64, actor: &str) -> Self {
        let name = actor
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
        Self(seed ^ name)
    }

    /// Returns the next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.bits() % end).unwrap_or_default()
    }

    /// Returns `true` with a probability of `percent` percent.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// Returns a duration between `least` and `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let spread = usize::try_from(most.saturating_sub(least).as_millis()).unwrap_or(usize::MAX);
        least + Duration::from_millis(u64::try_from(self.below(spread.saturating_add(1))).unwrap_or_default())
    }

    /// Returns one of `items`, or `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Returns this many random octets.
    pub fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.bits().to_le_bytes()[0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_actors_have_different_ones() {
        let draw = |mut random: Random| (0..8).map(|_| random.bits()).collect::<Vec<_>>();
        assert_eq!(draw(Random::for_actor(7, "a")), draw(Random::for_actor(7, "a")));
        assert_ne!(draw(Random::for_actor(7, "a")), draw(Random::for_actor(7, "b")));
        assert_ne!(draw(Random::for_actor(7, "a")), draw(Random::for_actor(8, "a")));
    }

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(1);
        let (least, most) = (Duration::from_millis(10), Duration::from_millis(12));
        let drawn: Vec<Duration> = (0..1000).map(|_| random.between(least, most)).collect();
        assert!(drawn.iter().all(|time| (least..=most).contains(time)));
        assert!(drawn.contains(&least) && drawn.contains(&most));
        assert!((0..1000).all(|_| random.below(3) < 3));
    }
}
