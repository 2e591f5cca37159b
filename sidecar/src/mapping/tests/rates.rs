//! Rates: the increase per second within a window, with series that appear, restart and vanish.

use super::*;
use rstest::rstest;

/// Seconds since the first scrape, the page or `-` for a failed scrape, and the expected value in thousandths per
/// second.
type Step = (u64, &'static str, Option<&'static str>);

#[rstest]
// "rate(v) calculates the per-second average rate of increase".
#[case::two_points(&[(0, "m 100", None), (10, "m 130", Some("3000"))])]
#[case::a_counter_without_increase(&[(0, "m 100", None), (10, "m 100", Some("0"))])]
#[case::from_the_oldest_point_of_the_window(&[(0, "m 0", None), (20, "m 0", Some("0")), (60, "m 60", Some("1000")), (80, "m 60", Some("1000"))])]
// "Breaks in monotonicity (such as counter resets due to target restarts) are automatically adjusted for."
#[case::a_restart_counts_from_zero(&[(0, "m 100", None), (10, "m 130", Some("3000")), (20, "m 10", Some("2000"))])]
#[case::a_restart_to_zero(&[(0, "m 100", None), (10, "m 0", Some("0")), (20, "m 20", Some("1000"))])]
#[case::a_restart_to_the_same_number_is_not_detected(&[(0, "m 100", None), (10, "m 100", Some("0")), (20, "m 110", Some("500"))])]
#[case::two_restarts_in_a_window(&[(0, "m 100", None), (10, "m 20", Some("2000")), (20, "m 10", Some("1500"))])]
// "The calculation [...] allows for missed scrapes".
#[case::a_missed_scrape(&[(0, "m 0", None), (10, "-", None), (20, "m 40", Some("2000"))])]
#[case::a_restart_within_a_missed_scrape(&[(0, "m 100", None), (10, "-", None), (20, "m 40", Some("2000"))])]
#[case::a_failed_scrape_shows_the_last_rate(&[(0, "m 0", None), (10, "m 20", Some("2000")), (20, "-", Some("2000"))])]
#[case::nan_is_a_missed_scrape(&[(0, "m 0", None), (10, "m NaN", None), (20, "m 40", Some("2000"))])]
#[case::no_two_points_in_the_window(&[(0, "m 0", None), (61, "m 600", None), (71, "m 620", Some("2000"))])]
#[case::a_point_at_the_beginning_of_the_window(&[(0, "m 0", None), (60, "m 120", Some("2000"))])]
// Integers are exact to 64 bits before they are subtracted.
#[case::beyond_53_bits(&[(0, "m 18446744073709551605", None), (10, "m 18446744073709551615", Some("1000"))])]
#[case::a_restart_near_the_end_of_64_bits(&[(0, "m 18446744073709551615", None), (10, "m 10", Some("1000"))])]
// Each series has its own rate, as in sum(rate(m[1m])).
#[case::series_add_up(&[(0, "m a=1 100\nm a=2 1000", None), (10, "m a=1 110\nm a=2 1020", Some("3000"))])]
#[case::each_series_restarts_independently(&[(0, "m a=1 100\nm a=2 1000", None), (10, "m a=1 10\nm a=2 1020", Some("3000"))])]
#[case::a_new_series_has_no_rate(&[(0, "m a=1 0", None), (10, "m a=1 10\nm a=2 1000", Some("1000")), (20, "m a=1 20\nm a=2 1010", Some("2000"))])]
#[case::an_absent_series_has_no_rate(&[(0, "m a=1 0\nm a=2 0", None), (10, "m a=1 10\nm a=2 10", Some("2000")), (20, "m a=1 20", Some("1000"))])]
#[case::a_series_that_comes_back_continues(&[(0, "m a=1 0\nm a=2 0", None), (10, "m a=1 10", Some("1000")), (20, "m a=1 20\nm a=2 40", Some("3000"))])]
fn a_rate_over_a_minute_is_computed(#[case] steps: &[Step]) {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"rateMs": 60_000, "scale": 1000}));
    let mut now = 0;
    for (at, page, expected) in steps {
        fixture.wait(at - now);
        now = *at;
        if *page == "-" {
            fixture.fail(0)
        } else {
            fixture.observe(0, page)
        };
        assert_eq!(fixture.value().as_deref(), *expected, "after {at} s");
    }
}

#[test]
fn the_value_is_missing_without_two_points() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"rateMs": 60_000, "onMissing": "Zero"}));
    assert_eq!(fixture.app("m 100").value().as_deref(), Some("0"));
    assert_eq!(fixture.app("m 130").value().as_deref(), Some("2"));
    assert!(fixture.reasons().is_empty());
}

#[test]
fn a_negative_rate_is_out_of_range_for_a_gauge() {
    // A counter below zero is invalid. The rate is that of Prometheus, and the gauge shows the end of its range.
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"rateMs": 60_000}));
    assert_eq!(fixture.app("m 10").app("m -30").value().as_deref(), Some("0"));
    assert_eq!(fixture.reasons(), [Reason::Latched]);
}
