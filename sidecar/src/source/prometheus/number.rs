//! Numbers as both formats write them.
//!
//! The text format has what Go's `ParseFloat` reads, as Prometheus restricts it: no hexadecimal and no
//! underscores. OpenMetrics 1.0 section 5.1 `number` is the same set.

use super::error::{Excerpt, Reason};
use crate::sample::Number;

/// Reads a value. Integer literals stay exact to 64 bits.
pub(super) fn value(token: &str) -> Result<Number, Reason> {
    let (_, magnitude) = split_sign(token.as_bytes());
    match magnitude {
        [b'0'..=b'9' | b'.', ..] => decimal(token, magnitude),
        _ => special(token),
    }
}

/// The value that `text` begins with, and its length, if it is an integer without sign in front of a space or a line
/// feed, as most values are.
pub(super) fn short_integer(text: &[u8]) -> Option<(Number, usize)> {
    // 18 digits are always within 64 bits with sign.
    const MAX_DIGITS: usize = 18;
    let mut sum = 0;
    for (place, byte) in text.iter().take(MAX_DIGITS + 1).enumerate() {
        match byte {
            b'0'..=b'9' if place < MAX_DIGITS => sum = sum * 10 + i64::from(byte - b'0'),
            b' ' | b'\n' if place > 0 => return Some((Number::Signed(sum), place)),
            _ => return None,
        }
    }
    None
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
