//! Scalars: from samples to one value.

use super::*;
use rstest::rstest;

#[rstest]
#[case::the_one_sample("Gauge32", json!({}), "m 5", "5")]
#[case::samples_add_up("Gauge32", json!({}), "m a=1 5\nm a=2 6", "11")]
#[case::only_matching_samples("Gauge32", json!({"matchLabels": {"a": "2"}}), "m a=1 5\nm a=2 6", "6")]
#[case::the_smallest("Integer32", json!({"aggregate": "Min"}), "m a=1 5\nm a=2 -6", "-6")]
#[case::the_largest("Integer32", json!({"aggregate": "Max"}), "m a=1 5\nm a=2 -6", "5")]
#[case::the_average("Integer32", json!({"aggregate": "Avg"}), "m a=1 4\nm a=2 6", "5")]
#[case::how_many("Integer32", json!({"aggregate": "Count"}), "m a=1 4\nm a=2 NaN", "2")]
#[case::scaled("Gauge32", json!({"scale": 100}), "m 0.256", "26")]
#[case::scaled_then_offset("Integer32", json!({"scale": 10, "offset": -3}), "m 2", "17")]
#[case::aggregated_then_scaled("Integer32", json!({"scale": 0.5}), "m a=1 2\nm a=2 5", "4")]
#[case::rounded_down("Gauge32", json!({"round": "Floor"}), "m 2.9", "2")]
#[case::rounded_up("Gauge32", json!({"round": "Ceil"}), "m 2.1", "3")]
#[case::exact_to_64_bits("Counter64", json!({}), "m 18446744073709551615", "18446744073709551615")]
#[case::exact_through_a_scale("Counter64", json!({"scale": 1000}), "m 18446744073709551", "18446744073709551000")]
#[case::a_counter64_wraps("Counter64", json!({}), "m a=1 18446744073709551615\nm a=2 6", "5")]
#[case::a_counter32_wraps("Counter32", json!({}), "m 4294967301", "5")]
#[case::a_gauge_latches("Gauge32", json!({}), "m 1e12", "4294967295")]
#[case::the_text_of_a_label("DisplayString", json!({"label": "version"}), "m version=1.2.3 1", r#""1.2.3""#)]
#[case::one_text_in_many_samples("DisplayString", json!({"label": "v"}), "m v=x a=1 1\nm v=x a=2 1", r#""x""#)]
#[case::a_number_as_text("DisplayString", json!({}), "m 0.25", r#""0.25""#)]
#[case::a_label_as_a_number("Integer32", json!({"label": "major"}), "m major=12 1", "12")]
#[case::a_label_as_an_address("IpAddress", json!({"label": "ip"}), "m ip=10.1.2.3 1", "10.1.2.3")]
#[case::a_label_as_an_identifier("ObjectIdentifier", json!({"label": "oid"}), "m oid=1.3.6.1 1", "1.3.6.1")]
#[case::truth("TruthValue", json!({}), "m 1", "1")]
#[case::falsehood("TruthValue", json!({}), "m 0", "2")]
#[case::a_quantile_of_a_histogram("Gauge32", json!({"quantile": 0.5, "scale": 1000}),
    "m_bucket le=0.1 0\nm_bucket le=0.2 10\nm_bucket le=+Inf 10\nm_count 10", "150")]
#[case::a_quantile_of_histograms_together("Gauge32", json!({"quantile": 0.5, "scale": 1000}),
    "m_bucket a=1 le=0.1 0\nm_bucket a=1 le=0.2 4\nm_bucket a=1 le=+Inf 4\nm_bucket a=2 le=0.10 0\nm_bucket a=2 le=0.20 6\nm_bucket a=2 le=Inf 6",
    "150")]
#[case::a_quantile_of_a_summary("Gauge32", json!({"quantile": 0.99}), "m quantile=0.5 1\nm quantile=0.99 7\nm_count 10", "7")]
#[case::a_quantile_however_it_is_written("Gauge32", json!({"quantile": 0.9}), "m quantile=0.90 7", "7")]
#[case::the_largest_quantile_of_summaries("Gauge32", json!({"quantile": 0.9, "aggregate": "Max"}),
    "m a=1 quantile=0.9 7\nm a=2 quantile=0.9 5", "7")]
