//! Documents as files: what is read, what is refused, and how the refusal reads.

// Helpers of tests may fail as tests do, and a table of cases is as long as there are rules.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::too_many_lines)]

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sidecar_config::{IndexKind, ParseError, Subtree, Value, file_name, parse, parse_strict, subtree_name};

/// A document of version 1 with every field set. It never changes: sidecars of any later version must read it.
const GOLDEN: &str = include_str!("golden/version-1.json");

/// A document of version 1 with every kind of source and of write. It never changes either.
const KINDS: &str = include_str!("golden/version-1-kinds.json");

fn golden() -> Json {
    serde_json::from_str(GOLDEN).unwrap()
}

/// The golden document with `value` in place of what `pointer` points to (or added there; `null` removes it).
fn with(changes: &[(&str, Json)]) -> Json {
    changed(golden(), changes)
}

fn changed(mut document: Json, changes: &[(&str, Json)]) -> Json {
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Json::Object(fields) if value.is_null() => _ = fields.remove(field).unwrap(),
            Json::Object(fields) => _ = fields.insert(field.to_owned(), value.clone()),
            Json::Array(items) if field == "-" => items.push(value.clone()),
            Json::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
            other => panic!("{other} has no fields"),
        }
    }
    document
}

fn refusals(document: &Json) -> Vec<String> {
    match parse(document.to_string().as_bytes()) {
        Ok(_) => Vec::new(),
        Err(ParseError::Invalid(violations)) => violations.iter().map(ToString::to_string).collect(),
        Err(other) => vec![other.to_string()],
    }
}

#[test]
fn a_document_of_version_1_is_read_for_ever() {
    let document = parse_strict(GOLDEN.as_bytes()).unwrap();
    assert_eq!(document.name, "checkout");
    assert_eq!(document.oid.to_string(), "1.3.6.1.4.1.12345.5");
    assert!(matches!(document.tables[0].index[0].kind, IndexKind::Pod {}));
    assert!(matches!(&document.scalars[2].value, Value::Constant(text) if text == "Acme"));
}

#[test]
fn every_kind_of_source_and_of_write_is_read_and_written_as_it_stands() {
    let document = parse_strict(KINDS.as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), serde_json::from_str::<Json>(KINDS).unwrap());
}

#[test]
fn what_is_written_is_what_was_read() {
    let document = parse(GOLDEN.as_bytes()).unwrap();
    let written = serde_json::to_string_pretty(&document).unwrap();
    assert_eq!(parse_strict(written.as_bytes()).unwrap(), document);
    assert_eq!(serde_json::from_str::<Json>(&written).unwrap()["sources"][0]["prometheus"].get("host"), None);
}

#[test]
fn file_names_lead_to_the_subtree_and_back() {
    assert_eq!(file_name("checkout"), "subtree.checkout.json");
    assert_eq!(subtree_name(&file_name("check.out")), Some("check.out"));
    for other in ["subtree..json", "checkout.json", "subtree.checkout", "secret.app.token", ""] {
        assert_eq!(subtree_name(other), None, "{other}");
    }
}

#[test]
fn unknown_fields_are_ignored_unless_the_reader_is_strict() {
    let document = with(&[("/colour", json!("red")), ("/scalars/0/value/unit", json!("ms"))]).to_string();
    parse(document.as_bytes()).unwrap();
    let refused = parse_strict(document.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused, "colour: unknown field\nscalars[0].value.unit: unknown field");
}

