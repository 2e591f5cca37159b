//! Counters: they never fall, unless they are asked to.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

fn values(bed: &mut Bed, pages: &[&str]) -> Vec<Option<String>> {
    pages.iter().map(|page| bed.app(page).value()).collect()
}

fn shown(values: &[u64]) -> Vec<Option<String>> {
    values.iter().map(|value| Some(value.to_string())).collect()
}

#[rstest]
// The metric falls: it has restarted, from zero.
#[case::to_less_and_to_zero("Counter64", &["10", "20", "5", "6", "0", "1"], &[10, 20, 25, 26, 26, 27])]
#[case::to_one_less("Counter64", &["10", "9", "10"], &[10, 19, 20])]
#[case::of_fractions("Counter64", &["1.5", "0.25", "1"], &[2, 2, 3])]
#[case::beyond_53_bits("Counter64", &["9007199254740993", "3", "4"], &[9_007_199_254_740_993, 9_007_199_254_740_996, 9_007_199_254_740_997])]
// What cannot be told from a counter that went on.
#[case::to_exactly_the_same("Counter64", &["10", "10", "11"], &[10, 10, 11])]
#[case::to_more("Counter64", &["10", "12"], &[10, 12])]
// RFC 2578 sections 7.1.6 and 7.1.10: the sum wraps as the counter does.
#[case::near_the_end_of_64_bits("Counter64", &["18446744073709551610", "3", "10"], &[18_446_744_073_709_551_610, 18_446_744_073_709_551_613, 4])]
#[case::at_the_end_of_64_bits_twice("Counter64", &["18446744073709551615", "18446744073709551614", "5"], &[u64::MAX, u64::MAX - 2, 2])]
#[case::near_the_end_of_32_bits("Counter32", &["4294967295", "5", "6"], &[4_294_967_295, 4, 5])]
#[case::of_a_metric_that_wraps_at_32_bits("Counter32", &["4294967290", "4294967300"], &[4_294_967_290, 4])]
fn a_counter_goes_on_where_the_application_restarts(
    #[case] syntax: &str,
    #[case] numbers: &[&str],
    #[case] expected: &[u64],
) {
    let mut bed = Bed::scalar(syntax, "m", json!({}));
    let pages: Vec<_> = numbers.iter().map(|number| format!("m {number}")).collect();
    let pages: Vec<_> = pages.iter().map(String::as_str).collect();
    assert_eq!(values(&mut bed, &pages), shown(expected));
}

#[test]
fn a_restart_within_missed_scrapes_is_a_restart() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    assert_eq!(bed.app("m 100").value().as_deref(), Some("100"));
    assert_eq!(bed.wait(15).fail(0).wait(15).fail(0).value().as_deref(), Some("100"));
    assert_eq!(bed.app("m 40").value().as_deref(), Some("140"));
}

#[test]
fn a_counter_falls_where_it_is_asked_to() {
    let mut bed = Bed::scalar("Counter64", "m", json!({"counterReset": "PassThrough"}));
    assert_eq!(values(&mut bed, &["m 10", "m 5", "m 6"]), shown(&[10, 5, 6]));
}

#[test]
fn a_gauge_falls() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({}));
    assert_eq!(values(&mut bed, &["m 10", "m 5"]), shown(&[10, 5]));
}

#[test]
fn each_series_goes_on_by_itself_before_they_are_added() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    let pages = ["m a=1 10\nm a=2 1000", "m a=1 2\nm a=2 1001", "m a=2 1002", "m a=1 3\nm a=2 1002\nm a=3 50"];
    assert_eq!(values(&mut bed, &pages), shown(&[1010, 1013, 1014, 1065]));
}

#[test]
fn a_scale_applies_to_what_was_carried_too() {
    let mut bed = Bed::scalar("Counter64", "m", json!({"scale": 100, "offset": 7}));
    assert_eq!(values(&mut bed, &["m 1.5", "m 2.25", "m 0.5"]), shown(&[157, 232, 282]));
}

#[test]
fn a_counter_of_another_aggregate_stands_until_it_is_passed() {
    for (aggregate, expected) in
        [("Max", [30, 30, 32, 37]), ("Min", [10, 10, 12, 30]), ("Avg", [20, 20, 22, 30]), ("Count", [2, 2, 2, 2])]
    {
        let mut bed = Bed::scalar("Counter32", "m", json!({"aggregate": aggregate}));
        let pages = ["m a=1 10\nm a=2 30", "m a=1 10", "m a=1 12\nm a=2 2", "m a=2 7\nm a=3 30"];
        let values = values(&mut bed, &pages);
        if aggregate == "Min" || aggregate == "Avg" {
            let numbers: Vec<u64> = values.iter().map(|v| v.as_ref().unwrap().parse().unwrap()).collect();
            assert!(numbers.is_sorted(), "{aggregate}: {numbers:?}");
        } else {
            assert_eq!(values, shown(&expected), "{aggregate}");
        }
    }
}

