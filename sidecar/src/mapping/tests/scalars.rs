//! Scalars: the value computed from samples.

use super::*;
use rstest::rstest;

#[rstest]
#[case::the_one_sample("Gauge32", json!({}), "m 5", "5")]
#[case::samples_add_up("Gauge32", json!({}), "m a=1 5\nm a=2 6", "11")]
#[case::only_matching_samples("Gauge32", json!({"matchLabels": {"a": "2"}}), "m a=1 5\nm a=2 6", "6")]
#[case::the_smallest("Integer32", json!({"aggregate": "Min"}), "m a=1 5\nm a=2 -6", "-6")]
#[case::the_largest("Integer32", json!({"aggregate": "Max"}), "m a=1 5\nm a=2 -6", "5")]
#[case::the_average("Integer32", json!({"aggregate": "Avg"}), "m a=1 4\nm a=2 6", "5")]
#[case::the_count("Integer32", json!({"aggregate": "Count"}), "m a=1 4\nm a=2 NaN", "2")]
#[case::scaled("Gauge32", json!({"scale": 100}), "m 0.256", "26")]
#[case::scaled_then_offset("Integer32", json!({"scale": 10, "offset": -3}), "m 2", "17")]
#[case::aggregated_then_scaled("Integer32", json!({"scale": 0.5}), "m a=1 2\nm a=2 5", "4")]
#[case::the_text_of_a_label("DisplayString", json!({"label": "version"}), "m version=1.2.3 1", r#""1.2.3""#)]
#[case::one_text_in_many_samples("DisplayString", json!({"label": "v"}), "m v=x a=1 1\nm v=x a=2 1", r#""x""#)]
#[case::a_number_as_text("DisplayString", json!({}), "m 0.25", r#""0.25""#)]
#[case::a_label_as_a_number("Integer32", json!({"label": "major"}), "m major=12 1", "12")]
#[case::a_label_as_an_address("IpAddress", json!({"label": "ip"}), "m ip=10.1.2.3 1", "10.1.2.3")]
#[case::a_label_as_an_identifier("ObjectIdentifier", json!({"label": "oid"}), "m oid=1.3.6.1 1", "1.3.6.1")]
#[case::truth("TruthValue", json!({}), "m 1", "1")]
#[case::falsehood("TruthValue", json!({}), "m 0", "2")]
fn a_scalar_shows_the_value(#[case] syntax: &str, #[case] fields: Json, #[case] page: &str, #[case] expected: &str) {
    let mut fixture = Fixture::scalar(syntax, "m", fields);
    assert_eq!(fixture.app(page).value().as_deref(), Some(expected));
    assert!(fixture.reasons().is_empty());
}

#[rstest]
#[case::no_sample("Gauge32", json!({}), "n 1", None)]
#[case::no_matching_sample("Gauge32", json!({"matchLabels": {"a": "1"}}), "m 1", None)]
#[case::nan("Gauge32", json!({}), "m NaN", Some(Reason::NotANumber))]
#[case::nan_among_others("Gauge32", json!({}), "m a=1 1\nm a=2 NaN", Some(Reason::NotANumber))]
#[case::infinity("Integer32", json!({}), "m +Inf", Some(Reason::Infinite))]
#[case::out_of_range("Integer32", json!({}), "m 2147483648", Some(Reason::OutOfRange))]
#[case::out_of_range_when_scaled("Integer32", json!({"scale": 1000}), "m 2147484", Some(Reason::OutOfRange))]
#[case::a_negative_counter("Counter64", json!({}), "m -1", Some(Reason::OutOfRange))]
#[case::a_text_that_is_not_a_number("Integer32", json!({"label": "v"}), "m v=x 1", Some(Reason::Unreadable))]
#[case::an_absent_label("DisplayString", json!({"label": "v"}), "m 1", None)]
fn a_scalar_has_no_instance(
    #[case] syntax: &str,
    #[case] fields: Json,
    #[case] page: &str,
    #[case] counted: Option<Reason>,
) {
    let mut fixture = Fixture::scalar(syntax, "m", fields);
    assert_eq!(fixture.app(page).value(), None);
    assert_eq!(fixture.reasons(), counted.into_iter().collect::<Vec<_>>());
    let view = fixture.mapper.view(fixture.now);
    assert_eq!(view.get(&[1, 3, 6, 1, 4, 1, 9, 1, 0]), ValueRef::NoSuchInstance, "the object is declared");
}

