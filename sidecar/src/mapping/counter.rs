//! Counters that continue when their metric falls.

use std::collections::BTreeMap;

use super::{
    number::Num,
    retention::Renumbering,
    series::{Lookup, Series},
};
use crate::sample::Labels;

/// The series of one counter object. Each continues from its previous total when it falls.
#[derive(Debug, Default)]
pub(super) struct Counters {
    series: Series<Carry>,
    /// The contribution of forgotten series to each row.
    forgotten: BTreeMap<u32, Num>,
}

/// The last number of a series, and the amount to add to it because the series has fallen. It takes 18 bytes, because
/// every series of every counter has one.
#[derive(Debug, Clone, Copy)]
struct Carry {
    last: Packed,
    carried: Packed,
}

/// A finite [`Num`] in nine bytes: an integer of 72 bits, or a double with [`DOUBLE`] in place of the highest byte.
/// Larger integers become doubles; a 64-bit counter reaches them after wrapping 127 times.
#[derive(Debug, Clone, Copy)]
struct Packed {
    low: [u8; 8],
    high: i8,
}

const DOUBLE: i8 = i8::MIN;

impl From<Num> for Packed {
    fn from(num: Num) -> Self {
        if let Num::Int(v) = num
            && let Ok(high) = i8::try_from(v >> u64::BITS)
            && high != DOUBLE
        {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rest is in `high`")]
            let low = v as u64;
            return Self { low: low.to_ne_bytes(), high };
        }
        Self { low: num.as_f64().to_ne_bytes(), high: DOUBLE }
    }
}

impl From<Packed> for Num {
    fn from(Packed { low, high }: Packed) -> Self {
        if high == DOUBLE {
            return Self::from(f64::from_ne_bytes(low));
        }
        Self::Int(i128::from(high) << u64::BITS | i128::from(u64::from_ne_bytes(low)))
    }
}

impl Carry {
    fn total(self) -> Num {
        Num::from(self.carried).add(self.last.into())
    }
}

