//! Rates: the increase per second of each series within a window.

use std::{collections::VecDeque, time::Duration};

use super::{
    number::Num,
    retention::Renumbering,
    series::{Lookup, Series},
};
use crate::sample::Labels;

/// The maximum number of intervals in a window. Older points that are closer together are merged, which bounds the
/// memory.
const MAX_INTERVALS: u32 = 32;

/// The series of one object whose value is a rate.
#[derive(Debug)]
pub(super) struct Rates {
    window: Duration,
    series: Series<Window>,
}

/// The points of a series within the window.
#[derive(Debug)]
struct Window {
    last: Num,
    /// The time of each point, and the increase since the previous point.
    points: VecDeque<(Duration, f64)>,
}

impl Rates {
    /// Creates rates over `window`.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, series: Series::default() }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.series.begin();
    }

    /// Records the number `num` of a series at the time `at`, and returns the rate from the oldest point in the window
    /// to this one. `None`: this is the only point. If the number falls, the series restarted from 0. A number that is
    /// not finite is ignored.
    pub(super) fn advance(&mut self, labels: &Labels<'_>, row: u32, num: Num, at: Duration) -> Option<f64> {
        if !num.is_finite() {
            return None;
        }
        let new = || Window { last: num, points: VecDeque::from([(at, 0.0)]) };
        match self.series.find(labels, row, new) {
            Lookup::Known(series) => series.advance(num, at, self.window),
            Lookup::New | Lookup::Duplicate => None,
        }
    }

    /// Ends a scrape at the time `at`. Forgets series without a point in the window. If too many series are absent,
    /// forgets those that have been absent longest.
    pub(super) fn end(&mut self, at: Duration) {
        let begin = at.saturating_sub(self.window);
        let max_unseen = self.series.max_unseen().unwrap_or(u16::MAX);
        self.series.retain(|entry| {
            entry.unseen <= max_unseen && entry.state.points.back().is_some_and(|(at, _)| *at >= begin)
        });
        self.series.end();
    }

    /// Applies the new row numbers, and drops the series of forgotten rows.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        self.series.renumber(rows);
    }
}

impl Window {
    fn advance(&mut self, num: Num, at: Duration, window: Duration) -> Option<f64> {
        let increase = if num.less(self.last) { num } else { num.subtract(self.last) };
        self.last = num;
        let mut increase = increase.as_f64();
        self.merge_newest(window, &mut increase);
        self.points.push_back((at, increase));
        let begin = at.saturating_sub(window);
        while self.points.front().is_some_and(|(at, _)| *at < begin) {
            self.points.pop_front();
        }
        let (first, _) = self.points.front()?;
        let span = at.saturating_sub(*first).as_secs_f64();
        let increase: f64 = self.points.iter().skip(1).map(|(_, increase)| increase).sum();
        (span > 0.0).then(|| increase / span)
    }

    /// Merges the newest point into the point that is about to be added, if it is close to the point before.
    fn merge_newest(&mut self, window: Duration, increase: &mut f64) {
        let mut newest = self.points.iter().rev();
        if let (Some((newest, joined)), Some((before, _))) = (newest.next(), newest.next())
            && newest.saturating_sub(*before) < window / MAX_INTERVALS
        {
            *increase += joined;
            self.points.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mapping::retention::MIN_REMEMBERED,
        sample::{Number, Samples},
    };

    /// Returns the rates of one series over 60 s. `points` are seconds and values.
    fn rates(points: &[(f64, f64)]) -> Vec<Option<f64>> {
        let mut rates = Rates::new(Duration::from_mins(1));
        points.iter().map(|(at, value)| scrape(&mut rates, *at, *value)).collect()
    }

    fn scrape(rates: &mut Rates, at: f64, value: f64) -> Option<f64> {
        let mut samples = Samples::new();
        samples.push("m", [], Number::Float(value)).unwrap();
        let at = Duration::from_secs_f64(at);
        rates.begin();
        let rate = rates.advance(&samples.get(0).unwrap().labels, 0, Num::from(value), at);
        rates.end(at);
        rate
    }

    #[test]
    fn a_rate_needs_two_points_and_spans_the_window() {
        assert_eq!(
            rates(&[(0.0, 0.0), (15.0, 30.0), (30.0, 60.0), (60.0, 120.0), (75.0, 225.0)]),
            [None, Some(2.0), Some(2.0), Some(2.0), Some(195.0 / 60.0)],
        );
    }

    #[test]
    fn a_series_that_falls_counts_from_zero() {
        assert_eq!(rates(&[(0.0, 100.0), (10.0, 120.0), (20.0, 10.0)]), [None, Some(2.0), Some(1.5)]);
    }

    #[test]
    fn missed_scrapes_are_tolerated_until_the_window_is_empty() {
        assert_eq!(rates(&[(0.0, 0.0), (50.0, 100.0)]), [None, Some(2.0)]);
        assert_eq!(rates(&[(0.0, 0.0), (61.0, 100.0), (71.0, 120.0)]), [None, None, Some(2.0)]);
    }

    #[test]
    fn two_points_at_the_same_time_have_no_rate() {
        assert_eq!(rates(&[(5.0, 0.0), (5.0, 100.0)]), [None, None]);
    }

    #[test]
    fn a_number_that_is_not_finite_is_ignored() {
        assert_eq!(rates(&[(0.0, 0.0), (10.0, f64::NAN), (20.0, 40.0)]), [None, None, Some(2.0)]);
    }

    #[test]
    fn small_increases_of_large_counts_are_exact() {
        let large = 9_007_199_254_740_000.0;
        assert_eq!(rates(&[(0.0, large), (10.0, large + 10.0)]), [None, Some(1.0)]);
    }

    #[test]
    fn frequent_scrapes_take_bounded_memory_and_keep_all_increases() {
        let mut rates = Rates::new(Duration::from_mins(1));
        for tick in 0..10_000_u32 {
            let at = f64::from(tick) / 100.0;
            let rate = scrape(&mut rates, at, at * 3.0);
            assert!(tick == 0 || (rate.unwrap() - 3.0).abs() < 1e-9);
        }
        let window = &rates.series.iter().next().unwrap().state;
        assert!(window.points.len() <= usize::try_from(MAX_INTERVALS).unwrap() + 2, "{} points", window.points.len());
    }

    #[test]
    fn an_unlimited_number_of_series_takes_bounded_memory_and_keeps_rates_correct() {
        let mut rates = Rates::new(Duration::from_hours(24));
        for second in 0..4 * MIN_REMEMBERED {
            let at = Duration::from_secs(second.try_into().unwrap());
            let mut samples = Samples::new();
            samples.push("m", [("a", "stays")], Number::Signed(second.try_into().unwrap())).unwrap();
            samples.push("m", [("a", second.to_string().as_str())], Number::Signed(0)).unwrap();
            rates.begin();
            let found: Vec<_> =
                samples.iter().map(|sample| rates.advance(&sample.labels, 0, Num::from(sample.value), at)).collect();
            rates.end(at);
            assert_eq!(found, [(second > 0).then_some(1.0), None]);
            assert!(rates.series.iter().count() <= MIN_REMEMBERED + 2);
        }
    }
}
