//! Documents as files: valid and invalid ones, and the error messages.

// Helpers of tests may panic like tests. The tables of cases are long, because they have a case for each rule.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::too_many_lines)]

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use sidecar_config::{IndexKind, ParseError, Subtree, Value, file_name, parse, parse_strict, subtree_name};

/// A document of version 1 with every field set. It never changes: sidecars of any later version must read it.
const GOLDEN: &str = include_str!("golden/version-1.json");

/// A document of version 1 with every kind of source and backend. It never changes either.
const KINDS: &str = include_str!("golden/version-1-kinds.json");

fn golden() -> Json {
    serde_json::from_str(GOLDEN).unwrap()
}

/// Returns the golden document with these changes. Each sets the value at a JSON pointer; `null` removes the field.
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
fn a_document_of_version_1_is_read() {
    let document = parse_strict(GOLDEN.as_bytes()).unwrap();
    assert_eq!(document.name, "checkout");
    assert_eq!(document.oid.to_string(), "1.3.6.1.4.1.12345.5");
    assert!(matches!(document.tables[0].index[0].kind, IndexKind::Pod {}));
    assert!(matches!(&document.scalars[2].value, Value::Constant(text) if text == "Acme"));
}

#[test]
fn every_kind_of_source_and_backend_is_written_as_it_was_read() {
    let document = parse_strict(KINDS.as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), serde_json::from_str::<Json>(KINDS).unwrap());
}

#[test]
fn a_document_survives_a_round_trip() {
    let document = parse(GOLDEN.as_bytes()).unwrap();
    let written = serde_json::to_string_pretty(&document).unwrap();
    assert_eq!(parse_strict(written.as_bytes()).unwrap(), document);
    assert_eq!(serde_json::from_str::<Json>(&written).unwrap()["sources"][0]["prometheus"].get("host"), None);
}

#[test]
fn subtree_names_are_converted_to_file_names_and_back() {
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
fn a_strict_reader_names_unknown_fields_at_every_level() {
    let document = with(&[
        ("/colour", json!(1)),
        ("/sources/0/yaml", json!({})),
        ("/sources/1/prometheus/tls/ca", json!(1)),
        ("/sources/0/prometheus/unit", json!(1)),
        ("/tables/0/index/0/pod/x", json!(1)),
        ("/tables/0/index/1/y", json!(1)),
        ("/scalars/0/value/matchExpressions/0/op", json!(1)),
        ("/selector/matchLabels/any", json!("thing")),
    ]);
    parse(document.to_string().as_bytes()).unwrap();
    let refused = parse_strict(document.to_string().as_bytes()).unwrap_err().to_string();
    let mut lines: Vec<_> = refused.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "colour: unknown field",
            "scalars[0].value.matchExpressions[0].op: unknown field",
            "sources[0].prometheus.unit: unknown field",
            "sources[0].yaml: unknown field",
            "sources[1].prometheus.tls.ca: unknown field",
            "tables[0].index[0].pod.x: unknown field",
            "tables[0].index[1].y: unknown field",
        ]
    );
    let document = changed(
        serde_json::from_str(KINDS).unwrap(),
        &[
            ("/sources/0/json/metrics/0/unit", json!(1)),
            ("/scalars/1/write/unit", json!(1)),
            ("/scalars/1/write/http/unit", json!(1)),
        ],
    );
    let refused = parse_strict(document.to_string().as_bytes()).unwrap_err().to_string();
    for path in ["sources[0].json.metrics[0].unit", "scalars[1].write.unit", "scalars[1].write.http.unit"] {
        assert!(refused.contains(&format!("{path}: unknown field")), "{refused}");
    }
}

