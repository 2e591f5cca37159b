//! Objects that an API server accepts and rejects: examples, both outcomes of every CEL rule, and structure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]
#![allow(clippy::too_many_lines, reason = "the table of cases has an entry for each rule")]

use std::collections::BTreeSet;

use crds::{Admission, SnmpContext, SnmpSubtree, SnmpTrapTarget};
use serde_json::{Value as Json, json};

fn example(yaml: &str) -> Json {
    serde_saphyr::from_str(yaml).unwrap()
}

fn subtree() -> Json {
    example(include_str!("examples/subtree.yaml"))
}

fn context() -> Json {
    example(include_str!("examples/context.yaml"))
}

fn trap_target() -> Json {
    example(include_str!("examples/trap_target.yaml"))
}

/// Returns `base` with `patch` merged into it (RFC 7386): objects field by field, `null` removes, all else replaces.
fn merged(mut base: Json, patch: &Json) -> Json {
    match (&mut base, patch) {
        (Json::Object(fields), Json::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    fields.remove(name);
                } else {
                    let old = fields.remove(name).unwrap_or(Json::Null);
                    fields.insert(name.clone(), merged(old, value));
                }
            }
            base
        }
        (_, Json::Object(_)) => merged(json!({}), patch),
        _ => patch.clone(),
    }
}

thread_local! {
    /// The validator, compiled once for each test.
    static ADMISSION: Admission = Admission::new();
}

fn errors(object: &Json) -> Vec<String> {
    let errors = ADMISSION.with(|admission| admission.admit(object["kind"].as_str().unwrap(), object, None).err());
    errors.into_iter().flatten().map(|error| error.to_string()).collect()
}

#[test]
fn complete_examples_are_accepted_and_parsed() {
    for object in [subtree(), context(), trap_target()] {
        assert_eq!(errors(&object), Vec::<String>::new());
    }
    let admitted = Admission::new().admit("SnmpSubtree", &subtree(), None).unwrap();
    let read: SnmpSubtree = serde_json::from_value(admitted).unwrap();
    assert_eq!(read.spec.sources.len(), 6);
    assert_eq!(read.spec.sources[1].json.as_ref().unwrap().endpoint.interval.0, "15s", "defaults are filled in");
    serde_json::from_value::<SnmpContext>(context()).unwrap();
    serde_json::from_value::<SnmpTrapTarget>(trap_target()).unwrap();
}

#[test]
fn the_oid_of_a_subtree_is_immutable() {
    let admission = Admission::new();
    let moved = merged(subtree(), &json!({"spec": {"oid": "1.3.6.1.4.1.12345.6"}}));
    admission.admit("SnmpSubtree", &subtree(), Some(&subtree())).unwrap();
    let errors = admission.admit("SnmpSubtree", &moved, Some(&subtree())).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, [format!("spec.oid: {IMMUTABLE}")]);
}

const IMMUTABLE: &str = "oid is immutable: create another SnmpSubtree instead";

/// One rule: its message, an object that it accepts, an object that it rejects, and the path of the error.
struct Case {
    message: &'static str,
    passes: Json,
    refused: Json,
    path: &'static str,
}

fn case(message: &'static str, path: &'static str, passes: Json, refused: Json) -> Case {
    Case { message, passes, refused, path }
}

/// Returns the example with one scalar, patched.
fn scalar(patch: &Json) -> Json {
    let scalar = json!({"name": "one", "oid": "1", "syntax": "Gauge32", "value": {"source": "app", "metric": "up"}});
    merged(subtree(), &json!({"spec": {"scalars": [merged(scalar, patch)]}}))
}

fn value(patch: &Json) -> Json {
    scalar(&json!({"value": patch}))
}

/// Returns the example with one source.
fn source(source: &Json) -> Json {
    let source = merged(json!({"name": "app"}), source);
    merged(subtree(), &json!({"spec": {"sources": [source]}}))
}

