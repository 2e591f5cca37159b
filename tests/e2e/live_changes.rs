//! Changes of subtrees and contexts, which take effect in running pods.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    manifests,
    tenant::{Tenant, new_base},
};

#[test]
fn new_changed_and_deleted_subtrees_take_effect_without_a_restart() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "live", &base)?;
    let (first, second) = (format!("{base}.1"), format!("{base}.2"));
    tenant.apply(&manifests::subtree("first", &first, tenant.name()))?;
    tenant.run_application(2)?;
    tenant.wait_for_walk("the first subtree", &first, |rows| rows.len() == 4)?;
    let container_ids = tenant.container_ids()?;

    let text = |expected: &'static str| move |rows: &[harness::Row]| matches!(rows, [row] if row.text().is_ok_and(|text| text == expected));
    tenant.apply(&manifests::constant_subtree("second", &second, tenant.name(), "before"))?;
    tenant.wait_for_walk("the second subtree", &second, text("before"))?;
    tenant.wait_for_condition("second", "Ready", "True")?;
    tenant.apply(&manifests::constant_subtree("second", &second, tenant.name(), "after"))?;
    tenant.wait_for_walk("the change", &second, text("after"))?;
    tenant.namespace.kubectl(&["delete", "snmpsubtree", "second"])?;
    tenant.wait_for_walk("the deletion", &second, <[_]>::is_empty)?;
    tenant.wait_for_walk("the first subtree as before", &first, |rows| rows.len() == 4)?;
    ensure!(
        tenant.container_ids()? == container_ids,
        "pods or containers were restarted: {container_ids}, then {}",
        tenant.container_ids()?
    );

    // With the last subtree, the operator deletes everything that it has written for the namespace.
    tenant.namespace.kubectl(&["delete", "snmpsubtree", "first"])?;
    tenant.wait_for_walk("an empty walk", &base, <[_]>::is_empty)?;
    cluster.wait_for("the ConfigMap to be deleted", || {
        let left = tenant.namespace.kubectl(&["get", "configmap,secret", "--output=name"])?;
        ensure!(!left.contains("snmp-sidecar"), "{left}");
        Ok(())
    })
}

#[test]
fn a_withdrawn_grant_removes_the_published_objects() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "withdrawn", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    tenant.run_application(1)?;
    tenant.wait_for_walk("the values", &base, |rows| rows.len() == 3)?;
    let context = |from: &str| {
        let patch = format!(r#"{{"spec":{{"allowedNamespaces":{from}}}}}"#);
        cluster.kubectl(&["patch", "snmpcontext", tenant.name(), "--type=merge", "--patch", &patch])
    };
    context(r#"{"from":"None","selector":null}"#)?;
    tenant.wait_for_walk("the objects to be removed", &base, <[_]>::is_empty)?;
    tenant.wait_for_condition("web", "Accepted", "False NotAllowed")?;
    context(r#"{"from":"All"}"#)?;
    tenant.wait_for_walk("the objects that are granted again", &base, |rows| rows.len() == 3)?;
    tenant.wait_for_condition("web", "Ready", "True").map(drop)
}
