//! The memory use of a process over time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The length of the windows whose medians are compared. A median ignores short peaks, such as those of a large page.
const WINDOW: Duration = Duration::from_secs(10);
/// The tolerated growth in percent.
const TOLERANCE: u64 = 10;

/// Resident memory in KiB, sampled once a second.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: Vec<(Duration, u64)>,
}

/// The growth of the memory, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// The median of the window with which all later windows are compared.
    pub first: u64,
    /// The median of the last window.
    pub last: u64,
    /// The highest median of a later window.
    pub highest: u64,
}

impl Growth {
    /// Returns whether the memory stayed within the tolerance.
    pub(super) fn is_tolerable(&self) -> bool {
        self.highest * 100 <= self.first * (100 + TOLERANCE)
    }
}

impl History {
    /// Adds a sample, taken at the time `at` after the start.
    pub(super) fn sample(&mut self, at: Duration, kib: u64) {
        self.samples.push((at, kib));
    }

    /// Returns the newest sample.
    pub(super) fn newest(&self) -> u64 {
        self.samples.last().map_or(0, |(_, kib)| *kib)
    }

    fn median(&self, from: Duration, to: Duration) -> Option<u64> {
        let within = self.samples.iter().filter(|(at, _)| (from..to).contains(at));
        let mut sizes: Vec<u64> = within.map(|(_, kib)| *kib).collect();
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).copied()
    }

    /// Compares each window between `compared_with` and `end` with the window around `compared_with`.
    ///
    /// # Errors
    /// Returns an error if there is no window to compare, or a window without samples.
    pub(super) fn growth(&self, compared_with: Duration, end: Duration) -> Result<Growth> {
        let half = WINDOW / 2;
        let first = self.median(compared_with.saturating_sub(half), compared_with + half).context("no first sample")?;
        let mut windows = Vec::new();
        let mut from = compared_with + half;
        while from + WINDOW <= end {
            windows.push(self.median(from, from + WINDOW).with_context(|| format!("no sample after {from:?}"))?);
            from += WINDOW;
        }
        ensure!(!windows.is_empty(), "too short to compare anything");
        let last = windows.last().copied().unwrap_or_default();
        Ok(Growth { first, last, highest: windows.into_iter().max().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the growth over five minutes in which the memory is `kib` of the second.
    fn growth(kib: impl Fn(u64) -> u64) -> Growth {
        let mut memory = History::default();
        for second in 0..300 {
            memory.sample(Duration::from_secs(second), kib(second));
        }
        memory.growth(Duration::from_mins(1), Duration::from_mins(5)).unwrap()
    }

    #[test]
    fn constant_memory_is_no_growth() {
        assert_eq!(growth(|_| 5_000), Growth { first: 5_000, last: 5_000, highest: 5_000 });
        assert!(growth(|_| 5_000).is_tolerable());
    }

    #[test]
    fn growth_before_the_first_window_does_not_count() {
        assert!(growth(|second| 5_000 + second.min(50) * 100).is_tolerable());
    }

    #[test]
    fn a_leak_is_growth() {
        assert!(!growth(|second| 5_000 + second * 3).is_tolerable());
    }

    #[test]
    fn a_temporary_rise_is_growth() {
        assert!(!growth(|second| if (100..130).contains(&second) { 6_000 } else { 5_000 }).is_tolerable());
    }

    #[test]
    fn a_short_spike_is_no_growth() {
        assert!(growth(|second| if second % 50 < 3 { 9_000 } else { 5_000 }).is_tolerable());
    }

    #[test]
    fn growth_without_samples_is_an_error() {
        assert!(History::default().growth(Duration::from_mins(1), Duration::from_mins(5)).is_err());
    }
}
