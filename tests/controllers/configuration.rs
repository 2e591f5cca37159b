//! What is written, when, and that nothing else is.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::world::World;

pub(crate) fn subtree(name: &str, oid: &str, context: &str) -> String {
    json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": {"name": name},
        "spec": {
            "oid": oid,
            "contextRefs": [context],
            "selector": {"matchLabels": {"app": "web"}},
            "sources": [{"name": "app", "prometheus": {"port": 8080}}],
            "scalars": [{"name": "up", "oid": "1", "syntax": "Gauge32", "value": {"source": "app", "metric": "up"}}],
        },
    })
    .to_string()
}

pub(crate) fn admitting(namespace: &str) -> String {
    json!({
        "allowedNamespaces": {
            "from": "Selector",
            "selector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        },
        "allowedSubtrees": ["1.3.6.1.4.1.99999"],
    })
    .to_string()
}

#[test]
fn a_subtree_becomes_a_config_map_and_a_grant_and_goes_with_both() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let map = world.get(namespace.name(), "configmap/snmp-sidecar")?;
    let document = map["data"]["subtree.one.json"].as_str().context("no document")?;
    let document: serde_json::Value = serde_json::from_str(document)?;
    assert_eq!(document["contexts"], json!(["tenant"]));
    assert_eq!(map["metadata"]["ownerReferences"][0]["name"], "one");
    let expected = (namespace.name().to_owned(), vec!["1.3.6.1.4.1.99999.1.1".to_owned()]);
    assert_eq!(world.grants("tenant")?, [expected]);
    world.condition("", "snmpcontext/tenant", "Programmed", "True Programmed")?;
    world.wait_for("the context to count it", || {
        let context = world.get("", "snmpcontext/tenant")?;
        ensure!(context["status"]["subtrees"] == 1, "{}", context["status"]);
        Ok(())
    })?;

    namespace.kubectl(&["delete", "snmpsubtree", "one"])?;
    world.wait_for("the ConfigMap to go", || {
        let gone = namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--ignore-not-found"])?;
        ensure!(gone.is_empty(), "{gone}");
        ensure!(world.grants("tenant")?.is_empty());
        Ok(())
    })
}

#[test]
fn what_was_edited_by_hand_is_put_right_and_what_was_deleted_comes_again() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let right = world.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
    let is_right = || {
        let now = world.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
        ensure!(now == right, "{now}");
        Ok(())
    };
    let edit = r#"{"data": {"subtree.one.json": "{}", "subtree.evil.json": "{}"}, "binaryData": {"subtree.worse.json": "e30="}}"#;
    namespace.kubectl(&["patch", "configmap", "snmp-sidecar", "--type=merge", "--patch", edit])?;
    world.wait_for("the ConfigMap to be put right", is_right)?;
    namespace.kubectl(&["delete", "configmap", "snmp-sidecar"])?;
    world.wait_for("the ConfigMap to come again", is_right)?;
    let edit = r#"{"stringData": {"master.json": "garbage"}}"#;
    world.system().kubectl(&["patch", "secret", "snmp-master-3", "--type=merge", "--patch", edit])?;
    world.system().kubectl(&["delete", "secret", "snmp-master-0"])?;
    world.wait_for("the masters' Secrets to be put right", || world.grants("tenant"))?;
    Ok(())
}

#[test]
fn an_object_that_is_not_the_operators_is_never_overwritten() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    namespace.kubectl(&["create", "configmap", "snmp-sidecar", "--from-literal=mine=1"])?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "False NotOurs")?;
    assert_eq!(world.get(namespace.name(), "configmap/snmp-sidecar")?["data"], json!({"mine": "1"}));
    // It is the operator's when it is labelled so, as the message says.
    namespace.kubectl(&["label", "configmap", "snmp-sidecar", "app.kubernetes.io/managed-by=snmp-operator"])?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    let data = world.get(namespace.name(), "configmap/snmp-sidecar")?["data"].clone();
    ensure!(data["mine"].is_null() && data["subtree.one.json"].is_string(), "{data}");
    Ok(())
}

