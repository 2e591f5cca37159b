//! Upgrade, rollback and removal of the Helm release.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, RELEASE, SYSTEM, TAG},
    manifests,
    tenant::Tenant,
};

/// The tag of the images of another version. They have the same programs, but the other tag restarts all pods.
const NEXT: &str = "next";

#[test]
fn an_upgrade_and_a_rollback_do_not_interrupt_a_walk() -> Result<()> {
    let cluster = Cluster::alone()?;
    cluster.load_programs(NEXT, None)?;
    let (tenant, base) = Tenant::served(&cluster, "upgrade", 2)?;
    let container_ids = tenant.container_ids()?;

    // The NMS has a timeout of a second and five retries, net-snmp's defaults.
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 4);
    installation::mark_changed();
    installation::helm_upgrade(&cluster, &[], NEXT)?;
    installation::wait_for_all(&cluster)?;
    let image =
        cluster.kubectl(&["get", "deployment/snmp-operator", "--namespace", SYSTEM, "--output=jsonpath={..image}"])?;
    ensure!(image.contains(NEXT), "{image}");
    tenant.wait_for_condition("web", "Ready", "True")?;
    let seen = walk.stop();
    println!("upgrade: {} right walks, longest gap {:?}", seen.right, seen.longest_gap);
    seen.check()?;
    // Existing sidecars keep running, and new pods get the new version.
    ensure!(tenant.container_ids()? == container_ids, "sidecars were restarted");
    tenant.apply(&manifests::lone_pod("newcomer"))?;
    let image = tenant.namespace.get("pod/newcomer", "{.spec.initContainers[0].image}")?;
    ensure!(image.ends_with(NEXT), "{image}");
    tenant.namespace.kubectl(&["delete", "pod", "newcomer"])?;

    tenant.wait_for_walk("the values as before", &base, |rows| rows.len() == 4)?;
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 4);
    cluster.helm(&["rollback", RELEASE, "--namespace", SYSTEM])?;
    installation::wait_for_all(&cluster)?;
    let image =
        cluster.kubectl(&["get", "deployment/snmp-operator", "--namespace", SYSTEM, "--output=jsonpath={..image}"])?;
    ensure!(image.contains(TAG), "{image}");
    tenant.wait_for_condition("web", "Ready", "True")?;
    ensure!(tenant.container_ids()? == container_ids, "sidecars were restarted");
    walk.stop().check()
}

#[test]
fn helm_test_succeeds() -> Result<()> {
    let cluster = Cluster::shared()?;
    installation::install(&cluster)?;
    let output = cluster.helm(&["test", RELEASE, "--namespace", SYSTEM, "--timeout=2m"])?;
    ensure!(output.contains("Succeeded"), "{output}");
    Ok(())
}

#[test]
fn an_uninstalled_release_leaves_only_the_documented_objects() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "uninstall", 1)?;
    installation::mark_changed();
    cluster.helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout=3m"])?;

    let kinds = "deployments,statefulsets,services,serviceaccounts,configmaps,secrets,leases,roles,rolebindings,poddisruptionbudgets,networkpolicies,pods";
    let left = || {
        let left = cluster.kubectl(&["get", kinds, "--namespace", SYSTEM, "--output=name"])?;
        anyhow::Ok(left.lines().filter(|name| name.contains("/snmp-")).map(str::to_owned).collect::<Vec<_>>())
    };
    cluster.wait_for("the objects of the release to be deleted, except those that the operator has created", || {
        let left = left()?;
        ensure!(left.iter().all(|name| name.starts_with("secret/")), "{left:?}");
        Ok(())
    })?;
    // As docs/uninstall.md says.
    let selector = "app.kubernetes.io/managed-by=snmp-operator";
    cluster.kubectl(&["delete", "secrets", "--namespace", SYSTEM, "--selector", selector])?;
    ensure!(left()?.is_empty(), "{:?}", left()?);
    let kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let left = cluster.kubectl(&["get", kinds, "--output=name"])?;
    let left: Vec<&str> = left.lines().filter(|name| name.contains("snmp")).collect();
    ensure!(left.is_empty(), "{left:?}");
    // The CRDs and their objects stay, and the application is unchanged.
    ensure!(tenant.namespace.kubectl(&["get", "snmpsubtrees", "--output=name"])?.contains("web"));
    tenant.only_pod_is_ready()?;
    // A new installation serves the existing objects.
    installation::install(&cluster)?;
    tenant.wait_for_walk("the values again", &base, |rows| rows.len() == 3).map(drop)
}
