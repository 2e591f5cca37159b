//! Conversion of PostgreSQL values from their binary format. The octets come from the server and are not trusted.

use std::{error::Error, fmt::Write as _};

use tokio_postgres::types::{FromSql, Kind, Type};

use crate::{sample::Number, source::sql::rows::Cell};

/// The seconds from 1970 to 2000, the epoch of PostgreSQL.
const EPOCH: f64 = 946_684_800.0;
const DAY: f64 = 86_400.0;
const MICROSECONDS: f64 = 1e6;
/// The maximum number of four-digit groups before the decimal point. Larger numbers are infinite as a double.
const MAX_GROUPS: i32 = 80;

/// A value other than NULL.
#[derive(Debug, PartialEq)]
pub(super) struct Value(pub(super) Cell);

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, octets: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(cell(kind, octets)?))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn cell(kind: &Type, octets: &[u8]) -> Result<Cell, String> {
    if let Kind::Domain(of) = kind.kind() {
        return cell(of, octets);
    }
    if matches!(kind.kind(), Kind::Enum(_)) || kind.name() == "citext" {
        return text_cell(octets);
    }
    let number = match *kind {
        Type::BOOL => Number::Signed(i64::from(array::<1>(octets)? != [0])),
        Type::INT2 => Number::Signed(i16::from_be_bytes(array(octets)?).into()),
        Type::INT4 => Number::Signed(i32::from_be_bytes(array(octets)?).into()),
        Type::INT8 => Number::Signed(i64::from_be_bytes(array(octets)?)),
        Type::OID | Type::XID => Number::Unsigned(u32::from_be_bytes(array(octets)?).into()),
        Type::FLOAT4 => Number::Float(f32::from_be_bytes(array(octets)?).into()),
        Type::FLOAT8 => Number::Float(f64::from_be_bytes(array(octets)?)),
        Type::NUMERIC => numeric(octets)?,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => time(i64::from_be_bytes(array(octets)?)),
        Type::DATE => date(i32::from_be_bytes(array(octets)?)),
        Type::INTERVAL => interval(octets)?,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR => {
            return text_cell(octets);
        }
        _ => {
            let name = kind.name();
            return Err(format!(
                "has the type {name}, which is neither a number nor a text; cast it, for example to text"
            ));
        }
    };
    Ok(Cell::Number(number))
}

fn text_cell(octets: &[u8]) -> Result<Cell, String> {
    let text = std::str::from_utf8(octets).map_err(|_| "is a text that is not UTF-8".to_owned())?;
    Ok(Cell::Text(text.to_owned()))
}

fn array<const N: usize>(octets: &[u8]) -> Result<[u8; N], String> {
    octets.try_into().map_err(|_| format!("has {} octets, not {N}", octets.len()))
}

#[allow(clippy::cast_precision_loss, reason = "seconds are doubles")]
fn time(microseconds: i64) -> Number {
    Number::Float(match microseconds {
        i64::MAX => f64::INFINITY,
        i64::MIN => f64::NEG_INFINITY,
        _ => microseconds as f64 / MICROSECONDS + EPOCH,
    })
}

fn date(days: i32) -> Number {
    Number::Float(match days {
        i32::MAX => f64::INFINITY,
        i32::MIN => f64::NEG_INFINITY,
        _ => f64::from(days).mul_add(DAY, EPOCH),
    })
}

