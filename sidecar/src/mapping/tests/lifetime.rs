//! The lifetime of values: failed scrapes, staleness, health, changes of the configuration.

use super::*;

#[test]
fn values_survive_failed_scrapes_until_they_are_stale() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({}));
    assert_eq!(fixture.value(), None, "nothing before the first scrape");
    assert_eq!(fixture.mapper.next_change(fixture.now), None);
    fixture.observe(0, "m 5");
    let stale = fixture.now + Duration::from_mins(1);
    fixture.wait(59).fail(0);
    assert_eq!((fixture.value().as_deref(), fixture.mapper.next_change(fixture.now)), (Some("5"), Some(stale)));
    fixture.wait(1);
    assert_eq!((fixture.value(), fixture.mapper.next_change(fixture.now)), (None, None));
    assert_eq!(fixture.observe(0, "m 6").value().as_deref(), Some("6"));
}

#[test]
fn each_source_becomes_stale_independently_and_the_first_is_the_next_change() {
    let scalar = |name: &str, oid: &str, source: &str| json!({"name": name, "oid": oid, "syntax": "Gauge32", "value": {"source": source, "metric": "m"}});
    let mut fixture = Fixture::new(json!([scalar("a", "1", "app"), scalar("b", "2", "db")]), json!([]));
    let start = fixture.now;
    fixture.observe(0, "m 1").observe(1, "m 2");
    assert_eq!(fixture.mapper.next_change(fixture.now), Some(start + Duration::from_mins(1)));
    fixture.wait(60);
    assert_eq!(fixture.walk(), ["2.0 2"]);
    assert_eq!(fixture.mapper.next_change(fixture.now), Some(start + Duration::from_mins(5)));
    fixture.wait(240);
    assert_eq!(fixture.walk(), [""; 0]);
}

fn table(on_missing: &str) -> Fixture {
    let column = |name: &str, oid: u32, source: &str, on_missing: &str| json!({"name": name, "oid": oid, "syntax": "Gauge32", "value": {"source": source, "metric": "m", "onMissing": on_missing}});
    Fixture::new(
        json!([]),
        json!([{
            "name": "t", "oid": "2", "index": [{"name": "i", "oid": 9, "label": "d", "as": "Integer"}],
            "columns": [column("a", 1, "app", on_missing), column("b", 2, "db", "NoSuchInstance")],
        }]),
    )
}

#[test]
fn rows_of_a_stale_source_vanish_unless_another_source_has_them() {
    let mut fixture = table("NoSuchInstance");
    fixture.observe(0, "m d=1 1\nm d=2 2").observe(1, "m d=2 20");
    assert_eq!(fixture.walk(), ["2.1.1.1 1", "2.1.1.2 2", "2.1.2.2 20"]);
    assert_eq!(fixture.wait(60).walk(), ["2.1.2.2 20"]);
    assert_eq!(fixture.wait(240).walk(), [""; 0]);
}

#[test]
fn hold_keeps_the_rows_and_values_of_a_stale_source() {
    let mut fixture = table("Hold");
    fixture.observe(0, "m d=1 1\nm d=2 2").observe(1, "m d=2 20");
    assert_eq!(fixture.wait(300).walk(), ["2.1.1.1 1", "2.1.1.2 2"]);
    assert_eq!(fixture.observe(0, "m d=2 3").walk(), ["2.1.1.2 3"], "a row that a successful scrape lacks vanishes");
}

#[test]
fn hold_keeps_a_value_while_another_column_has_the_row() {
    let mut fixture = table("Hold");
    fixture.observe(0, "m d=1 1").observe(1, "m d=1 10");
    assert_eq!(fixture.observe(0, "").walk(), ["2.1.1.1 1", "2.1.2.1 10"]);
}

