//! Numbers as mapping reckons with them: exact as long as they are integers.

use sidecar_config::Round;

use crate::sample::Number;

/// A number on its way from samples to a value.
///
/// A double without a fraction is an integer here too, so that `1.5e+09` on a page stays as exact as `1500000000`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Num {
    /// An exact integer.
    Int(i128),
    /// A fraction, infinity, NaN, or what is too large for an exact integer.
    Float(f64),
}

/// Doubles from here on are not made integers: sums of smaller ones cannot overflow for many terms.
const EXACT: f64 = 1e30;

/// Factors up to here multiply exactly.
const FACTOR: f64 = 9_007_199_254_740_992.0;

impl From<Number> for Num {
    fn from(number: Number) -> Self {
        match number {
            Number::Signed(v) => Self::Int(v.into()),
            Number::Unsigned(v) => Self::Int(v.into()),
            Number::Float(v) => Self::from(v),
        }
    }
}

impl From<f64> for Num {
    fn from(v: f64) -> Self {
        integer(v, EXACT).map_or(Self::Float(v), Self::Int)
    }
}

/// `v` as an integer, where it is one below `limit`.
#[allow(clippy::cast_possible_truncation, reason = "no fraction, and within the range")]
fn integer(v: f64, limit: f64) -> Option<i128> {
    (v.abs() < limit && v.trunc().total_cmp(&v).is_eq()).then_some(v as i128)
}

#[allow(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
fn float(v: i128) -> f64 {
    v as f64
}

impl Num {
    pub(super) const ZERO: Self = Self::Int(0);

    /// The nearest double.
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(v) => float(v),
            Self::Float(v) => v,
        }
    }

    pub(super) fn is_nan(self) -> bool {
        matches!(self, Self::Float(v) if v.is_nan())
    }

    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Float(v) => v.is_finite(),
        }
    }

    /// Whether it is less than `other`; NaN is less than nothing.
    pub(super) fn less(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a < b,
            (a, b) => a.as_f64() < b.as_f64(),
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        self.exactly(other, i128::checked_add, |a, b| a + b)
    }

    pub(super) fn subtract(self, other: Self) -> Self {
        self.exactly(other, i128::checked_sub, |a, b| a - b)
    }

    /// Divides by a count of at least 1; exact where nothing is left over.
    pub(super) fn divide(self, count: i128) -> Self {
        match self {
            Self::Int(v) if v.checked_rem(count) == Some(0) => v.checked_div(count).map_or(self, Self::Int),
            _ => Self::from(self.as_f64() / float(count)),
        }
    }

    fn exactly(self, other: Self, exact: fn(i128, i128) -> Option<i128>, inexact: fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => {
                exact(a, b).map_or_else(|| Self::Float(inexact(float(a), float(b))), Self::Int)
            }
            (a, b) => Self::from(inexact(a.as_f64(), b.as_f64())),
        }
    }

    /// The integer that it rounds to; doubles beyond 128 bits saturate. `None` for NaN and the infinities.
    #[allow(clippy::cast_possible_truncation, reason = "saturates, which is wanted")]
    pub(super) fn round(self, how: Round) -> Option<i128> {
        match self {
            Self::Int(v) => Some(v),
            Self::Float(v) if !v.is_finite() => None,
            Self::Float(v) => Some(match how {
                Round::Nearest => v.round(),
                Round::Floor => v.floor(),
                Round::Ceil => v.ceil(),
            } as i128),
        }
    }
}

/// A factor, in the form that loses least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    /// An integer: integers stay exact.
    Times(i128),
    /// One over an integer, as 0.001: division rounds once and is exact where nothing is left over, whereas 0.001 itself
    /// is no double.
    Over(i128),
    /// Any other factor.
    By(f64),
}

impl From<f64> for Scale {
    fn from(factor: f64) -> Self {
        if let Some(times) = integer(factor, FACTOR) {
            return Self::Times(times);
        }
        let inverse = (1.0 / factor).round();
        match integer(inverse, FACTOR) {
            Some(over) if (1.0 / inverse).total_cmp(&factor).is_eq() => Self::Over(over),
            _ => Self::By(factor),
        }
    }
}

