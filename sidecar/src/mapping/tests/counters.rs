//! Counters: they never decrease unless they are configured to.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn values(fixture: &mut Fixture, pages: &[&str]) -> Vec<Option<String>> {
    pages.iter().map(|page| fixture.app(page).value()).collect()
}

fn shown(values: &[u64]) -> Vec<Option<String>> {
    values.iter().map(|value| Some(value.to_string())).collect()
}

#[rstest]
// The metric falls: the application restarted and counts from zero.
#[case::to_less_and_to_zero("Counter64", &["10", "20", "5", "6", "0", "1"], &[10, 20, 25, 26, 26, 27])]
#[case::to_one_less("Counter64", &["10", "9", "10"], &[10, 19, 20])]
#[case::of_fractions("Counter64", &["1.5", "0.25", "1"], &[2, 2, 3])]
#[case::beyond_53_bits("Counter64", &["9007199254740993", "3", "4"], &[9_007_199_254_740_993, 9_007_199_254_740_996, 9_007_199_254_740_997])]
// A restart that cannot be distinguished from a counter that continues.
#[case::to_exactly_the_same("Counter64", &["10", "10", "11"], &[10, 10, 11])]
#[case::to_more("Counter64", &["10", "12"], &[10, 12])]
// RFC 2578 sections 7.1.6 and 7.1.10: the sum wraps like the counter.
#[case::near_the_end_of_64_bits("Counter64", &["18446744073709551610", "3", "10"], &[18_446_744_073_709_551_610, 18_446_744_073_709_551_613, 4])]
#[case::at_the_end_of_64_bits_twice("Counter64", &["18446744073709551615", "18446744073709551614", "5"], &[u64::MAX, u64::MAX - 2, 2])]
#[case::near_the_end_of_32_bits("Counter32", &["4294967295", "5", "6"], &[4_294_967_295, 4, 5])]
#[case::of_a_metric_that_wraps_at_32_bits("Counter32", &["4294967290", "4294967300"], &[4_294_967_290, 4])]
fn a_counter_continues_when_the_application_restarts(
    #[case] syntax: &str,
    #[case] numbers: &[&str],
    #[case] expected: &[u64],
) {
    let mut fixture = Fixture::scalar(syntax, "m", json!({}));
    let pages: Vec<_> = numbers.iter().map(|number| format!("m {number}")).collect();
    let pages: Vec<_> = pages.iter().map(String::as_str).collect();
    assert_eq!(values(&mut fixture, &pages), shown(expected));
}

#[test]
fn a_restart_during_failed_scrapes_is_detected() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    assert_eq!(fixture.app("m 100").value().as_deref(), Some("100"));
    assert_eq!(fixture.wait(15).fail(0).wait(15).fail(0).value().as_deref(), Some("100"));
    assert_eq!(fixture.app("m 40").value().as_deref(), Some("140"));
}

#[test]
fn a_counter_with_pass_through_falls() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({"counterReset": "PassThrough"}));
    assert_eq!(values(&mut fixture, &["m 10", "m 5", "m 6"]), shown(&[10, 5, 6]));
}

#[test]
fn a_gauge_falls() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({}));
    assert_eq!(values(&mut fixture, &["m 10", "m 5"]), shown(&[10, 5]));
}

#[test]
fn each_series_continues_independently_before_the_sum() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    let pages = ["m a=1 10\nm a=2 1000", "m a=1 2\nm a=2 1001", "m a=2 1002", "m a=1 3\nm a=2 1002\nm a=3 50"];
    assert_eq!(values(&mut fixture, &pages), shown(&[1010, 1013, 1014, 1065]));
}

#[test]
fn a_scale_also_applies_to_the_total_before_a_restart() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({"scale": 100, "offset": 7}));
    assert_eq!(values(&mut fixture, &["m 1.5", "m 2.25", "m 0.5"]), shown(&[157, 232, 282]));
}

#[test]
fn a_counter_of_another_aggregate_keeps_its_highest_value() {
    for (aggregate, expected) in
        [("Max", [30, 30, 32, 37]), ("Min", [10, 10, 12, 30]), ("Avg", [20, 20, 22, 34]), ("Count", [2, 2, 2, 2])]
    {
        let mut fixture = Fixture::scalar("Counter32", "m", json!({"aggregate": aggregate}));
        let pages = ["m a=1 10\nm a=2 30", "m a=1 10", "m a=1 12\nm a=2 2", "m a=2 7\nm a=3 30"];
        assert_eq!(values(&mut fixture, &pages), shown(&expected), "{aggregate}");
    }
}

#[test]
fn a_counter_that_was_missing_continues() {
    for (on_missing, missing) in [("NoSuchInstance", None), ("Zero", Some("100")), ("Hold", Some("100"))] {
        let mut fixture = Fixture::scalar("Counter64", "m", json!({"onMissing": on_missing}));
        assert_eq!(fixture.app("m 100").value().as_deref(), Some("100"));
        assert_eq!(fixture.app("").value().as_deref(), missing, "{on_missing}: the counter does not fall to zero");
        assert_eq!(fixture.app("m 3").value().as_deref(), Some("103"), "{on_missing}");
    }
    let mut fixture = Fixture::scalar("Counter64", "m", json!({"onMissing": "Zero"}));
    assert_eq!(fixture.app("").value().as_deref(), Some("0"), "zero is shown for a counter without a value");
}