#[test]
fn health_is_never_stale_and_comes_only_from_the_sidecar() {
    let mut fixture = Fixture::scalar("Gauge32", "up", json!({"onMissing": {"Constant": "9"}}));
    assert_eq!(fixture.value().as_deref(), Some("9"), "nothing was collected yet");
    fixture.mapper.observe(0, Some(&samples("up 55")), &samples("up 1"), fixture.now);
    assert_eq!(fixture.value().as_deref(), Some("1"), "the source cannot set it");
    assert_eq!(fixture.fail(0).wait(100_000).value().as_deref(), Some("0"));
}

#[test]
fn the_text_of_an_error_vanishes_with_the_error() {
    let mut fixture = Fixture::scalar("DisplayString", "scrape_error", json!({"label": "error", "onMissing": "Zero"}));
    fixture.mapper.observe(0, None, &samples("up 0\nscrape_error error=refused 1"), fixture.now);
    assert_eq!(fixture.value().as_deref(), Some(r#""refused""#));
    assert_eq!(fixture.observe(0, "").value().as_deref(), Some(r#""""#));
}

#[test]
fn an_unknown_source_is_ignored_and_a_clock_that_goes_back_is_tolerated() {
    let mut fixture = Fixture::scalar("Gauge32", "m", json!({"rateMs": 60_000}));
    fixture.observe(9, "m 1").app("m 1");
    fixture.now -= Duration::from_secs(10);
    assert_eq!(fixture.observe(0, "m 2").value(), None);
    assert!(fixture.wait(20).observe(0, "m 12").value().is_some());
}

#[test]
fn the_mapper_returns_its_subtree() {
    let fixture = Fixture::scalar("Gauge32", "m", json!({}));
    assert_eq!(fixture.mapper.subtree().name, "web");
}

/// Returns a mapper of a counter and a table of counters. A `changed` one has another scalar in front, and its sources
/// in reverse order.
fn changing(changed: bool, metric: &str) -> Fixture {
    let scalar = |name: &str, oid: &str, metric: &str| json!({"name": name, "oid": oid, "syntax": "Counter64", "value": {"source": "app", "metric": metric}});
    let mut scalars = vec![scalar("a", "3", metric)];
    if changed {
        scalars.insert(0, scalar("b", "1", "m"));
    }
    let value = json!({"source": "app", "metric": "n"});
    let mut fixture = Fixture::new(
        json!(scalars),
        json!([{
            "name": "t", "oid": "2", "index": [{"name": "i", "oid": 9, "label": "d", "as": "Integer"}],
            "columns": [{"name": "c", "oid": 1, "syntax": "Counter64", "value": value}],
        }]),
    );
    if changed {
        let mut whole = Subtree::clone(&fixture.mapper.subtree);
        whole.sources.reverse();
        fixture.mapper = Mapper::new(whole.validate().unwrap(), 7, Assignments::default()).unwrap();
    }
    fixture
}

#[test]
fn a_change_of_the_subtree_keeps_unchanged_objects() {
    let mut before = changing(false, "m");
    before.observe(0, "m 10\nn d=1 100").observe(0, "m 4\nn d=1 40");
    assert_eq!(before.walk(), ["2.1.1.1 140", "3.0 14"]);
    let mut after = changing(true, "m");
    after.now = before.now;
    after.mapper.inherit(before.mapper);
    assert_eq!(after.walk(), ["2.1.1.1 140", "3.0 14"], "no value vanishes, and the new scalar has no value yet");
    assert_eq!(after.observe(1, "m 5\nn d=1 41").walk(), ["1.0 5", "2.1.1.1 141", "3.0 15"]);
    assert_eq!(after.wait(60).walk(), [""; 0], "all values become stale as usual");
}

#[test]
fn a_changed_object_starts_again() {
    let mut before = changing(false, "m");
    before.observe(0, "m 10\nn d=1 100");
    let mut after = changing(true, "other");
    after.now = before.now;
    after.mapper.inherit(before.mapper);
    assert_eq!(after.walk(), ["2.1.1.1 100"]);
    assert_eq!(after.observe(1, "m 5\nother 7\nn d=1 1").walk(), ["1.0 5", "2.1.1.1 101", "3.0 7"]);
}