fn prometheus(patch: &Json) -> Json {
    source(&json!({"prometheus": merged(json!({"port": 9100}), patch)}))
}

fn json_source(patch: &Json) -> Json {
    let metrics = json!([{"name": "users", "path": "$.users"}]);
    source(&json!({"json": merged(json!({"port": 8080, "metrics": metrics}), patch)}))
}

fn index(index: &Json) -> Json {
    let columns = json!([{"name": "two", "oid": "9", "syntax": "Gauge32", "value": {"source": "app", "metric": "up"}}]);
    merged(
        subtree(),
        &json!({"spec": {"tables": [{"name": "table", "oid": "10", "index": index, "columns": columns}]}}),
    )
}

fn when(patch: &Json) -> Json {
    notification(&json!({"when": merged(json!({"object": "p99"}), patch)}))
}

fn notification(patch: &Json) -> Json {
    merged(subtree(), &json!({"spec": {"notifications": [merged(json!({"name": "event", "oid": "0.1"}), patch)]}}))
}

fn cases() -> Vec<Case> {
    let requirement = |operator: &str, values: &[&str]| {
        value(&json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}))
    };
    let tls = |tls: Json| prometheus(&json!({"scheme": "https", "tlsConfig": tls}));
    let secret = json!({"name": "a", "key": "b"});
    let secret = &secret;
    let label = |name: &str, encoding: &str| json!({"name": name, "label": name, "as": encoding});
    let target = |patch: &Json| merged(trap_target(), &json!({"spec": patch}));
    vec![
        case(
            "the name of an SnmpSubtree must not be longer than 240 characters",
            "",
            merged(subtree(), &json!({"metadata": {"name": "a".repeat(240)}})),
            merged(subtree(), &json!({"metadata": {"name": "a".repeat(241)}})),
        ),
        case(
            "at least one scalar or table is required",
            "spec",
            merged(subtree(), &json!({"spec": {"scalars": null}})),
            merged(subtree(), &json!({"spec": {"scalars": null, "tables": []}})),
        ),
        case(
            "an arc must not be greater than 4294967295",
            "spec.oid",
            merged(subtree(), &json!({"spec": {"oid": "1.3.6.1.4.1.4294967295.5"}})),
            merged(subtree(), &json!({"spec": {"oid": "1.3.6.1.4.1.4294967296.5"}})),
        ),
        case(
            "the arcs 9998 and 9999 are reserved",
            "spec.scalars[0].oid",
            scalar(&json!({"oid": "1.9998"})),
            scalar(&json!({"oid": "9998.1"})),
        ),
        case(
            "exactly one of prometheus, json, sql, system and configMap must be set",
            "spec.sources[0]",
            source(&json!({"system": {}})),
            source(&json!({"system": {}, "configMap": {"name": "a"}})),
        ),
        case(
            "exactly one of port and url must be set",
            "spec.sources[0].prometheus",
            prometheus(&json!({})),
            prometheus(&json!({"url": "http://a.example/metrics"})),
        ),
        case(
            "path and scheme are only valid with port; a url already includes them",
            "spec.sources[0].prometheus",
            prometheus(&json!({"port": null, "url": "http://a.example/metrics"})),
            prometheus(&json!({"port": null, "url": "http://a.example/", "path": "/metrics"})),
        ),
        case(
            "authorization and basicAuth are mutually exclusive",
            "spec.sources[0].prometheus",
            prometheus(&json!({"basicAuth": {"username": secret, "password": secret}})),
            prometheus(
                &json!({"basicAuth": {"username": secret, "password": secret}, "authorization": {"credentials": secret}}),
            ),
        ),
        case(
            "tlsConfig is only valid with https",
            "spec.sources[0].prometheus.tlsConfig",
            prometheus(&json!({"port": null, "url": "https://a.example/metrics", "tlsConfig": {}})),
            prometheus(&json!({"tlsConfig": {}})),
        ),
        case(
            "exactly one of secret and configMap must be set",
            "spec.sources[0].prometheus.tlsConfig.ca",
            tls(json!({"ca": {"configMap": secret}})),
            tls(json!({"ca": {}})),
        ),
        case(
            "cert and keySecret must be set together",
            "spec.sources[0].prometheus.tlsConfig",
            tls(json!({"cert": {"secret": secret}, "keySecret": secret})),
            tls(json!({"cert": {"secret": secret}})),
        ),
        case(
            "In and NotIn need at least one value; Exists and DoesNotExist take none",
            "spec.scalars[0].value.matchExpressions[0]",
            requirement("NotIn", &["b"]),
            requirement("Exists", &["b"]),
        ),
        case(
            "Matches needs exactly one value, a regular expression",
            "spec.scalars[0].value.matchExpressions[0]",
            requirement("Matches", &["b.*"]),
            requirement("Matches", &["b", "c"]),
        ),
        case(
            "exactly one of constant and metric must be set",
            "spec.scalars[0].value",
            value(&json!({"source": null, "metric": null, "constant": "1"})),
            value(&json!({"source": null, "metric": null})),
        ),
        case(
            "source and metric must be set together",
            "spec.scalars[0].value",
            value(&json!({})),
            value(&json!({"source": null})),
        ),
        case(
            "constant cannot be combined with other fields",
            "spec.scalars[0].value",
            value(&json!({"source": null, "metric": null, "constant": "1"})),
            value(&json!({"source": null, "metric": null, "constant": "1", "scale": 2})),
        ),
        case(
            "quantile, rate, aggregate, scale, offset and round cannot be combined with label",
            "spec.scalars[0].value",
            value(&json!({"label": "a", "matchLabels": {"b": "c"}})),
            value(&json!({"label": "a", "rate": "1m"})),
        ),
        case(
            "onMissingConstant is required with onMissing: Constant, and only valid with it",
            "spec.scalars[0].value",
            value(&json!({"onMissing": "Constant", "onMissingConstant": "1"})),
            value(&json!({"onMissing": "Zero", "onMissingConstant": "1"})),
        ),
        case(
            "exactly one of http and configMap must be set",
            "spec.scalars[0].write",
            scalar(&json!({"write": {"configMap": secret}})),
            scalar(&json!({"write": {}})),
        ),
        case(
            "enum is only valid with syntax Integer32",
            "spec.scalars[0].enum",
            scalar(&json!({"syntax": "Integer32", "enum": {"up": 1}})),
            scalar(&json!({"enum": {"up": 1}})),
        ),
        case(
            "range is only valid with syntax Integer32, Unsigned32 or Gauge32",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"min": 1}})),
            scalar(&json!({"syntax": "TimeTicks", "range": {"min": 1}})),
        ),
        case(
            "a range needs min, max or both",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"max": 1}})),
            scalar(&json!({"range": {}})),
        ),
        case(
            "min must not be greater than max",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"min": 1, "max": 1}})),
            scalar(&json!({"range": {"min": 2, "max": 1}})),
        ),
        case(
            "length is only valid with syntax OctetString or DisplayString",
            "spec.scalars[0].length",
            scalar(&json!({"syntax": "OctetString", "length": {"max": 1}})),
            scalar(&json!({"length": {"max": 1}})),
        ),
        case(
            "the minimum length must not be greater than the maximum length",
            "spec.scalars[0].length",
            scalar(&json!({"syntax": "OctetString", "length": {"min": 1, "max": 1}})),
            scalar(&json!({"syntax": "OctetString", "length": {"min": 2, "max": 1}})),
        ),
        case(
            "pattern is only valid with syntax OctetString or DisplayString",
            "spec.scalars[0].pattern",
            scalar(&json!({"syntax": "DisplayString", "pattern": "a+"})),
            scalar(&json!({"pattern": "a+"})),
        ),
        case(
            "counterReset is only valid with syntax Counter32 or Counter64",
            "spec.scalars[0].value.counterReset",
            scalar(&json!({"syntax": "Counter32", "value": {"counterReset": "PassThrough"}})),
            value(&json!({"counterReset": "PassThrough"})),
        ),
        case(
            "the scale of a counter must not be negative, because a counter never decreases",
            "spec.scalars[0].value.scale",
            scalar(&json!({"syntax": "Integer32", "value": {"scale": -0.5}})),
            scalar(&json!({"syntax": "Counter64", "value": {"scale": -0.5}})),
        ),
        case(
            "IpAddress and ObjectIdentifier cannot show a number: set label or constant",
            "spec.scalars[0].value",
            scalar(&json!({"syntax": "IpAddress", "value": {"label": "ip"}})),
            scalar(&json!({"syntax": "IpAddress"})),
        ),
        case(
            "write is not valid with a constant: set a metric that shows the written value",
            "spec.scalars[0].write",
            scalar(&json!({"write": {"configMap": secret}})),
            scalar(
                &json!({"value": {"constant": "1", "source": null, "metric": null}, "write": {"configMap": secret}}),
            ),
        ),
        case(
            "body is only valid with method POST",
            "spec.sources[0].json.body",
            json_source(&json!({"method": "POST", "body": "{}"})),
            json_source(&json!({"body": "{}"})),
        ),
        case(
            "write is not valid with syntax Counter32 or Counter64",
            "spec.scalars[0].write",
            scalar(&json!({"write": {"configMap": secret}})),
            scalar(&json!({"syntax": "Counter32", "write": {"configMap": secret}})),
        ),
        case(
            "pod is only valid as the first index",
            "spec.tables[0].index",
            index(&json!([{"name": "pod", "pod": {}}, label("a", "String")])),
            index(&json!([label("a", "String"), {"name": "pod", "pod": {}}])),
        ),
        case(
            "ImpliedString is only valid for the last index",
            "spec.tables[0].index",
            index(&json!([label("a", "String"), label("b", "ImpliedString")])),
            index(&json!([label("a", "ImpliedString"), label("b", "ImpliedString")])),
        ),
        case(
            "exactly one of label and pod must be set",
            "spec.tables[0].index[0]",
            index(&json!([label("a", "String")])),
            index(&json!([{"name": "a"}])),
        ),
        case(
            "label and as must be set together",
            "spec.tables[0].index[0]",
            index(&json!([label("a", "Hash")])),
            index(&json!([{"name": "a", "label": "a"}])),
        ),
        case(
            "exactly one of above, below, equals, changes and absent must be set",
            "spec.notifications[0].when",
            when(&json!({"equals": "down"})),
            when(&json!({"above": 1, "below": 0})),
        ),
        case(
            "clearBelow requires above and must not be greater than it",
            "spec.notifications[0].when.clearBelow",
            when(&json!({"above": 1, "clearBelow": 0.5})),
            when(&json!({"above": 1, "clearBelow": 1.5})),
        ),
        case(
            "clearAbove requires below and must not be less than it",
            "spec.notifications[0].when.clearAbove",
            when(&json!({"below": 1, "clearAbove": 2})),
            when(&json!({"below": 1.5, "clearAbove": 1})),
        ),
        case(
            "for is not valid with changes",
            "spec.notifications[0].when.for",
            when(&json!({"absent": true, "for": "1m"})),
            when(&json!({"changes": true, "for": "1m"})),
        ),
        case(
            "must be true or omitted",
            "spec.notifications[0].when.changes",
            when(&json!({"changes": true})),
            when(&json!({"changes": false})),
        ),
        case(
            "clear is not valid with changes, because a change never ends",
            "spec.notifications[0].clear",
            notification(&json!({"when": {"object": "p99", "absent": true}, "clear": {"name": "over", "oid": "0.2"}})),
            notification(&json!({"when": {"object": "p99", "changes": true}, "clear": {"name": "over", "oid": "0.2"}})),
        ),
        case(
            "the name of an SNMP context must not be longer than 32 characters: set contextName, or use a shorter metadata.name",
            "",
            merged(context(), &json!({"metadata": {"name": "a".repeat(33)}})),
            merged(context(), &json!({"metadata": {"name": "a".repeat(33)}, "spec": {"contextName": null}})),
        ),
        case(
            "selector is required with from: Selector, and only valid with it",
            "spec.allowedNamespaces",
            merged(context(), &json!({"spec": {"allowedNamespaces": {"from": "All", "selector": null}}})),
            merged(context(), &json!({"spec": {"allowedNamespaces": {"from": "All"}}})),
        ),
        case(
            "must be a network in CIDR notation, for example 10.0.0.0/8",
            "spec.allowedTargets[0]",
            merged(context(), &json!({"spec": {"allowedTargets": ["2001:db8::/32"]}})),
            merged(context(), &json!({"spec": {"allowedTargets": ["10.0.0.0/33"]}})),
        ),
        case(
            "SNMPv1 has no informs: kind must be Trap",
            "spec.kind",
            target(&json!({"version": "V1", "kind": "Trap", "user": null, "communityRef": secret})),
            target(&json!({"version": "V1", "user": null, "communityRef": secret})),
        ),
        case(
            "user is required with version V3, and only valid with it",
            "spec",
            target(&json!({})),
            target(&json!({"user": null})),
        ),
        case(
            "communityRef is required with versions V1 and V2c, and only valid with them",
            "spec",
            target(&json!({"version": "V2c", "user": null, "communityRef": secret})),
            target(&json!({"communityRef": secret})),
        ),
    ]
}