fn a_scalar_shows(#[case] syntax: &str, #[case] fields: Json, #[case] page: &str, #[case] expected: &str) {
    let mut bed = Bed::scalar(syntax, "m", fields);
    assert_eq!(bed.app(page).value().as_deref(), Some(expected));
    assert!(bed.reasons().is_empty() || bed.reasons() == [Reason::Latched]);
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
#[case::a_text_that_is_no_number("Integer32", json!({"label": "v"}), "m v=x 1", Some(Reason::Unreadable))]
#[case::a_label_that_is_not_there("DisplayString", json!({"label": "v"}), "m 1", None)]
#[case::a_histogram_of_nothing("Gauge32", json!({"quantile": 0.5}), "m_bucket le=1 0\nm_bucket le=+Inf 0", None)]
#[case::a_histogram_without_its_last_bucket("Gauge32", json!({"quantile": 0.5}), "m_bucket le=1 5", Some(Reason::BadHistogram))]
#[case::a_bucket_without_bound("Gauge32", json!({"quantile": 0.5}), "m_bucket le=x 5", Some(Reason::BadHistogram))]
#[case::a_summary_without_the_quantile("Gauge32", json!({"quantile": 0.5}), "m quantile=0.9 5", Some(Reason::NoSuchQuantile))]
#[case::a_summary_of_nothing("Gauge32", json!({"quantile": 0.5}), "m quantile=0.5 NaN", None)]
fn a_scalar_shows_nothing_for(
    #[case] syntax: &str,
    #[case] fields: Json,
    #[case] page: &str,
    #[case] counted: Option<Reason>,
) {
    let mut bed = Bed::scalar(syntax, "m", fields);
    assert_eq!(bed.app(page).value(), None);
    assert_eq!(bed.reasons(), counted.into_iter().collect::<Vec<_>>());
    let view = bed.mapper.view(bed.now);
    assert_eq!(view.get(&[1, 3, 6, 1, 4, 1, 9, 1, 0]), ValueRef::NoSuchInstance, "the object is declared");
}

#[rstest]
#[case::no_instance(json!("NoSuchInstance"), None)]
#[case::zero(json!("Zero"), Some("0"))]
#[case::what_it_was(json!("Hold"), Some("5"))]
#[case::a_constant(json!({"Constant": "-7"}), Some("-7"))]
fn what_is_missing_shows(#[case] on_missing: Json, #[case] expected: Option<&str>) {
    let mut bed = Bed::scalar("Integer32", "m", json!({"onMissing": on_missing}));
    let before = if expected == Some("5") { None } else { expected };
    assert_eq!(bed.value().as_deref(), before, "before the first scrape");
    assert_eq!(bed.app("m 5").value().as_deref(), Some("5"));
    assert_eq!(bed.app("n 5").value().as_deref(), expected, "gone from the page");
    assert_eq!(bed.app("m 5").wait(60).value().as_deref(), expected, "stale");
}

#[test]
fn what_cannot_be_shown_is_not_what_is_missing() {
    for on_missing in [json!("Zero"), json!("Hold"), json!({"Constant": "-7"})] {
        let mut bed = Bed::scalar("Integer32", "m", json!({"onMissing": on_missing}));
        assert_eq!(bed.app("m 5").app("m NaN").value(), None, "{on_missing}");
        assert_eq!(bed.total(Reason::NotANumber), 1);
    }
    let mut bed = Bed::scalar("Integer32", "m", json!({"onMissing": "Hold"}));
    assert_eq!(bed.app("m 5").app("m NaN").app("").value().as_deref(), Some("5"), "the last value there was");
}

#[test]
fn a_constant_needs_no_source() {
    let constant = |syntax, text| json!([{"name": "it", "oid": "1", "syntax": syntax, "value": {"constant": text}}]);
    assert_eq!(Bed::new(constant("DisplayString", "acme"), json!([])).value().as_deref(), Some(r#""acme""#));
    assert_eq!(Bed::new(constant("Counter64", "12"), json!([])).value().as_deref(), Some("12"));
    assert_eq!(Bed::new(constant("TruthValue", "2"), json!([])).value().as_deref(), Some("2"), "false(2)");
    let violation = refused(constant("Integer32", "x"), json!([]));
    assert_eq!(violation.path, "scalars[0].value.constant");
    let violation = refused(constant("DisplayString", "é"), json!([]));
    assert_eq!(violation.path, "scalars[0].value.constant");
}

#[test]
fn a_document_that_cannot_be_is_refused_at_its_place() {
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
    let mut bed = Bed::scalar("DisplayString", "m", json!({"label": "v"}));
    assert_eq!(bed.app("m v=b 1\nm v=c 1\nm v=a 1\nm v=b 1").value().as_deref(), Some(r#""a""#));
    assert_eq!((bed.total(Reason::Ambiguous), bed.example(Reason::Ambiguous)), (1, "it".to_owned()));
}

#[test]
fn a_histogram_comes_before_a_summary_of_the_same_name() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({"quantile": 1}));
    assert_eq!(bed.app("m quantile=1 9\nm_bucket le=4 1\nm_bucket le=+Inf 1").value().as_deref(), Some("4"));
}

#[test]
fn a_rate_is_the_sum_of_each_series_increase_per_second() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({"rateMs": 60_000}));
    assert_eq!(bed.app("m a=1 100\nm a=2 1000").value(), None, "one point is no rate");
    assert_eq!(bed.app("m a=1 130\nm a=2 1015").value().as_deref(), Some("3"));
    assert_eq!(
        bed.app("m a=1 15\nm a=2 1030").value().as_deref(),
        Some("3"),
        "a restart: (30 + 15) / 30 + 30 / 30 = 2.5"
    );
    assert_eq!(bed.app("m a=2 1045\nm a=3 7").value().as_deref(), Some("1"), "series gone and series new have none");
    assert!(bed.reasons().is_empty());
}

#[test]
fn a_rate_begins_anew_after_its_window_has_passed() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({"rateMs": 60_000, "onMissing": "Zero"}));
    assert_eq!(bed.app("m 0").app("m 150").value().as_deref(), Some("10"));
    assert_eq!(bed.wait(30).fail(0).app("m 600").value().as_deref(), Some("10"), "a failed scrape is no matter");
    assert_eq!(bed.wait(100).app("m 700").value().as_deref(), Some("0"), "no two points in the window");
    assert_eq!(bed.app("m 730").value().as_deref(), Some("2"));
}

#[test]
fn a_quantile_with_a_rate_is_that_of_the_window() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({"quantile": 0.5, "rateMs": 60_000}));
    let page = |low: u32, all: u32| format!("m_bucket le=10 {low}\nm_bucket le=20 {all}\nm_bucket le=+Inf {all}");
    assert_eq!(bed.app(&page(1000, 1000)).value(), None);
    assert_eq!(bed.app(&page(1000, 1010)).value().as_deref(), Some("15"), "all of late between 10 and 20");
    assert_eq!(
        bed.app(&page(1000, 1010)).wait(30).app(&page(1000, 1010)).wait(30).app(&page(1000, 1010)).value(),
        None,
        "nothing of late"
    );
}