#[test]
fn a_newer_version_is_refused_whatever_its_shape() {
    let newer = parse(br#"{"version": 2, "objects": []}"#).unwrap_err();
    assert_eq!(newer, ParseError::Version { found: 2 });
    assert_eq!(newer.to_string(), "version 2 is not served here: this reader knows versions 1 to 1");
    assert_eq!(parse(br#"{"version": 0}"#).unwrap_err(), ParseError::Version { found: 0 });
}

#[test]
fn a_wrong_shape_is_told_with_its_place() {
    let cases = [
        (json!({"/oid": "1.x"}), "oid: arc 2 is \"x\", not a number from 0 to 4294967295"),
        (json!({"/scalars/0/syntax": "Gauge"}), "scalars[0].syntax: unknown variant `Gauge`"),
        (json!({"/scalars/0/value/metric": null}), "scalars[0].value: missing field `metric`"),
        (json!({"/scalars/0/value/scale": "a"}), "scalars[0].value: scale: invalid type: string \"a\", expected f64"),
        (
            json!({"/scalars/0/value/constant": "a"}),
            "scalars[0].value: expected either `constant` or `source` and `metric`",
        ),
        (json!({"/tables/0/index/0/pod": null}), "tables[0].index[0]: expected either `pod` or `label`"),
        (json!({"/tables/0/index/1/as": "Number"}), "tables[0].index[1]: as: unknown variant `Number`"),
        (
            json!({"/sources/0/prometheus/port": 65536}),
            "sources[0]: invalid value: integer `65536`, expected a port's number, 1 to 65535, or its name",
        ),
        (json!({"/sources/0/prometheus": null}), "sources[0]: no variant of enum SourceKind found"),
    ];
    for (changes, expected) in cases {
        let changes: Vec<_> = changes.as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let document = serde_json::to_string_pretty(&with(&changes)).unwrap();
        let refused = parse(document.as_bytes()).unwrap_err();
        assert!(matches!(refused, ParseError::Shape { line: 2.., .. }), "{refused:?}");
        let refused = refused.to_string();
        assert!(refused.contains(expected), "{refused}\nshould say {expected}");
    }
    for broken in ["", "{", "[]", "null", "{\"version\": 1} x", "\u{feff}{}"] {
        assert!(matches!(parse(broken.as_bytes()), Err(ParseError::Shape { line: 0.., .. })), "{broken}");
    }
}

/// Changes to the golden document, and what is then refused.
type Case = (Vec<(&'static str, Json)>, Vec<String>);

#[test]
fn every_rule_refuses_what_it_is_there_for_and_says_where() {
    let descriptor = "is not a descriptor: a lower-case letter, then letters and digits, 64 at most";
    let file = "is not a file's name: letters, digits, - _ and . alone";
    let cases: Vec<Case> = [
        (vec![("/namespace", json!("../etc"))], vec!["namespace: is not a name of a Kubernetes namespace"]),
        (vec![("/name", json!("A"))], vec!["name: is not a name of a Kubernetes object"]),
        (vec![("/name", json!("a".repeat(241)))], vec!["name: 241 characters, more than 240"]),
        (vec![("/module", json!("acme"))], vec!["module: is not a name of an SMIv2 module, as ACME-CHECKOUT-MIB"]),
        (
            vec![("/selector/matchExpressions/0", json!({"key": "a", "operator": "Matches", "values": ["b"]}))],
            vec!["selector.matchExpressions[0].operator: pods cannot be selected by Matches"],
        ),
        (
            vec![("/selector/matchExpressions/0/values", json!([]))],
            vec!["selector.matchExpressions[0].values: 0 of them; at least 1 must be there"],
        ),
        (vec![("/oid", json!("1.40.1"))], vec!["oid: is not an object identifier that begins as 1.3 does"]),
        (vec![("/contexts", json!([]))], vec!["contexts: 0 of them; at least 1 must be there"]),
        (vec![("/contexts/1", json!("acme"))], vec!["contexts[1]: the context \"acme\" is there already"]),
        (vec![("/contexts/0", json!("c".repeat(33)))], vec!["contexts[0]: 33 octets, more than 32"]),
        (vec![("/contexts/0", json!("a\u{0}b"))], vec!["contexts[0]: has a control character in it"]),
        (vec![("/contexts", (0..17).map(|i| i.to_string()).collect())], vec!["contexts: 17 of them, more than 16"]),
        (vec![("/sources/1/name", json!("app"))], vec![
            "sources[1].name: app is there already",
            "tables[0].columns[0].value.source: there is no source \"remote\"",
            "tables[0].columns[1].value.source: there is no source \"remote\"",
            "tables[0].columns[2].value.source: there is no source \"remote\"",
            "tables[0].columns[4].value.source: there is no source \"remote\"",
            "tables[0].columns[5].value.source: there is no source \"remote\"",
            "tables[0].columns[6].value.source: there is no source \"remote\"",
        ]),
        (vec![("/sources/0/intervalMs", json!(0))], vec![
            "sources[0].intervalMs: 0 is not between 1 and 86400000",
            "sources[0].timeoutMs: is longer than the interval",
        ]),
        (vec![("/sources/0/timeoutMs", json!(15001))], vec!["sources[0].timeoutMs: is longer than the interval"]),
        (
            vec![("/sources/0/staleAfterMs", json!(14999))],
            vec!["sources[0].staleAfterMs: is shorter than the interval: values would come and go"],
        ),
        (
            vec![("/sources/0/prometheus/host", json!("a b"))],
            vec!["sources[0].prometheus.host: is neither a host's name nor an address"],
        ),
        (
            vec![("/sources/0/prometheus/host", json!("evil\r\nX-A: b"))],
            vec!["sources[0].prometheus.host: is neither a host's name nor an address"],
        ),
        (vec![("/sources/0/prometheus/host", json!("[::1]"))], vec![]),
        (
            vec![("/sources/0/prometheus/path", json!("/a b"))],
            vec!["sources[0].prometheus.path: is not a path as /metrics, of visible ASCII without #"],
        ),
        (
            vec![("/sources/0/prometheus/path", json!("metrics"))],
            vec!["sources[0].prometheus.path: is not a path as /metrics, of visible ASCII without #"],
        ),
        (
            vec![("/sources/0/prometheus/port", json!(0))],
            vec!["sources[0].prometheus.port: is neither a port's number, 1 to 65535, nor a container port's name"],
        ),
        (
            vec![("/sources/0/prometheus/port", json!("Metrics!"))],
            vec!["sources[0].prometheus.port: is neither a port's number, 1 to 65535, nor a container port's name"],
        ),
        (
            vec![("/sources/0/prometheus/bodySizeLimit", json!(0))],
            vec!["sources[0].prometheus.bodySizeLimit: 0 is not between 1 and 1073741824"],
        ),
        (
            vec![("/sources/0/prometheus/sampleLimit", json!(0))],
            vec!["sources[0].prometheus.sampleLimit: 0 is not between 1 and 10000000"],
        ),
        (
            vec![("/sources/0/prometheus/authorization/bearer/credentialsFile", json!("../token"))],
            vec![&format!("sources[0].prometheus.authorization.bearer.credentialsFile: {file}")],
        ),
        (
            vec![("/sources/1/prometheus/authorization/basic/usernameFile", json!("a/b"))],
            vec![&format!("sources[1].prometheus.authorization.basic.usernameFile: {file}")],
        ),
        (
            vec![("/sources/1/prometheus/authorization/basic/passwordFile", json!(".."))],
            vec![&format!("sources[1].prometheus.authorization.basic.passwordFile: {file}")],
        ),
        (
            vec![("/sources/1/prometheus/tls/caFile", json!(""))],
            vec![&format!("sources[1].prometheus.tls.caFile: {file}")],
        ),
        (
            vec![("/sources/1/prometheus/tls/keyFile", Json::Null)],
            vec!["sources[1].prometheus.tls: a client certificate and its key come together"],
        ),
        (
            vec![("/sources/1/prometheus/scheme", json!("http"))],
            vec!["sources[1].prometheus.tls: is for the scheme https alone"],
        ),
        (
            vec![("/sources/1/prometheus/tls/serverName", json!("a/b"))],
            vec!["sources[1].prometheus.tls.serverName: is neither a host's name nor an address"],
        ),
        (
            vec![("/scalars", json!([])), ("/tables", json!([]))],
            vec!["scalars: neither scalars nor tables are there: nothing to serve"],
        ),
        (vec![("/scalars/0/name", json!("Error-percent"))], vec![&format!("scalars[0].name: {descriptor}")]),
        (
            vec![("/tables/0/columns/0/name", json!("tenant"))],
            vec!["tables[0].columns[0].name: tenant is the name of scalars[2].name already"],
        ),
        (vec![("/scalars/0/oid", json!("9998"))], vec!["scalars[0].oid: the arc 9998 is reserved"]),
        (vec![("/tables/0/oid", json!("9999.1"))], vec!["tables[0].oid: the arc 9999 is reserved"]),
        (
            vec![("/scalars/0/oid", json!(vec!["1"; 120].join(".")))],
            vec!["scalars[0].oid: an instance would have 129 arcs, more than 128"],
        ),
        (vec![("/scalars/1/oid", json!("2"))], vec!["scalars[1].oid: 2 is 2, the place of errorPercent"]),
        (vec![("/scalars/0/oid", json!("10.1.5"))], vec!["scalars[0].oid: 10.1.5 lies below 10, the place of replicaTable"]),
        (vec![("/scalars/0/oid", json!("5"))], vec!["scalars[2].oid: 5.1 lies below 5, the place of errorPercent"]),
        (
            vec![("/tables/0/columns", json!([]))],
            vec!["tables[0].columns: 0 of them; at least 1 must be there"],
        ),
        (vec![("/tables/0/index", json!([]))], vec!["tables[0].index: 0 of them; at least 1 must be there"]),
        (vec![("/tables/0/columns/0/oid", json!(3))], vec!["tables[0].columns[0].oid: 3 is there already"]),
        (vec![("/tables/0/columns/0/oid", json!(0))], vec!["tables[0].columns[0].oid: columns count from 1"]),
        (
            vec![("/tables/0/index/1", json!({"name": "other", "oid": 2, "pod": {}}))],
            vec!["tables[0].index[1].pod: comes first or not at all"],
        ),
        (
            vec![("/tables/0/index/2/as", json!("ImpliedString"))],
            vec!["tables[0].index[2].as: ImpliedString comes last or not at all"],
        ),
        (vec![("/tables/0/index/2/label", json!(""))], vec!["tables[0].index[2].label: is empty"]),
        (
            vec![("/scalars/2/syntax", json!("Integer32"))],
            vec!["scalars[2].value.constant: \"Acme\" as Integer32: not a whole number from -2147483648 to 2147483647"],
        ),
        (
            vec![("/scalars/0/value/onMissing/Constant", json!("-7"))],
            vec!["scalars[0].value.onMissing: \"-7\" as Gauge32: not a whole number from 0 to 4294967295"],
        ),
        (
            vec![("/scalars/0/value/source", json!("nope"))],
            vec!["scalars[0].value.source: there is no source \"nope\""],
        ),
        (vec![("/scalars/0/value/metric", json!(""))], vec!["scalars[0].value.metric: is empty"]),
        (vec![("/scalars/0/value/quantile", json!(1.5))], vec!["scalars[0].value.quantile: 1.5 is not between 0 and 1"]),
        (vec![("/scalars/0/value/rateMs", json!(0))], vec!["scalars[0].value.rateMs: 0 is not between 1 and 86400000"]),
        (
            vec![("/scalars/0/value/rateMs", json!(29_999))],
            vec!["scalars[0].value.rateMs: 29999 is less than two intervals of the source: a late scrape leaves no rate"],
        ),
        (vec![("/scalars/0/value/rateMs", json!(30_000))], vec![]),
        (
            vec![("/scalars/3/value/scale", json!(-0.5))],
            vec!["scalars[3].value.scale: is negative: a Counter64 only grows"],
        ),
        (vec![("/scalars/3/value/scale", json!(-0.0))], vec![]),
        (vec![("/scalars/0/value/scale", json!(-100))], vec![]),
        (
            vec![("/scalars/0/value/matchExpressions/0/values/0", json!("a)|(b"))],
            vec!["scalars[0].value.matchExpressions[0].values[0]: is not a regular expression: found closing ')' without matching '('"],
        ),
        (
            vec![("/scalars/0/value/matchExpressions/0/values/0", json!("((a{1000}){1000}){1000}"))],
            vec!["scalars[0].value.matchExpressions[0].values[0]: is not a regular expression: compiled regex exceeded size limit"],
        ),
        (
            vec![("/scalars/0/value/matchExpressions/2/values", json!(["a"]))],
            vec!["scalars[0].value.matchExpressions[2].values: Exists and DoesNotExist take no values"],
        ),
        (
            vec![("/scalars/0/value/matchExpressions/0/values", json!(["a", "b"]))],
            vec!["scalars[0].value.matchExpressions[0].values: Matches takes one value, a regular expression"],
        ),
        (
            vec![("/scalars/1/value/quantile", json!(0.5)), ("/scalars/1/value/rateMs", json!(60_000)), ("/scalars/1/value/round", json!("Ceil"))],
            vec![
                "scalars[1].value.quantile: has no effect on a label's text",
                "scalars[1].value.rateMs: has no effect on a label's text",
                "scalars[1].value.round: has no effect on a label's text",
            ],
        ),
        (
            vec![("/tables/0/columns/2/value/label", Json::Null)],
            vec!["tables[0].columns[2].value.label: IpAddress holds no numbers: name a label, or a constant"],
        ),
        (
            vec![("/scalars/3/syntax", json!("Gauge32"))],
            vec!["scalars[3].value.counterReset: is for Counter32 and Counter64 alone"],
        ),
    ]
    .into_iter()
    .map(|(changes, expected)| (changes, expected.into_iter().map(str::to_owned).collect()))
    .collect();
    for (changes, expected) in cases {
        assert_eq!(refusals(&with(&changes)), expected, "{changes:?}");
    }
}

#[test]
fn every_rule_of_other_sources_and_of_writes_refuses_what_it_is_there_for() {
    let json = "sources[0].json";
    let cases: Vec<Case> = [
        (
            vec![("/sources/0/json/metrics/0/path", json!("$.a["))],
            vec![format!("{json}.metrics[0].path: is not a JSONPath: at position 3, parser error")],
        ),
        (
            vec![("/sources/0/json/metrics/1/labels/queue", json!("$..a..b"))],
            vec![format!("{json}.metrics[1].labels.queue: has .. in it more than once")],
        ),
        (
            vec![("/sources/0/json/metrics/1/value", json!("state"))],
            vec![format!("{json}.metrics[1].value: is not a JSONPath: at position 0, parser error")],
        ),
        (
            vec![("/sources/0/json/metrics/1/labels/__text__", json!("$.a"))],
            vec![format!("{json}.metrics[1].labels.__text__: begins with __, which labels of the sidecar's own do")],
        ),
        (
            vec![("/sources/0/json/metrics/1/name", json!("active_users"))],
            vec![format!("{json}.metrics[1].name: active_users is there already")],
        ),
        (
            vec![("/sources/0/json/metrics", json!([]))],
            vec![format!("{json}.metrics: 0 of them; at least 1 must be there")],
        ),
        (vec![("/sources/0/json/method", json!("GET"))], vec![format!("{json}.body: goes with the method POST")]),
        (
            vec![("/sources/0/json/headers/authorization", json!("Bearer x"))],
            vec![format!("{json}.headers.authorization: is not for the user to set: credentials go into a Secret")],
        ),
        (
            vec![("/sources/0/json/headers/a b", json!("x"))],
            vec![format!("{json}.headers.a b: is not a header's name")],
        ),
        (
            vec![("/sources/0/json/headers/X-Tenant", json!("a\r\nX-Evil: b"))],
            vec![format!("{json}.headers.X-Tenant: is not a header's value of visible ASCII, 1024 octets at most")],
        ),
        (
            vec![("/sources/1/sql/queries/0/query", json!(" "))],
            vec!["sources[1].sql.queries[0].query: is empty".to_owned()],
        ),
        (
            vec![("/sources/1/sql/queries/0/values", json!([]))],
            vec!["sources[1].sql.queries[0].values: 0 of them; at least 1 must be there".to_owned()],
        ),
        (
            vec![("/sources/1/sql/queries/0/labels/0", json!("connections"))],
            vec!["sources[1].sql.queries[0].labels[0]: connections is there already".to_owned()],
        ),
        (
            vec![("/sources/1/sql/dsnFile", json!("../dsn"))],
            vec!["sources[1].sql.dsnFile: is not a file's name: letters, digits, - _ and . alone".to_owned()],
        ),
        (
            vec![("/sources/3/configMap/name", json!("A"))],
            vec!["sources[3].configMap.name: is not a ConfigMap's name".to_owned()],
        ),
        (
            vec![("/scalars/1/write/range/min", json!(10_001))],
            vec!["scalars[1].write.range: the least value is greater than the greatest".to_owned()],
        ),
        (
            vec![("/scalars/2/write/pattern", json!("("))],
            vec![
                "scalars[2].write.pattern: is not a regular expression: found open group without closing ')'"
                    .to_owned(),
            ],
        ),
        (
            vec![("/scalars/0/write/length", json!({"min": 1, "max": 2}))],
            vec!["scalars[0].write.length: is for strings alone".to_owned()],
        ),
        (
            vec![("/scalars/0/write/configMap/key", json!("a/b"))],
            vec!["scalars[0].write.configMap.key: is not a key of a ConfigMap".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("{}"))],
            vec!["scalars[1].write.http.body: has neither ${value} nor ${name} in it".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("${value} ${user}"))],
            vec!["scalars[1].write.http.body: has ${user} in it, which is neither ${value} nor ${name}".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("${value}".repeat(9000)))],
            vec!["scalars[1].write.http.body: is longer than 65536 octets".to_owned()],
        ),
        (
            vec![("/scalars/1/value/scale", json!(0.0))],
            vec!["scalars[1].write: with a scale of 0 there is no knowing what to write".to_owned()],
        ),
        (
            vec![("/scalars/1/value/rateMs", json!(60_000))],
            vec!["scalars[1].write: a rate or a quantile cannot be written".to_owned()],
        ),
        (
            vec![("/scalars/0/value", json!({"constant": "1"}))],
            vec!["scalars[0].write: a constant cannot be written".to_owned()],
        ),
    ]
    .into();
    let told = |changes: &[(&str, Json)]| refusals(&changed(serde_json::from_str(KINDS).unwrap(), changes));
    let wrong: Vec<_> = cases.iter().filter(|(changes, expected)| told(changes) != *expected).collect();
    let seen: Vec<_> = wrong.iter().map(|(changes, _)| told(changes)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}\nbut {seen:#?}");
}

#[test]
fn all_violations_are_listed_at_once() {
    let document = with(&[
        ("/contexts", json!([])),
        ("/sources/0/timeoutMs", json!(0)),
        ("/scalars/0/name", json!("")),
        ("/tables/0/columns/0/oid", json!(0)),
    ]);
    assert_eq!(refusals(&document).len(), 4, "{:?}", refusals(&document));
}

/// A path to somewhere in `value`, chosen by `steps`, and what to do there.
fn mutate(value: &mut Json, steps: &[usize], replacement: &Json, delete: bool) {
    let Some((step, rest)) = steps.split_first() else {
        *value = replacement.clone();
        return;
    };
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(step % fields.len()).unwrap().clone();
            if rest.is_empty() && delete {
                fields.remove(&key);
            } else {
                mutate(fields.get_mut(&key).unwrap(), rest, replacement, delete);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            let at = step % items.len();
            if rest.is_empty() && delete {
                items.remove(at);
            } else {
                mutate(&mut items[at], rest, replacement, delete);
            }
        }
        other => *other = replacement.clone(),
    }
}

fn replacements() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,40}".prop_map(Json::from),
        Just(json!("1.3.6")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"pod": {}})),
        Just(json!({"Constant": "\u{0}"})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn mutated_documents_are_read_or_refused_and_what_is_read_survives_a_round_trip(
        changes in prop::collection::vec((prop::collection::vec(0..40_usize, 1..9), replacements(), any::<bool>()), 1..4),
    ) {
        let mut document = golden();
        for (steps, replacement, delete) in &changes {
            mutate(&mut document, steps, replacement, *delete);
        }
        if let Ok(valid) = parse(document.to_string().as_bytes()) {
            let written = serde_json::to_vec(&valid).unwrap();
            prop_assert_eq!(parse_strict(&written).unwrap(), valid);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        at in 0..GOLDEN.len(), bytes in prop::collection::vec(any::<u8>(), 0..16), cut in 0..32_usize,
    ) {
        let mut document = GOLDEN.as_bytes().to_vec();
        let end = (at + cut).min(document.len());
        document.splice(at..end, bytes);
        let _ = parse(&document);
        let _ = parse_strict(&document);
        let _ = serde_json::from_slice::<Subtree>(&document);
    }
}