impl Scale {
    pub(super) fn apply(self, num: Num) -> Num {
        match self {
            Self::Times(factor) => num.exactly(Num::Int(factor), i128::checked_mul, |a, b| a * b),
            Self::Over(divisor) => num.divide(divisor),
            Self::By(factor) => Num::from(num.as_f64() * factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(value: Number, factor: f64) -> Num {
        Scale::from(factor).apply(Num::from(value))
    }

    #[test]
    fn a_double_without_a_fraction_is_an_exact_integer() {
        for (float, num) in [
            (1.5e9, Num::Int(1_500_000_000)),
            (-0.0, Num::Int(0)),
            (9_007_199_254_740_993.0, Num::Int(9_007_199_254_740_992)),
            (0.5, Num::Float(0.5)),
            (1e300, Num::Float(1e300)),
            (f64::INFINITY, Num::Float(f64::INFINITY)),
        ] {
            assert_eq!(Num::from(float), num);
        }
        assert!(Num::from(f64::NAN).is_nan());
    }

    #[test]
    fn an_integral_scale_of_an_integer_loses_no_bit() {
        assert_eq!(scaled(Number::Unsigned(u64::MAX), 1000.0), Num::Int(i128::from(u64::MAX) * 1000));
        assert_eq!(scaled(Number::Signed(i64::MIN), -8.0), Num::Int(i128::from(i64::MIN) * -8));
    }

    #[test]
    fn one_over_an_integer_divides_and_is_exact_where_nothing_is_left_over() {
        assert_eq!(Scale::from(0.001), Scale::Over(1000));
        assert_eq!(Scale::from(1.0 / 3.0), Scale::Over(3));
        assert_eq!(Scale::from(0.3), Scale::By(0.3));
        assert_eq!(Scale::from(-0.5), Scale::Over(-2));
        let whole = i128::from(u64::MAX / 1000);
        assert_eq!(scaled(Number::Unsigned(u64::MAX / 1000 * 1000), 0.001), Num::Int(whole));
        assert_eq!(scaled(Number::Signed(2500), 0.001), Num::Float(2.5));
        assert_eq!(scaled(Number::Signed(-7), -0.5), Num::Float(3.5));
    }

    #[test]
    fn a_scale_of_zero_and_scales_of_any_size_are_harmless() {
        assert_eq!(scaled(Number::Signed(5), 0.0), Num::Int(0));
        assert!(scaled(Number::Float(f64::INFINITY), 0.0).is_nan());
        assert_eq!(scaled(Number::Signed(1), 1e300), Num::Float(1e300));
        assert!(!scaled(Number::Float(1e300), 1e300).is_finite());
        let tiny = scaled(Number::Signed(1), f64::MIN_POSITIVE / 4.0);
        assert_eq!(tiny.round(Round::Nearest), Some(0));
    }

    #[test]
    fn halves_round_away_from_zero_and_the_rest_as_asked() {
        for (value, nearest, floor, ceil) in
            [(2.5, 3, 2, 3), (-2.5, -3, -3, -2), (0.49, 0, 0, 1), (-0.2, 0, -1, 0), (7.0, 7, 7, 7)]
        {
            let num = Num::from(value);
            assert_eq!(num.round(Round::Nearest), Some(nearest), "{value}");
            assert_eq!(num.round(Round::Floor), Some(floor), "{value}");
            assert_eq!(num.round(Round::Ceil), Some(ceil), "{value}");
        }
        assert_eq!(Num::Float(f64::NAN).round(Round::Nearest), None);
        assert_eq!(Num::Float(f64::NEG_INFINITY).round(Round::Nearest), None);
        assert_eq!(Num::Float(1e300).round(Round::Nearest), Some(i128::MAX));
    }

    #[test]
    fn sums_are_exact_until_128_bits_and_doubles_beyond() {
        let big = Num::Int(i128::MAX);
        assert_eq!(big.add(Num::Int(-1)), Num::Int(i128::MAX - 1));
        assert_eq!(big.add(big), Num::Float(float(i128::MAX) * 2.0));
        assert_eq!(Num::Int(1).add(Num::Float(0.5)), Num::Float(1.5));
        assert_eq!(Num::Float(0.5).add(Num::Float(0.5)), Num::Int(1));
        assert_eq!(Num::Int(7).divide(2), Num::Float(3.5));
        assert_eq!(Num::Int(8).divide(2), Num::Int(4));
    }
}
