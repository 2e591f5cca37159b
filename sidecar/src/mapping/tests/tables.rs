//! Tables: rows and their indexes.

use super::*;
use rstest::rstest;

fn column(name: &str, oid: u32, syntax: &str, value: Json) -> Json {
    json!({"name": name, "oid": oid, "syntax": syntax, "value": value})
}

fn gauge(oid: u32, metric: &str) -> Json {
    column(&format!("c{oid}"), oid, "Gauge32", json!({"source": "app", "metric": metric}))
}

/// Returns a table at arc 2 with these indexes (labels and encodings) and columns.
fn table(indexes: &[(&str, &str)], columns: Json) -> Json {
    let indexes: Vec<_> = indexes
        .iter()
        .zip(100..)
        .map(|((label, encoding), oid)| match *encoding {
            "pod" => json!({"name": "pod", "oid": oid, "pod": {}}),
            _ => json!({"name": format!("i{label}"), "oid": oid, "label": label, "as": encoding}),
        })
        .collect();
    json!([{"name": "t", "oid": "2", "index": indexes, "columns": columns}])
}

fn fixture(indexes: &[(&str, &str)], columns: Json) -> Fixture {
    Fixture::new(json!([]), table(indexes, columns))
}

#[rstest]
#[case::integers_in_numerical_order("Integer", "m d=10 1\nm d=9 2\nm d=0 3", &["2.1.1.0 3", "2.1.1.9 2", "2.1.1.10 1"])]
#[case::strings_by_length_then_octets("String", "m d=b 1\nm d=ab 2\nm d=a 3", &["2.1.1.1.97 3", "2.1.1.1.98 1", "2.1.1.2.97.98 2"])]
#[case::implied_strings_by_octets("ImpliedString", "m d=b 1\nm d=ab 2\nm d=a 3", &["2.1.1.97 3", "2.1.1.97.98 2", "2.1.1.98 1"])]
#[case::addresses("IpAddress", "m d=10.0.0.2 1\nm d=9.255.0.1 2", &["2.1.1.9.255.0.1 2", "2.1.1.10.0.0.2 1"])]
#[case::hashes("Hash", "m d=eth0 1", &["2.1.1.39686857 1"])]
#[case::assigned_in_the_order_of_the_page("Assigned", "m d=z 1\nm d=a 2\nm d=m 3", &["2.1.1.1 1", "2.1.1.2 2", "2.1.1.3 3"])]
fn rows_are_in_the_order_of_their_index(#[case] encoding: &str, #[case] page: &str, #[case] walk: &[&str]) {
    let mut fixture = fixture(&[("d", encoding)], json!([gauge(1, "m")]));
    assert_eq!(fixture.app(page).walk(), walk);
    assert!(fixture.reasons().is_empty());
}

#[test]
fn a_walk_goes_column_by_column() {
    let mut fixture = fixture(&[("d", "Integer")], json!([gauge(5, "n"), gauge(1, "m")]));
    assert_eq!(
        fixture.app("m d=2 12\nm d=1 11\nn d=1 51\nn d=2 52").walk(),
        ["2.1.1.1 11", "2.1.1.2 12", "2.1.5.1 51", "2.1.5.2 52"]
    );
}

#[test]
fn scalars_and_tables_are_in_the_order_of_their_oids() {
    let scalar = |oid: &str| {
        let name = format!("s{}", oid.replace('.', "x"));
        json!({"name": name, "oid": oid, "syntax": "Gauge32", "value": {"source": "app", "metric": "s"}})
    };
    let mut fixture = Fixture::new(
        json!([scalar("10"), scalar("1.5"), scalar("3")]),
        table(&[("d", "Integer")], json!([gauge(1, "m")])),
    );
    assert_eq!(fixture.app("s 9\nm d=1 1").walk(), ["1.5.0 9", "2.1.1.1 1", "3.0 9", "10.0 9"]);
}

#[test]
fn several_labels_make_one_index() {
    let mut fixture = fixture(&[("a", "String"), ("b", "Integer"), ("c", "ImpliedString")], json!([gauge(1, "m")]));
    assert_eq!(
        fixture.app("m a=x b=2 c=yz 7\nm a=x b=1 c=zz 8").walk(),
        ["2.1.1.1.120.1.122.122 8", "2.1.1.1.120.2.121.122 7"]
    );
}

