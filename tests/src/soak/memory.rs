//! How much memory a process holds, over time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Samples are judged by the median of so many seconds: a page in the making is no growth.
const WINDOW: Duration = Duration::from_secs(10);
/// How far, in percent, the memory may come to be over where it was first.
const TOLERANCE: u64 = 10;

/// Resident memory in KiB, sampled once a second.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: Vec<(Duration, u64)>,
}

/// What came of it, in KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The median of the window around the moment that all others are compared with.
    pub first: u64,
    /// The median of the last window.
    pub last: u64,
    /// The highest median of a window after the first.
    pub highest: u64,
}

impl Verdict {
    /// Whether memory stayed within its bound.
    pub(super) fn holds(&self) -> bool {
        self.highest * 100 <= self.first * (100 + TOLERANCE)
    }
}

impl History {
    /// Adds a sample, taken so long after the beginning.
    pub(super) fn sample(&mut self, at: Duration, kib: u64) {
        self.samples.push((at, kib));
    }

    /// The newest sample.
    pub(super) fn newest(&self) -> u64 {
        self.samples.last().map_or(0, |(_, kib)| *kib)
    }

    fn median(&self, from: Duration, to: Duration) -> Option<u64> {
        let within = self.samples.iter().filter(|(at, _)| (from..to).contains(at));
        let mut sizes: Vec<u64> = within.map(|(_, kib)| *kib).collect();
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).copied()
    }

    /// Compares each window that begins after `compared_with`, up to the `end`, with the one around it.
    ///
    /// # Errors
    /// Where there is no window to compare, or one without samples.
    pub(super) fn judge(&self, compared_with: Duration, end: Duration) -> Result<Verdict> {
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
        Ok(Verdict { first, last, highest: windows.into_iter().max().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on five minutes in which memory is `kib` of the second.
    fn judge(kib: impl Fn(u64) -> u64) -> Verdict {
        let mut memory = History::default();
        for second in 0..300 {
            memory.sample(Duration::from_secs(second), kib(second));
        }
        memory.judge(Duration::from_mins(1), Duration::from_mins(5)).unwrap()
    }

    #[test]
    fn what_stands_still_holds() {
        assert_eq!(judge(|_| 5_000), Verdict { first: 5_000, last: 5_000, highest: 5_000 });
        assert!(judge(|_| 5_000).holds());
    }

    #[test]
    fn what_grew_before_is_no_matter() {
        assert!(judge(|second| 5_000 + second.min(50) * 100).holds());
    }

    #[test]
    fn a_leak_shows() {
        assert!(!judge(|second| 5_000 + second * 3).holds());
    }

    #[test]
    fn a_level_that_rises_shows_although_it_falls_again() {
        assert!(!judge(|second| if (100..130).contains(&second) { 6_000 } else { 5_000 }).holds());
    }

    #[test]
    fn a_short_spike_is_no_growth() {
        assert!(judge(|second| if second % 50 < 3 { 9_000 } else { 5_000 }).holds());
    }

    #[test]
    fn nothing_to_compare_is_an_error() {
        assert!(History::default().judge(Duration::from_mins(1), Duration::from_mins(5)).is_err());
    }
}
