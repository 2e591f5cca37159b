//! The objects that the operator writes, and when it writes them.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{manifests::subtree, operator_setup::OperatorSetup};

#[test]
fn a_subtree_has_a_config_map_and_a_grant_until_it_is_deleted() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let map = setup.get(namespace.name(), "configmap/snmp-sidecar")?;
    let document = map["data"]["subtree.one.json"].as_str().context("the ConfigMap has no document")?;
    let document: serde_json::Value = serde_json::from_str(document)?;
    assert_eq!(document["contexts"], json!(["tenant"]));
    assert_eq!(map["metadata"]["ownerReferences"][0]["name"], "one");
    let expected = (namespace.name().to_owned(), vec!["1.3.6.1.4.1.99999.1.1".to_owned()]);
    assert_eq!(setup.grants("tenant")?, [expected]);
    setup.condition("", "snmpcontext/tenant", "Programmed", "True Programmed")?;
    setup.wait_for("the context to count the subtree", || {
        let context = setup.get("", "snmpcontext/tenant")?;
        ensure!(context["status"]["subtrees"] == 1, "{}", context["status"]);
        Ok(())
    })?;

    namespace.kubectl(&["delete", "snmpsubtree", "one"])?;
    setup.wait_for("the ConfigMap to be deleted", || {
        let gone = namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--ignore-not-found"])?;
        ensure!(gone.is_empty(), "{gone}");
        ensure!(setup.grants("tenant")?.is_empty());
        Ok(())
    })
}

#[test]
fn manual_changes_and_deletions_of_generated_objects_are_reverted() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let original = setup.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
    let is_restored = || {
        let now = setup.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
        ensure!(now == original, "{now}");
        Ok(())
    };
    let edit = r#"{"data": {"subtree.one.json": "{}", "subtree.evil.json": "{}"}, "binaryData": {"subtree.worse.json": "e30="}}"#;
    namespace.kubectl(&["patch", "configmap", "snmp-sidecar", "--type=merge", "--patch", edit])?;
    setup.wait_for("the ConfigMap to be restored", is_restored)?;
    namespace.kubectl(&["delete", "configmap", "snmp-sidecar"])?;
    setup.wait_for("the ConfigMap to be created again", is_restored)?;
    let edit = r#"{"stringData": {"master.json": "garbage"}}"#;
    setup.system().kubectl(&["patch", "secret", "snmp-master-3", "--type=merge", "--patch", edit])?;
    setup.system().kubectl(&["delete", "secret", "snmp-master-0"])?;
    setup.wait_for("the masters' Secrets to be restored", || setup.grants("tenant"))?;
    Ok(())
}

#[test]
fn a_foreign_object_is_never_overwritten() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    namespace.kubectl(&["create", "configmap", "snmp-sidecar", "--from-literal=mine=1"])?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "False NotOurs")?;
    assert_eq!(setup.get(namespace.name(), "configmap/snmp-sidecar")?["data"], json!({"mine": "1"}));
    // With this label, which the message names, the operator owns the object.
    namespace.kubectl(&["label", "configmap", "snmp-sidecar", "app.kubernetes.io/managed-by=snmp-operator"])?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let data = setup.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
    ensure!(data["mine"].is_null() && data["subtree.one.json"].is_string(), "{data}");
    Ok(())
}

#[test]
fn an_idle_operator_sends_no_requests_to_the_api_server() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let operator = setup.operator("operator", &[])?;
    for i in 1..=20 {
        namespace.apply(&subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.99999.1.{i}"), "tenant"))?;
    }
    for i in 1..=20 {
        setup.condition(namespace.name(), &format!("snmpsubtree/s{i}"), "Programmed", "True Programmed")?;
    }
    // Waits until the last Event is published, the last write is observed, and the masters are reported as unreachable.
    let mut last = (operator.requests()?, std::time::Instant::now());
    setup.wait_for("the operator to be idle", || {
        let now = operator.requests()?;
        #[allow(clippy::float_cmp, reason = "counters are whole")]
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        ensure!(last.1.elapsed() > std::time::Duration::from_secs(5), "{now} requests");
        Ok(())
    })?;
    let (before, renewals) = (operator.requests()?, operator.metric("snmp_operator_api_requests_total", &["Lease"])?);
    // Five renewals of the Lease take at least ten seconds.
    setup.wait_for("renewals of the Lease", || {
        let now = operator.metric("snmp_operator_api_requests_total", &["Lease"])?;
        ensure!(now >= renewals + 5.0, "{now}");
        Ok(())
    })?;
    assert!(
        (operator.requests()? - before).abs() < 0.5,
        "an idle operator has sent {} requests",
        operator.requests()? - before
    );
    Ok(())
}

#[test]
fn the_default_context_is_created_with_a_random_community_and_never_overwritten() -> Result<()> {
    let setup = OperatorSetup::new()?;
    let operator = setup.operator("operator", &[])?;
    setup.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    let community = setup.get(setup.system().name(), "secret/snmp-default")?["data"]["community"].clone();
    let named = setup.get("", "snmpcontext/default")?["spec"]["communities"][0]["secretRef"].clone();
    assert_eq!(named, json!({"name": "snmp-default", "key": "community"}));
    setup.cluster().kubectl(&["delete", "snmpcontext", "default"])?;
    setup.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    assert_eq!(setup.get(setup.system().name(), "secret/snmp-default")?["data"]["community"], community);
    setup.cluster().kubectl(&["delete", "secret", "snmp-default", "--namespace", setup.system().name()])?;
    setup.wait_for("another community", || {
        let another = setup.get(setup.system().name(), "secret/snmp-default")?["data"]["community"].clone();
        ensure!(another.is_string() && another != community, "{another}");
        Ok(())
    })?;
    let edit = r#"{"spec": {"communities": []}}"#;
    setup.cluster().kubectl(&["patch", "snmpcontext", "default", "--type=merge", "--patch", edit])?;
    setup.wait_for("the community to be withdrawn", || {
        let masters = setup.masters()?;
        ensure!(masters["contexts"][0]["communities"].is_null(), "{masters}");
        Ok(())
    })?;
    drop(operator);
    let _operator = setup.operator("again", &[])?;
    setup.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    let spec = setup.get("", "snmpcontext/default")?["spec"].clone();
    assert_eq!(spec["communities"], json!([]), "the change of a user must stay");
    Ok(())
}

#[test]
fn pods_with_a_sidecar_get_an_annotation_for_each_new_configuration() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    for (name, injected) in [("injected", true), ("bare", false)] {
        let annotations = if injected { json!({"snmp-operator.dev/injected": "0.1.0"}) } else { json!({}) };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "web"}, "annotations": annotations},
            "spec": {"containers": [{"name": "app", "image": "localhost/none"}]},
        });
        namespace.apply(&pod.to_string())?;
    }
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    let annotation = || namespace.get("pod/injected", r"{.metadata.annotations.snmp-operator\.dev/configuration}");
    let first = setup.wait_for("the pod to be annotated", annotation)?;
    namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
    setup.wait_for("another annotation of the pod", || {
        let now = annotation()?;
        ensure!(now != first, "{now}");
        Ok(())
    })?;
    let bare = setup.get(namespace.name(), "pod/bare")?;
    assert!(bare["metadata"]["annotations"]["snmp-operator.dev/configuration"].is_null(), "{bare}");
    setup.condition(namespace.name(), "snmpsubtree/one", "Ready", "Unknown MasterUnreachable")?;
    let pods = setup.get(namespace.name(), "snmpsubtree/one")?["status"]["pods"].clone();
    assert_eq!(pods, json!({"matched": 2, "injected": 1}));
    Ok(())
}
