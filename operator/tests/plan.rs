//! The plan, where files cannot easily lead.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use operator::{
    config_map,
    plan::{Objects, Reason, Settings, plan},
};
use serde_json::{Value as Json, json};

fn subtree(name: &str, oid: &str, created: Option<&str>, scalars: &Json) -> crds::SnmpSubtree {
    let metadata = json!({"name": name, "namespace": "acme", "creationTimestamp": created});
    let spec = json!({"oid": oid, "selector": {}, "scalars": scalars});
    let object =
        json!({"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": metadata, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn one() -> Json {
    json!([{"name": "one", "oid": "1", "syntax": "OctetString", "value": {"constant": "1"}}])
}

fn context(name: &str, spec: &Json) -> crds::SnmpContext {
    let object = json!({"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

#[test]
fn the_older_of_two_holds_its_oids_and_what_has_no_time_yet_is_the_youngest() {
    let old = subtree("old", "1.3.6.1.4.1.9.1.1", Some("2026-01-01T00:00:00Z"), &one());
    let young = subtree("young", "1.3.6.1.4.1.9.1", Some("2026-01-02T00:00:00Z"), &one());
    let fresh = subtree("fresh", "1.3.6.1.4.1.9.1.1.4", None, &one());
    let objects = Objects { subtrees: vec![fresh, young, old], ..Objects::default() };
    let plan = plan(&objects, Settings::default());
    let served: Vec<_> = plan.subtrees.iter().map(|planned| planned.document.name.as_str()).collect();
    assert_eq!(served, ["old"]);
    let refused: Vec<_> = plan.refusals.iter().map(|refusal| (refusal.object.name.as_str(), refusal.reason)).collect();
    assert_eq!(refused, [("young", Reason::Conflict), ("fresh", Reason::Conflict)]);
}

#[test]
fn a_subtree_that_is_refused_holds_nothing() {
    let bad = json!([{"name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "x"}}]);
    let objects = Objects {
        subtrees: vec![subtree("bad", "1.3.6.1.4.1.9.1", None, &bad), subtree("good", "1.3.6.1.4.1.9.1", None, &one())],
        ..Objects::default()
    };
    let plan = plan(&objects, Settings::default());
    assert_eq!(plan.subtrees.len(), 1);
    assert_eq!(plan.refusals.len(), 1, "{:?}", plan.refusals);
}

#[test]
fn a_manifest_takes_the_place_of_the_built_in_context() {
    let spec = json!({"contextName": "", "allowedNamespaces": {"from": "All"}, "allowedSubtrees": ["1.3.6.1.4.1.1"]});
    let objects = Objects {
        subtrees: vec![subtree("a", "1.3.6.1.4.1.1.5", None, &one()), subtree("b", "1.3.6.1.4.1.12.5", None, &one())],
        contexts: vec![context("default", &spec)],
        ..Objects::default()
    };
    let plan = plan(&objects, Settings::default());
    assert_eq!(plan.subtrees.len(), 1);
    let messages: Vec<_> = plan.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    assert_eq!(messages, ["1.3.6.1.4.1.12.5 is not below what SnmpContext default allows: 1.3.6.1.4.1.1"]);
}

#[test]
fn what_would_burst_the_config_map_is_refused_from_the_youngest_on() {
    let long = "x".repeat(1024);
    let scalar = |i: u32| json!({"name": format!("o{i}"), "oid": i.to_string(), "syntax": "OctetString", "value": {"constant": long}});
    let scalars: Json = (1..=256).map(scalar).collect();
    let subtrees = (1..=4).map(|i| subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.9.{i}"), None, &scalars)).collect();
    let mut plan = plan(&Objects { subtrees, ..Objects::default() }, Settings::default());
    let documents = config_map::documents(&mut plan).unwrap();
    assert_eq!(documents["acme"].len(), 3);
    assert_eq!(plan.subtrees.len(), 3);
    let refused: Vec<_> = plan.refusals.iter().map(|refusal| (refusal.object.name.as_str(), refusal.reason)).collect();
    assert_eq!(refused, [("s4", Reason::TooLarge)]);
}
