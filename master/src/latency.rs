//! How long requests take, in a histogram.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The upper ends of the buckets, in microseconds. One more bucket has no end.
const ENDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A histogram of durations. One thread observes, anyone reads.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; ENDS.len() + 1],
    /// Of all, in microseconds.
    sum: AtomicU64,
}

impl Latency {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(ENDS.partition_point(|end| *end < micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper end of each bucket in seconds, and how many durations are in it and not in the one before.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let ends = ENDS.iter().map(|end| Duration::from_micros(*end).as_secs_f64()).chain([f64::INFINITY]);
        ends.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect()
    }

    /// All durations together, in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_end_it_does_not_pass() {
        let latency = Latency::default();
        for micros in [0, 50, 51, 1_000, 10_000_001] {
            latency.observe(Duration::from_micros(micros));
        }
        let full: Vec<_> = latency.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(full, [(0.000_05, 2), (0.000_1, 1), (0.001, 1), (f64::INFINITY, 1)]);
        assert!((latency.sum() - 10.001_102).abs() < 1e-9, "{}", latency.sum());
    }
}
