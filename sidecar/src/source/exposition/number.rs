//! Numbers of both formats.
//!
//! The text format has the numbers of Go's `ParseFloat` without hexadecimal numbers and underscores, as in Prometheus.
//! `number` in OpenMetrics 1.0 section 5.1 is the same set.

use super::error::{Excerpt, Reason};
use crate::sample::Number;

/// Parses a value. Integer literals of up to 64 bits are exact.
pub(super) fn value(token: &str) -> Result<Number, Reason> {
    let (_, magnitude) = split_sign(token.as_bytes());
    match magnitude {
        [b'0'..=b'9' | b'.', ..] => decimal(token, magnitude),
        _ => special(token),
    }
}

/// Parses the value at the beginning of `text`, if it is an unsigned integer followed by a space or line feed, as most
/// values are. Returns the value and its length.
pub(super) fn short_integer(text: &[u8]) -> Option<(Number, usize)> {
    // 18 digits always fit in `i64`.
    const MAX_DIGITS: usize = 18;
    let mut sum = 0;
    for (position, byte) in text.iter().take(MAX_DIGITS + 1).enumerate() {
        match byte {
            b'0'..=b'9' if position < MAX_DIGITS => sum = sum * 10 + i64::from(byte - b'0'),
            b' ' | b'\n' if position > 0 => return Some((Number::Signed(sum), position)),
            _ => return None,
        }
    }
    None
}

/// Checks a timestamp of the text format: milliseconds in 64 bits with sign.
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

/// Parses a number that begins with a digit or a decimal point. For these, Rust's syntax equals that of both formats.
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

/// Parses infinities with or without a sign, and NaN without one, in upper or lower case.
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
