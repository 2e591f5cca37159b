//! Numbers from the sample to the value: exact if possible, otherwise rounded once.

use super::*;
use rstest::rstest;

#[rstest]
// RFC 2578 section 7.1.10: a Counter64 has 64 bits; a double has 53.
#[case::an_integer_that_no_double_is("Counter64", json!({}), "9007199254740993", "9007199254740993")]
#[case::the_largest_of_64_bits("Counter64", json!({}), "18446744073709551615", "18446744073709551615")]
#[case::an_integer_with_an_exponent("Counter64", json!({}), "9.007199254740994e+15", "9007199254740994")]
#[case::the_largest_as_a_client_of_doubles_writes_it("Counter64", json!({}), "1.8446744073709552e+19", "0")]
#[case::one_more_than_64_bits("Counter64", json!({}), "18446744073709551616", "0")]
// An integral scale.
#[case::times_an_integer("Counter64", json!({"scale": 1000}), "18446744073709551", "18446744073709551000")]
#[case::times_an_integer_beyond_the_end("Counter64", json!({"scale": 1e9}), "18446744074", "290448384")]
#[case::a_fraction_times_an_integer("Counter64", json!({"scale": 1e9}), "1.5", "1500000000")]
#[case::times_zero("Counter64", json!({"scale": 0}), "5", "0")]
#[case::times_minus_one("Integer32", json!({"scale": -1}), "5", "-5")]
// A scale is the decimal in the configuration, although no double equals it: 100 * 0.57 is 56.99999999999999 in
// doubles, 100 * 0.07 is 7.000000000000001, 100 * 1.1 is 110.00000000000001.
#[case::a_decimal_from_below("Gauge32", json!({"scale": 0.57, "round": "Floor"}), "100", "57")]
#[case::a_decimal_from_above("Gauge32", json!({"scale": 0.07, "round": "Ceil"}), "100", "7")]
#[case::a_decimal_above_one("Gauge32", json!({"scale": 1.1, "round": "Ceil"}), "100", "110")]
#[case::a_tenth_of_all_bits("Counter64", json!({"scale": 0.1, "round": "Floor"}), "18446744073709551615", "1844674407370955161")]
#[case::a_thousandth_down("Counter64", json!({"scale": 0.001, "round": "Floor"}), "18446744073709551615", "18446744073709551")]
#[case::a_thousandth_up("Counter64", json!({"scale": 0.001, "round": "Ceil"}), "18446744073709551001", "18446744073709552")]
#[case::a_thousandth_to_the_nearest("Counter64", json!({"scale": 0.001}), "18446744073709551499", "18446744073709551")]
// Halves are rounded away from zero.
#[case::a_half("Integer32", json!({"scale": 0.001}), "2500", "3")]
#[case::a_half_below_zero("Integer32", json!({"scale": 0.001}), "-2500", "-3")]
#[case::less_than_a_half("Integer32", json!({"scale": 0.001}), "2499", "2")]
#[case::less_than_a_half_below_zero("Integer32", json!({"scale": 0.001}), "-2499", "-2")]
#[case::down("Integer32", json!({"round": "Floor"}), "2.9", "2")]
#[case::down_below_zero("Integer32", json!({"scale": 0.5, "round": "Floor"}), "-5", "-3")]
#[case::up("Integer32", json!({"round": "Ceil"}), "2.1", "3")]
#[case::up_below_zero("Integer32", json!({"scale": 0.5, "round": "Ceil"}), "-5", "-2")]
#[case::just_below_a_half("Integer32", json!({}), "0.49999999999999994", "0")]
// The offset is the decimal in the configuration too.
#[case::an_offset_of_a_half("Counter64", json!({"offset": 0.5}), "1152921504606846976", "1152921504606846977")]
#[case::an_offset_that_makes_whole("Integer32", json!({"scale": 0.1, "offset": 0.9, "round": "Ceil"}), "1", "1")]
#[case::degrees("Integer32", json!({"offset": -273.15, "scale": 0.01, "round": "Floor"}), "29815", "25")]
// A sample with a fraction is a double. The double of 0.57 is slightly less than 0.57.
#[case::a_double_times_an_integer("Gauge32", json!({"scale": 100, "round": "Floor"}), "0.57", "56")]
#[case::a_double_times_an_integer_to_the_nearest("Gauge32", json!({"scale": 100}), "0.57", "57")]
// RFC 2578 section 7.1.8: TimeTicks from seconds; 2^32 hundredths are 42949672.96 s.
#[case::hundredths("TimeTicks", json!({"scale": 100}), "0.29", "29")]
#[case::the_last_hundredth("TimeTicks", json!({"scale": 100}), "42949672.95", "4294967295")]
#[case::all_hundredths_are_none("TimeTicks", json!({"scale": 100}), "42949672.96", "0")]
#[case::fifty_days_in_milliseconds("TimeTicks", json!({"scale": 0.1}), "4320000000", "432000000")]
// Sections 7.1.6 and 7.1.7: a counter wraps, a gauge does not.
#[case::a_counter32_wraps("Counter32", json!({}), "4294967301", "5")]
#[case::a_counter64_wraps("Counter64", json!({"offset": 6}), "18446744073709551615", "5")]
// RFC 2579 section 2: numbers shown as text are not rounded.
#[case::a_text("DisplayString", json!({"scale": 0.1, "round": "Ceil"}), "3", "\"0.3\"")]
#[case::a_text_of_64_bits("DisplayString", json!({}), "18446744073709551615", "\"18446744073709551615\"")]
#[case::the_truth_of_a_fraction("TruthValue", json!({"scale": 0.001}), "1", "1")]
#[case::the_truth_of_an_offset("TruthValue", json!({"offset": -3}), "3", "2")]
fn a_number_is_shown(#[case] syntax: &str, #[case] fields: Json, #[case] number: &str, #[case] expected: &str) {
    let mut fixture = Fixture::scalar(syntax, "m", fields);
    assert_eq!(fixture.app(&format!("m {number}")).value().as_deref(), Some(expected));
    assert!(fixture.reasons().is_empty());
}

#[test]
fn an_average_of_64_bits_is_exact() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({"aggregate": "Avg", "round": "Floor"}));
    let page = "m a=1 18446744073709551615\nm a=2 18446744073709551614";
    assert_eq!(fixture.app(page).value().as_deref(), Some("18446744073709551614"));
}

#[test]
fn a_gauge_is_at_the_end_of_its_range_while_its_number_is_beyond_it() {
    // RFC 2578 section 7.1.7: "if the information subsequently decreases below the maximum value, the Gauge also
    // decreases"; RFC 1155's latched.
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({}));
    for (number, shown) in
        [("1e12", "4294967295"), ("+Inf", "4294967295"), ("7", "7"), ("-Inf", "0"), ("-7", "0"), ("8", "8")]
    {
        assert_eq!(fixture.app(&format!("m {number}")).value().as_deref(), Some(shown), "{number}");
    }
    assert_eq!((fixture.reasons(), fixture.total(Reason::Latched)), (vec![Reason::Latched], 4));
}
