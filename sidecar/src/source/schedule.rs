//! The times of collections.

use std::time::Duration;

/// The maximum delay of the first collection, and the first interval of a source that has never succeeded.
const INITIAL_DELAY: Duration = Duration::from_secs(1);

/// The maximum backoff of a failing source, in intervals.
const MAX_BACKOFF: u32 = 4;

/// The timing of a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) stale_after: Duration,
}

/// The results of the collections so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct History {
    /// The number of failures since the last success.
    pub(super) failures: u32,
    /// The time from the last successful collection to the last collection. `None`: none succeeded.
    pub(super) since_success: Option<Duration>,
}

impl Schedule {
    /// Returns the delay of the first collection. It is random, so that sources that start together are spread.
    /// `random` is 0 to 1.
    pub(super) fn first(&self, random: f64) -> Duration {
        INITIAL_DELAY.min(self.interval).mul_f64(random)
    }

    /// Returns the time from the start of the last collection to the start of the next one. `random` is 0 to 1.
    ///
    /// A failing source has an exponential backoff, but one more attempt is made before its values become stale. The
    /// backoff of a source that has never succeeded starts at a short interval, because its application may be
    /// starting.
    pub(super) fn next(&self, history: History, random: f64) -> Duration {
        let base = if history.since_success.is_some() { self.interval } else { INITIAL_DELAY.min(self.interval) };
        let doubled = 2_u32.saturating_pow(history.failures.saturating_sub(1));
        let period = base.saturating_mul(doubled).min(self.interval.saturating_mul(MAX_BACKOFF));
        let jittered = period.mul_f64(0.95 + random / 10.0);
        if history.failures == 0 { jittered } else { jittered.min(self.max_delay(history)) }
    }

    /// Returns the maximum time between two collections with regard to staleness: one must be finished before the
    /// values become stale, unless it is too late for that.
    fn max_delay(&self, history: History) -> Duration {
        let latest_start = self.stale_after.saturating_sub(self.timeout);
        match history.since_success {
            Some(since_success) if since_success + self.interval <= latest_start => {
                latest_start.saturating_sub(since_success)
            }
            _ => latest_start.max(self.interval),
        }
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
    #[case::success(0, Some(0), 10)]
    #[case::the_first_failure(1, Some(10), 10)]
    #[case::twice(2, Some(20), 20)]
    #[case::three_times(3, Some(40), 40)]
    #[case::many_times(4, Some(86), 40)]
    #[case::the_maximum_number_of_times(u32::MAX, Some(86), 40)]
    #[case::one_more_attempt_before_values_become_stale(3, Some(65), 30)]
    #[case::too_late_for_one_more_attempt(3, Some(94), 40)]
    #[case::already_stale(5, Some(200), 40)]
    #[case::never_succeeded(1, None, 1)]
    #[case::never_succeeded_four_times(4, None, 8)]
    #[case::never_succeeded_for_long(30, None, 40)]
    fn a_failing_source_has_a_backoff(
        #[case] failures: u32,
        #[case] since_success: Option<u64>,
        #[case] expected: u64,
    ) {
        let schedule = Schedule { interval: seconds(10), timeout: seconds(5), stale_after: seconds(100) };
        let history = History { failures, since_success: since_success.map(seconds) };
        assert_eq!(schedule.next(history, 0.5), seconds(expected));
    }

    #[test]
    fn backoff_ends_before_staleness() {
        let schedule = Schedule { interval: seconds(10), timeout: seconds(5), stale_after: seconds(30) };
        let history = |failures, since_success| History { failures, since_success: Some(seconds(since_success)) };
        assert_eq!(schedule.next(history(3, 50), 1.0), seconds(25));
        assert_eq!(schedule.next(history(2, 20), 1.0), seconds(21));
    }

    #[test]
    fn collections_are_spread() {
        let schedule = Schedule { interval: seconds(60), timeout: seconds(5), stale_after: seconds(300) };
        let mut random = fastrand::Rng::with_seed(7);
        let drawn: Vec<f64> = (0..1000).map(|_| random.f64()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..=1.0).contains(drawn)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
        for random in drawn {
            assert!(schedule.first(random) <= seconds(1));
            let next = schedule.next(History::default(), random).as_secs_f64();
            assert!((0.95..=1.05).contains(&next), "a source that has never succeeded: {next}");
        }
    }
}
