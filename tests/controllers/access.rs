//! Who may publish what, and what may be read.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    configuration::{admitting, subtree},
    world::World,
};

#[test]
fn the_younger_of_two_that_overlap_is_in_conflict_until_the_older_goes() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("older", "1.3.6.1.4.1.99999.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/older", "Accepted", "True Accepted")?;
    // Times of creation are whole seconds.
    let created = || namespace.get("snmpsubtree/older", "{.metadata.creationTimestamp}");
    let older = created()?;
    let younger = world.wait_for("a younger one", || {
        namespace.kubectl(&["delete", "snmpsubtree", "a-younger", "--ignore-not-found"])?;
        namespace.apply(&subtree("a-younger", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
        let time = namespace.get("snmpsubtree/a-younger", "{.metadata.creationTimestamp}")?;
        ensure!(time > older, "{time}");
        Ok("snmpsubtree/a-younger")
    })?;
    let message = world.condition(namespace.name(), younger, "Accepted", "False Conflict")?;
    assert!(message.contains(&format!("SnmpSubtree {}/older holds", namespace.name())), "{message}");
    let told = format!("{}/Conflict", namespace.get(younger, "{.metadata.uid}")?);
    world.wait_for("one event", || {
        let output = "--output=jsonpath={range .items[*]}{.regarding.uid}/{.reason} {end}";
        let events = namespace.kubectl(&["get", "events.events.k8s.io", output])?;
        ensure!(events.matches(&told).count() == 1, "{events}");
        Ok(())
    })?;
    namespace.kubectl(&["delete", "snmpsubtree", "older"])?;
    world.condition(namespace.name(), younger, "Programmed", "True Programmed")?;
    assert_eq!(world.grants("tenant")?[0].1, ["1.3.6.1.4.1.99999.1.2"]);
    Ok(())
}

#[test]
fn a_context_that_does_not_admit_the_namespace_withdraws_what_was_published() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", r#"{"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, "allowedSubtrees": ["1.3.6.1.4.1.99999"]}"#)?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Accepted", "False NotAllowed")?;
    world.cluster().kubectl(&["label", "namespace", namespace.name(), "team=a"])?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    world.cluster().kubectl(&["label", "namespace", namespace.name(), "team-"])?;
    world.condition(namespace.name(), "snmpsubtree/one", "Accepted", "False NotAllowed")?;
    world.wait_for("all to be withdrawn", || {
        ensure!(world.grants("tenant")?.is_empty());
        ensure!(namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
        Ok(())
    })
}

#[test]
fn a_secret_is_read_when_it_is_labelled_and_no_sooner() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.kubectl(&["create", "secret", "generic", "api-key", "--from-literal=token=tell-no-one"])?;
    let mut manifest: serde_json::Value = serde_json::from_str(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    manifest["spec"]["sources"][0]["prometheus"]["authorization"] =
        json!({"credentials": {"name": "api-key", "key": "token"}});
    namespace.apply(&manifest.to_string())?;
    let message = world.condition(namespace.name(), "snmpsubtree/one", "ResolvedRefs", "False SecretNotReadable")?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    assert!(namespace.kubectl(&["get", "secret", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
    // The message says the very command.
    let (_, command) = message.split_once("kubectl ").unwrap_or_default();
    world.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;
    world.condition(namespace.name(), "snmpsubtree/one", "ResolvedRefs", "True ResolvedRefs")?;
    let secret = world.get(namespace.name(), "secret/snmp-sidecar")?;
    assert_eq!(secret["data"], json!({"secret.api-key.token": "dGVsbC1uby1vbmU="}));
    namespace.kubectl(&["label", "secret", "api-key", "snmp-operator.dev/readable-"])?;
    world.wait_for("the copy to go", || {
        ensure!(namespace.kubectl(&["get", "secret", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
        Ok(())
    })
}

#[test]
fn trap_targets_are_judged() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    let mut context: serde_json::Value = serde_json::from_str(&admitting(namespace.name()))?;
    context["allowedTargets"] = json!(["10.0.0.0/8"]);
    world.context("tenant", &context.to_string())?;
    let _operator = world.operator("operator", &[])?;
    let target = |name: &str, address: &str| {
        json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpTrapTarget", "metadata": {"name": name},
            "spec": {"address": address, "version": "V2c", "contextRefs": ["tenant"], "communityRef": {"name": "c", "key": "k"}},
        })
        .to_string()
    };
    namespace.apply(&target("inside", "10.1.2.3:162"))?;
    namespace.apply(&target("outside", "11.1.2.3:162"))?;
    world.condition(namespace.name(), "snmptraptarget/inside", "Accepted", "True Accepted")?;
    world.condition(namespace.name(), "snmptraptarget/inside", "ResolvedRefs", "False SecretNotReadable")?;
    world.condition(namespace.name(), "snmptraptarget/inside", "Programmed", "False NotServed")?;
    let message = world.condition(namespace.name(), "snmptraptarget/outside", "Accepted", "False NotAllowed")?;
    assert!(message.contains("11.1.2.3 is in none of the networks"), "{message}");
    Ok(())
}
