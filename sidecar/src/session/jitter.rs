//! Random delays from a seed, so that a thousand sidecars spread out and a test still knows what happens.

use std::time::Duration;

/// A source of random delays: SplitMix64 (Steele, Lea and Flood, 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Delays that depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next random number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A delay of `least` to `most`, in steps of a millisecond.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
        least + Duration::from_millis(self.number() % span.saturating_add(1))
    }

    /// A delay of up to `most`: "full jitter".
    pub fn up_to(&mut self, most: Duration) -> Duration {
        self.between(Duration::ZERO, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_their_interval_and_stay_in_it() {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(2));
        let mut jitter = Jitter::new(7);
        let delays: Vec<Duration> = (0..1000).map(|_| jitter.between(least, most)).collect();
        assert!(delays.iter().all(|delay| (least..=most).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < Duration::from_millis(1050)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_millis(1950)));
    }

    #[test]
    fn an_empty_interval_is_its_lower_end() {
        assert_eq!(Jitter::new(1).between(Duration::from_secs(2), Duration::from_secs(1)), Duration::from_secs(2));
    }

    #[test]
    fn the_same_seed_gives_the_same_delays() {
        assert_eq!(Jitter::new(3).up_to(Duration::from_secs(9)), Jitter::new(3).up_to(Duration::from_secs(9)));
    }
}
