//! Texts as samples: what strings, numbers and enumerated objects make of them.

use super::*;
use rstest::rstest;

/// Samples of `m` with these texts, a row each.
fn texts(texts: &[&str]) -> Samples {
    let mut samples = Samples::new();
    for (row, text) in texts.iter().enumerate() {
        samples.push_text("m", [("row", row.to_string().as_str())], text).unwrap();
    }
    samples
}

fn observe(bed: &mut Bed, samples: &Samples) {
    bed.wait(15);
    bed.mapper.observe(0, Some(samples), &Samples::new(), bed.now);
}

/// A scalar with names for its values.
fn named(fields: Json) -> Bed {
    let mut value = json!({"source": "app", "metric": "m"});
    value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let names = json!({"error": 1, "warn": 2, "info": 30});
    Bed::new(json!([{"name": "it", "oid": "1", "syntax": "Integer32", "enum": names, "value": value}]), json!([]))
}

#[rstest]
#[case::a_string("DisplayString", "web-1", Some("\"web-1\""))]
#[case::an_empty_string("DisplayString", "", Some("\"\""))]
#[case::a_string_of_digits_as_it_stands("DisplayString", "007", Some("\"007\""))]
#[case::a_number("Integer32", "-7", Some("-7"))]
#[case::a_great_number("Counter64", "18446744073709551615", Some("18446744073709551615"))]
#[case::a_truth("TruthValue", "true", Some("1"))]
#[case::a_falsehood("TruthValue", "false", Some("2"))]
#[case::what_is_no_number("Integer32", "many", None)]
fn a_text_is_shown(#[case] syntax: &str, #[case] text: &str, #[case] expected: Option<&str>) {
    let mut bed = Bed::scalar(syntax, "m", json!({}));
    observe(&mut bed, &texts(&[text]));
    assert_eq!(bed.value().as_deref(), expected);
    assert_eq!(bed.reasons(), if expected.is_some() { vec![] } else { vec![Reason::NotANumber] });
}

#[rstest]
#[case::a_name("warn", Some("2"))]
#[case::a_number("30", Some("30"))]
#[case::no_name("debug", None)]
#[case::another_case("Warn", None)]
fn a_name_is_shown_as_its_number(#[case] text: &str, #[case] expected: Option<&str>) {
    let mut bed = named(json!({}));
    observe(&mut bed, &texts(&[text]));
    assert_eq!(bed.value().as_deref(), expected);
}

#[test]
fn names_stand_for_the_numbers_that_samples_have() {
    let mut bed = named(json!({"aggregate": "Max"}));
    observe(&mut bed, &texts(&["error", "info", "warn"]));
    assert_eq!(bed.value().as_deref(), Some("30"));
}

#[test]
fn a_counter_in_a_text_is_the_same_series_whatever_it_says() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    for (text, shown) in [("100", "100"), ("150", "150"), ("20", "170")] {
        observe(&mut bed, &texts(&[text]));
        assert_eq!(bed.value().as_deref(), Some(shown), "{text}");
    }
}

#[test]
fn a_column_of_strings_shows_texts_and_numbers_row_by_row() {
    let mut bed = Bed::new(
        json!([]),
        json!([{
            "name": "t", "oid": "1", "index": [{"name": "i", "oid": 1, "label": "row", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 2, "syntax": "DisplayString", "value": {"source": "app", "metric": "m"}}],
        }]),
    );
    let mut samples = texts(&["up", "down"]);
    samples.push("m", [("row", "2")], Number::Signed(5)).unwrap();
    observe(&mut bed, &samples);
    assert_eq!(bed.walk(), ["1.1.2.0 \"up\"", "1.1.2.1 \"down\"", "1.1.2.2 \"5\""]);
}