impl Counters {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        self.series.begin();
    }

    /// Records the number `num` of a series, and returns the total that the series contributes to `row`. `None`: the
    /// series was already recorded in this scrape. A number that is not finite is returned unchanged and not recorded.
    pub(super) fn advance(&mut self, labels: &Labels<'_>, row: u32, num: Num) -> Option<Num> {
        if !num.is_finite() {
            return Some(num);
        }
        match self.series.find(labels, row, || Carry { last: num.into(), carried: Num::ZERO.into() }) {
            Lookup::New => Some(num),
            Lookup::Duplicate => None,
            Lookup::Known(carry) => {
                if num.less(carry.last.into()) {
                    carry.carried = carry.total().into();
                }
                carry.last = num.into();
                Some(carry.total())
            }
        }
    }

    /// Returns the totals of the series that are not in this scrape, with their rows.
    pub(super) fn absent(&self) -> impl Iterator<Item = (u32, Num)> {
        let absent = self.series.iter().filter(|entry| entry.unseen > 0).map(|entry| (entry.row, entry.state.total()));
        absent.chain(self.forgotten.iter().map(|(row, num)| (*row, *num)))
    }

    /// Ends a scrape. If too many series are absent, forgets those that have been absent longest. Their contribution
    /// stays with their rows.
    pub(super) fn end(&mut self) {
        if let Some(max_unseen) = self.series.max_unseen() {
            let forgotten = &mut self.forgotten;
            self.series.retain(|entry| {
                let keep = entry.unseen <= max_unseen;
                if !keep {
                    let sum = forgotten.entry(entry.row).or_insert(Num::ZERO);
                    *sum = sum.add(entry.state.total());
                }
                keep
            });
        }
        self.series.end();
    }

    /// Applies the new row numbers, and drops the series of forgotten rows.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        self.series.renumber(rows);
        let old = std::mem::take(&mut self.forgotten);
        self.forgotten = old.into_iter().filter_map(|(row, num)| Some((rows.number(row)?, num))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mapping::retention::MIN_REMEMBERED,
        sample::{Number, Samples},
    };

    fn labels(text: &str) -> Samples {
        let mut samples = Samples::new();
        samples.push("m", [("a", text)], Number::Signed(0)).unwrap();
        samples
    }

    /// Runs one scrape of these series in row 0. Returns the sum, including absent series.
    fn scrape(counters: &mut Counters, series: &[(&str, f64)]) -> Num {
        counters.begin();
        let mut sum = Num::ZERO;
        for (text, value) in series {
            let labels = labels(text);
            sum = sum.add(counters.advance(&labels.get(0).unwrap().labels, 0, Num::from(*value)).unwrap());
        }
        sum = counters.absent().fold(sum, |sum, (_, num)| sum.add(num));
        counters.end();
        sum
    }

    #[test]
    fn a_series_that_falls_continues_from_its_total() {
        let mut counters = Counters::default();
        for (value, sum) in [(10.0, 10), (15.0, 15), (3.0, 18), (4.0, 19), (0.0, 19), (1.0, 20)] {
            assert_eq!(scrape(&mut counters, &[("x", value)]), Num::Int(sum));
        }
    }

    #[test]
    fn each_series_continues_independently() {
        let mut counters = Counters::default();
        assert_eq!(scrape(&mut counters, &[("x", 10.0), ("y", 100.0)]), Num::Int(110));
        assert_eq!(scrape(&mut counters, &[("x", 1.0), ("y", 200.0)]), Num::Int(211));
    }

    #[test]
    fn an_absent_series_keeps_its_contribution_and_continues_from_it() {
        let mut counters = Counters::default();
        assert_eq!(scrape(&mut counters, &[("x", 10.0), ("y", 5.0)]), Num::Int(15));
        assert_eq!(scrape(&mut counters, &[("y", 6.0)]), Num::Int(16));
        assert_eq!(scrape(&mut counters, &[("x", 12.0), ("y", 6.0)]), Num::Int(18));
        assert_eq!(scrape(&mut counters, &[("y", 6.0)]), Num::Int(18));
        assert_eq!(scrape(&mut counters, &[("x", 1.0), ("y", 6.0)]), Num::Int(19));
    }

    #[test]
    fn forgetting_series_bounds_memory_and_does_not_lower_the_sum() {
        let mut counters = Counters::default();
        let mut before = Num::ZERO;
        for i in 0..3 * MIN_REMEMBERED {
            let sum = scrape(&mut counters, &[(i.to_string().as_str(), 2.0)]);
            assert!(before.less(sum));
            before = sum;
        }
        assert_eq!(before, Num::Int(6 * i128::try_from(MIN_REMEMBERED).unwrap()));
        assert!(counters.series.iter().count() <= MIN_REMEMBERED + 1);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_change_a_series() {
        let mut counters = Counters::default();
        assert_eq!(scrape(&mut counters, &[("x", 10.0)]), Num::Int(10));
        assert!(scrape(&mut counters, &[("x", f64::NAN)]).is_nan());
        assert!(!scrape(&mut counters, &[("x", f64::INFINITY)]).is_finite());
        assert_eq!(scrape(&mut counters, &[("x", 11.0)]), Num::Int(11));
    }

    #[test]
    fn a_series_takes_32_bytes() {
        assert_eq!(size_of::<crate::mapping::series::Entry<Carry>>(), 32);
    }

    #[test]
    fn totals_are_exact_beyond_64_bits() {
        let mut counters = Counters::default();
        let sample = labels("x");
        let labels = sample.get(0).unwrap().labels;
        let mut advance = |num: i128| {
            counters.begin();
            let total = counters.advance(&labels, 0, Num::Int(num));
            counters.end();
            total
        };
        let max = i128::from(u64::MAX);
        for restarts in 0..100 {
            assert_eq!(advance(max), Some(Num::Int(restarts * (max + 7) + max)));
            assert_eq!(advance(7), Some(Num::Int(restarts * (max + 7) + max + 7)));
            assert_eq!(advance(0), Some(Num::Int((restarts + 1) * (max + 7))));
        }
    }

    #[test]
    fn a_packed_number_is_exact_or_the_nearest_double() {
        let beyond = i128::from(i8::MAX) << 64 | i128::from(u64::MAX);
        for num in
            [Num::ZERO, Num::Int(-1), Num::Int(i64::MIN.into()), Num::Int(beyond), Num::Float(0.1), Num::Float(-1e300)]
        {
            assert_eq!(Num::from(Packed::from(num)), num);
        }
        let rounded = Num::from(Packed::from(Num::Int(beyond + 1)));
        assert_eq!(rounded, Num::Int(beyond + 1), "a power of two is exact as a double");
        assert_eq!(Num::from(Packed::from(Num::Int(beyond + 2))), Num::Int(beyond + 1));
    }
}
