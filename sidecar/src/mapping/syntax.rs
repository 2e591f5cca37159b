//! Conversion of numbers and texts to values of an object's syntax.

use agentx::{Oid, Value, ValueRef};
use sidecar_config::{Round, Syntax};

use super::{counts::Reason, number::Num};

/// A value, and the reason if it was changed to fit the syntax.
pub(super) type Converted = (Value, Option<Reason>);

/// Returns the value of `onMissing: Zero`.
pub(super) fn zero(syntax: Syntax) -> Value {
    match syntax {
        Syntax::Integer32 => Value::Integer(0),
        Syntax::Unsigned32 | Syntax::Gauge32 => Value::Gauge32(0),
        Syntax::Counter32 => Value::Counter32(0),
        Syntax::Counter64 => Value::Counter64(0),
        Syntax::TimeTicks => Value::TimeTicks(0),
        Syntax::OctetString | Syntax::DisplayString => Value::OctetString(Vec::new()),
        Syntax::IpAddress => Value::IpAddress([0; 4]),
        Syntax::ObjectIdentifier => Oid::new(vec![0, 0]).map_or(Value::Null, Value::ObjectIdentifier),
        Syntax::TruthValue => Value::Integer(2),
    }
}

/// Rounds a number to an integer of any size.
pub(super) fn integer(num: Num, round: Round) -> Result<i128, Reason> {
    match num.round(round) {
        // Saturated: the number has more than 128 bits.
        Some(i128::MIN | i128::MAX) => Err(Reason::OutOfRange),
        Some(whole) => Ok(whole),
        None if num.is_nan() => Err(Reason::NotANumber),
        None => Err(Reason::Infinite),
    }
}

/// Rounds a number to the total of a counter, before it wraps.
pub(super) fn count(num: Num, round: Round) -> Result<i128, Reason> {
    integer(num, round).and_then(|whole| if whole < 0 { Err(Reason::OutOfRange) } else { Ok(whole) })
}

/// Returns the value of a counter with the total `count`: modulo 2³² or 2⁶⁴ (RFC 2578 sections 7.1.6 and 7.1.10).
pub(super) fn wrap(syntax: Syntax, count: i128) -> ValueRef<'static> {
    if syntax == Syntax::Counter32 { ValueRef::Counter32(low32(count)) } else { ValueRef::Counter64(low64(count)) }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value modulo 2³² is wanted")]
