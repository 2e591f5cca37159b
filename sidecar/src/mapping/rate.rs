//! Rates: the increase per second of each series over a window.

use std::{collections::VecDeque, time::Duration};

use super::{
    number::Num,
    rows::Renumbering,
    series::{Found, Series},
};
use crate::sample::Labels;

/// The most points that a window is divided into: older ones that lie closer are joined, so that memory is bounded.
const POINTS: u32 = 32;

/// The series of one object that shows a rate.
#[derive(Debug)]
pub(super) struct Rates {
    window: Duration,
    series: Series<Window>,
}

/// The points of a series within the window.
#[derive(Debug)]
struct Window {
    last: Num,
    /// When, and the increase since the point before.
    points: VecDeque<(Duration, f64)>,
}

impl Rates {
    /// Rates over `window`.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, series: Series::default() }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.series.begin();
    }

    /// The rate of the series, which has the number `num` at the time `at`, from the oldest point in the window to this
    /// one; `None` where this is the only one. A fall counts as a restart at 0. A number that is not finite is no point.
    pub(super) fn advance(&mut self, labels: &Labels<'_>, row: u32, num: Num, at: Duration) -> Option<f64> {
        if !num.is_finite() {
            return None;
        }
        let new = || Window { last: num, points: VecDeque::from([(at, 0.0)]) };
        match self.series.find(labels, row, new) {
            Found::Known(series) => series.advance(num, at, self.window),
            Found::New | Found::Twice => None,
        }
    }

    /// Ends a scrape at the time `at`. Series without a point in the window are forgotten, and of too many that are gone
    /// the longest gone.
    pub(super) fn end(&mut self, at: Duration) {
        let begin = at.saturating_sub(self.window);
        let patience = self.series.patience().unwrap_or(u16::MAX);
        self.series
            .retain(|entry| entry.unseen <= patience && entry.state.points.back().is_some_and(|(at, _)| *at >= begin));
        self.series.end();
    }

    /// Follows the rows to their new numbers, and forgets those that are gone.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        self.series.renumber(rows);
    }
}

impl Window {
    fn advance(&mut self, num: Num, at: Duration, window: Duration) -> Option<f64> {
        let increase = if num.less(self.last) { num } else { num.subtract(self.last) };
        self.last = num;
        let mut increase = increase.as_f64();
        self.thin(window, &mut increase);
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

    /// Before a point is added: joins the newest point to it where that one lies close to the one before.
    fn thin(&mut self, window: Duration, increase: &mut f64) {
        let mut newest = self.points.iter().rev();
        if let (Some((newest, joined)), Some((before, _))) = (newest.next(), newest.next())
            && newest.saturating_sub(*before) < window / POINTS
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
        mapping::series::GONE,
        sample::{Number, Samples},
    };

    /// Rates of one series over 60 s at these seconds.
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
    fn a_reset_counts_from_zero() {
        assert_eq!(rates(&[(0.0, 100.0), (10.0, 120.0), (20.0, 10.0)]), [None, Some(2.0), Some(1.5)]);
    }

    #[test]
    fn missed_scrapes_do_not_matter_until_the_window_is_empty() {
        assert_eq!(rates(&[(0.0, 0.0), (50.0, 100.0)]), [None, Some(2.0)]);
        assert_eq!(rates(&[(0.0, 0.0), (61.0, 100.0), (71.0, 120.0)]), [None, None, Some(2.0)]);
    }

    #[test]
    fn two_points_at_one_time_are_no_rate() {
        assert_eq!(rates(&[(5.0, 0.0), (5.0, 100.0)]), [None, None]);
    }

    #[test]
    fn a_number_that_is_not_finite_is_no_point() {
        assert_eq!(rates(&[(0.0, 0.0), (10.0, f64::NAN), (20.0, 40.0)]), [None, None, Some(2.0)]);
    }

    #[test]
    fn small_increases_of_large_counts_are_exact() {
        let large = 9_007_199_254_740_000.0;
        assert_eq!(rates(&[(0.0, large), (10.0, large + 10.0)]), [None, Some(1.0)]);
    }

    #[test]
    fn scrapes_in_quick_succession_take_bounded_memory_and_lose_no_increase() {
        let mut rates = Rates::new(Duration::from_mins(1));
        for tick in 0..10_000_u32 {
            let at = f64::from(tick) / 100.0;
            let rate = scrape(&mut rates, at, at * 3.0);
            assert!(tick == 0 || (rate.unwrap() - 3.0).abs() < 1e-9);
        }
        let window = &rates.series.iter().next().unwrap().state;
        assert!(window.points.len() <= usize::try_from(POINTS).unwrap() + 2, "{} points", window.points.len());
    }

    #[test]
    fn series_without_end_take_bounded_memory_however_long_the_window_and_the_others_stay_right() {
        let mut rates = Rates::new(Duration::from_hours(24));
        for second in 0..4 * GONE {
            let at = Duration::from_secs(second.try_into().unwrap());
            let mut samples = Samples::new();
            samples.push("m", [("a", "stays")], Number::Signed(second.try_into().unwrap())).unwrap();
            samples.push("m", [("a", second.to_string().as_str())], Number::Signed(0)).unwrap();
            rates.begin();
            let found: Vec<_> =
                samples.iter().map(|sample| rates.advance(&sample.labels, 0, Num::from(sample.value), at)).collect();
            rates.end(at);
            assert_eq!(found, [(second > 0).then_some(1.0), None]);
            assert!(rates.series.iter().count() <= GONE + 2);
        }
    }
}
