//! The main job: install the chart, apply one manifest, and walk.

use anyhow::{Result, ensure};
use harness::{Cluster, Walk};

use crate::{
    manifests,
    tenant::{Tenant, new_base, value_at},
};

#[test]
fn an_nms_sees_current_values_of_a_deployment_and_a_row_for_each_pod() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "main-job", &base)?;
    tenant.run_application(3)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    // The pods existed before the subtree. The status counts them, and the condition says how they get sidecars.
    let ready = tenant.wait_for_condition("web", "Ready", "False PodsNotInjected")?;
    ensure!(ready.contains("kubectl rollout restart"), "{ready}");
    tenant.restart_application()?;

    let rows = tenant.wait_for_walk("the application's values", &base, |rows| rows.len() == 2 + 3)?;
    let first = value_at(&rows, &format!("{base}.1.0"))?.number()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    ensure!((first - i128::from(now)).abs() < 300, "the application's clock is {first}, and ours is {now}");
    tenant.wait_for_walk("the next value", &format!("{base}.1"), |rows| {
        rows.iter().any(|row| row.number().is_ok_and(|value| value > first))
    })?;
    tenant.wait_for_condition("web", "Ready", "True")?;
    tenant.wait_for_condition("web", "Accepted", "True")?;
    tenant.wait_for_condition("web", "Programmed", "True")?;
    let pods = tenant.namespace.get("snmpsubtree/web", "{.status.pods.matched} {.status.pods.injected}")?;
    ensure!(pods == "3 3", "{pods}");

    let table = format!("{base}.10");
    for replicas in [5, 1, 3] {
        tenant.namespace.kubectl(&["scale", "deployment/web", &format!("--replicas={replicas}")])?;
        tenant.wait_for_walk(&format!("a row for each of {replicas} pods"), &table, |rows| rows.len() == replicas)?;
        // The active pod serves the scalars, whichever it is.
        tenant.wait_for_walk("the scalars", &format!("{base}.1"), |rows| rows.len() == 1)?;
    }
    let before: Vec<_> = tenant.v2c().walk(Walk::Bulk(20), &table)?.into_iter().map(|row| row.oid).collect();
    let pod = tenant.pods()?.into_iter().next().unwrap_or_default();
    tenant.namespace.kubectl(&["delete", "pod", &pod])?;
    tenant.wait_for_walk("a row of a new pod instead of the deleted one", &table, |rows| {
        rows.len() == 3 && rows.iter().map(|row| &row.oid).ne(before.iter())
    })?;
    Ok(())
}

#[test]
fn one_manifest_is_enough_in_the_default_context() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = new_base();
    let tenant = Tenant::new(&cluster, "default-context")?;
    let manifest = manifests::subtree("web", &base, "default").replace("  contextRefs: [default]\n", "");
    tenant.apply(&manifest)?;
    tenant.run_application(1)?;
    let community = crate::installation::default_community(&cluster)?;
    let sandbox = harness::Sandbox::new()?;
    let nms = crate::installation::nms(&cluster, &["-v2c", "-c", &community], &sandbox.path("nms"));
    cluster.wait_for("the values in the default context", || {
        let rows = nms.walk(Walk::Next, &base)?;
        ensure!(rows.len() == 3, "{rows:?}");
        Ok(())
    })
}
