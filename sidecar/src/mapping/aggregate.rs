//! Aggregation of several numbers into one.

use sidecar_config::Aggregate;

use super::number::Num;

/// The running aggregate of the numbers of one instance. Sums and averages of integers are exact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    num: Num,
    count: u32,
}

impl Default for Total {
    fn default() -> Self {
        Self { num: Num::ZERO, count: 0 }
    }
}

impl Total {
    /// Adds a number. As in Prometheus, NaN makes Sum and Avg NaN. Min and Max ignore NaN unless all numbers are NaN.
    pub(super) fn add(&mut self, how: Aggregate, num: Num) {
        self.num = match how {
            _ if self.count == 0 => num,
            Aggregate::Sum | Aggregate::Avg => self.num.add(num),
            Aggregate::Min if num.less(self.num) || self.num.is_nan() => num,
            Aggregate::Max if self.num.less(num) || self.num.is_nan() => num,
            Aggregate::Min | Aggregate::Max | Aggregate::Count => self.num,
        };
        self.count = self.count.saturating_add(1);
    }

    /// Returns whether no number was added.
    pub(super) fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Returns the aggregate, or `None` if no number was added.
    pub(super) fn result(self, how: Aggregate) -> Option<Num> {
        let count = i128::from(self.count);
        (count > 0).then(|| match how {
            Aggregate::Count => Num::Int(count),
            Aggregate::Avg => self.num.divide(count),
            Aggregate::Sum | Aggregate::Min | Aggregate::Max => self.num,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn result(how: Aggregate, numbers: &[f64]) -> Option<Num> {
        let mut total = Total::default();
        for number in numbers {
            total.add(how, Num::from(*number));
        }
        total.result(how)
    }

    #[rstest]
    #[case::sum(Aggregate::Sum, &[1.0, 2.0, 4.0], Num::Int(7))]
    #[case::sum_of_fractions(Aggregate::Sum, &[0.25, 0.5], Num::Float(0.75))]
    #[case::min(Aggregate::Min, &[3.0, -1.0, 2.0], Num::Int(-1))]
    #[case::max(Aggregate::Max, &[-3.0, -1.0, -2.0], Num::Int(-1))]
    #[case::avg(Aggregate::Avg, &[1.0, 2.0, 6.0], Num::Int(3))]
    #[case::avg_with_a_fraction(Aggregate::Avg, &[1.0, 2.0], Num::Int(3).divide(2))]
    #[case::count(Aggregate::Count, &[9.0, f64::NAN, 9.0], Num::Int(3))]
    #[case::min_ignores_nan(Aggregate::Min, &[f64::NAN, 2.0, f64::NAN, 1.0], Num::Int(1))]
    #[case::max_ignores_nan(Aggregate::Max, &[f64::NAN, 1.0, f64::NAN, 2.0], Num::Int(2))]
    #[case::max_of_infinity(Aggregate::Max, &[1.0, f64::INFINITY], Num::Float(f64::INFINITY))]
    fn numbers_are_aggregated(#[case] how: Aggregate, #[case] numbers: &[f64], #[case] expected: Num) {
        assert_eq!(result(how, numbers), Some(expected));
    }

    #[test]
    fn nan_makes_a_sum_and_an_average_nan() {
        for how in [Aggregate::Sum, Aggregate::Avg] {
            assert!(result(how, &[1.0, f64::NAN, 2.0]).unwrap().is_nan());
        }
        assert!(result(Aggregate::Min, &[f64::NAN]).unwrap().is_nan());
    }

    #[test]
    fn a_count_of_no_numbers_is_missing() {
        assert_eq!(result(Aggregate::Count, &[]), None);
    }

    #[test]
    fn sums_of_64_bit_integers_are_exact() {
        let mut total = Total::default();
        for _ in 0..3 {
            total.add(Aggregate::Sum, Num::Int(u64::MAX.into()));
        }
        assert_eq!(total.result(Aggregate::Sum), Some(Num::Int(3 * i128::from(u64::MAX))));
    }
}