/// Returns an interval in seconds. A month has 30 days, and a day 24 hours.
#[allow(clippy::cast_precision_loss, reason = "seconds are doubles")]
fn interval(octets: &[u8]) -> Result<Number, String> {
    let octets = array::<16>(octets)?;
    let (microseconds, rest) = octets.split_at(8);
    let (days, months) = rest.split_at(4);
    let microseconds = i64::from_be_bytes(array(microseconds)?);
    let (days, months) = (i32::from_be_bytes(array(days)?), i32::from_be_bytes(array(months)?));
    match (microseconds, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => return Ok(Number::Float(f64::INFINITY)),
        (i64::MIN, i32::MIN, i32::MIN) => return Ok(Number::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    let microseconds = microseconds as f64;
    let days = f64::from(months).mul_add(30.0, f64::from(days));
    Ok(Number::Float(days.mul_add(DAY, microseconds / MICROSECONDS)))
}

/// Converts a numeric. Integers of up to 64 bits are exact.
///
/// The format is: the number of four-digit groups, the weight of the first group, the sign, the scale, and the groups.
fn numeric(octets: &[u8]) -> Result<Number, String> {
    let (head, groups) = octets.split_at_checked(8).ok_or("is a truncated numeric")?;
    let word = |at: usize| Ok::<_, String>(u16::from_be_bytes(array(head.get(at..at + 2).unwrap_or_default())?));
    let (count, weight, sign) = (word(0)?, i32::from(word(2)?.cast_signed()), word(4)?);
    match sign {
        0xC000 => return Ok(Number::Float(f64::NAN)),
        0xD000 => return Ok(Number::Float(f64::INFINITY)),
        0xF000 => return Ok(Number::Float(f64::NEG_INFINITY)),
        0x0000 | 0x4000 => {}
        _ => return Err("is a numeric with an unknown sign".to_owned()),
    }
    if groups.len() != usize::from(count) * 2 {
        return Err("is a truncated numeric".to_owned());
    }
    let groups: Vec<_> = groups.chunks_exact(2).map(array).collect::<Result<Vec<_>, _>>()?;
    let groups: Vec<_> = groups.into_iter().map(u16::from_be_bytes).collect();
    if groups.iter().any(|group| *group > 9999) {
        return Err("is a numeric with an invalid group of digits".to_owned());
    }
    let sign = if sign == 0x4000 { "-" } else { "" };
    if weight >= MAX_GROUPS {
        let infinity = if sign.is_empty() { f64::INFINITY } else { f64::NEG_INFINITY };
        return Ok(Number::Float(if groups.is_empty() { 0.0 } else { infinity }));
    }
    // The group before the decimal point has the weight 0.
    let group = |weight_of: i32| {
        let at = usize::try_from(weight - weight_of).ok();
        at.and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let digits = |weights: std::ops::Range<i32>| {
        weights.rev().fold(String::new(), |mut text, weight| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:04}", group(weight));
            text
        })
    };
    let whole = digits(0..weight.max(0) + 1);
    let last = weight - i32::from(count) + 1;
    let fraction = digits(last.max(-MAX_GROUPS)..0);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let text = format!("{sign}{whole}{point}{fraction}");
    Number::parse(&text).ok_or_else(|| "is a numeric that cannot be parsed".to_owned())
}

/// Formats a number as the text of a label.
pub(super) fn text(number: Number) -> String {
    match number {
        Number::Signed(number) => number.to_string(),
        Number::Unsigned(number) => number.to_string(),
        Number::Float(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn number(kind: &Type, octets: &[u8]) -> Number {
        match cell(kind, octets) {
            Ok(Cell::Number(number)) => number,
            other => panic!("{other:?}"),
        }
    }

    /// Encodes a numeric as PostgreSQL does, from groups of four digits, the weight of the first group and the sign.
    fn groups(groups: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let head = [u16::try_from(groups.len()).unwrap(), weight.cast_unsigned(), sign, 0];
        head.iter().chain(groups).flat_map(|word| word.to_be_bytes()).collect()
    }

    #[rstest]
    #[case::zero(&[], 0, 0, Number::Signed(0))]
    #[case::one(&[1], 0, 0, Number::Signed(1))]
    #[case::minus_one(&[1], 0, 0x4000, Number::Signed(-1))]
    #[case::ten_thousand(&[1], 1, 0, Number::Signed(10_000))]
    #[case::trailing_groups_are_omitted(&[1234], 2, 0, Number::Signed(123_400_000_000))]
    #[case::the_largest_of_64_bits(&[1844, 6744, 737, 955, 1615], 4, 0, Number::Unsigned(u64::MAX))]
    #[case::above_64_bits(&[1844, 6744, 737, 955, 1616], 4, 0, Number::Float(18_446_744_073_709_551_616.0))]
    #[case::the_smallest_of_64_bits(&[922, 3372, 368, 5477, 5808], 4, 0x4000, Number::Signed(i64::MIN))]
    #[case::a_quarter(&[2500], -1, 0, Number::Float(0.25))]
    #[case::an_integer_part_and_a_fraction(&[12, 3400], 0, 0x4000, Number::Float(-12.34))]
    #[case::very_small(&[1], -2, 0, Number::Float(1e-8))]
    #[case::smaller_than_a_double(&[1], -100, 0, Number::Signed(0))]
    #[case::larger_than_a_double(&[1], 100, 0x4000, Number::Float(f64::NEG_INFINITY))]
    #[case::infinity(&[], 0, 0xD000, Number::Float(f64::INFINITY))]
    fn a_numeric_is_exact_if_possible(
        #[case] digits: &[u16],
        #[case] weight: i16,
        #[case] sign: u16,
        #[case] expected: Number,
    ) {
        assert_eq!(number(&Type::NUMERIC, &groups(digits, weight, sign)), expected);
    }

    #[test]
    fn numbers_of_other_types_are_converted() {
        assert_eq!(number(&Type::BOOL, &[1]), Number::Signed(1));
        assert_eq!(number(&Type::INT2, &(-2_i16).to_be_bytes()), Number::Signed(-2));
        assert_eq!(number(&Type::INT8, &i64::MAX.to_be_bytes()), Number::Signed(i64::MAX));
        assert_eq!(number(&Type::OID, &u32::MAX.to_be_bytes()), Number::Unsigned(u32::MAX.into()));
        assert_eq!(number(&Type::FLOAT4, &0.5_f32.to_be_bytes()), Number::Float(0.5));
        assert_eq!(number(&Type::TIMESTAMPTZ, &0_i64.to_be_bytes()), Number::Float(EPOCH));
        assert_eq!(number(&Type::TIMESTAMP, &i64::MAX.to_be_bytes()), Number::Float(f64::INFINITY));
        assert_eq!(number(&Type::DATE, &1_i32.to_be_bytes()), Number::Float(EPOCH + DAY));
        assert_eq!(number(&Type::DATE, &i32::MIN.to_be_bytes()), Number::Float(f64::NEG_INFINITY));
        let endless = [i64::MAX.to_be_bytes().to_vec(), i32::MAX.to_be_bytes().into(), i32::MAX.to_be_bytes().into()];
        assert_eq!(number(&Type::INTERVAL, &endless.concat()), Number::Float(f64::INFINITY));
        let interval = [1_500_000_i64.to_be_bytes().to_vec(), 1_i32.to_be_bytes().into(), 1_i32.to_be_bytes().into()];
        assert_eq!(number(&Type::INTERVAL, &interval.concat()), Number::Float(31.0 * DAY + 1.5));
    }

    #[test]
    fn texts_are_converted_and_other_types_are_errors() {
        assert_eq!(cell(&Type::NAME, b"postgres"), Ok(Cell::Text("postgres".to_owned())));
        let error = cell(&Type::BYTEA, b"x").unwrap_err();
        assert_eq!(error, "has the type bytea, which is neither a number nor a text; cast it, for example to text");
        assert_eq!(cell(&Type::TEXT, &[0xff]), Err("is a text that is not UTF-8".to_owned()));
        assert_eq!(cell(&Type::INT4, &[1]), Err("has 1 octets, not 4".to_owned()));
    }

    proptest! {
        #[test]
        fn any_octets_are_handled(octets in prop::collection::vec(any::<u8>(), 0..40), kind in 0..10_usize) {
            let kinds = [
                Type::NUMERIC, Type::INT2, Type::INT8, Type::FLOAT8, Type::BOOL, Type::TEXT, Type::INTERVAL, Type::DATE,
                Type::TIMESTAMP, Type::OID,
            ];
            let _ = cell(&kinds[kind], &octets);
        }

        #[test]
        fn any_numeric_is_a_number(digits in prop::collection::vec(0..10_000_u16, 0..60), weight in any::<i16>(), minus: bool) {
            let sign = if minus { 0x4000 } else { 0 };
            prop_assert!(matches!(cell(&Type::NUMERIC, &groups(&digits, weight, sign)), Ok(Cell::Number(_))));
        }

        #[test]
        fn integers_are_unchanged(value: i64) {
            let mut rest = value.unsigned_abs();
            let mut digits = Vec::new();
            while rest > 0 {
                digits.insert(0, u16::try_from(rest % 10_000).unwrap());
                rest /= 10_000;
            }
            let weight = i16::try_from(digits.len()).unwrap() - 1;
            let octets = groups(&digits, weight, if value < 0 { 0x4000 } else { 0 });
            prop_assert_eq!(number(&Type::NUMERIC, &octets), Number::Signed(value));
        }
    }
}
