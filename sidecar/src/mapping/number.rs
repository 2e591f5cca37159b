//! Arithmetic of mapping. It is exact for integers, and for integers multiplied, divided or offset by decimals.

use std::num::NonZero;

use sidecar_config::Round;

use crate::sample::Number;

/// An intermediate number between samples and a value.
///
/// A double without a fraction is converted to an integer, so that `1.5e+09` is as exact as `1500000000`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Num {
    /// An exact integer.
    Int(i128),
    /// An exact fraction that is not an integer: a numerator and a denominator.
    Ratio(i128, NonZero<u64>),
    /// A double: with a fraction, infinite, NaN, or too large for an exact integer.
    Float(f64),
}

/// Doubles from this magnitude on are not converted to integers, so that sums of many terms do not overflow.
const EXACT: f64 = 1e30;

/// Up to this magnitude (2⁵³) every integer is a double.
const CONSECUTIVE: f64 = 9_007_199_254_740_992.0;

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

/// Returns `v` as an integer, if it is an integer with a magnitude below `limit`.
#[allow(clippy::cast_possible_truncation, reason = "no fraction, and within the range")]
fn integer(v: f64, limit: f64) -> Option<i128> {
    (v.abs() < limit && v.trunc().total_cmp(&v).is_eq()).then_some(v as i128)
}

#[allow(clippy::cast_precision_loss, reason = "the nearest double is wanted")]
fn float(v: i128) -> f64 {
    v as f64
}

/// Returns a factor or offset of the configuration as a numerator and a positive denominator.
///
/// It is taken as an integer, as one over an integer, or as the decimal in the configuration, that is the shortest one
/// that parses as the same double. `None`: the numerator or denominator is too large.
fn fraction(v: f64) -> Option<(i128, i128)> {
    if let Some(whole) = integer(v, CONSECUTIVE) {
        return Some((whole, 1));
    }
    let inverse = (1.0 / v).round();
    if let Some(over) = integer(inverse, CONSECUTIVE)
        && (1.0 / inverse).total_cmp(&v).is_eq()
    {
        return Some((over.signum(), over.abs()));
    }
    let decimal = format!("{v:e}");
    let (digits, exponent) = decimal.split_once('e')?;
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal_places = i32::try_from(decimals.len()).ok()? - exponent.parse::<i32>().ok()?;
    let denominator = 10_u64.checked_pow(u32::try_from(decimal_places).ok()?)?;
    Some((format!("{whole}{decimals}").parse().ok()?, denominator.into()))
}

impl Num {
    pub(super) const ZERO: Self = Self::Int(0);

    /// Returns a number of the configuration as the decimal that is written there.
    pub(super) fn from_decimal(v: f64) -> Self {
        fraction(v).map_or_else(|| Self::from(v), |(numerator, denominator)| Self::quotient(numerator, denominator))
    }

    /// Returns the quotient, exact if the denominator fits in 64 bits.
    fn quotient(numerator: i128, denominator: i128) -> Self {
        if numerator.checked_rem(denominator) == Some(0) {
            return Self::Int(numerator / denominator);
        }
        match u64::try_from(denominator).ok().and_then(NonZero::new) {
            Some(denominator) => Self::Ratio(numerator, denominator),
            None => Self::from(float(numerator) / float(denominator)),
        }
    }

    /// Returns the numerator and the denominator of an exact number.
    fn parts(self) -> Option<(i128, i128)> {
        match self {
            Self::Int(v) => Some((v, 1)),
            Self::Ratio(numerator, denominator) => Some((numerator, denominator.get().into())),
            Self::Float(_) => None,
        }
    }

