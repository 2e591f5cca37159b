//! What is told.

use anyhow::{Result, ensure};

use crate::{
    configuration::{admitting, subtree},
    world::World,
};

#[test]
fn the_youngest_over_a_namespaces_quota_is_refused_until_there_is_room() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &["--subtrees-per-namespace", "2"])?;
    // Of those made within one second, names tell.
    for i in 1..=3 {
        namespace.apply(&subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.99999.1.{i}"), "tenant"))?;
    }
    world.condition(namespace.name(), "snmpsubtree/s1", "Accepted", "True Accepted")?;
    let message = world.condition(namespace.name(), "snmpsubtree/s3", "Accepted", "False QuotaExceeded")?;
    assert!(message.contains("2 older SnmpSubtrees"), "{message}");
    namespace.kubectl(&["delete", "snmpsubtree", "s1"])?;
    world.condition(namespace.name(), "snmpsubtree/s3", "Accepted", "True Accepted").map(drop)
}

#[test]
fn columns_show_how_a_subtree_is() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let _operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Ready", "False NoPods")?;
    let table = namespace.kubectl(&["get", "snmpsubtrees"])?;
    for column in ["CONTEXT", "OID", "ACCEPTED", "READY", "REASON", "AGE", "1.3.6.1.4.1.99999.1.1", "NoPods"] {
        ensure!(table.contains(column), "{column} is missing in {table}");
    }
    Ok(())
}

#[test]
fn a_namespace_that_goes_takes_all_with_it() -> Result<()> {
    let mut world = World::new()?;
    let namespace = world.namespace("tenant")?;
    world.context("tenant", &admitting(namespace.name()))?;
    let operator = world.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    world.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    world.cluster().kubectl(&["delete", "namespace", namespace.name(), "--wait=true", "--timeout=50s"])?;
    world.wait_for("the grant to go", || {
        ensure!(world.grants("tenant")?.is_empty());
        Ok(())
    })?;
    let failed = operator.metric("snmp_operator_reconciles_total", &["controller=\"namespace\"", "failed"])?;
    assert!(failed < 0.5, "{failed} writes into a namespace that was going");
    Ok(())
}
