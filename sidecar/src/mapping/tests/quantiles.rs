//! Quantiles of histograms and summaries, as in Prometheus's `histogram_quantile`.

use super::*;
use rstest::rstest;

/// A histogram of ten observations between 0.1 and 0.2.
const BETWEEN: &str = "m_bucket le=0.1 0\nm_bucket le=0.2 10\nm_bucket le=+Inf 10\nm_count 10\nm_sum 1.5";

#[rstest]
#[case::of_a_histogram(json!({"quantile": 0.5, "scale": 1000}), BETWEEN, "150")]
#[case::of_several_histograms_added_by_bucket(json!({"quantile": 0.5, "scale": 1000}),
    "m_bucket a=1 le=0.1 0\nm_bucket a=1 le=0.2 4\nm_bucket a=1 le=+Inf 4\nm_bucket a=2 le=0.10 0\nm_bucket a=2 le=0.20 6\nm_bucket a=2 le=Inf 6",
    "150")]
#[case::of_bounds_in_different_notations(json!({"quantile": 0.5}), "m_bucket le=1e1 0\nm_bucket le=2E+1 10\nm_bucket le=inf 10", "15")]
#[case::of_buckets_in_any_order(json!({"quantile": 0.5}), "m_bucket le=+Inf 10\nm_bucket le=20 10\nm_bucket le=10 0", "15")]
#[case::of_the_matching_series_only(json!({"quantile": 0.5, "matchLabels": {"a": "1"}}),
    "m_bucket a=1 le=10 4\nm_bucket a=1 le=+Inf 4\nm_bucket a=2 le=10 0\nm_bucket a=2 le=+Inf 96", "5")]
#[case::of_a_histogram_before_a_summary_of_its_name(json!({"quantile": 1}), "m quantile=1 9\nm_bucket le=4 1\nm_bucket le=+Inf 1", "4")]
#[case::of_a_summary(json!({"quantile": 0.99}), "m quantile=0.5 1\nm quantile=0.99 7\nm_count 10", "7")]
#[case::of_a_summary_in_another_notation(json!({"quantile": 0.9}), "m quantile=0.90 7", "7")]
#[case::of_a_summary_at_its_ends(json!({"quantile": 0}), "m quantile=0 3\nm quantile=1 7", "3")]
#[case::the_largest_of_summaries(json!({"quantile": 0.9, "aggregate": "Max"}), "m a=1 quantile=0.9 7\nm a=2 quantile=0.9 5", "7")]
#[case::of_the_summary_that_has_observations(json!({"quantile": 0.9}), "m a=1 quantile=0.9 7\nm a=2 quantile=0.9 NaN", "7")]
fn a_quantile(#[case] fields: Json, #[case] page: &str, #[case] expected: &str) {
    let mut fixture = Fixture::scalar("Gauge32", "m", fields);
    assert_eq!(fixture.app(page).value().as_deref(), Some(expected));
    assert!(fixture.reasons().is_empty());
}

#[rstest]
#[case::of_no_sample("n 1", None)]
#[case::of_a_histogram_without_observations("m_bucket le=1 0\nm_bucket le=+Inf 0", None)]
#[case::of_a_histogram_without_its_last_bucket("m_bucket le=1 5", Some(Reason::BadHistogram))]
#[case::of_the_last_bucket_only("m_bucket le=+Inf 5", Some(Reason::BadHistogram))]
#[case::of_a_bucket_without_bound("m_bucket 5", Some(Reason::BadHistogram))]
#[case::of_a_bound_that_is_a_word("m_bucket le=x 5", Some(Reason::BadHistogram))]
#[case::of_a_bound_of_nan("m_bucket le=NaN 5", Some(Reason::BadHistogram))]
#[case::of_a_last_bucket_of_nan("m_bucket le=1 5\nm_bucket le=+Inf NaN", Some(Reason::BadHistogram))]
#[case::beside_a_bound_of_minus_infinity(
    "m_bucket le=-Inf 1\nm_bucket le=1 10\nm_bucket le=+Inf 10",
    Some(Reason::NotANumber)
)]
#[case::of_a_summary_without_the_quantile("m quantile=0.9 5", Some(Reason::NoSuchQuantile))]
#[case::of_a_summary_without_observations("m quantile=0.5 NaN", None)]
#[case::of_a_sample_of_neither_type("m 5", None)]
fn there_is_no_quantile(#[case] page: &str, #[case] counted: Option<Reason>) {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"quantile": 0.5}));
    assert_eq!(fixture.app(page).value(), None);
    assert_eq!(fixture.reasons(), counted.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_bucket_with_an_invalid_bound_is_counted_and_the_others_are_used() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"quantile": 0.5, "scale": 1000}));
    assert_eq!(fixture.app(&format!("{BETWEEN}\nm_bucket le=x 5")).value().as_deref(), Some("150"));
    assert_eq!(fixture.total(Reason::BadHistogram), 1);
}

#[test]
fn a_quantile_with_a_rate_is_that_of_the_window() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"quantile": 0.5, "rateMs": 60_000}));
    let page = |low: u32, all: u32| format!("m_bucket le=10 {low}\nm_bucket le=20 {all}\nm_bucket le=+Inf {all}");
    assert_eq!(fixture.app(&page(1000, 1000)).value(), None);
    assert_eq!(
        fixture.app(&page(1000, 1010)).value().as_deref(),
        Some("15"),
        "all recent observations are between 10 and 20"
    );
    assert_eq!(
        fixture.app(&page(4, 4)).value().as_deref(),
        Some("13"),
        "after a restart: 4 up to 10, and 10 between 10 and 20"
    );
    assert_eq!(
        fixture.app(&page(4, 4)).wait(30).app(&page(4, 4)).wait(30).app(&page(4, 4)).value(),
        None,
        "no recent observations"
    );
}