    /// Returns the nearest double. For a ratio with more than 53 bits it may be the one next to it.
    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(v) => float(v),
            Self::Ratio(numerator, denominator) => float(numerator) / float(denominator.get().into()),
            Self::Float(v) => v,
        }
    }

    pub(super) fn is_nan(self) -> bool {
        matches!(self, Self::Float(v) if v.is_nan())
    }

    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Int(_) | Self::Ratio(..) => true,
            Self::Float(v) => v.is_finite(),
        }
    }

    /// Returns whether the number is less than `other`. NaN is not less than any number.
    pub(super) fn less(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a < b,
            (a, b) => a.as_f64() < b.as_f64(),
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        self.sum(other).unwrap_or_else(|| Self::from(self.as_f64() + other.as_f64()))
    }

    /// Returns the exact sum, if both numbers are exact and the sum fits.
    fn sum(self, other: Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return a.checked_add(b).map(Self::Int);
        }
        let ((a, over), (b, other_over)) = (self.parts()?, other.parts()?);
        let numerator = a.checked_mul(other_over)?.checked_add(b.checked_mul(over)?)?;
        Some(Self::quotient(numerator, over.checked_mul(other_over)?))
    }

    pub(super) fn subtract(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) if let Some(difference) = a.checked_sub(b) => Self::Int(difference),
            (a, b) => Self::from(a.as_f64() - b.as_f64()),
        }
    }

    /// Returns the exact product with a fraction, if the number is exact and the product fits.
    fn product(self, (numerator, denominator): (i128, i128)) -> Option<Self> {
        let (a, over) = self.parts()?;
        Some(Self::quotient(a.checked_mul(numerator)?, over.checked_mul(denominator)?))
    }

    /// Divides by a count of at least 1.
    pub(super) fn divide(self, count: i128) -> Self {
        self.product((1, count)).unwrap_or_else(|| Self::from(self.as_f64() / float(count)))
    }

    /// Rounds to an integer. Doubles beyond 128 bits saturate. `None`: NaN or infinite.
    #[allow(clippy::cast_possible_truncation, reason = "saturation is wanted")]
    pub(super) fn round(self, how: Round) -> Option<i128> {
        match self {
            Self::Int(v) => Some(v),
            Self::Ratio(numerator, denominator) => {
                let denominator = i128::from(denominator.get());
                let (below, rest) = (numerator.div_euclid(denominator), numerator.rem_euclid(denominator));
                let up = match how {
                    Round::Nearest if rest * 2 == denominator => numerator > 0,
                    Round::Nearest => rest * 2 > denominator,
                    Round::Floor => false,
                    Round::Ceil => true,
                };
                Some(below + i128::from(up))
            }
            Self::Float(v) if !v.is_finite() => None,
            Self::Float(v) => Some(match how {
                Round::Nearest => v.round(),
                Round::Floor => v.floor(),
                Round::Ceil => v.ceil(),
            } as i128),
        }
    }
}

/// A factor. It multiplies exact numbers exactly: 0.001 is 1/1000, although no double equals 0.001.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    factor: f64,
    fraction: Option<(i128, i128)>,
}

impl From<f64> for Scale {
    fn from(factor: f64) -> Self {
        Self { factor, fraction: fraction(factor) }
    }
}

