//! A histogram of the latency of requests.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets in microseconds. The last bucket has no upper bound.
const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A histogram of durations. One thread records, any thread reads.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Sum of all durations in microseconds.
    sum: AtomicU64,
}

impl Latency {
    /// Records a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(BOUNDS.partition_point(|bound| *bound < micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// Returns the upper bound in seconds and the count of each bucket. Counts are not cumulative.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64()).chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect()
    }

    /// Returns the sum of all durations in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let latency = Latency::default();
        for micros in [0, 50, 51, 1_000, 10_000_001] {
            latency.observe(Duration::from_micros(micros));
        }
        let full: Vec<_> = latency.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(full, [(0.000_05, 2), (0.000_1, 1), (0.001, 1), (f64::INFINITY, 1)]);
        assert!((latency.sum() - 10.001_102).abs() < 1e-9, "{}", latency.sum());
    }
}
