use rstest::rstest;

use super::*;

fn context(name: &str, allowed: &str) -> Json {
    json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {"name": name},
        "spec": {"allowedNamespaces": {"from": "All"}, "allowedSubtrees": [allowed]},
    })
}

fn subtree(name: &str, oid: &str) -> Json {
    let value = json!({"constant": "1"});
    json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": {"name": name, "namespace": "acme"},
        "spec": {
            "oid": oid, "contextRefs": ["acme"], "selector": {},
            "scalars": [{"name": "one", "oid": "1", "syntax": "Integer32", "value": value}],
        },
    })
}

fn objects() -> Objects {
    Objects {
        contexts: vec![Arc::new(serde_json::from_value(context("acme", "1.3.6.1.4.1.8072")).unwrap())],
        subtrees: vec![Arc::new(serde_json::from_value(subtree("first", "1.3.6.1.4.1.8072.9999.1")).unwrap())],
        ..Objects::default()
    }
}

fn asked(operation: &str, object: &Json, old: &Json) -> (Outcome, Verdict) {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": operation, "namespace": "acme",
            "kind": {"group": GROUP, "version": "v1alpha1", "kind": object["kind"]},
            "object": object, "oldObject": old,
        },
    });
    validate(&Review::read(&body).unwrap(), objects, &Settings::default())
}

fn created(object: &Json) -> (Outcome, Verdict) {
    asked("CREATE", object, &Json::Null)
}

fn with(mut object: Json, pointer: &str, value: Json) -> Json {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    object
}

#[test]
fn what_works_is_allowed_without_a_word() {
    assert_eq!(created(&subtree("second", "1.3.6.1.4.1.8072.9999.2")), (Outcome::Allowed, Verdict::default()));
    assert_eq!(created(&context("other", "1.3.6.1.4.1.8072")), (Outcome::Allowed, Verdict::default()));
}

#[test]
fn a_name_that_is_to_be_made_up_is_one() {
    let mut made_up = subtree("", "1.3.6.1.4.1.8072.9999.2");
    made_up["metadata"] = json!({"generateName": "second-"});
    assert_eq!(created(&made_up), (Outcome::Allowed, Verdict::default()));
}

#[rstest]
#[case::too_few_arcs("/spec/oid", json!("1.3.6.1.4.1.8072"), "spec.oid")]
#[case::no_oid("/spec/oid", json!("one.two"), "spec.oid")]
#[case::overlapping_objects("/spec/scalars", json!([
    {"name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "1"}},
    {"name": "two", "oid": "1", "syntax": "Integer32", "value": {"constant": "1"}},
]), "spec.scalars[1].oid")]
#[case::no_such_source("/spec/scalars", json!([
    {"name": "one", "oid": "1", "syntax": "Integer32", "value": {"source": "none", "metric": "m"}},
]), "spec.scalars[0].value.source")]
#[case::not_of_the_schema("/spec/scalars", json!([{"name": "one"}]), "spec.scalars[0]")]
fn what_can_never_work_is_refused_with_its_field(#[case] pointer: &str, #[case] value: Json, #[case] field: &str) {
    let (outcome, verdict) = created(&with(subtree("second", "1.3.6.1.4.1.8072.9999.2"), pointer, value));
    assert_eq!(outcome, Outcome::Refused);
    let status = verdict.refusal.unwrap();
    let causes = status.pointer("/details/causes").and_then(Json::as_array).unwrap();
    assert!(causes.iter().any(|cause| cause["field"].as_str().unwrap().starts_with(field)), "{status}");
    assert!(status["message"].as_str().unwrap().contains(field), "{status}");
    assert_eq!((&status["reason"], &status["code"]), (&json!("Invalid"), &json!(422)));
}

#[test]
fn a_refusal_reads_as_the_api_servers_own() {
    let (_, verdict) = created(&subtree("second", "1.3.6.1.4.1.8072"));
    insta::assert_snapshot!("refusal", serde_json::to_string_pretty(&verdict.refusal).unwrap());
}

#[test]
fn what_nothing_serves_yet_is_refused_by_name() {
    let notifying = with(
        subtree("second", "1.3.6.1.4.1.8072.9999.2"),
        "/spec/scalars",
        json!([{
            "name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "1"},
            "write": {"http": {"port": 80, "path": "/set"}},
        }]),
    );
    let (outcome, verdict) = created(&notifying);
    assert_eq!(outcome, Outcome::Refused, "{verdict:?}");
}

#[rstest]
#[case::no_such_context(with(subtree("second", "1.3.6.1.4.1.8072.9999.2"), "/spec/contextRefs", json!(["none"])), "spec.contextRefs[0]: there is no SnmpContext none")]
#[case::not_allowed(subtree("second", "1.3.6.1.4.1.9.9.1.1"), "is not below what SnmpContext acme allows")]
#[case::conflict(subtree("second", "1.3.6.1.4.1.8072.9999.1.1"), "which SnmpSubtree acme/first holds")]
#[case::no_such_secret(with(context("other", "1.3.6.1.4.1.8072"), "/spec/users", json!([{"name": "u", "secretRef": {"name": "none"}}])), "there is no Secret snmp-system/none")]
fn what_may_come_right_later_is_allowed_and_told(#[case] object: Json, #[case] told: &str) {
    let (outcome, verdict) = created(&object);
    assert_eq!((outcome, &verdict.refusal), (Outcome::Warned, &None), "{verdict:?}");
    assert!(verdict.warnings.iter().any(|warning| warning.contains(told)), "{:?}", verdict.warnings);
}

#[test]
fn a_context_that_takes_something_from_others_says_so() {
    let (outcome, verdict) = asked("UPDATE", &context("acme", "1.3.6.1.4.1.9"), &context("acme", "1.3.6.1.4.1.8072"));
    assert_eq!(outcome, Outcome::Warned);
    assert!(verdict.warnings[0].starts_with("SnmpSubtree acme/first will not be served any more"), "{verdict:?}");
}

#[test]
fn an_object_is_judged_in_the_place_of_its_former_self() {
    let old = subtree("first", "1.3.6.1.4.1.8072.9999.1");
    let changed = with(old.clone(), "/spec/scalars", subtree("x", "1")["spec"]["scalars"].clone());
    let changed = with(changed, "/spec/selector", json!({"matchLabels": {"app": "web"}}));
    assert_eq!(asked("UPDATE", &changed, &old), (Outcome::Allowed, Verdict::default()));
}

#[test]
fn what_asks_for_nothing_new_is_not_judged_again() {
    let bad = subtree("first", "1.3");
    let labelled = with(bad.clone(), "/metadata/labels", json!({"a": "b"}));
    assert_eq!(asked("UPDATE", &labelled, &bad), (Outcome::Unchanged, Verdict::default()));
    let going = with(bad.clone(), "/metadata/deletionTimestamp", json!("2025-01-01T00:00:00Z"));
    assert_eq!(asked("UPDATE", &going, &subtree("first", "1.3.6")).0, Outcome::Unchanged);
    assert_eq!(asked("DELETE", &bad, &Json::Null).0, Outcome::NotApplicable);
}

#[test]
fn other_kinds_are_not_judged() {
    assert_eq!(created(&json!({"kind": "ConfigMap"})).0, Outcome::NotApplicable);
}

#[test]
fn a_hostile_object_is_refused_and_nothing_panics() {
    for object in [json!({"kind": "SnmpSubtree"}), json!({"kind": "SnmpContext", "metadata": 7, "spec": []})] {
        assert_eq!(created(&object).0, Outcome::Refused);
    }
}
