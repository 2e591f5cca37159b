//! The two replicas of the master, one active and one on standby.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Cluster, Walk};

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, SYSTEM, active_master},
    tenant::Tenant,
};

#[test]
fn a_killed_active_master_is_replaced_automatically() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "killed", 2)?;
    let engine =
        |client: &harness::Client| -> Result<String> { Ok(format!("{:?}", client.get(&["1.3.6.1.6.3.10.2.1.1.0"])?)) };
    let boots = |client: &harness::Client| -> Result<i128> {
        let rows = client.get(&["1.3.6.1.6.3.10.2.1.2.0"])?;
        rows.first().map_or_else(|| anyhow::bail!("the response has no boots"), harness::Row::number)
    };
    let v3 = tenant.v3(tenant.name());
    let (id_before, boots_before) = (engine(&v3)?, boots(&v3)?);
    let before = active_master(&cluster)?;

    // An NMS with a timeout of a second and one retry.
    let walk = ConstantWalk::start(tenant.v2c().with_timeout(Duration::from_secs(1), 1), &base, |rows| rows.len() == 4);
    cluster.kubectl(&["delete", "pod", &before, "--namespace", SYSTEM, "--grace-period=0", "--force"])?;
    cluster.wait_for("another master", || {
        let now = active_master(&cluster)?;
        ensure!(now != before, "{now}");
        Ok(())
    })?;
    tenant.wait_for_walk("the values from the other master", &base, |rows| rows.len() == 4)?;
    let seen = walk.stop();
    println!(
        "an active master was killed: {} right walks, {} wrong, longest gap {:?}",
        seen.right,
        seen.wrong.len(),
        seen.longest_gap
    );
    ensure!(seen.longest_gap < Duration::from_mins(1), "{seen:?}");

    // The new master has the same engine id with more boots, so SNMPv3 works after a rediscovery.
    cluster.wait_for("SNMPv3 after a rediscovery", || {
        ensure!(v3.walk(Walk::Bulk(20), &base)?.len() == 4);
        Ok(())
    })?;
    ensure!(engine(&v3)? == id_before, "the engine id has changed");
    ensure!(boots(&v3)? > boots_before, "the boots were {boots_before}, and are {}", boots(&v3)?);
    cluster.wait_for_rollout(SYSTEM, "statefulset/snmp-master")?;
    tenant.wait_for_condition("web", "Ready", "True").map(drop)
}

#[test]
fn application_pods_stay_ready_without_a_master() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "no-master", 1)?;
    let container_ids = tenant.container_ids()?;
    installation::scale_to_zero(&cluster, "master")?;
    let ready = tenant.wait_for_condition("web", "Ready", "Unknown")?;
    ensure!(ready.contains("MasterUnreachable"), "{ready}");
    tenant.only_pod_is_ready()?;
    // New pods also start without a master.
    tenant.namespace.kubectl(&["scale", "deployment/web", "--replicas=2"])?;
    cluster.wait_for_rollout(tenant.name(), "deployment/web")?;
    installation::scale_back(&cluster, "master")?;
    tenant.wait_for_walk("the values of both pods", &base, |rows| rows.len() == 4)?;
    let now = tenant.container_ids()?;
    ensure!(
        container_ids.lines().all(|line| now.contains(line)),
        "a container was restarted: {container_ids}, then {now}"
    );
    Ok(())
}

#[test]
fn masters_that_are_marked_unready_still_respond() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "unready", 1)?;
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 3);
    let masters = installation::pods_of(&cluster, "master")?;
    let unready = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
    // The kubelet restores the condition every few seconds, so this sets it repeatedly.
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        for pod in &masters {
            cluster.kubectl(&[
                "patch",
                "pod",
                pod,
                "--namespace",
                SYSTEM,
                "--subresource=status",
                "--type=strategic",
                "--patch",
                unready,
            ])?;
        }
    }
    installation::wait_for_all(&cluster)?;
    walk.stop().check()
}