#[test]
fn every_rule_accepts_and_rejects_its_example() {
    for Case { message, passes, refused, path } in cases() {
        assert_eq!(errors(&passes), Vec::<String>::new(), "should pass: {message}");
        let expected = if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") };
        assert!(errors(&refused).contains(&expected), "{expected} is not among {:#?}", errors(&refused));
    }
}

/// Collects expression and message of every rule in `schema`.
fn rules(schema: &Json, found: &mut BTreeSet<(String, String)>) {
    match schema {
        Json::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Json::as_array).into_iter().flatten() {
                let text =
                    |field: &str| rule[field].as_str().unwrap_or_else(|| panic!("{rule} has no {field}")).to_owned();
                found.insert((text("rule"), text("message")));
            }
            fields.values().for_each(|schema| rules(schema, found));
        }
        Json::Array(items) => items.iter().for_each(|schema| rules(schema, found)),
        _ => {}
    }
}

#[test]
fn every_rule_of_the_schemas_has_a_case() {
    let mut found = BTreeSet::new();
    rules(&serde_json::to_value(crds::definitions()).unwrap(), &mut found);
    let messages: BTreeSet<_> = found.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages.len(), found.len(), "two rules have the same message, so a case cannot tell them apart");
    let tested: BTreeSet<_> = cases().iter().map(|case| case.message).chain([IMMUTABLE]).collect();
    assert_eq!(tested, messages);
}

