//! ConfigMaps: what a source shows of them follows them, in pods that go on running.

use anyhow::{Result, ensure};
use harness::Cluster;
use serde_json::json;

use crate::{
    manifests::settings_subtree,
    tenant::{Tenant, new_base, value_at},
};

/// A text and a number with names, of a ConfigMap.
const SCALARS: &str = "
  - {name: motd, oid: '1', syntax: DisplayString, value: {source: settings, metric: motd}}
  - name: logLevel
    oid: '2'
    syntax: Integer32
    enum: {error: 1, info: 3, debug: 4}
    value: {source: settings, metric: log_level}";

#[test]
fn a_config_map_is_seen_as_it_is_now() -> Result<()> {
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
    let lives = tenant.lives()?;
    let edit = |data: &serde_json::Value| {
        let patch = json!({ "data": data }).to_string();
        tenant.namespace.kubectl(&["patch", "configmap", "settings", "--type=merge", "--patch", &patch])
    };
    edit(&json!({"motd": "good evening", "log_level": "debug"}))?;
    let begun = std::time::Instant::now();
    shows("good evening", 4)?;
    println!("a changed ConfigMap was seen after {:?}", begun.elapsed());
    // A key that is taken away is told, and is no value any more.
    edit(&json!({"motd": null}))?;
    tenant.wait_for_condition("settings", "ResolvedRefs", "False NoSuchKey")?;
    tenant.wait_for_walk("the rest alone", &base, |rows| rows.len() == 1)?;
    edit(&json!({"motd": "again"}))?;
    shows("again", 4)?;
    ensure!(tenant.lives()? == lives, "pods or containers were started anew");
    let mirrored = tenant.namespace.kubectl(&["get", "configmap", "snmp-sidecar", "--output=yaml"])?;
    ensure!(!mirrored.contains("tell-no-one"), "what no object shows is mirrored: {mirrored}");
    Ok(())
}