#[test]
fn samples_of_one_row_are_aggregated_over_other_labels() {
    let columns = json!([
        gauge(1, "m"),
        column("most", 2, "Gauge32", json!({"source": "app", "metric": "m", "aggregate": "Max"})),
        column("ok", 3, "Gauge32", json!({"source": "app", "metric": "m", "matchLabels": {"code": "200"}})),
    ]);
    let mut fixture = fixture(&[("d", "Integer")], columns);
    let page = "m d=1 code=200 5\nm d=1 code=500 7\nm d=2 code=500 1";
    assert_eq!(fixture.app(page).walk(), ["2.1.1.1 12", "2.1.1.2 1", "2.1.2.1 7", "2.1.2.2 1", "2.1.3.1 5"]);
}

#[test]
fn rows_are_the_union_of_the_columns_and_gaps_are_missing_values() {
    let columns = json!([
        gauge(1, "m"),
        column("zero", 2, "Gauge32", json!({"source": "app", "metric": "n", "onMissing": "Zero"})),
        column("text", 3, "DisplayString", json!({"source": "app", "metric": "n", "onMissing": {"Constant": "none"}})),
        column("always", 4, "DisplayString", json!({"constant": "x"})),
    ]);
    let mut fixture = fixture(&[("d", "Integer")], columns);
    assert_eq!(
        fixture.app("m d=1 11\nn d=2 22").walk(),
        [
            "2.1.1.1 11",
            "2.1.2.1 0",
            "2.1.2.2 22",
            r#"2.1.3.1 "none""#,
            r#"2.1.3.2 "22""#,
            r#"2.1.4.1 "x""#,
            r#"2.1.4.2 "x""#,
        ],
    );
    assert_eq!(fixture.app("").walk(), [""; 0], "constants make no rows");
}

