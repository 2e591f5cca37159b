//! Families that change from scrape to scrape: other types, other labels, or absent.

use super::*;
use rstest::rstest;

#[rstest]
// The declared types are ignored; only the samples count.
#[case::a_gauge_that_splits_and_joins("Gauge32", json!({}), &[("m 5", Some("5")), ("m a=1 5\nm a=2 6", Some("11")), ("m 7", Some("7"))])]
#[case::a_gauge_that_becomes_a_histogram("Gauge32", json!({}), &[("m 5", Some("5")), ("m_bucket le=1 3\nm_bucket le=+Inf 3\nm_count 3\nm_sum 1", None), ("m 7", Some("7"))])]
#[case::a_gauge_that_becomes_a_summary("Gauge32", json!({}), &[("m 5", Some("5")), ("m quantile=0.5 3\nm quantile=0.9 4", Some("7"))])]
#[case::a_gauge_that_is_renamed("Gauge32", json!({}), &[("m 5", Some("5")), ("m_total 5", None), ("", None), ("m 6", Some("6"))])]
// Each series of a counter continues independently. A new series adds its whole number.
#[case::a_counter_that_splits_and_joins("Counter64", json!({}), &[("m 10", Some("10")), ("m a=1 4\nm a=2 4", Some("18")), ("m 11", Some("19")), ("m a=1 1\nm a=2 5", Some("21"))])]
#[case::a_counter_that_gets_a_label("Counter64", json!({"matchLabels": {"a": "1"}}), &[("m 10", None), ("m a=1 10", Some("10")), ("m b=1 11", None), ("m a=1 11", Some("11"))])]
#[case::a_counter_that_becomes_a_gauge("Counter64", json!({}), &[("m 10", Some("10")), ("m 7", Some("17")), ("m 8", Some("18"))])]
// No series was in the previous scrape, so there is no rate.
#[case::a_rate_of_a_series_that_splits("Gauge32", json!({"rateMs": 60_000}), &[("m 0", None), ("m 15", Some("1")), ("m a=1 15\nm a=2 15", None), ("m a=1 45\nm a=2 15", Some("2"))])]
// A histogram is preferred to a summary.
#[case::a_quantile_of_alternating_types("Gauge32", json!({"quantile": 0.5}), &[
    ("m_bucket le=10 4\nm_bucket le=+Inf 4", Some("5")), ("m quantile=0.5 7", Some("7")), ("m 9", None), ("", None),
    ("m_bucket le=10 4\nm_bucket le=20 8\nm_bucket le=+Inf 8", Some("10")),
])]
#[case::a_label_that_appears_and_vanishes("DisplayString", json!({"label": "v"}), &[("m v=1 1", Some("\"1\"")), ("m 1", None), ("m v=2 w=3 1", Some("\"2\""))])]
fn a_scalar_follows_its_changing_samples(
    #[case] syntax: &str,
    #[case] fields: Json,
    #[case] scrapes: &[(&str, Option<&str>)],
) {
    let mut fixture = Fixture::scalar(syntax, "m", fields);
    for (page, expected) in scrapes {
        assert_eq!(fixture.app(page).value().as_deref(), *expected, "{page:?}");
    }
    assert!(fixture.reasons().is_empty());
}

#[test]
fn a_table_follows_its_changing_index_labels() {
    let mut fixture = Fixture::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2", "index": [{"name": "i", "oid": 9, "label": "d", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 1, "syntax": "Counter64", "value": {"source": "app", "metric": "m"}}],
        }]),
    );
    for (page, walk) in [
        ("m d=1 10", &["2.1.1.1 10"][..]),
        ("m 10", &[]),
        ("m d=1 e=x 3\nm d=2 e=x 4", &["2.1.1.1 13", "2.1.1.2 4"]),
        ("m d=eth0 10", &[]),
        ("m d=1 11\nm d=1 e=x 4", &["2.1.1.1 15"]),
    ] {
        assert_eq!(fixture.app(page).walk(), walk, "{page:?}");
    }
    assert_eq!((fixture.total(Reason::NoIndexLabel), fixture.total(Reason::BadIndex)), (1, 1));
}
