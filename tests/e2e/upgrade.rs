//! A release is upgraded, rolled back and uninstalled while an NMS walks.

use anyhow::{Result, ensure};
use harness::Cluster;

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, RELEASE, SYSTEM, TAG},
    manifests,
    tenant::Tenant,
};

/// The tag of another version's images: the same programs under another name, so that all is rolled out anew.
const NEXT: &str = "next";

#[test]
fn an_upgrade_and_a_rollback_under_a_constant_walk_lose_nothing() -> Result<()> {
    let cluster = Cluster::alone()?;
    cluster.load_programs(NEXT, None)?;
    let (tenant, base) = Tenant::served(&cluster, "upgrade", 2)?;
    let lives = tenant.lives()?;

    // net-snmp's defaults: a second, five retries.
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 4);
    installation::changed();
    installation::helm_upgrade(&cluster, &[], NEXT)?;
    installation::wait_for_all(&cluster)?;
    let image =
        cluster.kubectl(&["get", "deployment/snmp-operator", "--namespace", SYSTEM, "--output=jsonpath={..image}"])?;
    ensure!(image.contains(NEXT), "{image}");
    tenant.wait_for_condition("web", "Ready", "True")?;
    let seen = walk.stop();
    println!("upgrade: {} walks right, longest gap {:?}", seen.right, seen.longest_gap);
    seen.is_all_right()?;
    // Sidecars of the version before go on, and new ones are of the new.
    ensure!(tenant.lives()? == lives, "sidecars were started anew");
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
    ensure!(tenant.lives()? == lives, "sidecars were started anew");
    walk.stop().is_all_right()
}

#[test]
fn helm_test_walks_the_master() -> Result<()> {
    let cluster = Cluster::shared()?;
    installation::install(&cluster)?;
    let said = cluster.helm(&["test", RELEASE, "--namespace", SYSTEM, "--timeout=2m"])?;
    ensure!(said.contains("Succeeded"), "{said}");
    Ok(())
}

#[test]
fn an_uninstalled_release_leaves_nothing_but_what_is_documented() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "uninstall", 1)?;
    installation::changed();
    cluster.helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout=3m"])?;

    let kinds = "deployments,statefulsets,services,serviceaccounts,configmaps,secrets,leases,roles,rolebindings,poddisruptionbudgets,networkpolicies,pods";
    let left = || {
        let left = cluster.kubectl(&["get", kinds, "--namespace", SYSTEM, "--output=name"])?;
        anyhow::Ok(left.lines().filter(|name| name.contains("/snmp-")).map(str::to_owned).collect::<Vec<_>>())
    };
    cluster.wait_for("the release to be gone, but for what the operator made", || {
        let left = left()?;
        ensure!(left.iter().all(|name| name.starts_with("secret/")), "{left:?}");
        Ok(())
    })?;
    // As docs/uninstall.md has it.
    let selector = "app.kubernetes.io/managed-by=snmp-operator";
    cluster.kubectl(&["delete", "secrets", "--namespace", SYSTEM, "--selector", selector])?;
    ensure!(left()?.is_empty(), "{:?}", left()?);
    let kinds = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let left = cluster.kubectl(&["get", kinds, "--output=name"])?;
    let left: Vec<&str> = left.lines().filter(|name| name.contains("snmp")).collect();
    ensure!(left.is_empty(), "{left:?}");
    // Definitions and objects are kept, and the application is as it was.
    ensure!(tenant.namespace.kubectl(&["get", "snmpsubtrees", "--output=name"])?.contains("web"));
    tenant.only_pod_is_ready()?;
    // Installed again, it takes up what it finds.
    installation::install(&cluster)?;
    tenant.wait_for_walk("the values again", &base, |rows| rows.len() == 3).map(drop)
}
