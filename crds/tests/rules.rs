//! What an API server takes and what it refuses: the design's examples, every CEL rule both ways, structure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]
#![allow(clippy::too_many_lines, reason = "a table of cases is as long as there are rules")]

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

/// `base` with `patch` merged into it (RFC 7386): objects field by field, `null` removes, all else replaces.
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

fn refusals(object: &Json) -> Vec<String> {
    let faults = Admission::new().admit(object["kind"].as_str().unwrap(), object, None).err();
    faults.into_iter().flatten().map(|fault| fault.to_string()).collect()
}

#[test]
fn the_examples_of_the_design_are_taken_and_read() {
    for object in [subtree(), context(), trap_target()] {
        assert_eq!(refusals(&object), Vec::<String>::new());
    }
    let admitted = Admission::new().admit("SnmpSubtree", &subtree(), None).unwrap();
    let read: SnmpSubtree = serde_json::from_value(admitted).unwrap();
    assert_eq!(read.spec.sources.len(), 6);
    assert_eq!(read.spec.sources[1].json.as_ref().unwrap().endpoint.interval.0, "15s", "defaults are filled in");
    serde_json::from_value::<SnmpContext>(context()).unwrap();
    serde_json::from_value::<SnmpTrapTarget>(trap_target()).unwrap();
}

#[test]
fn the_oid_of_a_subtree_never_changes() {
    let admission = Admission::new();
    let moved = merged(subtree(), &json!({"spec": {"oid": "1.3.6.1.4.1.12345.6"}}));
    admission.admit("SnmpSubtree", &subtree(), Some(&subtree())).unwrap();
    let faults = admission.admit("SnmpSubtree", &moved, Some(&subtree())).unwrap_err();
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults, [format!("spec.oid: {IMMUTABLE}")]);
}

const IMMUTABLE: &str = "oid is immutable: make another SnmpSubtree";

/// One rule: its message, an object that it lets pass, and one that it alone refuses, and where.
struct Case {
    message: &'static str,
    passes: Json,
    refused: Json,
    path: &'static str,
}

fn case(message: &'static str, path: &'static str, passes: Json, refused: Json) -> Case {
    Case { message, passes, refused, path }
}

/// The example with one scalar alone, patched.
fn scalar(patch: &Json) -> Json {
    let scalar = json!({"name": "one", "oid": "1", "syntax": "Gauge32", "value": {"source": "app", "metric": "up"}});
    merged(subtree(), &json!({"spec": {"scalars": [merged(scalar, patch)]}}))
}

fn value(patch: &Json) -> Json {
    scalar(&json!({"value": patch}))
}

