//! Two masters, of which one answers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Cluster, Walk};

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, SYSTEM, active_master},
    tenant::Tenant,
};

#[test]
fn an_active_master_that_is_killed_is_replaced_without_a_person() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "killed", 2)?;
    let engine =
        |client: &harness::Client| -> Result<String> { Ok(format!("{:?}", client.get(&["1.3.6.1.6.3.10.2.1.1.0"])?)) };
    let boots = |client: &harness::Client| -> Result<i128> {
        let rows = client.get(&["1.3.6.1.6.3.10.2.1.2.0"])?;
        rows.first().map_or_else(|| anyhow::bail!("no boots"), harness::Row::number)
    };
    let v3 = tenant.v3(tenant.name());
    let (id_before, boots_before) = (engine(&v3)?, boots(&v3)?);
    let before = active_master(&cluster)?;

    // As an NMS that asks once a second, and once more.
    let walk = ConstantWalk::start(tenant.v2c().patience(Duration::from_secs(1), 1), &base, |rows| rows.len() == 4);
    cluster.kubectl(&["delete", "pod", &before, "--namespace", SYSTEM, "--grace-period=0", "--force"])?;
    cluster.wait_for("another master", || {
        let now = active_master(&cluster)?;
        ensure!(now != before, "{now}");
        Ok(())
    })?;
    tenant.wait_for_walk("the values from the other", &base, |rows| rows.len() == 4)?;
    let seen = walk.stop();
    println!(
        "an active master was killed: {} walks right, {} not, longest gap {:?}",
        seen.right,
        seen.wrong.len(),
        seen.longest_gap
    );
    ensure!(seen.longest_gap < Duration::from_mins(1), "{seen:?}");

    // The same engine, one boot later: v3 goes on with what it knows of the engine's id.
    cluster.wait_for("v3 after its rediscovery", || {
        ensure!(v3.walk(Walk::Bulk(20), &base)?.len() == 4);
        Ok(())
    })?;
    ensure!(engine(&v3)? == id_before, "another engine");
    ensure!(boots(&v3)? > boots_before, "boots were {boots_before} and are {}", boots(&v3)?);
    cluster.wait_for_rollout(SYSTEM, "statefulset/snmp-master")?;
    tenant.wait_for_condition("web", "Ready", "True").map(drop)
}

#[test]
fn without_a_master_application_pods_stay_ready() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "no-master", 1)?;
    let lives = tenant.lives()?;
    installation::end_all(&cluster, "master")?;
    let ready = tenant.wait_for_condition("web", "Ready", "Unknown")?;
    ensure!(ready.contains("MasterUnreachable"), "{ready}");
    tenant.only_pod_is_ready()?;
    // New pods start without it as well.
    tenant.namespace.kubectl(&["scale", "deployment/web", "--replicas=2"])?;
    cluster.wait_for_rollout(tenant.name(), "deployment/web")?;
    installation::run_all(&cluster, "master")?;
    tenant.wait_for_walk("the values of both", &base, |rows| rows.len() == 4)?;
    let now = tenant.lives()?;
    ensure!(lives.lines().all(|life| now.contains(life)), "a container was started anew: {lives} and then {now}");
    Ok(())
}

#[test]
fn a_master_that_the_control_plane_takes_for_unready_goes_on_answering() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "unready", 1)?;
    let walk = ConstantWalk::start(tenant.v2c(), &base, |rows| rows.len() == 3);
    let masters = installation::pods_of(&cluster, "master")?;
    let unready = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
    // The kubelet knows better, and says so every few seconds.
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
    walk.stop().is_all_right()
}