fn low32(whole: i128) -> u32 {
    whole as u32
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value modulo 2⁶⁴ is wanted")]
fn low64(whole: i128) -> u64 {
    whole as u64
}

/// Converts a number to a value.
pub(super) fn from_number(syntax: Syntax, num: Num, round: Round) -> Result<Converted, Reason> {
    let value = match syntax {
        Syntax::Integer32 => Value::Integer(integer(num, round)?.try_into().map_err(|_| Reason::OutOfRange)?),
        Syntax::Unsigned32 => Value::Gauge32(integer(num, round)?.try_into().map_err(|_| Reason::OutOfRange)?),
        Syntax::Gauge32 => return gauge(num, round),
        Syntax::Counter32 => Value::Counter32(low32(count(num, round)?)),
        Syntax::Counter64 => Value::Counter64(low64(count(num, round)?)),
        Syntax::TimeTicks => Value::TimeTicks(low32(count(num, round)?)),
        Syntax::TruthValue if num.is_nan() => return Err(Reason::NotANumber),
        Syntax::TruthValue if !num.is_finite() => return Err(Reason::Infinite),
        Syntax::TruthValue => truth(num != Num::ZERO),
        Syntax::OctetString | Syntax::DisplayString => return from_text(syntax, &decimal(num)?),
        Syntax::IpAddress | Syntax::ObjectIdentifier => return Err(Reason::Unreadable),
    };
    Ok((value, None))
}

fn gauge(num: Num, round: Round) -> Result<Converted, Reason> {
    if num.is_nan() {
        return Err(Reason::NotANumber);
    }
    let whole = num.round(round).unwrap_or(if num.less(Num::ZERO) { i128::MIN } else { i128::MAX });
    Ok(match u32::try_from(whole) {
        Ok(v) => (Value::Gauge32(v), None),
        Err(_) => (Value::Gauge32(if whole < 0 { 0 } else { u32::MAX }), Some(Reason::Latched)),
    })
}

fn truth(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

/// Formats a number. Integers are written in full, and doubles with the fewest digits that parse as the same double.
/// Doubles from 10²⁰ on and below 10⁻⁶ have an exponent.
fn decimal(num: Num) -> Result<String, Reason> {
    match num {
        Num::Int(v) => Ok(v.to_string()),
        Num::Ratio(..) => decimal(Num::Float(num.as_f64())),
        Num::Float(v) if v.is_nan() => Err(Reason::NotANumber),
        Num::Float(v) if v.is_infinite() => Err(Reason::Infinite),
        Num::Float(v) if v.abs() < 1e-6 || v.abs() >= 1e20 => Ok(format!("{v:e}")),
        Num::Float(v) => Ok(v.to_string()),
    }
}

/// Converts a text to a value, like [`Syntax::read_text`] with two differences: a text that is too long is truncated,
/// and TruthValue accepts what applications write, that is `true` and `false` in any case, 1 and 0.
pub(super) fn from_text(syntax: Syntax, text: &str) -> Result<Converted, Reason> {
    let value = match syntax {
        Syntax::OctetString => {
            let cut = text.get(..text.floor_char_boundary(Syntax::MAX_OCTETS)).unwrap_or(text);
            return Ok((Value::OctetString(cut.into()), (cut.len() < text.len()).then_some(Reason::Cut)));
        }
        Syntax::DisplayString => return Ok(display_string(text)),
        Syntax::TruthValue if text == "1" || text.eq_ignore_ascii_case("true") => truth(true),
        Syntax::TruthValue if text == "0" || text.eq_ignore_ascii_case("false") => truth(false),
        Syntax::TruthValue => return Err(Reason::Unreadable),
        _ => syntax.read_text(text).map_err(|_| Reason::Unreadable)?,
    };
    Ok((value, None))
}

/// Converts a text to NVT ASCII of at most 255 octets. A carriage return may only precede a line feed or NUL (RFC
/// 2579).
fn display_string(text: &str) -> Converted {
    let mut octets = Vec::with_capacity(text.len().min(Syntax::MAX_DISPLAY_OCTETS));
    let mut change = None;
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        if octets.len() == Syntax::MAX_DISPLAY_OCTETS {
            change = Some(Reason::Cut);
            break;
        }
        let followed = octets.len() + 1 < Syntax::MAX_DISPLAY_OCTETS && matches!(rest.peek(), Some('\n' | '\0'));
        let octet = u8::try_from(char).ok().filter(|octet| octet.is_ascii() && (*octet != b'\r' || followed));
        octets.push(octet.unwrap_or_else(|| {
            change = Some(Reason::Replaced);
            b'?'
        }));
    }
    (Value::OctetString(octets), change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn text(octets: &[u8]) -> Value {
        Value::OctetString(octets.to_vec())
    }

    const TWO_32: f64 = 4_294_967_296.0;

    #[rstest]
    // RFC 2578 section 7.1.1: "between -2^31 and 2^31-1 inclusive". Numbers outside are withheld.
    #[case::integer32_at_its_high_end(Syntax::Integer32, 2_147_483_647.0, Ok((Value::Integer(i32::MAX), None)))]
    #[case::integer32_at_its_low_end(Syntax::Integer32, -2_147_483_648.0, Ok((Value::Integer(i32::MIN), None)))]
    #[case::integer32_beyond_is_withheld(Syntax::Integer32, 2_147_483_648.0, Err(Reason::OutOfRange))]
    #[case::integer32_below_is_withheld(Syntax::Integer32, -2_147_483_649.0, Err(Reason::OutOfRange))]
    #[case::integer32_that_rounds_into_range(Syntax::Integer32, 2_147_483_647.4, Ok((Value::Integer(i32::MAX), None)))]
    #[case::integer32_that_rounds_beyond(Syntax::Integer32, 2_147_483_647.5, Err(Reason::OutOfRange))]
    #[case::integer32_that_rounds_below(Syntax::Integer32, -2_147_483_648.5, Err(Reason::OutOfRange))]
    #[case::integer32_of_nan(Syntax::Integer32, f64::NAN, Err(Reason::NotANumber))]
    #[case::integer32_of_infinity(Syntax::Integer32, f64::INFINITY, Err(Reason::Infinite))]
    // RFC 2578 section 7.1.11: "between 0 and 2^32-1 inclusive".
    #[case::unsigned32_at_its_end(Syntax::Unsigned32, TWO_32 - 1.0, Ok((Value::Gauge32(u32::MAX), None)))]
    #[case::unsigned32_beyond_is_withheld(Syntax::Unsigned32, TWO_32, Err(Reason::OutOfRange))]
    #[case::unsigned32_below_is_withheld(Syntax::Unsigned32, -1.0, Err(Reason::OutOfRange))]
    #[case::unsigned32_that_rounds_to_zero(Syntax::Unsigned32, -0.4, Ok((Value::Gauge32(0), None)))]
    #[case::unsigned32_that_rounds_below(Syntax::Unsigned32, -0.5, Err(Reason::OutOfRange))]
    // RFC 2578 section 7.1.7: "has its maximum value whenever the information being modeled is greater than or equal to
    // its maximum value, and has its minimum value whenever [it] is smaller than or equal to its minimum value".
    #[case::gauge32_at_its_maximum(Syntax::Gauge32, TWO_32 - 1.0, Ok((Value::Gauge32(u32::MAX), None)))]
    #[case::gauge32_latches_at_its_maximum(Syntax::Gauge32, TWO_32, Ok((Value::Gauge32(u32::MAX), Some(Reason::Latched))))]
    #[case::gauge32_that_rounds_beyond(Syntax::Gauge32, TWO_32 - 0.5, Ok((Value::Gauge32(u32::MAX), Some(Reason::Latched))))]
    #[case::gauge32_latches_at_zero(Syntax::Gauge32, -1.0, Ok((Value::Gauge32(0), Some(Reason::Latched))))]
    #[case::gauge32_latches_at_infinity(Syntax::Gauge32, f64::INFINITY, Ok((Value::Gauge32(u32::MAX), Some(Reason::Latched))))]
    #[case::gauge32_latches_at_minus_infinity(Syntax::Gauge32, f64::NEG_INFINITY, Ok((Value::Gauge32(0), Some(Reason::Latched))))]
    #[case::gauge32_latches_beyond_128_bits(Syntax::Gauge32, 1e300, Ok((Value::Gauge32(u32::MAX), Some(Reason::Latched))))]
    #[case::gauge32_that_rounds_to_zero_is_no_latch(Syntax::Gauge32, -0.4, Ok((Value::Gauge32(0), None)))]
    #[case::gauge32_of_nan(Syntax::Gauge32, f64::NAN, Err(Reason::NotANumber))]
    // RFC 2578 section 7.1.6: "until it reaches a maximum value of 2^32-1, when it wraps around and starts increasing
    // again from zero"; section 7.1.10 for 2^64-1.
    #[case::counter32_at_its_end(Syntax::Counter32, TWO_32 - 1.0, Ok((Value::Counter32(u32::MAX), None)))]
    #[case::counter32_wraps_to_zero(Syntax::Counter32, TWO_32, Ok((Value::Counter32(0), None)))]
    #[case::counter32_wraps(Syntax::Counter32, TWO_32 + 5.0, Ok((Value::Counter32(5), None)))]
    #[case::counter64_beyond_the_consecutive_doubles(Syntax::Counter64, 9_007_199_254_740_994.0, Ok((Value::Counter64(9_007_199_254_740_994), None)))]
    #[case::counter64_wraps_to_zero(Syntax::Counter64, TWO_32 * TWO_32, Ok((Value::Counter64(0), None)))]
    #[case::counter64_wraps(Syntax::Counter64, TWO_32 * TWO_32 + 4096.0, Ok((Value::Counter64(4096), None)))]
    // Sections 7.1.6 and 7.1.10: "a non-negative integer".
    #[case::counter64_that_rounds_to_zero(Syntax::Counter64, -0.4, Ok((Value::Counter64(0), None)))]
    #[case::counter64_that_rounds_below_zero(Syntax::Counter64, -0.5, Err(Reason::OutOfRange))]
    #[case::counter64_below_zero_is_withheld(Syntax::Counter64, -1.0, Err(Reason::OutOfRange))]
    #[case::counter64_beyond_128_bits_is_withheld(Syntax::Counter64, 1e300, Err(Reason::OutOfRange))]
    #[case::counter64_of_nan(Syntax::Counter64, f64::NAN, Err(Reason::NotANumber))]
    #[case::counter32_of_infinity(Syntax::Counter32, f64::INFINITY, Err(Reason::Infinite))]
    // RFC 2578 section 7.1.8: "a non-negative integer which represents the time, modulo 2^32 [...], in hundredths of a
    // second".
    #[case::time_ticks_are_hundredths_as_they_come(Syntax::TimeTicks, 12_345.0, Ok((Value::TimeTicks(12_345), None)))]
    #[case::time_ticks_wrap(Syntax::TimeTicks, TWO_32 + 1.0, Ok((Value::TimeTicks(1), None)))]
    #[case::time_ticks_below_zero_are_withheld(Syntax::TimeTicks, -1.0, Err(Reason::OutOfRange))]
    #[case::time_ticks_of_infinity(Syntax::TimeTicks, f64::INFINITY, Err(Reason::Infinite))]
    // RFC 2579 section 2: TruthValue, "true(1), false(2)".
    #[case::truth_of_zero_is_false(Syntax::TruthValue, 0.0, Ok((Value::Integer(2), None)))]
    #[case::truth_of_minus_zero_is_false(Syntax::TruthValue, -0.0, Ok((Value::Integer(2), None)))]
    #[case::truth_of_two_is_true(Syntax::TruthValue, 2.0, Ok((Value::Integer(1), None)))]
    #[case::truth_of_a_negative_is_true(Syntax::TruthValue, -1.0, Ok((Value::Integer(1), None)))]
    #[case::truth_of_a_fraction_is_true(Syntax::TruthValue, 0.1, Ok((Value::Integer(1), None)))]
    #[case::truth_of_the_smallest_double_is_true(Syntax::TruthValue, 5e-324, Ok((Value::Integer(1), None)))]
    #[case::truth_of_nan(Syntax::TruthValue, f64::NAN, Err(Reason::NotANumber))]
    #[case::truth_of_infinity(Syntax::TruthValue, f64::INFINITY, Err(Reason::Infinite))]
    // RFC 2578 section 7.1.2 and RFC 2579 section 2: octets. Those of a number are its decimal digits.
    #[case::text_of_an_integer(Syntax::DisplayString, 42.0, Ok((text(b"42"), None)))]
    #[case::text_of_minus_zero(Syntax::DisplayString, -0.0, Ok((text(b"0"), None)))]
    #[case::text_of_a_fraction_is_not_rounded(Syntax::OctetString, 0.25, Ok((text(b"0.25"), None)))]
    #[case::text_of_a_negative_fraction(Syntax::OctetString, -0.1, Ok((text(b"-0.1"), None)))]
    #[case::text_of_a_tiny_number(Syntax::OctetString, 1.5e-7, Ok((text(b"1.5e-7"), None)))]
    #[case::text_of_a_large_integer_has_all_digits(Syntax::OctetString, 1e22, Ok((text(b"10000000000000000000000"), None)))]
    #[case::text_of_a_huge_number(Syntax::DisplayString, 1.5e300, Ok((text(b"1.5e300"), None)))]
    #[case::text_of_nan(Syntax::DisplayString, f64::NAN, Err(Reason::NotANumber))]
    #[case::text_of_infinity(Syntax::DisplayString, f64::INFINITY, Err(Reason::Infinite))]
    // RFC 2578 sections 7.1.5 and 7.1.3: numbers are neither addresses nor object identifiers.
    #[case::a_number_is_not_an_address(Syntax::IpAddress, 1.0, Err(Reason::Unreadable))]
    #[case::a_number_is_not_an_object_identifier(Syntax::ObjectIdentifier, 1.0, Err(Reason::Unreadable))]
    fn numbers_are_converted(#[case] syntax: Syntax, #[case] number: f64, #[case] expected: Result<Converted, Reason>) {
        assert_eq!(from_number(syntax, Num::from(number), Round::Nearest), expected);
    }

    proptest! {
        #[test]
        fn counters_and_time_ticks_wrap_at_the_range_of_their_syntax(whole in 0..i128::MAX) {
            let shown = |syntax| from_number(syntax, Num::Int(whole), Round::Nearest).unwrap().0;
            let low = |bits: u32| u64::try_from(whole % (1 << bits)).unwrap();
            let low32 = u32::try_from(low(32)).unwrap();
            prop_assert_eq!(shown(Syntax::Counter32), Value::Counter32(low32));
            prop_assert_eq!(shown(Syntax::TimeTicks), Value::TimeTicks(low32));
            prop_assert_eq!(shown(Syntax::Counter64), Value::Counter64(low(64)));
        }
    }

    #[rstest]
    #[case::integer32(Syntax::Integer32, "-5", Ok(Value::Integer(-5)))]
    #[case::integer32_out_of_range(Syntax::Integer32, "2147483648", Err(Reason::Unreadable))]
    #[case::gauge32(Syntax::Gauge32, "4294967295", Ok(Value::Gauge32(u32::MAX)))]
    #[case::unsigned32_takes_no_sign(Syntax::Unsigned32, "+5", Err(Reason::Unreadable))]
    #[case::counter32(Syntax::Counter32, "7", Ok(Value::Counter32(7)))]
    #[case::counter64(Syntax::Counter64, "18446744073709551615", Ok(Value::Counter64(u64::MAX)))]
    #[case::time_ticks(Syntax::TimeTicks, "100", Ok(Value::TimeTicks(100)))]
    #[case::a_number_is_not_empty(Syntax::TimeTicks, "", Err(Reason::Unreadable))]
    #[case::address(Syntax::IpAddress, "10.0.0.1", Ok(Value::IpAddress([10, 0, 0, 1])))]
    #[case::not_an_address(Syntax::IpAddress, "10.0.0.256", Err(Reason::Unreadable))]
    #[case::not_an_ipv4_address(Syntax::IpAddress, "::1", Err(Reason::Unreadable))]
    #[case::identifier(Syntax::ObjectIdentifier, "1.3.6.1", Ok(Value::ObjectIdentifier("1.3.6.1".parse().unwrap())))]
    #[case::identifier_of_one_arc(Syntax::ObjectIdentifier, "1", Err(Reason::Unreadable))]
    #[case::identifier_that_cannot_be_encoded(Syntax::ObjectIdentifier, "1.40.1", Err(Reason::Unreadable))]
    #[case::identifier_of_words(Syntax::ObjectIdentifier, "iso.3", Err(Reason::Unreadable))]
    #[case::truth(Syntax::TruthValue, "True", Ok(Value::Integer(1)))]
    #[case::falsehood(Syntax::TruthValue, "0", Ok(Value::Integer(2)))]
    #[case::a_number_other_than_0_and_1(Syntax::TruthValue, "2", Err(Reason::Unreadable))]
    #[case::octets_unchanged(Syntax::OctetString, "é\r", Ok(text("é\r".as_bytes())))]
    fn texts_are_converted(#[case] syntax: Syntax, #[case] from: &str, #[case] expected: Result<Value, Reason>) {
        assert_eq!(from_text(syntax, from), expected.map(|value| (value, None)));
    }

    #[rstest]
    #[case::ascii_is_unchanged("eth0", b"eth0", None)]
    #[case::other_characters_are_replaced_one_by_one("café ☕", b"caf? ?", Some(Reason::Replaced))]
    #[case::a_line_end_is_unchanged("a\r\nb", b"a\r\nb", None)]
    #[case::a_bare_carriage_return_is_replaced("a\rb\r", b"a?b?", Some(Reason::Replaced))]
    fn a_display_string_is_nvt_ascii(#[case] from: &str, #[case] octets: &[u8], #[case] change: Option<Reason>) {
        assert_eq!(from_text(Syntax::DisplayString, from), Ok((text(octets), change)));
    }

    #[test]
    fn long_texts_are_truncated_to_the_maximum_of_the_syntax() {
        let x = |n| "x".repeat(n);
        let cut = |n: usize| Ok((text(x(n).as_bytes()), Some(Reason::Cut)));
        assert_eq!(from_text(Syntax::DisplayString, &x(256)), cut(255));
        assert_eq!(from_text(Syntax::DisplayString, &x(255)), Ok((text(x(255).as_bytes()), None)));
        assert_eq!(from_text(Syntax::OctetString, &x(65_001)), cut(65_000));
        let (value, change) = from_text(Syntax::OctetString, &"é☕".repeat(20_000)).unwrap();
        let Value::OctetString(octets) = value else { panic!("not octets") };
        assert!(String::from_utf8(octets).is_ok(), "truncated between characters");
        assert_eq!(change, Some(Reason::Cut));
        let line_end_across_the_cut = x(254) + "\r\n";
        let (Value::OctetString(octets), _) = from_text(Syntax::DisplayString, &line_end_across_the_cut).unwrap()
        else {
            panic!("not octets")
        };
        assert_ne!(octets.last(), Some(&b'\r'), "a string never ends with a bare carriage return");
    }

    #[test]
    fn every_syntax_has_a_zero() {
        for (syntax, value) in [
            (Syntax::Integer32, Value::Integer(0)),
            (Syntax::Gauge32, Value::Gauge32(0)),
            (Syntax::Counter64, Value::Counter64(0)),
            (Syntax::DisplayString, text(b"")),
            (Syntax::TruthValue, Value::Integer(2)),
            (Syntax::ObjectIdentifier, Value::ObjectIdentifier("0.0".parse().unwrap())),
        ] {
            assert_eq!(zero(syntax), value);
        }
    }
}
