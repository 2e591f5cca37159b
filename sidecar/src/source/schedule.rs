//! When a source is scraped next.

use std::time::Duration;

/// The longest wait for the first scrape, and the first wait of a source that never answered yet.
const SOON: Duration = Duration::from_secs(1);

/// How many intervals a source that fails is left alone, at most.
const MAX_BACK_OFF: u32 = 4;

/// A source's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) stale_after: Duration,
}

/// How scraping has gone so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct History {
    /// Scrapes that failed since one succeeded.
    pub(super) failures: u32,
    /// Time from the last scrape that succeeded to the last one of all; `None` if none succeeded.
    pub(super) since_success: Option<Duration>,
}

impl Schedule {
    /// How long to wait with the first scrape: sources that start together are spread. `random` is 0 to 1.
    pub(super) fn first(&self, random: f64) -> Duration {
        SOON.min(self.interval).mul_f64(random)
    }

    /// Time from the start of the last scrape to the start of the next. `random` is 0 to 1.
    ///
    /// A source that fails is left alone for longer and longer, but is tried once more before its values go stale. One
    /// that never answered is waited for with more patience the longer it takes: its application may be starting.
    pub(super) fn next(&self, history: History, random: f64) -> Duration {
        let base = if history.since_success.is_some() { self.interval } else { SOON.min(self.interval) };
        let doubled = 2_u32.saturating_pow(history.failures.saturating_sub(1));
        let period = base.saturating_mul(doubled).min(self.interval.saturating_mul(MAX_BACK_OFF));
        let jittered = period.mul_f64(0.95 + random / 10.0);
        if history.failures == 0 { jittered } else { jittered.min(self.patience(history)) }
    }

    /// The longest time that staleness allows between two scrapes: one is to be made, and done, before the values go
    /// stale, unless it is too late for that.
    fn patience(&self, history: History) -> Duration {
        let last_chance = self.stale_after.saturating_sub(self.timeout);
        match history.since_success {
            Some(since_success) if since_success + self.interval <= last_chance => {
                last_chance.saturating_sub(since_success)
            }
            _ => last_chance.max(self.interval),
        }
    }
}

/// Random numbers, to spread scrapes in time (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers from this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, 0 to 1.
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from(u32::try_from(mixed >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[rstest]
    #[case::it_goes_well(0, Some(0), 10)]
    #[case::the_first_failure(1, Some(10), 10)]
    #[case::twice(2, Some(20), 20)]
    #[case::three_times(3, Some(40), 40)]
    #[case::many_times(4, Some(86), 40)]
    #[case::numberless_times(u32::MAX, Some(86), 40)]
    #[case::one_last_chance_before_values_go_stale(3, Some(65), 30)]
    #[case::too_late_for_that(3, Some(94), 40)]
    #[case::stale_already(5, Some(200), 40)]
    #[case::never_answered(1, None, 1)]
    #[case::never_answered_yet(4, None, 8)]
    #[case::never_answered_for_long(30, None, 40)]
    fn a_source_that_fails_is_left_alone(
        #[case] failures: u32,
        #[case] since_success: Option<u64>,
        #[case] expected: u64,
    ) {
        let schedule = Schedule { interval: seconds(10), timeout: seconds(5), stale_after: seconds(100) };
        let history = History { failures, since_success: since_success.map(seconds) };
        assert_eq!(schedule.next(history, 0.5), seconds(expected));
    }

    #[test]
    fn back_off_ends_where_staleness_begins() {
        let schedule = Schedule { interval: seconds(10), timeout: seconds(5), stale_after: seconds(30) };
        let history = |failures, since_success| History { failures, since_success: Some(seconds(since_success)) };
        assert_eq!(schedule.next(history(3, 50), 1.0), seconds(25));
        assert_eq!(schedule.next(history(2, 20), 1.0), seconds(21));
    }

    #[test]
    fn scrapes_are_spread() {
        let schedule = Schedule { interval: seconds(60), timeout: seconds(5), stale_after: seconds(300) };
        let mut random = Random::new(7);
        let drawn: Vec<f64> = (0..1000).map(|_| random.next()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..=1.0).contains(drawn)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        for random in drawn {
            assert!(schedule.first(random) <= seconds(1));
            let next = schedule.next(History::default(), random).as_secs_f64();
            assert!((0.95..=1.05).contains(&next), "a source that never answered: {next}");
        }
    }
}
