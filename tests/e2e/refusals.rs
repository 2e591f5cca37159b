//! What cannot work is refused, with its place; nothing else is disturbed.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    manifests,
    tenant::{Tenant, new_base},
};

/// Faults of one line each, and what is said of them.
const FAULTS: [(&str, &str, &str); 4] = [
    // The API server's own rules.
    ("syntax: Gauge32", "syntax: Gauge33", "spec.scalars[0].syntax"),
    ("scrapeTimeout: 1s", "scrapeTimeout: 1 second", "spec.sources[0].prometheus.scrapeTimeout"),
    // The operator's rules.
    (
        "source: app, metric: node_time_seconds, round: Floor}}\n  - {name: webTenant",
        "source: ap, metric: node_time_seconds}}\n  - {name: webTenant",
        "spec.scalars[0].value.source",
    ),
    ("oid: '2', syntax: DisplayString", "oid: '1', syntax: DisplayString", "spec.scalars[1].oid"),
];

#[test]
fn a_broken_manifest_is_refused_with_the_fields_path() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "refused", &base)?;
    let good = manifests::subtree("web", &base, tenant.name());
    for (before, after, path) in FAULTS {
        let broken = good.replacen(before, after, 1);
        ensure!(broken != good, "nothing to replace: {before}");
        let Err(refused) = tenant.apply(&broken) else { anyhow::bail!("not refused: {after}") };
        let said = format!("{refused:#}");
        ensure!(said.contains(path), "no {path} in what is said of {after}: {said}");
    }
    tenant.apply(&good)
}

#[test]
fn what_slips_by_shows_the_same_message_in_its_condition_and_disturbs_no_other() -> Result<()> {
    let cluster = Cluster::alone()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "slipped", &base)?;
    let (good, broken) = (format!("{base}.1"), format!("{base}.2"));
    tenant.apply(&manifests::subtree("good", &good, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the good subtree", &good, |rows| rows.len() == 3)?;
    let manifest =
        manifests::subtree("broken", &broken, tenant.name()).replacen("source: app, metric", "source: ap, metric", 1);
    let Err(refused) = tenant.apply(&manifest) else { anyhow::bail!("not refused") };
    let refused = format!("{refused:#}");

    // As where the webhook's configuration was taken away by a person.
    let webhook = cluster.kubectl(&["get", "validatingwebhookconfiguration", "snmp-operator", "--output=json"])?;
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", "snmp-operator"])?;
    crate::installation::changed();
    let applied = cluster.wait_for("the API server to do without the webhook", || tenant.apply(&manifest));
    let mut webhook: serde_json::Value = serde_json::from_str(&webhook)?;
    if let Some(metadata) = webhook.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        metadata.retain(|key, _| ["name", "labels", "annotations"].contains(&key.as_str()));
    }
    cluster.kubectl_with(&["create", "--filename=-"], &webhook.to_string())?;
    applied?;

    let condition = tenant.wait_for_condition("broken", "Accepted", "False Invalid")?;
    let message = condition.trim_start_matches("False Invalid ");
    let (path, why) = message.split_once(": ").unwrap_or((message, ""));
    ensure!(refused.contains(path) && refused.contains(why), "refused as {refused}, and shown as {condition}");
    tenant.wait_for_walk("the good subtree as before", &good, |rows| rows.len() == 3)?;
    tenant.wait_for_condition("good", "Ready", "True").map(drop)
}

#[test]
fn of_two_subtrees_that_overlap_the_older_goes_on_and_the_younger_names_it() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "overlap", &base)?;
    tenant.apply(&manifests::subtree("older", &base, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the older", &base, |rows| rows.len() == 3)?;
    // Creation times are whole seconds.
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
    tenant.wait_for_walk("the older as before", &base, |rows| rows.len() == 3)?;
    let events = tenant.namespace.kubectl(&["get", "events", "--field-selector=involvedObject.name=younger"])?;
    ensure!(events.contains("Conflict"), "{events}");
    tenant.namespace.kubectl(&["delete", "snmpsubtree", "older"])?;
    tenant.wait_for_condition("younger", "Accepted", "True")?;
    tenant.wait_for_walk("the younger in its place", &base, |rows| rows.len() == 1).map(drop)
}

#[test]
fn a_config_map_of_that_name_that_is_not_ours_is_left_alone_and_named() -> Result<()> {
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