#[rstest]
#[case::no_instance(json!("NoSuchInstance"), None)]
#[case::zero(json!("Zero"), Some("0"))]
#[case::the_last_value(json!("Hold"), Some("5"))]
#[case::a_constant(json!({"Constant": "-7"}), Some("-7"))]
fn on_missing_replaces_a_missing_value(#[case] on_missing: Json, #[case] expected: Option<&str>) {
    let mut fixture = Fixture::scalar("Integer32", "m", json!({"onMissing": on_missing}));
    let before = if expected == Some("5") { None } else { expected };
    assert_eq!(fixture.value().as_deref(), before, "before the first scrape");
    assert_eq!(fixture.app("m 5").value().as_deref(), Some("5"));
    assert_eq!(fixture.app("n 5").value().as_deref(), expected, "absent from the scrape");
    assert_eq!(fixture.app("m 5").wait(60).value().as_deref(), expected, "stale");
}

#[test]
fn on_missing_does_not_replace_a_withheld_value() {
    for on_missing in [json!("Zero"), json!("Hold"), json!({"Constant": "-7"})] {
        let mut fixture = Fixture::scalar("Integer32", "m", json!({"onMissing": on_missing}));
        assert_eq!(fixture.app("m 5").app("m NaN").value(), None, "{on_missing}");
        assert_eq!(fixture.total(Reason::NotANumber), 1);
    }
    let mut fixture = Fixture::scalar("Integer32", "m", json!({"onMissing": "Hold"}));
    assert_eq!(fixture.app("m 5").app("m NaN").app("").value().as_deref(), Some("5"), "the last value");
}

#[test]
fn a_constant_needs_no_source() {
    let constant = |syntax, text| json!([{"name": "it", "oid": "1", "syntax": syntax, "value": {"constant": text}}]);
    assert_eq!(Fixture::new(constant("DisplayString", "acme"), json!([])).value().as_deref(), Some(r#""acme""#));
    assert_eq!(Fixture::new(constant("Counter64", "12"), json!([])).value().as_deref(), Some("12"));
    assert_eq!(Fixture::new(constant("TruthValue", "2"), json!([])).value().as_deref(), Some("2"), "false(2)");
    let violation = refused(constant("Integer32", "x"), json!([]));
    assert_eq!(violation.path, "scalars[0].value.constant");
    let violation = refused(constant("DisplayString", "é"), json!([]));
    assert_eq!(violation.path, "scalars[0].value.constant");
}

#[test]
fn an_invalid_document_is_refused_with_its_path() {
    let scalar =
        |name: &str, oid: &str, value: Json| json!({"name": name, "oid": oid, "syntax": "Integer32", "value": value});
    let plain = json!({"source": "app", "metric": "m"});
    let path = |scalars: Json| refused(scalars, json!([])).path;
    assert_eq!(path(json!([scalar("a", "1", json!({"source": "gone", "metric": "m"}))])), "scalars[0].value.source");
    let on_missing = json!({"source": "app", "metric": "m", "onMissing": {"Constant": "x"}});
    assert_eq!(
        path(json!([scalar("a", "1", plain.clone()), scalar("b", "2", on_missing)])),
        "scalars[1].value.onMissing"
    );
    assert_eq!(path(json!([scalar("a", "1", plain.clone()), scalar("b", "1.2", plain.clone())])), "scalars[1].oid");
    assert_eq!(path(json!([scalar("a", "1", plain.clone()), scalar("b", "1", plain)])), "scalars[1].oid");
}

#[test]
fn several_texts_show_the_smallest_and_are_counted() {
    let mut fixture = Fixture::scalar("DisplayString", "m", json!({"label": "v"}));
    assert_eq!(fixture.app("m v=b 1\nm v=c 1\nm v=a 1\nm v=b 1").value().as_deref(), Some(r#""a""#));
    assert_eq!((fixture.total(Reason::Ambiguous), fixture.example(Reason::Ambiguous)), (1, "it".to_owned()));
}
