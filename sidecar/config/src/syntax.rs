//! Conversion of texts to values of a syntax, for constants, labels and values of missing samples.

use std::{net::Ipv4Addr, str::FromStr};

use agentx::{Oid, Value};

use crate::Syntax;

/// Why a text cannot be converted to a syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It is not a decimal integer within the range of the syntax.
    #[error("expected a whole number from {min} to {max}")]
    Integer {
        /// The minimum.
        min: i64,
        /// The maximum.
        max: u64,
    },
    /// It is longer than the syntax allows.
    #[error("it has {len} octets; at most {max} allowed")]
    TooLong {
        /// The length of the text, in octets.
        len: usize,
        /// The maximum length, in octets.
        max: usize,
    },
    /// It is not ASCII, as a DisplayString must be (RFC 2579).
    #[error("it contains characters other than ASCII; use OctetString for them")]
    NotAscii,
    /// It is not an IPv4 address.
    #[error("expected an IPv4 address, for example 192.0.2.1")]
    IpAddress,
    /// It is not an object identifier with at least two arcs.
    #[error("expected an object identifier, for example 1.3.6.1")]
    ObjectIdentifier,
    /// It is not a truth value.
    #[error("expected true, false, 1 or 2")]
    TruthValue,
}

impl Syntax {
    /// The longest OctetString, in octets. AgentX and UDP cannot transport longer ones.
    pub const MAX_OCTETS: usize = 65_000;
    /// The longest DisplayString, in octets (RFC 2579 section 2).
    pub const MAX_DISPLAY_OCTETS: usize = 255;

    /// Returns whether values are strings: OctetString and DisplayString.
    #[must_use]
    pub const fn is_string(self) -> bool {
        matches!(self, Self::OctetString | Self::DisplayString)
    }

    /// Returns whether values only increase and wrap around: Counter32 and Counter64.
    #[must_use]
    pub const fn is_counter(self) -> bool {
        matches!(self, Self::Counter32 | Self::Counter64)
    }

    /// Returns whether a number can be converted to it: all but IpAddress and ObjectIdentifier.
    #[must_use]
    pub const fn takes_numbers(self) -> bool {
        !matches!(self, Self::IpAddress | Self::ObjectIdentifier)
    }

    /// Converts `text` to a value of this syntax. Numbers are decimal, TimeTicks are hundredths of a second, and truth values
    /// are `true`, `false`, `1` or `2`.
    ///
    /// # Errors
    /// Returns an error if the text is not a value of the syntax.
    pub fn read_text(self, text: &str) -> Result<Value, TextError> {
        let unsigned = || natural(text).ok_or(TextError::Integer { min: 0, max: u32::MAX.into() });
        let octets = |max| match text.len() {
            len if len > max => Err(TextError::TooLong { len, max }),
            _ => Ok(Value::OctetString(text.as_bytes().to_vec())),
        };
        match self {
            Self::Integer32 => text
                .parse()
                .map(Value::Integer)
                .map_err(|_| TextError::Integer { min: i32::MIN.into(), max: i32::MAX.unsigned_abs().into() }),
            Self::Unsigned32 | Self::Gauge32 => unsigned().map(Value::Gauge32),
            Self::Counter32 => unsigned().map(Value::Counter32),
            Self::TimeTicks => unsigned().map(Value::TimeTicks),
            Self::Counter64 => natural(text).map(Value::Counter64).ok_or(TextError::Integer { min: 0, max: u64::MAX }),
            Self::OctetString => octets(Self::MAX_OCTETS),
            Self::DisplayString if !text.is_ascii() => Err(TextError::NotAscii),
            Self::DisplayString => octets(Self::MAX_DISPLAY_OCTETS),
            Self::IpAddress => {
                text.parse::<Ipv4Addr>().map(|ip| Value::IpAddress(ip.octets())).map_err(|_| TextError::IpAddress)
            }
            Self::ObjectIdentifier => {
                text.parse().ok().filter(is_identifier).map(Value::ObjectIdentifier).ok_or(TextError::ObjectIdentifier)
            }
            Self::TruthValue => match text {
                "true" | "1" => Ok(Value::Integer(1)),
                "false" | "2" => Ok(Value::Integer(2)),
                _ => Err(TextError::TruthValue),
            },
        }
    }
}

/// Parses digits. The standard library would also accept a plus sign.
fn natural<T: FromStr>(text: &str) -> Option<T> {
    Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok())
}

/// Returns whether the arcs can be the value of a variable: at least two, the first below 3, and the second below 40 after
/// 0 and 1 (X.690 section 8.19 encodes them as one).
fn is_identifier(oid: &Oid) -> bool {
    match oid.as_slice() {
        [0 | 1, second, ..] => *second < 40,
        [2, second, ..] => *second <= u32::MAX - 80,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_converted_to_their_syntax() {
        let oid = |text: &str| Value::ObjectIdentifier(text.parse().unwrap());
        let octets = |text: &str| Value::OctetString(text.into());
        let cases = [
            (Syntax::Integer32, "-2147483648", Some(Value::Integer(i32::MIN))),
            (Syntax::Integer32, "2147483648", None),
            (Syntax::Integer32, "1.5", None),
            (Syntax::Unsigned32, "4294967295", Some(Value::Gauge32(u32::MAX))),
            (Syntax::Gauge32, "-1", None),
            (Syntax::Counter32, "4294967296", None),
            (Syntax::Counter32, "7", Some(Value::Counter32(7))),
            (Syntax::Counter64, "18446744073709551615", Some(Value::Counter64(u64::MAX))),
            (Syntax::Counter64, "", None),
            (Syntax::Counter64, "+5", None),
            (Syntax::ObjectIdentifier, "1.40.1", None),
            (Syntax::TimeTicks, "100", Some(Value::TimeTicks(100))),
            (Syntax::OctetString, "Zürich", Some(octets("Zürich"))),
            (Syntax::DisplayString, "Zürich", None),
            (Syntax::DisplayString, "acme", Some(octets("acme"))),
            (Syntax::IpAddress, "192.0.2.1", Some(Value::IpAddress([192, 0, 2, 1]))),
            (Syntax::IpAddress, "::1", None),
            (Syntax::ObjectIdentifier, "1.3.6", Some(oid("1.3.6"))),
            (Syntax::ObjectIdentifier, "1", None),
            (Syntax::TruthValue, "true", Some(Value::Integer(1))),
            (Syntax::TruthValue, "2", Some(Value::Integer(2))),
            (Syntax::TruthValue, "yes", None),
        ];
        for (syntax, text, value) in cases {
            assert_eq!(syntax.read_text(text).ok(), value, "{syntax:?} of {text:?}");
        }
        let long = "x".repeat(256);
        assert_eq!(Syntax::DisplayString.read_text(&long), Err(TextError::TooLong { len: 256, max: 255 }));
    }
}