#[test]
fn a_withheld_sample_makes_a_row() {
    let mut fixture =
        fixture(&[("d", "Integer")], json!([gauge(1, "m"), column("x", 2, "DisplayString", json!({"constant": "x"}))]));
    assert_eq!(fixture.app("m d=1 NaN").walk(), [r#"2.1.2.1 "x""#]);
    assert_eq!(fixture.example(Reason::NotANumber), r#"c1 of "1""#);
}

#[test]
fn all_columns_of_a_row_appear_and_vanish_together() {
    let mut fixture = fixture(&[("d", "Integer")], json!([gauge(1, "m"), gauge(2, "n")]));
    assert_eq!(fixture.app("m d=1 1\nn d=1 2").walk().len(), 2);
    assert_eq!(fixture.app("m d=1 1\nm d=2 1\nn d=1 2\nn d=2 2").walk().len(), 4);
    assert_eq!(fixture.app("m d=2 1\nn d=2 2").walk(), ["2.1.1.2 1", "2.1.2.2 2"]);
}

#[rstest]
#[case::no_label("Integer", "m 1", Reason::NoIndexLabel, "c1 of {}")]
#[case::an_empty_label("String", "m d= x=y 1", Reason::NoIndexLabel, r#"c1 of {d="", x="y"}"#)]
#[case::not_an_integer("Integer", "m d=eth0 1", Reason::BadIndex, r#"c1 of {d="eth0"}"#)]
#[case::an_integer_too_large("Integer", "m d=2147483648 1", Reason::BadIndex, r#"c1 of {d="2147483648"}"#)]
#[case::not_an_address("IpAddress", "m d=::1 1", Reason::BadIndex, r#"c1 of {d="::1"}"#)]
fn a_sample_without_index_makes_no_row(
    #[case] encoding: &str,
    #[case] page: &str,
    #[case] reason: Reason,
    #[case] example: &str,
) {
    let mut fixture = fixture(&[("d", encoding)], json!([gauge(1, "m")]));
    assert_eq!(fixture.app(page).walk(), [""; 0]);
    assert_eq!(
        (fixture.reasons(), fixture.total(reason), fixture.example(reason).as_str()),
        (vec![reason], 1, example)
    );
}

#[test]
fn a_row_of_128_arcs_is_shown_and_one_of_129_is_withheld() {
    // 7 arcs of the base OID, 3 of table, entry and column, and 1 for the length of the string.
    let max_length = 128 - 7 - 3 - 1;
    let mut fixture = fixture(&[("d", "String")], json!([gauge(1, "m")]));
    assert_eq!(
        fixture.app(&format!("m d={} 1\nm d={} 2", "x".repeat(max_length), "y".repeat(max_length + 1))).walk().len(),
        1
    );
    assert_eq!(fixture.total(Reason::RowTooLong), 1);
    assert!(fixture.example(Reason::RowTooLong).len() <= 200);
}

/// Returns two texts with the same hash, found by trying. The hash has 31 bits, so about 65,000 texts are enough.
fn colliding() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    (0..)
        .map(|i: u32| format!("device{i}"))
        .find_map(|text| seen.insert(super::super::index::hash(&text), text.clone()).map(|first| (first, text)))
        .unwrap()
}

#[test]
fn the_first_in_text_order_of_rows_with_the_same_hash_is_shown() {
    let (a, b) = colliding();
    let (first, second) = if a < b { (a, b) } else { (b, a) };
    let index = super::super::index::hash(&first);
    for page in [format!("m d={first} 1\nm d={second} 2"), format!("m d={second} 2\nm d={first} 1")] {
        let mut fixture = fixture(
            &[("d", "Hash")],
            json!([
                gauge(1, "m"),
                column("d", 2, "DisplayString", json!({"source": "app", "metric": "m", "label": "d"}))
            ]),
        );
        assert_eq!(fixture.app(&page).walk(), [format!("2.1.1.{index} 1"), format!("2.1.2.{index} {first:?}")]);
        assert_eq!(
            (fixture.total(Reason::IndexCollision), fixture.example(Reason::IndexCollision)),
            (1, format!("t of {second:?}"))
        );
        assert_eq!(
            fixture.app(&format!("m d={second} 2")).walk()[0],
            format!("2.1.1.{index} 2"),
            "without the other row it is shown"
        );
    }
}

#[test]
fn assigned_numbers_are_kept_while_rows_appear_and_vanish() {
    let mut fixture = fixture(&[("d", "Assigned")], json!([gauge(1, "m")]));
    assert_eq!(fixture.app("m d=b 1\nm d=a 2").walk(), ["2.1.1.1 1", "2.1.1.2 2"]);
    assert_eq!(fixture.app("m d=c 3\nm d=a 2").walk(), ["2.1.1.2 2", "2.1.1.3 3"]);
    assert_eq!(fixture.app("m d=b 1").walk(), ["2.1.1.1 1"]);
}

#[test]
fn assigned_numbers_follow_the_order_of_samples_not_of_columns() {
    let mut fixture = fixture(&[("d", "Assigned")], json!([gauge(1, "late"), gauge(2, "early")]));
    assert_eq!(fixture.app("early d=x 1\nlate d=y 2\nlate d=x 3").walk(), ["2.1.1.1 3", "2.1.1.2 2", "2.1.2.1 1"]);
}

#[test]
fn assigned_numbers_survive_a_restart() {
    let columns = || table(&[("d", "Assigned")], json!([gauge(1, "m")]));
    let mut before = Fixture::new(json!([]), columns());
    assert!(!before.mapper.assignments().changed());
    before.app("m d=b 1\nm d=a 2");
    assert!(before.mapper.assignments().changed());
    before.mapper.assignments_saved();
    before.app("m d=a 1\nm d=b 2");
    assert!(!before.mapper.assignments().changed(), "no new text");
    let saved = serde_json::to_string(before.mapper.assignments()).unwrap();
    let mut after = Fixture::with(json!([]), columns(), 7, serde_json::from_str(&saved).unwrap());
    assert_eq!(after.app("m d=c 3\nm d=a 2\nm d=b 1").walk(), ["2.1.1.1 1", "2.1.1.2 2", "2.1.1.3 3"]);
}

#[test]
fn each_part_of_an_index_is_assigned_independently() {
    let mut fixture = fixture(&[("a", "Assigned"), ("b", "Assigned"), ("c", "Hash")], json!([gauge(1, "m")]));
    let walk = fixture.app("m a=x b=p c=eth0 1\nm a=y b=p c=eth0 2\nm a=x b=q c=eth0 3").walk();
    assert_eq!(walk, ["2.1.1.1.1.39686857 1", "2.1.1.1.2.39686857 3", "2.1.1.2.1.39686857 2"]);
}

#[test]
fn the_pod_is_the_first_index_and_makes_one_row_if_it_is_the_only_index() {
    let mut both = fixture(&[("", "pod"), ("d", "Integer")], json!([gauge(1, "m")]));
    assert_eq!(both.app("m d=2 1\nm d=1 2").walk(), ["2.1.1.7.1 2", "2.1.1.7.2 1"]);
    let mut alone = fixture(&[("", "pod")], json!([gauge(1, "m")]));
    assert_eq!(alone.app("m d=2 1\nm d=1 2").walk(), ["2.1.1.7 3"]);
    assert_eq!(alone.app("").walk(), [""; 0]);
}

#[test]
fn texts_with_equal_concatenations_are_different_rows() {
    let mut fixture = fixture(&[("a", "Assigned"), ("b", "Assigned")], json!([gauge(1, "m")]));
    assert_eq!(fixture.app("m a=x b=yz 1\nm a=xy b=z 2").walk(), ["2.1.1.1.1 1", "2.1.1.2.2 2"]);
}

#[test]
fn columns_can_use_several_sources() {
    let columns = json!([gauge(1, "m"), column("n", 2, "Gauge32", json!({"source": "db", "metric": "n"}))]);
    let mut fixture = fixture(&[("d", "Integer")], columns);
    fixture.observe(0, "m d=1 1").observe(1, "n d=1 5\nn d=2 6");
    assert_eq!(fixture.walk(), ["2.1.1.1 1", "2.1.2.1 5", "2.1.2.2 6"]);
    fixture.observe(0, "m d=3 1");
    assert_eq!(fixture.walk(), ["2.1.1.3 1", "2.1.2.1 5", "2.1.2.2 6"]);
}

#[test]
fn quantiles_and_rates_are_computed_per_row() {
    let columns = json!([
        column("half", 1, "Gauge32", json!({"source": "app", "metric": "h", "quantile": 0.5})),
        column("rate", 2, "Gauge32", json!({"source": "app", "metric": "m", "rateMs": 60000})),
    ]);
    let mut fixture = fixture(&[("d", "Integer")], columns);
    let page = |m1: u32, m2: u32| {
        format!(
            "h_bucket d=1 le=10 4\nh_bucket d=1 le=+Inf 4\nh_bucket d=2 le=20 4\nh_bucket d=2 le=+Inf 4\nm d=1 {m1}\nm d=2 {m2}"
        )
    };
    assert_eq!(fixture.app(&page(0, 0)).walk(), ["2.1.1.1 5", "2.1.1.2 10"]);
    assert_eq!(fixture.app(&page(15, 30)).walk(), ["2.1.1.1 5", "2.1.1.2 10", "2.1.2.1 1", "2.1.2.2 2"]);
}

#[test]
fn a_shared_table_is_registered_by_rows_and_the_rest_once() {
    let columns = json!([gauge(3, "m"), gauge(9, "n"), gauge(4, "o")]);
    let region = |subtree: &str, range| Region { subtree: subtree.parse().unwrap(), range };
    let shared = fixture(&[("", "pod"), ("d", "Integer")], columns.clone());
    assert_eq!(
        shared.mapper.regions(),
        // 1.3.6.1.4.1.9 . 2 . 1 . 3..=9 . 7: the range is at the tenth sub-identifier.
        [region("1.3.6.1.4.1.9", None), region("1.3.6.1.4.1.9.2.1.3.7", Some((10, 9)))],
    );
    assert_eq!(fixture(&[("d", "Integer")], columns).mapper.regions(), [region("1.3.6.1.4.1.9", None)]);
    assert_eq!(
        fixture(&[("", "pod")], json!([gauge(3, "m")])).mapper.regions(),
        [region("1.3.6.1.4.1.9", None), region("1.3.6.1.4.1.9.2.1.3.7", None)],
        "one column needs no range",
    );
}

#[test]
fn only_samples_that_objects_use_are_wanted() {
    let columns = json!([
        gauge(1, "m"),
        column("h", 2, "Gauge32", json!({"source": "app", "metric": "h", "quantile": 0.5})),
        column("n", 3, "Gauge32", json!({"source": "db", "metric": "n"})),
        column("up", 4, "Gauge32", json!({"source": "db", "metric": "up"})),
        column("x", 5, "DisplayString", json!({"constant": "x"})),
    ]);
    let fixture = fixture(&[("d", "Integer")], columns);
    let wanted = |source| fixture.mapper.wanted(source).into_iter().collect::<Vec<_>>();
    assert_eq!(wanted(0), ["h", "h_bucket", "m"]);
    assert_eq!(wanted(1), ["n"], "health samples come from the sidecar");
    assert_eq!(wanted(2), [""; 0]);
}

#[test]
fn a_text_of_more_than_1024_octets_makes_no_row() {
    for encoding in ["Hash", "Assigned"] {
        let mut fixture = fixture(&[("d", encoding)], json!([gauge(1, "m")]));
        assert_eq!(fixture.app(&format!("m d={} 1\nm d={} 2", "x".repeat(1025), "y".repeat(1024))).walk().len(), 1);
        assert_eq!(fixture.reasons(), [Reason::RowTooLong]);
    }
}

#[test]
fn a_text_that_comes_back_is_shown_again() {
    let name = column("name", 1, "DisplayString", json!({"source": "app", "metric": "m", "label": "n"}));
    let mut fixture = fixture(&[("d", "Integer")], json!([name]));
    assert_eq!(fixture.app("m d=1 n=a 1").walk(), [r#"2.1.1.1 "a""#]);
    assert_eq!(fixture.app("").walk(), [""; 0]);
    assert_eq!(fixture.app("m d=1 1").walk(), [""; 0], "the row exists, but has no text");
    assert_eq!(fixture.app("m d=1 n=b 1").walk(), [r#"2.1.1.1 "b""#]);
}
