//! Numbers as both formats write them.
//!
//! The text format has what Go's `ParseFloat` reads, as Prometheus restricts it: no hexadecimal and no
//! underscores. OpenMetrics 1.0 section 5.1 `number` is the same set.

use super::error::{Excerpt, Reason};
use crate::sample::Number;

/// Reads a value. Integer literals stay exact to 64 bits.
pub(super) fn value(token: &str) -> Result<Number, Reason> {
    let (negative, magnitude) = split_sign(token.as_bytes());
    // 18 digits are always within 64 bits with sign.
    if (1..=18).contains(&magnitude.len())
        && let Some(magnitude) = digits(magnitude)
    {
        return Ok(Number::Signed(if negative { -magnitude } else { magnitude }));
    }
    match magnitude {
        [b'0'..=b'9' | b'.', ..] => decimal(token, magnitude),
        _ => special(token),
    }
}

/// Checks a timestamp of the text format: milliseconds, 64 bits with sign.
pub(super) fn milliseconds(token: &str) -> Result<(), Reason> {
    token.parse::<i64>().map(|_| ()).map_err(|_| Reason::Timestamp(Excerpt::new(token)))
}

/// Checks a timestamp of OpenMetrics: seconds, any finite number.
pub(super) fn seconds(token: &str) -> Result<(), Reason> {
    match value(token) {
        Ok(seconds) if seconds.as_f64().is_finite() => Ok(()),
        _ => Err(Reason::Timestamp(Excerpt::new(token))),
    }
}

fn split_sign(token: &[u8]) -> (bool, &[u8]) {
    match token {
        [b'-', magnitude @ ..] => (true, magnitude),
        [b'+', magnitude @ ..] => (false, magnitude),
        _ => (false, token),
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// What begins with a digit or a point is a number to Rust exactly where it is one to both formats.
fn decimal(token: &str, magnitude: &[u8]) -> Result<Number, Reason> {
    if magnitude.iter().all(u8::is_ascii_digit) {
        if let Ok(integer) = token.parse() {
            return Ok(Number::Signed(integer));
        }
        if let Ok(integer) = token.parse() {
            return Ok(Number::Unsigned(integer));
        }
    }
    match token.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Number::Float(value)),
        Ok(_) => Err(Reason::Range(Excerpt::new(token))),
        Err(_) => Err(Reason::Number(Excerpt::new(token))),
    }
}

/// Infinities with or without a sign, and NaN without one; in any case.
fn special(token: &str) -> Result<Number, Reason> {
    let (negative, magnitude) = split_sign(token.as_bytes());
    if magnitude.eq_ignore_ascii_case(b"inf") || magnitude.eq_ignore_ascii_case(b"infinity") {
        return Ok(Number::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    if token.eq_ignore_ascii_case("nan") {
        return Ok(Number::Float(f64::NAN));
    }
    Err(Reason::Number(Excerpt::new(token)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Number::Signed(0))]
    #[case("-0", Number::Signed(0))]
    #[case("+7", Number::Signed(7))]
    #[case("007", Number::Signed(7))]
    #[case("999999999999999999", Number::Signed(999_999_999_999_999_999))]
    #[case("9007199254740993", Number::Signed(9_007_199_254_740_993))]
    #[case("9223372036854775807", Number::Signed(i64::MAX))]
    #[case("-9223372036854775808", Number::Signed(i64::MIN))]
    #[case("9223372036854775808", Number::Unsigned(1 << 63))]
    #[case("18446744073709551615", Number::Unsigned(u64::MAX))]
    #[case("+18446744073709551615", Number::Unsigned(u64::MAX))]
    #[case("18446744073709551616", Number::Float(18_446_744_073_709_551_616.0))]
    #[case("-9223372036854775809", Number::Float(-9_223_372_036_854_775_809.0))]
    #[case("1.5", Number::Float(1.5))]
    #[case("5.", Number::Float(5.0))]
    #[case(".5", Number::Float(0.5))]
    #[case("-.5E-1", Number::Float(-0.05))]
    #[case("1e3", Number::Float(1000.0))]
    #[case("1.7976931348623157e+308", Number::Float(f64::MAX))]
    #[case("1e-999", Number::Float(0.0))]
    #[case("4.9351e-05", Number::Float(4.9351e-05))]
    #[case("+Inf", Number::Float(f64::INFINITY))]
    #[case("Inf", Number::Float(f64::INFINITY))]
    #[case("-inf", Number::Float(f64::NEG_INFINITY))]
    #[case("-Infinity", Number::Float(f64::NEG_INFINITY))]
    fn numbers_are_read_exactly(#[case] token: &str, #[case] expected: Number) {
        assert_eq!(value(token), Ok(expected));
    }

    #[rstest]
    #[case("NaN")]
    #[case("nan")]
    #[case("NAN")]
    fn nan_is_read_in_any_case(#[case] token: &str) {
        assert!(value(token).unwrap().as_f64().is_nan());
    }

    #[rstest]
    fn what_is_not_a_number_is_refused(
        #[values(
            "", "+", "-", ".", "-.", "e5", ".e5", "1e", "1e+", "1e5.0", "1.2.3", "0x1f", "0x1p-3", "1_000", "0b1",
            "1f", "+NaN", "-nan", "in", "infinit", "true", "1,5", "1\r", "--1", "+-1", "½"
        )]
        token: &str,
    ) {
        assert_eq!(value(token), Err(Reason::Number(Excerpt::new(token))));
    }

    #[test]
    fn a_literal_beyond_the_doubles_is_not_taken_for_infinity() {
        for token in ["1e999", "-1e999", &"9".repeat(400)] {
            assert_eq!(value(token), Err(Reason::Range(Excerpt::new(token))));
        }
    }

    #[rstest]
    #[case("1520879607789", true, true)]
    #[case("-5", true, true)]
    #[case("9223372036854775808", false, true)]
    #[case("1520879607.789", false, true)]
    #[case("1e3", false, true)]
    #[case("NaN", false, false)]
    #[case("+Inf", false, false)]
    #[case("1_2", false, false)]
    #[case("", false, false)]
    fn timestamps_are_checked(#[case] token: &str, #[case] text: bool, #[case] open_metrics: bool) {
        assert_eq!((milliseconds(token).is_ok(), seconds(token).is_ok()), (text, open_metrics));
    }
}