#[test]
fn a_counter_continues_after_its_source_was_stale() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    assert_eq!(fixture.app("m 100").value().as_deref(), Some("100"));
    assert_eq!(fixture.wait(1000).fail(0).value(), None);
    assert_eq!(fixture.app("m 4").value().as_deref(), Some("104"));
}

#[test]
fn a_number_that_is_not_finite_does_not_change_a_counter() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    let pages = ["m 10", "m NaN", "m +Inf", "m -5", "m 2"];
    let values = values(&mut fixture, &pages);
    assert_eq!(values[..3], [Some("10".to_owned()), None, None]);
    assert_eq!(fixture.reasons(), [Reason::NotANumber, Reason::Infinite]);
    let last: u64 = values[4].as_ref().unwrap().parse().unwrap();
    assert!(last >= 10);
}

#[test]
fn a_duplicate_series_counts_once() {
    let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
    assert_eq!(values(&mut fixture, &["m a=1 10\nm a=1 4", "m a=1 11\nm a=1 5"]), shown(&[10, 11]));
    assert_eq!(fixture.total(Reason::Duplicate), 2);
}

#[test]
fn rows_that_come_back_continue() {
    let mut fixture = Fixture::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2",
            "index": [{"name": "i", "oid": 1, "label": "d", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 2, "syntax": "Counter64", "value": {"source": "app", "metric": "m"}}],
        }]),
    );
    assert_eq!(fixture.app("m d=1 10\nm d=2 20").walk(), ["2.1.2.1 10", "2.1.2.2 20"]);
    assert_eq!(fixture.app("m d=2 21").walk(), ["2.1.2.2 21"]);
    assert_eq!(fixture.app("m d=1 4\nm d=2 22").walk(), ["2.1.2.1 14", "2.1.2.2 22"]);
}

#[test]
fn an_unlimited_number_of_rows_takes_bounded_memory_and_keeps_values_correct() {
    let mut fixture = Fixture::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2",
            "index": [{"name": "i", "oid": 1, "label": "d", "as": "Integer"}],
            "columns": [
                {"name": "c", "oid": 2, "syntax": "Counter64", "value": {"source": "app", "metric": "m"}},
                {"name": "r", "oid": 3, "syntax": "Gauge32", "value": {"source": "app", "metric": "m", "rateMs": 60000}},
                {"name": "s", "oid": 4, "syntax": "DisplayString", "value": {"source": "app", "metric": "m", "label": "d"}},
            ],
        }]),
    );
    for round in 0..40_u32 {
        // One row stays and falls in every second round. On each side of it are fifty rows that never come back.
        let passing = |from: u32| lines(from + round * 50..from + round * 50 + 50, |row| format!("m d={row} 1"));
        // 60 and 30 alternate: both the restart at 30 and the increase to 60 add 30.
        let page = format!("{}m d=5000 {}\n{}", passing(0), 60 - (round % 2) * 30, passing(6000));
        let walk = fixture.app(&page).walk();
        assert_eq!(walk.iter().filter(|line| line.starts_with("2.1.2.")).count(), 101);
        let sum = 60 + round * 30;
        assert!(walk.contains(&format!("2.1.2.5000 {sum}")), "round {round}: {sum} is not in {walk:?}");
        assert!(walk.contains(&r#"2.1.4.5000 "5000""#.to_owned()));
    }
    assert!(fixture.mapper.tables[0].remembered() < 1300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_counter_never_decreases(
        scrapes in prop::collection::vec(prop::collection::vec((0..6_u8, 0..1000_u32), 0..8), 1..30),
        aggregate in prop::sample::select(vec!["Sum", "Min", "Max", "Avg", "Count"]),
        fraction in any::<bool>(),
    ) {
        let scale = if fraction { 0.1 } else { 1.0 };
        let mut fixture = Fixture::scalar("Counter64", "m", json!({"aggregate": aggregate, "scale": scale}));
        let mut before = 0_u64;
        for scrape in scrapes {
            let series: std::collections::BTreeMap<_, _> = scrape.into_iter().collect();
            let page = lines(series, |(series, value)| format!("m a={series} {value}.{series}"));
            if let Some(value) = fixture.app(&page).value() {
                let value = value.parse().unwrap();
                prop_assert!(value >= before, "{aggregate} decreased from {before} to {value}");
                before = value;
            }
        }
    }

    #[test]
    fn the_sum_of_counters_includes_everything_counted_before_restarts(
        scrapes in prop::collection::vec(prop::collection::btree_map(0..5_u8, (0..1000_u64, any::<bool>()), 1..5), 1..20),
    ) {
        let mut fixture = Fixture::scalar("Counter64", "m", json!({}));
        let mut now = [0_u64; 5];
        let mut total = 0;
        for scrape in scrapes {
            let mut page = Vec::new();
            for (series, (increase, restart)) in scrape {
                let value = &mut now[usize::from(series)];
                // A restart is visible as a fall to a lower count.
                let after = if restart && *value > 0 { increase % *value } else { *value + increase };
                total += if after < *value { after } else { after - *value };
                *value = after;
                page.push(format!("m a={series} {after}"));
            }
            prop_assert_eq!(fixture.app(&page.join("\n")).value(), Some(total.to_string()));
        }
    }
}