/// The example with one source alone.
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
            "the name of an SnmpSubtree has 240 characters at most",
            "",
            merged(subtree(), &json!({"metadata": {"name": "a".repeat(240)}})),
            merged(subtree(), &json!({"metadata": {"name": "a".repeat(241)}})),
        ),
        case(
            "neither scalars nor tables are there: nothing to serve",
            "spec",
            merged(subtree(), &json!({"spec": {"scalars": null}})),
            merged(subtree(), &json!({"spec": {"scalars": null, "tables": []}})),
        ),
        case(
            "an arc is greater than 4294967295",
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
            "path and scheme go with port; a url has both in it",
            "spec.sources[0].prometheus",
            prometheus(&json!({"port": null, "url": "http://a.example/metrics"})),
            prometheus(&json!({"port": null, "url": "http://a.example/", "path": "/metrics"})),
        ),
        case(
            "authorization and basicAuth exclude one another",
            "spec.sources[0].prometheus",
            prometheus(&json!({"basicAuth": {"username": secret, "password": secret}})),
            prometheus(
                &json!({"basicAuth": {"username": secret, "password": secret}, "authorization": {"credentials": secret}}),
            ),
        ),
        case(
            "tlsConfig is for https only",
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
            "cert and keySecret come together",
            "spec.sources[0].prometheus.tlsConfig",
            tls(json!({"cert": {"secret": secret}, "keySecret": secret})),
            tls(json!({"cert": {"secret": secret}})),
        ),
        case(
            "In and NotIn take one value or more, Exists and DoesNotExist none",
            "spec.scalars[0].value.matchExpressions[0]",
            requirement("NotIn", &["b"]),
            requirement("Exists", &["b"]),
        ),
        case(
            "Matches takes one value, a regular expression",
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
            "source and metric come together",
            "spec.scalars[0].value",
            value(&json!({})),
            value(&json!({"source": null})),
        ),
        case(
            "a constant stands alone",
            "spec.scalars[0].value",
            value(&json!({"source": null, "metric": null, "constant": "1"})),
            value(&json!({"source": null, "metric": null, "constant": "1", "scale": 2})),
        ),
        case(
            "quantile, rate, aggregate, scale, offset and round have no effect on a label's text",
            "spec.scalars[0].value",
            value(&json!({"label": "a", "matchLabels": {"b": "c"}})),
            value(&json!({"label": "a", "rate": "1m"})),
        ),
        case(
            "onMissingConstant goes with onMissing: Constant",
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
            "enum goes with the syntax Integer32",
            "spec.scalars[0].enum",
            scalar(&json!({"syntax": "Integer32", "enum": {"up": 1}})),
            scalar(&json!({"enum": {"up": 1}})),
        ),
        case(
            "range goes with the syntaxes Integer32, Unsigned32 and Gauge32",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"min": 1}})),
            scalar(&json!({"syntax": "TimeTicks", "range": {"min": 1}})),
        ),
        case(
            "a range has a min, a max or both",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"max": 1}})),
            scalar(&json!({"range": {}})),
        ),
        case(
            "min is greater than max",
            "spec.scalars[0].range",
            scalar(&json!({"range": {"min": 1, "max": 1}})),
            scalar(&json!({"range": {"min": 2, "max": 1}})),
        ),
        case(
            "length goes with the syntaxes OctetString and DisplayString",
            "spec.scalars[0].length",
            scalar(&json!({"syntax": "OctetString", "length": {"max": 1}})),
            scalar(&json!({"length": {"max": 1}})),
        ),
        case(
            "the least length is greater than the greatest",
            "spec.scalars[0].length",
            scalar(&json!({"syntax": "OctetString", "length": {"min": 1, "max": 1}})),
            scalar(&json!({"syntax": "OctetString", "length": {"min": 2, "max": 1}})),
        ),
        case(
            "pattern goes with the syntaxes OctetString and DisplayString",
            "spec.scalars[0].pattern",
            scalar(&json!({"syntax": "DisplayString", "pattern": "a+"})),
            scalar(&json!({"pattern": "a+"})),
        ),
        case(
            "counterReset goes with the syntaxes Counter32 and Counter64",
            "spec.scalars[0].value.counterReset",
            scalar(&json!({"syntax": "Counter32", "value": {"counterReset": "PassThrough"}})),
            value(&json!({"counterReset": "PassThrough"})),
        ),
        case(
            "the scale of a counter is not negative: a counter only grows",
            "spec.scalars[0].value.scale",
            scalar(&json!({"syntax": "Integer32", "value": {"scale": -0.5}})),
            scalar(&json!({"syntax": "Counter64", "value": {"scale": -0.5}})),
        ),
        case(
            "IpAddress and ObjectIdentifier hold no numbers: name a label, or a constant",
            "spec.scalars[0].value",
            scalar(&json!({"syntax": "IpAddress", "value": {"label": "ip"}})),
            scalar(&json!({"syntax": "IpAddress"})),
        ),
        case(
            "a constant cannot be written: name a metric that shows what is set",
            "spec.scalars[0].write",
            scalar(&json!({"write": {"configMap": secret}})),
            scalar(
                &json!({"value": {"constant": "1", "source": null, "metric": null}, "write": {"configMap": secret}}),
            ),
        ),
        case(
            "a body goes with the method POST",
            "spec.sources[0].json.body",
            json_source(&json!({"method": "POST", "body": "{}"})),
            json_source(&json!({"body": "{}"})),
        ),
        case(
            "counters cannot be written",
            "spec.scalars[0].write",
            scalar(&json!({"write": {"configMap": secret}})),
            scalar(&json!({"syntax": "Counter32", "write": {"configMap": secret}})),
        ),
        case(
            "pod comes first or not at all",
            "spec.tables[0].index",
            index(&json!([{"name": "pod", "pod": {}}, label("a", "String")])),
            index(&json!([label("a", "String"), {"name": "pod", "pod": {}}])),
        ),
        case(
            "ImpliedString comes last or not at all",
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
            "label and as come together",
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
            "clearBelow goes with above, and is not greater",
            "spec.notifications[0].when.clearBelow",
            when(&json!({"above": 1, "clearBelow": 0.5})),
            when(&json!({"above": 1, "clearBelow": 1.5})),
        ),
        case(
            "clearAbove goes with below, and is not less",
            "spec.notifications[0].when.clearAbove",
            when(&json!({"below": 1, "clearAbove": 2})),
            when(&json!({"below": 1.5, "clearAbove": 1})),
        ),
        case(
            "a change takes no time",
            "spec.notifications[0].when.for",
            when(&json!({"absent": true, "for": "1m"})),
            when(&json!({"changes": true, "for": "1m"})),
        ),
        case(
            "either true or left out",
            "spec.notifications[0].when.changes",
            when(&json!({"changes": true})),
            when(&json!({"changes": false})),
        ),
        case(
            "what changes is never cleared",
            "spec.notifications[0].clear",
            notification(&json!({"when": {"object": "p99", "absent": true}, "clear": {"name": "over", "oid": "0.2"}})),
            notification(&json!({"when": {"object": "p99", "changes": true}, "clear": {"name": "over", "oid": "0.2"}})),
        ),
        case(
            "a context's name has 32 characters at most: set contextName, or choose a shorter metadata.name",
            "",
            merged(context(), &json!({"metadata": {"name": "a".repeat(33)}})),
            merged(context(), &json!({"metadata": {"name": "a".repeat(33)}, "spec": {"contextName": null}})),
        ),
        case(
            "selector goes with from: Selector",
            "spec.allowedNamespaces",
            merged(context(), &json!({"spec": {"allowedNamespaces": {"from": "All", "selector": null}}})),
            merged(context(), &json!({"spec": {"allowedNamespaces": {"from": "All"}}})),
        ),
        case(
            "not a network as 10.0.0.0/8",
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
        case("user goes with version V3", "spec", target(&json!({})), target(&json!({"user": null}))),
        case(
            "communityRef goes with versions V1 and V2c",
            "spec",
            target(&json!({"version": "V2c", "user": null, "communityRef": secret})),
            target(&json!({"communityRef": secret})),
        ),
    ]
}

