//! Counters that go on when their metric falls.

use std::collections::BTreeMap;

use super::{
    number::Num,
    rows::Renumbering,
    series::{Found, Series},
};
use crate::sample::Labels;

/// The series of one counter object, each going on from where it stood.
#[derive(Debug, Default)]
pub(super) struct Counters {
    series: Series<Carry>,
    /// What forgotten series have contributed to each row.
    forgotten: BTreeMap<u32, Num>,
}

/// A series: its last number, and what to add to it since it has fallen. In 18 octets, since there is one for each
/// series of each counter.
#[derive(Debug, Clone, Copy)]
struct Carry {
    last: Packed,
    carried: Packed,
}

/// A finite [`Num`] in as few octets as can be: an integer's 72 bits, or a double and [`DOUBLE`] in place of the highest
/// eight. Larger integers become doubles: a 64-bit counter would have to wrap 127 times.
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

    /// What the series contributes to `row` at the number `num`; `None` where it was already asked for in this scrape.
    /// A number that is not finite comes back as it is, and the series does not move.
    pub(super) fn advance(&mut self, labels: &Labels<'_>, row: u32, num: Num) -> Option<Num> {
        if !num.is_finite() {
            return Some(num);
        }
        match self.series.find(labels, row, || Carry { last: num.into(), carried: Num::ZERO.into() }) {
            Found::New => Some(num),
            Found::Twice => None,
            Found::Known(carry) => {
                if num.less(carry.last.into()) {
                    carry.carried = carry.total().into();
                }
                carry.last = num.into();
                Some(carry.total())
            }
        }
    }

    /// What the series that are not in this scrape contribute, by row.
    pub(super) fn gone(&self) -> impl Iterator<Item = (u32, Num)> {
        let gone = self.series.iter().filter(|entry| entry.unseen > 0).map(|entry| (entry.row, entry.state.total()));
        gone.chain(self.forgotten.iter().map(|(row, num)| (*row, *num)))
    }

    /// Ends a scrape. Of too many series that are gone, the longest gone are forgotten; what they have contributed stays
    /// with their rows.
    pub(super) fn end(&mut self) {
        if let Some(patience) = self.series.patience() {
            let forgotten = &mut self.forgotten;
            self.series.retain(|entry| {
                let keep = entry.unseen <= patience;
                if !keep {
                    let sum = forgotten.entry(entry.row).or_insert(Num::ZERO);
                    *sum = sum.add(entry.state.total());
                }
                keep
            });
        }
        self.series.end();
    }

    /// Follows the rows to their new numbers, and forgets those that are gone.
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
        mapping::series::GONE,
        sample::{Number, Samples},
    };

    fn labels(text: &str) -> Samples {
        let mut samples = Samples::new();
        samples.push("m", [("a", text)], Number::Signed(0)).unwrap();
        samples
    }

    /// One scrape of these series in row 0: their sum, those gone included.
    fn scrape(counters: &mut Counters, series: &[(&str, f64)]) -> Num {
        counters.begin();
        let mut sum = Num::ZERO;
        for (text, value) in series {
            let labels = labels(text);
            sum = sum.add(counters.advance(&labels.get(0).unwrap().labels, 0, Num::from(*value)).unwrap());
        }
        sum = counters.gone().fold(sum, |sum, (_, num)| sum.add(num));
        counters.end();
        sum
    }

    #[test]
    fn a_series_that_falls_goes_on_from_where_it_stood() {
        let mut counters = Counters::default();
        for (value, sum) in [(10.0, 10), (15.0, 15), (3.0, 18), (4.0, 19), (0.0, 19), (1.0, 20)] {
            assert_eq!(scrape(&mut counters, &[("x", value)]), Num::Int(sum));
        }
    }

    #[test]
    fn each_series_falls_on_its_own() {
        let mut counters = Counters::default();
        assert_eq!(scrape(&mut counters, &[("x", 10.0), ("y", 100.0)]), Num::Int(110));
        assert_eq!(scrape(&mut counters, &[("x", 1.0), ("y", 200.0)]), Num::Int(211));
    }

    #[test]
    fn a_series_that_is_gone_keeps_its_contribution_and_comes_back_where_it_was() {
        let mut counters = Counters::default();
        assert_eq!(scrape(&mut counters, &[("x", 10.0), ("y", 5.0)]), Num::Int(15));
        assert_eq!(scrape(&mut counters, &[("y", 6.0)]), Num::Int(16));
        assert_eq!(scrape(&mut counters, &[("x", 12.0), ("y", 6.0)]), Num::Int(18));
        assert_eq!(scrape(&mut counters, &[("y", 6.0)]), Num::Int(18));
        assert_eq!(scrape(&mut counters, &[("x", 1.0), ("y", 6.0)]), Num::Int(19));
    }

    #[test]
    fn a_sum_does_not_fall_when_series_are_forgotten_and_memory_stays_bounded() {
        let mut counters = Counters::default();
        let mut before = Num::ZERO;
        for i in 0..3 * GONE {
            let sum = scrape(&mut counters, &[(i.to_string().as_str(), 2.0)]);
            assert!(before.less(sum));
            before = sum;
        }
        assert_eq!(before, Num::Int(6 * i128::try_from(GONE).unwrap()));
        assert!(counters.series.iter().count() <= GONE + 1);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_move_a_series() {
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
    fn counts_are_exact_however_often_64_bits_have_wrapped() {
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
    fn any_number_is_packed_as_it_is_or_as_its_nearest_double() {
        let beyond = i128::from(i8::MAX) << 64 | i128::from(u64::MAX);
        for num in
            [Num::ZERO, Num::Int(-1), Num::Int(i64::MIN.into()), Num::Int(beyond), Num::Float(0.1), Num::Float(-1e300)]
        {
            assert_eq!(Num::from(Packed::from(num)), num);
        }
        let rounded = Num::from(Packed::from(Num::Int(beyond + 1)));
        assert_eq!(rounded, Num::Int(beyond + 1), "a power of two is a double");
        assert_eq!(Num::from(Packed::from(Num::Int(beyond + 2))), Num::Int(beyond + 1));
    }
}