impl Scale {
    pub(super) fn apply(self, num: Num) -> Num {
        let exact = self.fraction.and_then(|fraction| num.product(fraction));
        exact.unwrap_or_else(|| {
            let num = num.as_f64();
            // Division by an integer rounds once. The inverse of the integer is already rounded.
            Num::from(match self.fraction {
                Some((sign @ (1 | -1), divisor)) => num / float(sign * divisor),
                _ => num * self.factor,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

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
    fn an_integer_times_an_integer_is_exact() {
        assert_eq!(scaled(Number::Unsigned(u64::MAX), 1000.0), Num::Int(i128::from(u64::MAX) * 1000));
        assert_eq!(scaled(Number::Signed(i64::MIN), -8.0), Num::Int(i128::from(i64::MIN) * -8));
    }

    #[rstest]
    #[case::an_integer(-8.0, Some((-8, 1)))]
    #[case::one_over_a_power_of_ten(0.001, Some((1, 1000)))]
    #[case::one_over_an_integer(1.0 / 3.0, Some((1, 3)))]
    #[case::minus_one_over_an_integer(-0.5, Some((-1, 2)))]
    #[case::a_decimal(0.3, Some((3, 10)))]
    #[case::a_decimal_above_one(-1.25, Some((-125, 100)))]
    #[case::a_decimal_with_17_digits(0.123_456_789_012_345_66, Some((12_345_678_901_234_566, 100_000_000_000_000_000)))]
    #[case::a_factor_that_is_too_large(1e30, None)]
    #[case::a_decimal_that_is_too_small(3e-20, None)]
    #[case::the_smallest_double(5e-324, None)]
    fn a_factor_is_converted_to_a_fraction(#[case] factor: f64, #[case] expected: Option<(i128, i128)>) {
        assert_eq!(fraction(factor), expected);
    }

    #[test]
    fn an_integer_times_a_decimal_is_exact_and_a_double_is_rounded_once() {
        let whole = i128::from(u64::MAX / 1000);
        assert_eq!(scaled(Number::Unsigned(u64::MAX / 1000 * 1000), 0.001), Num::Int(whole));
        let [a_half, three_tenths] = [(5, 2), (3, 10)].map(|(n, d)| Num::quotient(n, d).as_f64());
        assert_eq!(scaled(Number::Signed(2500), 0.001).as_f64().to_bits(), a_half.to_bits());
        assert_eq!(scaled(Number::Signed(1), 0.3).as_f64().to_bits(), three_tenths.to_bits());
        assert_eq!(scaled(Number::Float(0.3), 0.001), Num::Float(0.3 / 1000.0));
        assert_eq!(scaled(Number::Float(0.3), 0.7), Num::Float(0.3 * 0.7));
        // A product of more than 127 bits is a double.
        assert_eq!(scaled(Number::Float(1e29), 0.123_456_789_012_345_66), Num::from(1e29 * 0.123_456_789_012_345_66));
    }

    #[test]
    fn a_number_takes_32_bytes() {
        assert_eq!(size_of::<Num>(), 32);
    }

    #[test]
    fn scales_of_any_size_do_not_panic() {
        assert_eq!(scaled(Number::Signed(5), 0.0), Num::Int(0));
        assert!(scaled(Number::Float(f64::INFINITY), 0.0).is_nan());
        assert_eq!(scaled(Number::Signed(1), 1e300), Num::Float(1e300));
        assert!(!scaled(Number::Float(1e300), 1e300).is_finite());
        let tiny = scaled(Number::Signed(1), f64::MIN_POSITIVE / 4.0);
        assert_eq!(tiny.round(Round::Nearest), Some(0));
    }

    #[test]
    fn halves_round_away_from_zero_and_floor_and_ceil_apply() {
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
    fn sums_are_exact_up_to_128_bits_and_doubles_beyond() {
        let big = Num::Int(i128::MAX);
        assert_eq!(big.add(Num::Int(-1)), Num::Int(i128::MAX - 1));
        assert_eq!(big.add(big), Num::Float(float(i128::MAX) * 2.0));
        assert_eq!(Num::Int(1).add(Num::Float(0.5)), Num::Float(1.5));
        assert_eq!(Num::Float(0.5).add(Num::Float(0.5)), Num::Int(1));
        assert_eq!(Num::Int(7).divide(2).as_f64().to_bits(), 3.5_f64.to_bits());
        assert_eq!(Num::Int(7).divide(2).add(Num::from_decimal(-0.5)), Num::Int(3));
        assert_eq!(Num::Int(8).divide(2), Num::Int(4));
    }

    /// Returns `numerator / denominator`, rounded with integer arithmetic: the model. `denominator` is positive.
    fn rounded(numerator: i128, denominator: i128, how: Round) -> i128 {
        let (towards_zero, rest) = (numerator / denominator, numerator % denominator);
        match how {
            Round::Floor => towards_zero - i128::from(rest < 0),
            Round::Ceil => towards_zero + i128::from(rest > 0),
            Round::Nearest => {
                let magnitude = (2 * numerator.abs() + denominator) / (2 * denominator);
                magnitude * numerator.signum()
            }
        }
    }

    fn how() -> impl Strategy<Value = Round> {
        prop::sample::select(vec![Round::Nearest, Round::Floor, Round::Ceil])
    }

    proptest! {
        #[test]
        fn an_integer_with_a_decimal_scale_and_offset_rounds_exactly(
            value in any::<i64>(), scale in -1_000_000..1_000_000_i64, places in 0..9_u32,
            offset in -1_000_000..1_000_000_i64, offset_places in 0..9_u32, how in how(),
        ) {
            let parsed = |digits: i64, places: u32| format!("{digits}e-{places}").parse::<f64>().unwrap();
            let shown = Scale::from(parsed(scale, places)).apply(Num::from(Number::Signed(value)))
                .add(Num::from_decimal(parsed(offset, offset_places)));
            let (over, offset_over) = (10_i128.pow(places), 10_i128.pow(offset_places));
            let numerator = i128::from(value) * i128::from(scale) * offset_over + i128::from(offset) * over;
            prop_assert_eq!(shown.round(how), Some(rounded(numerator, over * offset_over, how)));
        }

        #[test]
        fn an_average_of_integers_rounds_exactly(
            values in prop::collection::vec(any::<u64>(), 1..20), how in how(),
        ) {
            let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
            let count = i128::try_from(values.len()).unwrap();
            let total = values.iter().fold(Num::ZERO, |total, value| total.add(Num::from(Number::Unsigned(*value))));
            prop_assert_eq!(total.divide(count).round(how), Some(rounded(sum, count, how)));
        }

        #[test]
        fn a_double_rounds_exactly(value in -1e15..1e15_f64, how in how()) {
            // Every double is a multiple of 2^-1074; the test only uses multiples of 2^-60.
            let scaled = value * 2_f64.powi(60);
            prop_assume!(scaled.fract() == 0.0);
            #[allow(clippy::cast_possible_truncation, reason = "a whole number below 2^110")]
            let numerator = scaled as i128;
            prop_assert_eq!(Num::from(value).round(how), Some(rounded(numerator, 1 << 60, how)));
        }
    }
}
