//! Access: which subtrees are accepted, and which Secrets and trap targets may be used.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    manifests::{admitting, subtree},
    operator_setup::OperatorSetup,
};

#[test]
fn the_younger_of_two_overlapping_subtrees_is_refused_until_the_older_is_deleted() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("older", "1.3.6.1.4.1.99999.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/older", "Accepted", "True Accepted")?;
    // Creation timestamps have a resolution of a second.
    let created = || namespace.get("snmpsubtree/older", "{.metadata.creationTimestamp}");
    let older = created()?;
    let younger = setup.wait_for("a younger subtree", || {
        namespace.kubectl(&["delete", "snmpsubtree", "a-younger", "--ignore-not-found"])?;
        namespace.apply(&subtree("a-younger", "1.3.6.1.4.1.99999.1.2", "tenant"))?;
        let time = namespace.get("snmpsubtree/a-younger", "{.metadata.creationTimestamp}")?;
        ensure!(time > older, "{time}");
        Ok("snmpsubtree/a-younger")
    })?;
    let message = setup.condition(namespace.name(), younger, "Accepted", "False Conflict")?;
    assert!(message.contains(&format!("SnmpSubtree {}/older holds", namespace.name())), "{message}");
    let conflict = format!("{}/Conflict", namespace.get(younger, "{.metadata.uid}")?);
    setup.wait_for("one Event", || {
        let output = "--output=jsonpath={range .items[*]}{.regarding.uid}/{.reason} {end}";
        let events = namespace.kubectl(&["get", "events.events.k8s.io", output])?;
        ensure!(events.matches(&conflict).count() == 1, "{events}");
        Ok(())
    })?;
    namespace.kubectl(&["delete", "snmpsubtree", "older"])?;
    setup.condition(namespace.name(), younger, "Programmed", "True Programmed")?;
    assert_eq!(setup.grants("tenant")?[0].1, ["1.3.6.1.4.1.99999.1.2"]);
    Ok(())
}

#[test]
fn a_subtree_is_withdrawn_when_its_context_no_longer_admits_the_namespace() -> Result<()> {
    let mut setup = OperatorSetup::new()?;
    let namespace = setup.namespace("tenant")?;
    setup.context("tenant", r#"{"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, "allowedSubtrees": ["1.3.6.1.4.1.99999"]}"#)?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Accepted", "False NotAllowed")?;
    setup.cluster().kubectl(&["label", "namespace", namespace.name(), "team=a"])?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    setup.cluster().kubectl(&["label", "namespace", namespace.name(), "team-"])?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Accepted", "False NotAllowed")?;
    setup.wait_for("the subtree to be withdrawn", || {
        ensure!(setup.grants("tenant")?.is_empty());
        ensure!(namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
        Ok(())
    })
}

#[test]
fn a_secret_is_copied_only_while_it_is_labelled() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.kubectl(&["create", "secret", "generic", "api-key", "--from-literal=token=tell-no-one"])?;
    let mut manifest: serde_json::Value = serde_json::from_str(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    manifest["spec"]["sources"][0]["prometheus"]["authorization"] =
        json!({"credentials": {"name": "api-key", "key": "token"}});
    namespace.apply(&manifest.to_string())?;
    let message = setup.condition(namespace.name(), "snmpsubtree/one", "ResolvedRefs", "False SecretNotReadable")?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    assert!(namespace.kubectl(&["get", "secret", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
    // The message contains the command that labels the Secret.
    let (_, command) = message.split_once("kubectl ").unwrap_or_default();
    setup.cluster().kubectl(&command.split(' ').collect::<Vec<_>>())?;
    setup.condition(namespace.name(), "snmpsubtree/one", "ResolvedRefs", "True ResolvedRefs")?;
    let secret = setup.get(namespace.name(), "secret/snmp-sidecar")?;
    assert_eq!(secret["data"], json!({"secret.api-key.token": "dGVsbC1uby1vbmU="}));
    namespace.kubectl(&["label", "secret", "api-key", "snmp-operator.dev/readable-"])?;
    setup.wait_for("the copy to be deleted", || {
        ensure!(namespace.kubectl(&["get", "secret", "snmp-sidecar", "--ignore-not-found"])?.is_empty());
        Ok(())
    })
}

#[test]
fn trap_targets_are_accepted_only_in_allowed_networks() -> Result<()> {
    let mut setup = OperatorSetup::new()?;
    let namespace = setup.namespace("tenant")?;
    let mut context: serde_json::Value = serde_json::from_str(&admitting(namespace.name()))?;
    context["allowedTargets"] = json!(["10.0.0.0/8"]);
    setup.context("tenant", &context.to_string())?;
    let _operator = setup.operator("operator", &[])?;
    let target = |name: &str, address: &str| {
        json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpTrapTarget", "metadata": {"name": name},
            "spec": {"address": address, "version": "V2c", "contextRefs": ["tenant"], "communityRef": {"name": "c", "key": "k"}},
        })
        .to_string()
    };
    namespace.apply(&target("inside", "10.1.2.3:162"))?;
    namespace.apply(&target("outside", "11.1.2.3:162"))?;
    setup.condition(namespace.name(), "snmptraptarget/inside", "Accepted", "True Accepted")?;
    setup.condition(namespace.name(), "snmptraptarget/inside", "ResolvedRefs", "False SecretNotReadable")?;
    setup.condition(namespace.name(), "snmptraptarget/inside", "Programmed", "False NotServed")?;
    let message = setup.condition(namespace.name(), "snmptraptarget/outside", "Accepted", "False NotAllowed")?;
    assert!(message.contains("11.1.2.3 is in none of the networks"), "{message}");
    Ok(())
}
