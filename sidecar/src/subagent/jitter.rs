//! Random delays from a seed, so that many sidecars spread out and tests are reproducible.

use std::time::Duration;

use fastrand::Rng;

/// A source of random delays. Its numbers are predictable, so it is not suitable for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(Rng);

impl Jitter {
    /// Creates a source whose delays depend only on `seed`.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// Returns the next random number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Returns a delay from `min` to `max`, in steps of 1 ms.
    pub(crate) fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let span = u64::try_from(max.saturating_sub(min).as_millis()).unwrap_or(u64::MAX);
        min + Duration::from_millis(self.0.u64(..=span))
    }

    /// Returns a delay from zero to `max` ("full jitter").
    pub(crate) fn up_to(&mut self, max: Duration) -> Duration {
        self.between(Duration::ZERO, max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_cover_their_interval() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(2));
        let mut jitter = Jitter::new(7);
        let delays: Vec<Duration> = (0..1000).map(|_| jitter.between(min, max)).collect();
        assert!(delays.iter().all(|delay| (min..=max).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < Duration::from_millis(1050)));
        assert!(delays.iter().any(|delay| *delay > Duration::from_millis(1950)));
    }

    #[test]
    fn empty_interval_yields_its_lower_end() {
        assert_eq!(Jitter::new(1).between(Duration::from_secs(2), Duration::from_secs(1)), Duration::from_secs(2));
    }

    #[test]
    fn same_seed_yields_the_same_delays() {
        assert_eq!(Jitter::new(3).up_to(Duration::from_secs(9)), Jitter::new(3).up_to(Duration::from_secs(9)));
    }
}
