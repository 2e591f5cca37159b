//! Refusals of invalid objects. They name the field, and do not affect other objects.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    manifests,
    tenant::{Tenant, new_base},
};

/// Changes that make a manifest invalid, and the field that the refusal names.
const INVALID: [(&str, &str, &str); 4] = [
    // Rules of the API server.
    ("syntax: Gauge32", "syntax: Gauge33", "spec.scalars[0].syntax"),
    ("scrapeTimeout: 1s", "scrapeTimeout: 1 second", "spec.sources[0].prometheus.scrapeTimeout"),
    // Rules of the operator.
    (
        "source: app, metric: node_time_seconds, round: Floor}}\n  - {name: webTenant",
        "source: ap, metric: node_time_seconds}}\n  - {name: webTenant",
        "spec.scalars[0].value.source",
    ),
    ("oid: '2', syntax: DisplayString", "oid: '1', syntax: DisplayString", "spec.scalars[1].oid"),
];

#[test]
fn an_invalid_manifest_is_refused_with_the_path_of_the_field() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "refused", &base)?;
    let good = manifests::subtree("web", &base, tenant.name());
    for (before, after, path) in INVALID {
        let invalid = good.replacen(before, after, 1);
        ensure!(invalid != good, "the manifest does not contain {before}");
        let Err(refusal) = tenant.apply(&invalid) else { anyhow::bail!("the manifest was not refused: {after}") };
        let refusal = format!("{refusal:#}");
        ensure!(refusal.contains(path), "the refusal of {after} does not name {path}: {refusal}");
    }
    tenant.apply(&good)
}

#[test]
fn an_invalid_subtree_that_passes_the_webhook_has_the_message_in_its_condition() -> Result<()> {
    let cluster = Cluster::alone()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "slipped", &base)?;
    let (good, broken) = (format!("{base}.1"), format!("{base}.2"));
    tenant.apply(&manifests::subtree("good", &good, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the good subtree", &good, |rows| rows.len() == 3)?;
    let manifest =
        manifests::subtree("broken", &broken, tenant.name()).replacen("source: app, metric", "source: ap, metric", 1);
    let Err(refused) = tenant.apply(&manifest) else { anyhow::bail!("the subtree was not refused") };
    let refused = format!("{refused:#}");

    // As if someone has deleted the configuration of the webhook.
    let webhook = cluster.kubectl(&["get", "validatingwebhookconfiguration", "snmp-operator", "--output=json"])?;
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "snmp-operator"])?;
    crate::installation::mark_changed();
    let applied = cluster.wait_for("the API server to stop calling the webhook", || tenant.apply(&manifest));
    let mut webhook: serde_json::Value = serde_json::from_str(&webhook)?;
    if let Some(metadata) = webhook.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    }
    cluster.kubectl_with(&["create", "--filename=-"], &webhook.to_string())?;
    applied?;

    let condition = tenant.wait_for_condition("broken", "Accepted", "False Invalid")?;
    let message = condition.trim_start_matches("False Invalid ");
    let (path, why) = message.split_once(": ").unwrap_or((message, ""));
    ensure!(
        refused.contains(path) && refused.contains(why),
        "the refusal was {refused}, and the condition is {condition}"
    );
    tenant.wait_for_walk("the good subtree as before", &good, |rows| rows.len() == 3)?;
    tenant.wait_for_condition("good", "Ready", "True").map(drop)
}

#[test]
fn the_older_of_two_overlapping_subtrees_is_served_and_the_younger_names_it() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "overlap", &base)?;
    tenant.apply(&manifests::subtree("older", &base, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the older subtree", &base, |rows| rows.len() == 3)?;
    // Creation timestamps have a resolution of a second.
    cluster.wait_for("the next second", || {
        let older = tenant.namespace.get("snmpsubtree/older", "{.metadata.creationTimestamp}")?;
        let now = cluster.kubectl(&[
            "create",
            "configmap",
            "now",
            "--dry-run=server",
            "--output=jsonpath={.metadata.creationTimestamp}",
        ])?;
        ensure!(now > older, "{now}");
        Ok(())
    })?;
    tenant.apply(&manifests::constant_subtree("younger", &format!("{base}.2"), tenant.name(), "stolen"))?;
    let condition = tenant.wait_for_condition("younger", "Accepted", "False Conflict")?;
    ensure!(condition.contains("older"), "{condition}");
    tenant.wait_for_walk("the older subtree as before", &base, |rows| rows.len() == 3)?;
    let events = tenant.namespace.kubectl(&["get", "events", "--field-selector=involvedObject.name=younger"])?;
    ensure!(events.contains("Conflict"), "{events}");
    tenant.namespace.kubectl(&["delete", "snmpsubtree", "older"])?;
    tenant.wait_for_condition("younger", "Accepted", "True")?;
    tenant.wait_for_walk("the younger subtree instead", &base, |rows| rows.len() == 1).map(drop)
}

#[test]
fn a_foreign_config_map_of_the_same_name_is_kept_and_reported() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "not-ours", &base)?;
    tenant.namespace.kubectl(&["create", "configmap", "snmp-sidecar", "--from-literal=theirs=yes"])?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    let condition = tenant.wait_for_condition("web", "Programmed", "False NotOurs")?;
    ensure!(condition.contains("snmp-sidecar"), "{condition}");
    let data = tenant.namespace.get("configmap/snmp-sidecar", "{.data}")?;
    ensure!(data == r#"{"theirs":"yes"}"#, "{data}");
    tenant.namespace.kubectl(&["delete", "configmap", "snmp-sidecar"])?;
    tenant.wait_for_condition("web", "Programmed", "True").map(drop)
}
