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

fn validated(operation: &str, object: &Json, old: &Json) -> (Outcome, AdmissionResponse) {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": operation, "namespace": "acme",
            "kind": {"group": GROUP, "version": "v1alpha1", "kind": object["kind"]},
            "object": object, "oldObject": old,
        },
    });
    validate(&AdmissionRequest::read(&body).unwrap(), objects, &Settings::default())
}

fn created(object: &Json) -> (Outcome, AdmissionResponse) {
    validated("CREATE", object, &Json::Null)
}

fn with(mut object: Json, pointer: &str, value: Json) -> Json {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    object
}

#[test]
fn a_valid_object_is_allowed_without_warnings() {
    assert_eq!(
        created(&subtree("second", "1.3.6.1.4.1.8072.9999.2")),
        (Outcome::Allowed, AdmissionResponse::default())
    );
    assert_eq!(created(&context("other", "1.3.6.1.4.1.8072")), (Outcome::Allowed, AdmissionResponse::default()));
}

#[test]
fn a_generated_name_is_valid() {
    let mut generated = subtree("", "1.3.6.1.4.1.8072.9999.2");
    generated["metadata"] = json!({"generateName": "second-"});
    assert_eq!(created(&generated), (Outcome::Allowed, AdmissionResponse::default()));
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
fn an_invalid_object_is_refused_with_the_field(#[case] pointer: &str, #[case] value: Json, #[case] field: &str) {
    let (outcome, response) = created(&with(subtree("second", "1.3.6.1.4.1.8072.9999.2"), pointer, value));
    assert_eq!(outcome, Outcome::Refused);
    let status = response.refusal.unwrap();
    let causes = status.pointer("/details/causes").and_then(Json::as_array).unwrap();
    assert!(causes.iter().any(|cause| cause["field"].as_str().unwrap().starts_with(field)), "{status}");
    assert!(status["message"].as_str().unwrap().contains(field), "{status}");
    assert_eq!((&status["reason"], &status["code"]), (&json!("Invalid"), &json!(422)));
}

#[test]
fn a_refusal_has_the_form_of_the_api_server() {
    let (_, response) = created(&subtree("second", "1.3.6.1.4.1.8072"));
    insta::assert_snapshot!("refusal", serde_json::to_string_pretty(&response.refusal).unwrap());
}

#[test]
fn a_field_that_is_not_served_yet_is_refused() {
    let notifying = with(
        subtree("second", "1.3.6.1.4.1.8072.9999.2"),
        "/spec/scalars",
        json!([{
            "name": "one", "oid": "1", "syntax": "Integer32", "value": {"constant": "1"},
            "write": {"http": {"port": 80, "path": "/set"}},
        }]),
    );
    let (outcome, response) = created(&notifying);
    assert_eq!(outcome, Outcome::Refused, "{response:?}");
}

#[rstest]
#[case::no_such_context(with(subtree("second", "1.3.6.1.4.1.8072.9999.2"), "/spec/contextRefs", json!(["none"])), "spec.contextRefs[0]: there is no SnmpContext none")]
#[case::not_allowed(
    subtree("second", "1.3.6.1.4.1.9.9.1.1"),
    "is not at or below a subtree that SnmpContext acme allows"
)]
#[case::conflict(
    subtree("second", "1.3.6.1.4.1.8072.9999.1.1"),
    "which SnmpSubtree acme/first holds in SnmpContext acme"
)]
#[case::no_such_secret(with(context("other", "1.3.6.1.4.1.8072"), "/spec/users", json!([{"name": "u", "secretRef": {"name": "none"}}])), "there is no Secret snmp-system/none")]
fn a_problem_that_can_go_away_is_a_warning(#[case] object: Json, #[case] expected: &str) {
    let (outcome, response) = created(&object);
    assert_eq!((outcome, &response.refusal), (Outcome::Warned, &None), "{response:?}");
    assert!(response.warnings.iter().any(|warning| warning.contains(expected)), "{:?}", response.warnings);
}

#[test]
fn a_context_change_that_affects_others_is_a_warning() {
    let (outcome, response) =
        validated("UPDATE", &context("acme", "1.3.6.1.4.1.9"), &context("acme", "1.3.6.1.4.1.8072"));
    assert_eq!(outcome, Outcome::Warned);
    assert!(response.warnings[0].starts_with("SnmpSubtree acme/first will no longer be served"), "{response:?}");
}

#[test]
fn an_updated_object_replaces_its_old_version() {
    let old = subtree("first", "1.3.6.1.4.1.8072.9999.1");
    let changed = with(old.clone(), "/spec/scalars", subtree("x", "1")["spec"]["scalars"].clone());
    let changed = with(changed, "/spec/selector", json!({"matchLabels": {"app": "web"}}));
    assert_eq!(validated("UPDATE", &changed, &old), (Outcome::Allowed, AdmissionResponse::default()));
}

#[test]
fn an_unchanged_spec_is_not_validated() {
    let bad = subtree("first", "1.3");
    let labelled = with(bad.clone(), "/metadata/labels", json!({"a": "b"}));
    assert_eq!(validated("UPDATE", &labelled, &bad), (Outcome::Unchanged, AdmissionResponse::default()));
    let deleting = with(bad.clone(), "/metadata/deletionTimestamp", json!("2025-01-01T00:00:00Z"));
    assert_eq!(validated("UPDATE", &deleting, &subtree("first", "1.3.6")).0, Outcome::Unchanged);
    assert_eq!(validated("DELETE", &bad, &Json::Null).0, Outcome::NotApplicable);
}

#[test]
fn other_kinds_are_not_validated() {
    assert_eq!(created(&json!({"kind": "ConfigMap"})).0, Outcome::NotApplicable);
}

#[test]
fn a_malformed_object_is_refused_without_a_panic() {
    for object in [json!({"kind": "SnmpSubtree"}), json!({"kind": "SnmpContext", "metadata": 7, "spec": []})] {
        assert_eq!(created(&object).0, Outcome::Refused);
    }
}