#[test]
fn every_rule_lets_pass_what_it_should_and_refuses_what_it_should() {
    for Case { message, passes, refused, path } in cases() {
        assert_eq!(refusals(&passes), Vec::<String>::new(), "should pass: {message}");
        let expected = if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") };
        assert!(refusals(&refused).contains(&expected), "{expected} is not among {:#?}", refusals(&refused));
    }
}

/// Every rule below `schema`: expression and message.
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
fn no_rule_of_the_schemas_is_without_its_two_cases() {
    let mut found = BTreeSet::new();
    rules(&serde_json::to_value(crds::definitions()).unwrap(), &mut found);
    let messages: BTreeSet<_> = found.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages.len(), found.len(), "two rules have one message: a case could not tell them apart");
    let tested: BTreeSet<_> = cases().iter().map(|case| case.message).chain([IMMUTABLE]).collect();
    assert_eq!(tested, messages);
}

#[test]
fn structure_is_refused_with_its_place() {
    let cases = [
        (json!({"spec": {"colour": 1}}), "spec.colour: unknown field"),
        (json!({"metadata": {"nmae": "x"}}), "metadata.nmae: unknown field"),
        (json!({"metadata": {"name": "../etc"}}), "metadata.name: \"../etc\" does not match ^[a-z0-9]"),
        (json!({"metadata": {"namespace": "a.b"}}), "metadata.namespace: \"a.b\" does not match ^[a-z0-9]"),
        (json!({"metadata": {"name": null}}), "metadata.name: is required"),
        (json!({"metadata": {"labels": {"a": 1}}}), "metadata.labels.a: is a number where a string is expected"),
        (json!({"spec": {"oid": null}}), "spec.oid: is required"),
        (json!({"spec": {"oid": 1.3}}), "spec.oid: is a number where a string is expected"),
        (json!({"spec": {"oid": "1.3.06"}}), "spec.oid: \"1.3.06\" does not match ^([01]"),
        (json!({"spec": {"oid": "1.40"}}), "spec.oid: \"1.40\" does not match ^([01]"),
        (json!({"spec": {"contextRefs": []}}), "spec.contextRefs: has 0 items, fewer than 1"),
        (json!({"spec": {"contextRefs": ["a", "a"]}}), "spec.contextRefs[1]: \"a\" is in the list already"),
        (json!({"spec": {"selector": null}}), "spec.selector: is required"),
        (
            json!({"spec": {"selector": {"matchLabels": {"a": true}}}}),
            "spec.selector.matchLabels.a: is a boolean where",
        ),
        (json!({"spec": {"scalars": vec![json!({}); 257]}}), "spec.scalars: has 257 items, more than 256"),
        (json!({"spec": {"scalars": [{"name": "a"}, {"name": "a"}]}}), "spec.scalars[1]: \"a\" is in the list already"),
        (json!({"spec": {"scalars": [{"name": "A"}]}}), "spec.scalars[0].name: \"A\" does not match ^[a-z]"),
        (
            json!({"spec": {"scalars": [{"syntax": "Gauge"}]}}),
            "spec.scalars[0].syntax: \"Gauge\" is none of Integer32, ",
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
            "spec.sources[0].prometheus.port: is a list where an integer or string",
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
        let found = refusals(&merged(subtree(), &patch));
        assert!(found.iter().any(|fault| fault.starts_with(expected)), "{patch}: {expected} is not among {found:#?}");
    }
    let absent = merged(subtree(), &json!({"spec": null}));
    assert!(refusals(&absent).contains(&"spec: is required".to_owned()));
}

#[test]
fn all_faults_of_an_object_are_listed() {
    let patch = json!({"spec": {"colour": 1, "oid": "x", "tables": [{"name": "t", "oid": "9999", "index": [], "columns": []}]}});
    let found = refusals(&merged(subtree(), &patch));
    assert_eq!(
        found,
        [
            "spec.colour: unknown field",
            "spec.oid: \"x\" does not match ^([01]\\.[123]?[0-9]|2\\.(0|[1-9][0-9]{0,9}))(\\.(0|[1-9][0-9]{0,9}))*$",
            "spec.tables[0].columns: has 0 items, fewer than 1",
            "spec.tables[0].index: has 0 items, fewer than 1",
            "spec.tables[0].oid: the arcs 9998 and 9999 are reserved",
        ]
    );
}