#[test]
fn a_newer_version_is_refused_regardless_of_its_fields() {
    let newer = parse(br#"{"version": 2, "objects": []}"#).unwrap_err();
    assert_eq!(newer, ParseError::Version { found: 2, newest: 1 });
    assert_eq!(newer.to_string(), "version 2 is not supported; the newest supported version is 1");
    assert_eq!(parse(br#"{"version": 0}"#).unwrap_err(), ParseError::Version { found: 0, newest: 1 });
}

#[test]
fn a_wrong_shape_is_reported_with_its_path() {
    let cases = [
        (json!({"/oid": "1.x"}), "oid: arc 2 is \"x\", not a number from 0 to 4294967295"),
        (json!({"/scalars/0/syntax": "Gauge"}), "scalars[0].syntax: unknown variant `Gauge`"),
        (json!({"/scalars/0/value/metric": null}), "scalars[0].value: missing field `metric`"),
        (json!({"/scalars/0/value/scale": "a"}), "scalars[0].value.scale: invalid type: string \"a\", expected f64"),
        (
            json!({"/scalars/0/value/constant": "a"}),
            "scalars[0].value: expected either `constant` or `source` and `metric`",
        ),
        (json!({"/tables/0/index/0/pod": null}), "tables[0].index[0]: expected either `pod` or `label`"),
        (json!({"/tables/0/index/1/as": "Number"}), "tables[0].index[1].as: unknown variant `Number`"),
        (
            json!({"/sources/0/prometheus/port": 65536}),
            "sources[0].prometheus.port: invalid value: integer `65536`, expected a port number from 1 to 65535 or the name of a port",
        ),
        (
            json!({"/sources/0/prometheus": null}),
            "sources[0]: expected exactly one of `prometheus`, `json`, `sql`, `system` and `configMap`",
        ),
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

/// Changes to a golden document, and the violations that they cause.
type Case = (Vec<(&'static str, Json)>, Vec<String>);

#[test]
fn every_violation_is_reported_with_its_path() {
    let descriptor =
        "is not a valid descriptor; it must be a lower-case letter and then letters and digits, at most 64 characters";
    let file = "is not a valid file name; only letters, digits, - _ and . are allowed";
    let cases: Vec<Case> = [
        (vec![("/namespace", json!("../etc"))], vec!["namespace: is not a valid namespace name"]),
        (vec![("/name", json!("A"))], vec!["name: is not a valid Kubernetes object name"]),
        (vec![("/name", json!("a".repeat(241)))], vec!["name: has 241 characters; at most 240 allowed"]),
        (vec![("/module", json!("acme"))], vec!["module: is not a valid SMIv2 module name, for example ACME-CHECKOUT-MIB"]),
        (
            vec![("/selector/matchExpressions/0", json!({"key": "a", "operator": "Matches", "values": ["b"]}))],
            vec!["selector.matchExpressions[0].operator: Matches is not supported for selecting pods"],
        ),
        (
            vec![("/selector/matchExpressions/0/values", json!([]))],
            vec!["selector.matchExpressions[0].values: has 0 entries; at least 1 required"],
        ),
        (vec![("/oid", json!("1.40.1"))], vec!["oid: does not start like an object identifier, for example 1.3"]),
        (vec![("/contexts", json!([]))], vec!["contexts: has 0 entries; at least 1 required"]),
        (vec![("/contexts/1", json!("acme"))], vec!["contexts[1]: the context \"acme\" is used more than once"]),
        (vec![("/contexts/0", json!("c".repeat(33)))], vec!["contexts[0]: has 33 octets; at most 32 allowed"]),
        (vec![("/contexts/0", json!("a\u{0}b"))], vec!["contexts[0]: contains a control character"]),
        (vec![("/contexts", (0..17).map(|i| i.to_string()).collect())], vec!["contexts: has 17 entries; at most 16 allowed"]),
        (vec![("/sources/1/name", json!("app"))], vec![
            "sources[1].name: app is used more than once",
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
            vec!["sources[0].staleAfterMs: is shorter than the interval, so values would disappear between scrapes"],
        ),
        (
            vec![("/sources/0/prometheus/host", json!("a b"))],
            vec!["sources[0].prometheus.host: is neither a host name nor an IP address"],
        ),
        (
            vec![("/sources/0/prometheus/host", json!("evil\r\nX-A: b"))],
            vec!["sources[0].prometheus.host: is neither a host name nor an IP address"],
        ),
        (vec![("/sources/0/prometheus/host", json!("[::1]"))], vec![]),
        (
            vec![("/sources/0/prometheus/path", json!("/a b"))],
            vec!["sources[0].prometheus.path: is not a valid path, for example /metrics; only visible ASCII without # is allowed"],
        ),
        (
            vec![("/sources/0/prometheus/path", json!("metrics"))],
            vec!["sources[0].prometheus.path: is not a valid path, for example /metrics; only visible ASCII without # is allowed"],
        ),
        (
            vec![("/sources/0/prometheus/port", json!(0))],
            vec!["sources[0].prometheus.port: is neither a port number from 1 to 65535 nor the name of a container port"],
        ),
        (
            vec![("/sources/0/prometheus/port", json!("Metrics!"))],
            vec!["sources[0].prometheus.port: is neither a port number from 1 to 65535 nor the name of a container port"],
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
            vec!["sources[1].prometheus.tls: a client certificate and its key must be set together"],
        ),
        (
            vec![("/sources/1/prometheus/scheme", json!("http"))],
            vec!["sources[1].prometheus.tls: is only allowed with the scheme https"],
        ),
        (
            vec![("/sources/1/prometheus/tls/serverName", json!("a/b"))],
            vec!["sources[1].prometheus.tls.serverName: is neither a host name nor an IP address"],
        ),
        (
            vec![("/scalars", json!([])), ("/tables", json!([]))],
            vec!["scalars: neither scalars nor tables are defined; at least one object is required"],
        ),
        (vec![("/scalars/0/name", json!("Error-percent"))], vec![&format!("scalars[0].name: {descriptor}")]),
        (
            vec![("/tables/0/columns/0/name", json!("tenant"))],
            vec!["tables[0].columns[0].name: tenant is already used by scalars[2].name"],
        ),
        (vec![("/scalars/0/oid", json!("9998"))], vec!["scalars[0].oid: the arc 9998 is reserved"]),
        (vec![("/tables/0/oid", json!("9999.1"))], vec!["tables[0].oid: the arc 9999 is reserved"]),
        (
            vec![("/scalars/0/oid", json!(vec!["1"; 120].join(".")))],
            vec!["scalars[0].oid: an instance would have 129 arcs; at most 128 allowed"],
        ),
        (vec![("/scalars/1/oid", json!("2"))], vec!["scalars[1].oid: 2 is already the OID of errorPercent"]),
        (vec![("/scalars/0/oid", json!("10.1.5"))], vec!["scalars[0].oid: 10.1.5 lies below 10, the OID of replicaTable"]),
        (vec![("/scalars/0/oid", json!("5"))], vec!["scalars[2].oid: 5.1 lies below 5, the OID of errorPercent"]),
        (
            vec![("/tables/0/columns", json!([]))],
            vec!["tables[0].columns: has 0 entries; at least 1 required"],
        ),
        (vec![("/tables/0/index", json!([]))], vec!["tables[0].index: has 0 entries; at least 1 required"]),
        (vec![("/tables/0/columns/0/oid", json!(3))], vec!["tables[0].columns[0].oid: 3 is used more than once"]),
        (vec![("/tables/0/columns/0/oid", json!(0))], vec!["tables[0].columns[0].oid: must be at least 1"]),
        (
            vec![("/tables/0/index/1", json!({"name": "other", "oid": 2, "pod": {}}))],
            vec!["tables[0].index[1].pod: is only allowed as the first index"],
        ),
        (
            vec![("/tables/0/index/2/as", json!("ImpliedString"))],
            vec!["tables[0].index[2].as: ImpliedString is only allowed for the last index"],
        ),
        (vec![("/tables/0/index/2/label", json!(""))], vec!["tables[0].index[2].label: is empty"]),
        (
            vec![("/scalars/2/syntax", json!("Integer32"))],
            vec!["scalars[2].value.constant: \"Acme\" is not a valid Integer32: expected a whole number from -2147483648 to 2147483647"],
        ),
        (
            vec![("/scalars/0/value/onMissing/Constant", json!("-7"))],
            vec!["scalars[0].value.onMissing: \"-7\" is not a valid Gauge32: expected a whole number from 0 to 4294967295"],
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
            vec!["scalars[0].value.rateMs: 29999 is less than two intervals of the source, so a late scrape would leave no rate"],
        ),
        (vec![("/scalars/0/value/rateMs", json!(30_000))], vec![]),
        (
            vec![("/scalars/3/value/scale", json!(-0.5))],
            vec!["scalars[3].value.scale: must not be negative, because a Counter64 only increases"],
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
                "scalars[1].value.quantile: has no effect on the text of a label",
                "scalars[1].value.rateMs: has no effect on the text of a label",
                "scalars[1].value.round: has no effect on the text of a label",
            ],
        ),
        (
            vec![("/tables/0/columns/2/value/label", Json::Null)],
            vec!["tables[0].columns[2].value.label: IpAddress cannot hold a number; set a label or use a constant"],
        ),
        (
            vec![("/scalars/3/syntax", json!("Gauge32"))],
            vec!["scalars[3].value.counterReset: is only allowed with the syntaxes Counter32 and Counter64"],
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
fn every_violation_of_other_sources_and_of_writes_is_reported_with_its_path() {
    let json = "sources[0].json";
    let cases: Vec<Case> = [
        (
            vec![("/sources/0/json/metrics/0/path", json!("$.a["))],
            vec![format!("{json}.metrics[0].path: is not a JSONPath: at position 3, parser error")],
        ),
        (
            vec![("/sources/0/json/metrics/1/labels/queue", json!("$..a..b"))],
            vec![format!("{json}.metrics[1].labels.queue: contains .. more than once")],
        ),
        (
            vec![("/sources/0/json/metrics/1/value", json!("state"))],
            vec![format!("{json}.metrics[1].value: is not a JSONPath: at position 0, parser error")],
        ),
        (
            vec![("/sources/0/json/metrics/1/labels/__text__", json!("$.a"))],
            vec![format!("{json}.metrics[1].labels.__text__: starts with __, which is reserved for labels of the sidecar")],
        ),
        (
            vec![("/sources/0/json/metrics/1/name", json!("active_users"))],
            vec![format!("{json}.metrics[1].name: active_users is used more than once")],
        ),
        (
            vec![("/sources/0/json/metrics", json!([]))],
            vec![format!("{json}.metrics: has 0 entries; at least 1 required")],
        ),
        (vec![("/sources/0/json/method", json!("GET"))], vec![format!("{json}.body: is only allowed with the method POST")]),
        (
            vec![("/sources/0/json/headers/authorization", json!("Bearer x"))],
            vec![format!("{json}.headers.authorization: must not be set; put credentials into a Secret")],
        ),
        (
            vec![("/sources/0/json/headers/a b", json!("x"))],
            vec![format!("{json}.headers.a b: is not a valid header name")],
        ),
        (
            vec![("/sources/0/json/headers/X-Tenant", json!("a\r\nX-Evil: b"))],
            vec![format!("{json}.headers.X-Tenant: is not a valid header value; only visible ASCII is allowed, at most 1024 octets")],
        ),
        (
            vec![("/sources/1/sql/queries/0/query", json!(" "))],
            vec!["sources[1].sql.queries[0].query: is empty".to_owned()],
        ),
        (
            vec![("/sources/1/sql/queries/0/values", json!([]))],
            vec!["sources[1].sql.queries[0].values: has 0 entries; at least 1 required".to_owned()],
        ),
        (
            vec![("/sources/1/sql/queries/0/labels/0", json!("connections"))],
            vec!["sources[1].sql.queries[0].labels[0]: connections is used more than once".to_owned()],
        ),
        (
            vec![("/sources/1/sql/dsnFile", json!("../dsn"))],
            vec!["sources[1].sql.dsnFile: is not a valid file name; only letters, digits, - _ and . are allowed".to_owned()],
        ),
        (
            vec![("/sources/3/configMap/name", json!("A"))],
            vec!["sources[3].configMap.name: is not a valid ConfigMap name".to_owned()],
        ),
        (
            vec![("/scalars/1/write/range/min", json!(10_001))],
            vec!["scalars[1].write.range: min is greater than max".to_owned()],
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
            vec!["scalars[0].write.length: is only allowed with the syntaxes OctetString and DisplayString".to_owned()],
        ),
        (
            vec![("/scalars/0/write/configMap/key", json!("a/b"))],
            vec!["scalars[0].write.configMap.key: is not a valid ConfigMap key".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("{}"))],
            vec!["scalars[1].write.http.body: contains neither ${value} nor ${name}".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("${value} ${user}"))],
            vec!["scalars[1].write.http.body: contains ${user}; only ${value} and ${name} are allowed".to_owned()],
        ),
        (
            vec![("/scalars/1/write/http/body", json!("${value}".repeat(9000)))],
            vec!["scalars[1].write.http.body: has more than 65536 octets".to_owned()],
        ),
        (
            vec![("/scalars/1/value/scale", json!(0.0))],
            vec!["scalars[1].write: a value with a scale of 0 cannot be written".to_owned()],
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
    let refused = |changes: &[(&str, Json)]| refusals(&changed(serde_json::from_str(KINDS).unwrap(), changes));
    let wrong: Vec<_> = cases.iter().filter(|(changes, expected)| refused(changes) != *expected).collect();
    let seen: Vec<_> = wrong.iter().map(|(changes, _)| refused(changes)).collect();
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

/// Replaces or deletes a part of `value`. `steps` chooses the path to the part.
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
    fn mutated_documents_are_refused_or_survive_a_round_trip(
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
