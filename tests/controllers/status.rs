//! Conditions, printer columns and metrics.

use anyhow::{Result, ensure};

use crate::{manifests::subtree, operator_setup::OperatorSetup};

#[test]
fn subtrees_over_the_quota_are_refused_until_older_ones_are_deleted() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &["--subtrees-per-namespace", "2"])?;
    // Subtrees of the same second are ordered by their names.
    for i in 1..=3 {
        namespace.apply(&subtree(&format!("s{i}"), &format!("1.3.6.1.4.1.99999.1.{i}"), "tenant"))?;
    }
    setup.condition(namespace.name(), "snmpsubtree/s1", "Accepted", "True Accepted")?;
    let message = setup.condition(namespace.name(), "snmpsubtree/s3", "Accepted", "False QuotaExceeded")?;
    assert!(message.contains("2 older SnmpSubtrees"), "{message}");
    namespace.kubectl(&["delete", "snmpsubtree", "s1"])?;
    setup.condition(namespace.name(), "snmpsubtree/s3", "Accepted", "True Accepted").map(drop)
}

#[test]
fn printer_columns_show_the_state_of_a_subtree() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let _operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Ready", "False NoPods")?;
    let table = namespace.kubectl(&["get", "snmpsubtrees"])?;
    for column in ["CONTEXT", "OID", "ACCEPTED", "READY", "REASON", "AGE", "1.3.6.1.4.1.99999.1.1", "NoPods"] {
        ensure!(table.contains(column), "{column} is missing in {table}");
    }
    Ok(())
}

#[test]
fn a_deleted_namespace_leaves_no_grant_and_no_failed_reconcile() -> Result<()> {
    let (setup, namespace) = OperatorSetup::with_tenant()?;
    let operator = setup.operator("operator", &[])?;
    namespace.apply(&subtree("one", "1.3.6.1.4.1.99999.1.1", "tenant"))?;
    setup.condition(namespace.name(), "snmpsubtree/one", "Programmed", "True Programmed")?;
    setup.cluster().kubectl(&["delete", "namespace", namespace.name(), "--wait=true", "--timeout=50s"])?;
    setup.wait_for("the grant to be removed", || {
        ensure!(setup.grants("tenant")?.is_empty());
        Ok(())
    })?;
    let failed = operator.metric("snmp_operator_reconciles_total", &["controller=\"namespace\"", "failed"])?;
    assert!(failed < 0.5, "{failed} writes into a namespace that was going");
    Ok(())
}
