//! How long values stand: failed scrapes, staleness, health.

use super::*;

#[test]
fn values_stand_through_failed_scrapes_until_they_are_stale() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({}));
    assert_eq!(bed.value(), None, "nothing before the first scrape");
    assert_eq!(bed.mapper.next_change(bed.now), None);
    bed.observe(0, "m 5");
    let stale = bed.now + Duration::from_mins(1);
    bed.wait(59).fail(0);
    assert_eq!((bed.value().as_deref(), bed.mapper.next_change(bed.now)), (Some("5"), Some(stale)));
    bed.wait(1);
    assert_eq!((bed.value(), bed.mapper.next_change(bed.now)), (None, None));
    assert_eq!(bed.observe(0, "m 6").value().as_deref(), Some("6"));
}

#[test]
fn each_source_goes_stale_by_itself_and_the_first_is_the_next_change() {
    let scalar = |name: &str, oid: &str, source: &str| json!({"name": name, "oid": oid, "syntax": "Gauge32", "value": {"source": source, "metric": "m"}});
    let mut bed = Bed::new(json!([scalar("a", "1", "app"), scalar("b", "2", "db")]), json!([]));
    let start = bed.now;
    bed.observe(0, "m 1").observe(1, "m 2");
    assert_eq!(bed.mapper.next_change(bed.now), Some(start + Duration::from_mins(1)));
    bed.wait(60);
    assert_eq!(bed.walk(), ["2.0 2"]);
    assert_eq!(bed.mapper.next_change(bed.now), Some(start + Duration::from_mins(5)));
    bed.wait(240);
    assert_eq!(bed.walk(), [""; 0]);
}

fn table(on_missing: &str) -> Bed {
    let column = |name: &str, oid: u32, source: &str, on_missing: &str| json!({"name": name, "oid": oid, "syntax": "Gauge32", "value": {"source": source, "metric": "m", "onMissing": on_missing}});
    Bed::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2", "index": [{"name": "i", "oid": 9, "label": "d", "as": "Integer"}],
            "columns": [column("a", 1, "app", on_missing), column("b", 2, "db", "NoSuchInstance")],
        }]),
    )
}

#[test]
fn rows_of_a_stale_source_vanish_unless_another_has_them() {
    let mut bed = table("NoSuchInstance");
    bed.observe(0, "m d=1 1\nm d=2 2").observe(1, "m d=2 20");
    assert_eq!(bed.walk(), ["2.1.1.1 1", "2.1.1.2 2", "2.1.2.2 20"]);
    assert_eq!(bed.wait(60).walk(), ["2.1.2.2 20"]);
    assert_eq!(bed.wait(240).walk(), [""; 0]);
}

#[test]
fn what_is_held_keeps_rows_and_values_of_a_stale_source() {
    let mut bed = table("Hold");
    bed.observe(0, "m d=1 1\nm d=2 2").observe(1, "m d=2 20");
    assert_eq!(bed.wait(300).walk(), ["2.1.1.1 1", "2.1.1.2 2"]);
    assert_eq!(bed.observe(0, "m d=2 3").walk(), ["2.1.1.2 3"], "a row that a good scrape lacks is gone");
}

#[test]
fn within_a_row_a_held_value_stands_while_another_column_keeps_the_row() {
    let mut bed = table("Hold");
    bed.observe(0, "m d=1 1").observe(1, "m d=1 10");
    assert_eq!(bed.observe(0, "").walk(), ["2.1.1.1 1", "2.1.2.1 10"]);
}

#[test]
fn health_is_never_stale_and_comes_from_the_sidecar_alone() {
    let mut bed = Bed::scalar("Gauge32", "up", json!({"onMissing": {"Constant": "9"}}));
    assert_eq!(bed.value().as_deref(), Some("9"), "nothing was tried so far");
    bed.mapper.observe(0, Some(&samples("up 55")), &samples("up 1"), bed.now);
    assert_eq!(bed.value().as_deref(), Some("1"), "the page cannot forge it");
    assert_eq!(bed.fail(0).wait(100_000).value().as_deref(), Some("0"));
}

#[test]
fn the_text_of_an_error_goes_when_the_error_goes() {
    let mut bed = Bed::scalar("DisplayString", "scrape_error", json!({"label": "error", "onMissing": "Zero"}));
    bed.mapper.observe(0, None, &samples("up 0\nscrape_error error=refused 1"), bed.now);
    assert_eq!(bed.value().as_deref(), Some(r#""refused""#));
    assert_eq!(bed.observe(0, "").value().as_deref(), Some(r#""""#));
}

#[test]
fn a_source_that_is_not_there_and_a_clock_that_goes_back_are_harmless() {
    let mut bed = Bed::scalar("Gauge32", "m", json!({"rateMs": 60_000}));
    bed.observe(9, "m 1").app("m 1");
    bed.now -= Duration::from_secs(10);
    assert_eq!(bed.observe(0, "m 2").value(), None);
    assert!(bed.wait(20).observe(0, "m 12").value().is_some());
}

#[test]
fn the_subtree_can_be_asked_for() {
    let bed = Bed::scalar("Gauge32", "m", json!({}));
    assert_eq!(bed.mapper.subtree().name, "web");
}