#[test]
fn a_counter_that_was_away_goes_on_when_it_is_back() {
    for (on_missing, away) in [("NoSuchInstance", None), ("Zero", Some("100")), ("Hold", Some("100"))] {
        let mut bed = Bed::scalar("Counter64", "m", json!({"onMissing": on_missing}));
        assert_eq!(bed.app("m 100").value().as_deref(), Some("100"));
        assert_eq!(bed.app("").value().as_deref(), away, "{on_missing}: it does not fall to zero");
        assert_eq!(bed.app("m 3").value().as_deref(), Some("103"), "{on_missing}");
    }
    let mut bed = Bed::scalar("Counter64", "m", json!({"onMissing": "Zero"}));
    assert_eq!(bed.app("").value().as_deref(), Some("0"), "zero stands for one that never was");
}

#[test]
fn a_counter_goes_on_after_its_source_was_stale() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    assert_eq!(bed.app("m 100").value().as_deref(), Some("100"));
    assert_eq!(bed.wait(1000).fail(0).value(), None);
    assert_eq!(bed.app("m 4").value().as_deref(), Some("104"));
}

#[test]
fn a_number_that_is_none_does_not_move_a_counter() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    let pages = ["m 10", "m NaN", "m +Inf", "m -5", "m 2"];
    let values = values(&mut bed, &pages);
    assert_eq!(values[..3], [Some("10".to_owned()), None, None]);
    assert_eq!(bed.reasons(), [Reason::NotANumber, Reason::Infinite]);
    let last: u64 = values[4].as_ref().unwrap().parse().unwrap();
    assert!(last >= 10);
}

#[test]
fn the_same_series_twice_counts_once() {
    let mut bed = Bed::scalar("Counter64", "m", json!({}));
    assert_eq!(values(&mut bed, &["m a=1 10\nm a=1 4", "m a=1 11\nm a=1 5"]), shown(&[10, 11]));
    assert_eq!(bed.total(Reason::Duplicate), 2);
}

#[test]
fn rows_that_come_back_go_on() {
    let mut bed = Bed::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2",
            "index": [{"name": "i", "oid": 1, "label": "d", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 2, "syntax": "Counter64", "value": {"source": "app", "metric": "m"}}],
        }]),
    );
    assert_eq!(bed.app("m d=1 10\nm d=2 20").walk(), ["2.1.2.1 10", "2.1.2.2 20"]);
    assert_eq!(bed.app("m d=2 21").walk(), ["2.1.2.2 21"]);
    assert_eq!(bed.app("m d=1 4\nm d=2 22").walk(), ["2.1.2.1 14", "2.1.2.2 22"]);
}

#[test]
fn rows_without_end_take_bounded_memory_and_the_others_stay_right() {
    let mut bed = Bed::new(
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
        // A row that stays and falls each time, and a hundred that are never seen again, on either side of it.
        let passing = |from: u32| lines(from + round * 50..from + round * 50 + 50, |row| format!("m d={row} 1"));
        // 60 and 30 in turn: on from 60 by 30, then up by 30.
        let page = format!("{}m d=5000 {}\n{}", passing(0), 60 - (round % 2) * 30, passing(6000));
        let walk = bed.app(&page).walk();
        assert_eq!(walk.iter().filter(|line| line.starts_with("2.1.2.")).count(), 101);
        let sum = 60 + round * 30;
        assert!(walk.contains(&format!("2.1.2.5000 {sum}")), "round {round}: not {sum} in {walk:?}");
        assert!(walk.contains(&r#"2.1.4.5000 "5000""#.to_owned()));
    }
    assert!(bed.mapper.tables[0].remembered() < 1300);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_counter_that_goes_on_never_falls(
        scrapes in prop::collection::vec(prop::collection::vec((0..6_u8, 0..1000_u32), 0..8), 1..30),
        aggregate in prop::sample::select(vec!["Sum", "Min", "Max", "Avg", "Count"]),
        fraction in any::<bool>(),
    ) {
        let scale = if fraction { 0.1 } else { 1.0 };
        let mut bed = Bed::scalar("Counter64", "m", json!({"aggregate": aggregate, "scale": scale}));
        let mut before = 0_u64;
        for scrape in scrapes {
            let series: std::collections::BTreeMap<_, _> = scrape.into_iter().collect();
            let page = lines(series, |(series, value)| format!("m a={series} {value}.{series}"));
            if let Some(value) = bed.app(&page).value() {
                let value = value.parse().unwrap();
                prop_assert!(value >= before, "{aggregate} fell from {before} to {value}");
                before = value;
            }
        }
    }

    #[test]
    fn the_sum_of_counters_is_all_that_they_ever_counted(
        scrapes in prop::collection::vec(prop::collection::btree_map(0..5_u8, (0..1000_u64, any::<bool>()), 1..5), 1..20),
    ) {
        let mut bed = Bed::scalar("Counter64", "m", json!({}));
        let mut now = [0_u64; 5];
        let mut total = 0;
        for scrape in scrapes {
            let mut page = Vec::new();
            for (series, (increase, restart)) in scrape {
                let value = &mut now[usize::from(series)];
                // A restart shows as a fall: to a count below the one before.
                let after = if restart && *value > 0 { increase % *value } else { *value + increase };
                total += if after < *value { after } else { after - *value };
                *value = after;
                page.push(format!("m a={series} {after}"));
            }
            prop_assert_eq!(bed.app(&page.join("\n")).value(), Some(total.to_string()));
        }
    }
}
