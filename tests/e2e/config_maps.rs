//! ConfigMap sources, whose changes take effect in running pods.

use anyhow::{Result, ensure};
use harness::Cluster;
use serde_json::json;

use crate::{
    manifests::settings_subtree,
    tenant::{Tenant, new_base, value_at},
};

/// Two objects of a ConfigMap: a text, and an enumeration.
const SCALARS: &str = "
  - {name: motd, oid: '1', syntax: DisplayString, value: {source: settings, metric: motd}}
  - name: logLevel
    oid: '2'
    syntax: Integer32
    enum: {error: 1, info: 3, debug: 4}
    value: {source: settings, metric: log_level}";

#[test]
fn changes_of_a_config_map_are_published() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "config-map", &base)?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "settings", "labels": {"snmp-operator.dev/readable": "true"}},
        "data": {"motd": "hello", "log_level": "info", "password": "tell-no-one"},
    });
    tenant.namespace.apply(&map.to_string())?;
    tenant.apply(&settings_subtree(&base, tenant.name(), SCALARS))?;
    tenant.run_application(1)?;
    let (motd, level) = (format!("{base}.1.0"), format!("{base}.2.0"));
    let shows = |text: &str, number: i128| {
        tenant.wait_for_walk(&format!("{text} and {number}"), &base, |rows| {
            value_at(rows, &motd).is_ok_and(|row| row.text().is_ok_and(|seen| seen == text))
                && value_at(rows, &level).is_ok_and(|row| row.number().is_ok_and(|seen| seen == number))
        })
    };
    shows("hello", 3)?;
    let container_ids = tenant.container_ids()?;
    let edit = |data: &serde_json::Value| {
        let patch = json!({ "data": data }).to_string();
        tenant.namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", &patch])
    };
    edit(&json!({"motd": "good evening", "log_level": "debug"}))?;
    let begun = std::time::Instant::now();
    shows("good evening", 4)?;
    println!("a changed ConfigMap was published after {:?}", begun.elapsed());
    // A missing key is reported, and its object has no value.
    edit(&json!({"motd": null}))?;
    tenant.wait_for_condition("settings", "ResolvedRefs", "False NoSuchKey")?;
    tenant.wait_for_walk("only the other object", &base, |rows| rows.len() == 1)?;
    edit(&json!({"motd": "again"}))?;
    shows("again", 4)?;
    ensure!(tenant.container_ids()? == container_ids, "pods or containers were restarted");
    let mirrored = tenant.namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--output=yaml"])?;
    ensure!(!mirrored.contains("tell-no-one"), "a key that no object uses was copied: {mirrored}");
    Ok(())
}
