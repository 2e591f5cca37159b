//! Samples whose value is a text: how strings, numbers and enumerations use them.

use super::*;
use rstest::rstest;

/// Returns samples of `m` with these texts, one row each.
fn texts(texts: &[&str]) -> Samples {
    let mut samples = Samples::new();
    for (row, text) in texts.iter().enumerate() {
        samples.push_text("m", [("row", row.to_string().as_str())], text).unwrap();
    }
    samples
}

fn observe(fixture: &mut Fixture, samples: &Samples) {
    fixture.wait(15);
    fixture.mapper.observe(0, Some(samples), &Samples::new(), fixture.now);
}

/// Returns a mapper of a scalar with an enumeration.
fn enumerated(fields: Json) -> Fixture {
    let mut value = json!({"source": "app", "metric": "m"});
    value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let names = json!({"error": 1, "warn": 2, "info": 30});
    Fixture::new(json!([{"name": "it", "oid": "1", "syntax": "Integer32", "enum": names, "value": value}]), json!([]))
}

#[rstest]
#[case::a_string("DisplayString", "web-1", Some("\"web-1\""))]
#[case::an_empty_string("DisplayString", "", Some("\"\""))]
#[case::a_string_of_digits_unchanged("DisplayString", "007", Some("\"007\""))]
#[case::a_number("Integer32", "-7", Some("-7"))]
#[case::a_large_number("Counter64", "18446744073709551615", Some("18446744073709551615"))]
#[case::a_truth("TruthValue", "true", Some("1"))]
#[case::a_falsehood("TruthValue", "false", Some("2"))]
#[case::a_text_that_is_not_a_number("Integer32", "many", None)]
fn a_text_is_shown(#[case] syntax: &str, #[case] text: &str, #[case] expected: Option<&str>) {
    let mut fixture = Fixture::scalar(syntax, "m", json!({}));
    observe(&mut fixture, &texts(&[text]));
    assert_eq!(fixture.value().as_deref(), expected);
    assert_eq!(fixture.reasons(), if expected.is_some() { vec![] } else { vec![Reason::NotANumber] });
}

#[rstest]
#[case::a_name("warn", Some("2"))]
#[case::a_number("30", Some("30"))]
#[case::an_unknown_name("debug", None)]
#[case::a_name_in_another_case("Warn", None)]
fn an_enumerated_name_is_shown_as_its_number(#[case] text: &str, #[case] expected: Option<&str>) {
    let mut fixture = enumerated(json!({}));
    observe(&mut fixture, &texts(&[text]));
    assert_eq!(fixture.value().as_deref(), expected);
}

#[test]
fn enumerated_names_are_aggregated_as_numbers() {
    let mut fixture = enumerated(json!({"aggregate": "Max"}));
    observe(&mut fixture, &texts(&["error", "info", "warn"]));
    assert_eq!(fixture.value().as_deref(), Some("30"));
}

#[test]
fn a_counter_in_a_text_is_one_series_for_all_texts() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    for (text, shown) in [("100", "100"), ("150", "150"), ("20", "170")] {
        observe(&mut fixture, &texts(&[text]));
        assert_eq!(fixture.value().as_deref(), Some(shown), "{text}");
    }
}

#[test]
fn a_column_of_strings_shows_texts_and_numbers_per_row() {
    let mut fixture = Fixture::new(
        json!([]),
        json!([{
            "name": "t", "oid": "1", "index": [{"name": "i", "oid": 1, "label": "row", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 2, "syntax": "DisplayString", "value": {"source": "app", "metric": "m"}}],
        }]),
    );
    let mut samples = texts(&["up", "down"]);
    samples.push("m", [("row", "2")], Number::Signed(5)).unwrap();
    observe(&mut fixture, &samples);
    assert_eq!(fixture.walk(), ["1.1.2.0 \"up\"", "1.1.2.1 \"down\"", "1.1.2.2 \"5\""]);
}