#[test]
fn nothing_is_asked_of_the_api_server_while_nothing_changes() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let operator = world.operator("operator", &[])?;
    for i in 1..=20 {
        namespace.apply(&subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.99999.1.{i}"), "tenant"))?;
    }
    for i in 1..=20 {
        world.condition(namespace.name(), &format!("snmpsubtree/s{i}"), "Programmed", "True Programmed")?;
    }
    // Until the last event is published and the last write has come back, and the masters are given up as unreachable.
    let mut last = (operator.requests()?, std::time::Instant::now());
    world.wait_for("rest", || {
        let now = operator.requests()?;
        #[allow(clippy::float_cmp, reason = "counters are whole")]
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        ensure!(last.1.elapsed() > std::time::Duration::from_secs(5), "{now} requests");
        Ok(())
    })?;
    let (before, renewals) = (operator.requests()?, operator.metric("snmp_operator_api_requests_total", &["Lease"])?);
    // Five renewals of the Lease are ten seconds at least.
    world.wait_for("renewals of the Lease", || {
        let now = operator.metric("snmp_operator_api_requests_total", &["Lease"])?;
        ensure!(now >= renewals + 10.0, "{now}");
        Ok(())
    })?;
    assert!((operator.requests()? - before).abs() < 0.5, "{} requests at rest", operator.requests()? - before);
    Ok(())
}

#[test]
fn the_default_context_is_made_with_a_random_community_and_never_overwritten() -> Result<()> {
    let world = World::new()?;
    let operator = world.operator("operator", &[])?;
    world.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    let community = world.get(world.system().name(), "secret/snmp-default")?["data"]["community"].clone();
    let named = world.get("", "snmpcontext/default")?["spec"]["communities"][0]["secretRef"].clone();
    assert_eq!(named, json!({"name": "snmp-default", "key": "community"}));
    world.cluster().kubectl(&["delete", "snmpcontext", "default"])?;
    world.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    assert_eq!(world.get(world.system().name(), "secret/snmp-default")?["data"]["community"], community);
    world.cluster().kubectl(&["delete", "secret", "snmp-default", "--namespace", world.system().name()])?;
    world.wait_for("another community", || {
        let another = world.get(world.system().name(), "secret/snmp-default")?["data"]["community"].clone();
        ensure!(another.is_string() && another != community, "{another}");
        Ok(())
    })?;
    let edit = r#"{"spec": {"communities": []}}"#;
    world.cluster().kubectl(&["patch", "snmpcontext", "default", "--type=merge", "--patch", edit])?;
    world.wait_for("the community to be withdrawn", || {
        let masters = world.masters()?;
        ensure!(masters["contexts"][0]["communities"].is_null(), "{masters}");
        Ok(())
    })?;
    drop(operator);
    let _operator = world.operator("again", &[])?;
    world.condition("", "snmpcontext/default", "Programmed", "True Programmed")?;
    let spec = world.get("", "snmpcontext/default")?["spec"].clone();
    assert_eq!(spec["communities"], json!([]), "a person's wish stands");
    Ok(())
}

#[test]
fn pods_with_a_sidecar_are_told_of_each_new_configuration() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    for (name, injected) in [("told", true), ("bare", false)] {
        let annotations = if injected { json!({"snmp-operator.dev/injected": "0.1.0"}) } else { json!({}) };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "web"}, "annotations": annotations},
            "spec": {"containers": [{"name": "app", "image": "localhost/none"}]},
        });
        namespace.apply(&pod.to_string())?;
    }
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    let annotation = || namespace.get("pod/told", r"{.metadata.annotations.snmp-operator\.dev/configuration}");
    let first = world.wait_for("the pod to be told", annotation)?;
    namespace.apply(&subtree("two", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
    world.wait_for("the pod to be told again", || {
        let now = annotation()?;
        ensure!(now != first, "{now}");
        Ok(())
    })?;
    let bare = world.get(namespace.name(), "pod/bare")?;
    assert!(bare["metadata"]["annotations"]["snmp-operator.dev/configuration"].is_null(), "{bare}");
    world.condition(namespace.name(), "snmpsubtree/one", "Ready", "Unknown MasterUnreachable")?;
    let pods = world.get(namespace.name(), "snmpsubtree/one")?["status"]["pods"].clone();
    assert_eq!(pods, json!({"matched": 2, "injected": 1}));
    Ok(())
}