#[test]
fn errors_in_the_structure_are_reported_with_their_path() {
    let cases = [
        (json!({"spec": {"colour": 1}}), "spec.colour: unknown field"),
        (json!({"metadata": {"nmae": "x"}}), "metadata.nmae: unknown field"),
        (json!({"metadata": {"name": "../etc"}}), "metadata.name: \"../etc\" does not match ^[a-z0-9]"),
        (json!({"metadata": {"namespace": "a.b"}}), "metadata.namespace: \"a.b\" does not match ^[a-z0-9]"),
        (json!({"metadata": {"name": null}}), "metadata.name: is required"),
        (json!({"metadata": {"labels": {"a": 1}}}), "metadata.labels.a: must be a string, not a number"),
        (json!({"spec": {"oid": null}}), "spec.oid: is required"),
        (json!({"spec": {"oid": 1.3}}), "spec.oid: must be a string, not a number"),
        (json!({"spec": {"oid": "1.3.06"}}), "spec.oid: \"1.3.06\" does not match ^([01]"),
        (json!({"spec": {"oid": "1.40"}}), "spec.oid: \"1.40\" does not match ^([01]"),
        (json!({"spec": {"contextRefs": []}}), "spec.contextRefs: has 0 items, but the minimum is 1"),
        (json!({"spec": {"contextRefs": ["a", "a"]}}), "spec.contextRefs[1]: \"a\" is already in the list"),
        (json!({"spec": {"selector": null}}), "spec.selector: is required"),
        (
            json!({"spec": {"selector": {"matchLabels": {"a": true}}}}),
            "spec.selector.matchLabels.a: must be a string, not a boolean",
        ),
        (json!({"spec": {"scalars": vec![json!({}); 257]}}), "spec.scalars: has 257 items, but the maximum is 256"),
        (json!({"spec": {"scalars": [{"name": "a"}, {"name": "a"}]}}), "spec.scalars[1]: \"a\" is already in the list"),
        (json!({"spec": {"scalars": [{"name": "A"}]}}), "spec.scalars[0].name: \"A\" does not match ^[a-z]"),
        (
            json!({"spec": {"scalars": [{"syntax": "Gauge"}]}}),
            "spec.scalars[0].syntax: \"Gauge\" is not one of Integer32, ",
        ),
        (
            json!({"spec": {"scalars": [{"value": {"quantile": 1.5}}]}}),
            "spec.scalars[0].value.quantile: 1.5 is greater than 1",
        ),
        (
            json!({"spec": {"scalars": [{"enum": {"a": 2_147_483_648_i64}}]}}),
            "spec.scalars[0].enum.a: 2147483648 is greater than",
        ),
        (
            json!({"spec": {"sources": [{"prometheus": {"port": 0}}]}}),
            "spec.sources[0].prometheus.port: 0 is less than 1",
        ),
        (
            json!({"spec": {"sources": [{"prometheus": {"port": "A"}}]}}),
            "spec.sources[0].prometheus.port: \"A\" does not match",
        ),
        (
            json!({"spec": {"sources": [{"prometheus": {"port": []}}]}}),
            "spec.sources[0].prometheus.port: must be an integer or string, not a list",
        ),
        (
            json!({"spec": {"sources": [{"prometheus": {"interval": "15"}}]}}),
            "spec.sources[0].prometheus.interval: \"15\" does not match",
        ),
        (
            json!({"spec": {"sources": [{"prometheus": {"path": "/a b"}}]}}),
            "spec.sources[0].prometheus.path: \"/a b\" does not match",
        ),
    ];
    for (patch, expected) in cases {
        let found = errors(&merged(subtree(), &patch));
        assert!(found.iter().any(|error| error.starts_with(expected)), "{patch}: {expected} is not among {found:#?}");
    }
    let absent = merged(subtree(), &json!({"spec": null}));
    assert!(errors(&absent).contains(&"spec: is required".to_owned()));
}

#[test]
fn all_errors_of_an_object_are_reported() {
    let patch = json!({"spec": {"colour": 1, "oid": "x", "tables": [{"name": "t", "oid": "9999", "index": [], "columns": []}]}});
    let found = errors(&merged(subtree(), &patch));
    assert_eq!(
        found,
        [
            "spec.colour: unknown field",
            "spec.oid: \"x\" does not match ^([01]\\.[123]?[0-9]|2\\.(0|[1-9][0-9]{0,9}))(\\.(0|[1-9][0-9]{0,9}))*$",
            "spec.tables[0].columns: has 0 items, but the minimum is 1",
            "spec.tables[0].index: has 0 items, but the minimum is 1",
            "spec.tables[0].oid: the arcs 9998 and 9999 are reserved",
        ]
    );
}
