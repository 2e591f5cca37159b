//! Certificates and their authority are rotated again and again, and nobody notices.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use agentx::Oid;
use anyhow::{Context, Result, ensure};
use harness::{Cluster, Row, debian};

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, SYSTEM, TAG},
    manifests,
    tenant::{Tenant, new_base},
};

/// The shortest lives that the operator takes with this time to settle: an authority's is nine times as long, its
/// certificates' six times. In the test cluster the kubelet shows within 8 s what has changed.
const SETTLE: &str = "operator.extraArgs={--certificate-settle=12s}";
const SHORT: [&str; 3] = ["certificates.caLifetime=108s", "certificates.certificateLifetime=72s", SETTLE];
/// How often a pod is made.
const PODS: Duration = Duration::from_secs(4);

#[test]
fn authorities_are_rotated_under_a_constant_walk_while_pods_come() -> Result<()> {
    let cluster = Cluster::alone()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "rotation", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    tenant.run_application(2)?;
    let rows = tenant.wait_for_walk("the values", &base, |rows| rows.len() == 4)?;
    installation::changed();
    let rotated = rotate(&cluster, &tenant, &base, &rows);
    // In two steps: with the long time to settle, an authority of a short life would end before another is trusted.
    let restored = restore(&cluster, &tenant);
    rotated.and(restored)?;
    installation::install(&cluster)
}

fn rotate(cluster: &Cluster, tenant: &Tenant, base: &str, rows: &[Row]) -> Result<()> {
    let known: Vec<Oid> = rows.iter().map(|row| row.oid.clone()).collect();
    let all_there = move |rows: &[Row]| known.iter().all(|oid| rows.iter().any(|row| row.oid == *oid));
    let walk = ConstantWalk::start(tenant.v2c(), base, all_there);
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let made = thread::scope(|scope| {
        let maker = scope.spawn(|| make_pods(cluster, tenant, &over));
        let rotated = (|| {
            let first = trusted(tenant)?;
            set(cluster, &SHORT)?;
            let second = wait_for_another(cluster, tenant, &first)?;
            println!("the first rotation was over after {:?}", began.elapsed());
            wait_for_another(cluster, tenant, &second)?;
            println!("the second rotation was over after {:?}", began.elapsed());
            Ok(())
        })();
        over.store(true, Ordering::SeqCst);
        let made = maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rotated.and(made)
    })?;
    // Masters that are started anew show what there is now, and sidecars trust it.
    cluster.kubectl(&["rollout", "restart", "statefulset/snmp-master", "--namespace", SYSTEM])?;
    installation::wait_for_all(cluster)?;
    tenant.wait_for_condition("web", "Ready", "True")?;
    let seen = walk.stop();
    println!("{} walks right, longest gap {:?}, {made} pods made", seen.right, seen.longest_gap);
    seen.is_all_right()?;
    ensure!(made > 10, "{made} pods");
    Ok(())
}

/// Makes pods until it is told that all is over, and gives how many. Each must get its sidecar, and become ready.
fn make_pods(cluster: &Cluster, tenant: &Tenant, over: &AtomicBool) -> Result<usize> {
    let mut made = 0;
    while !over.load(Ordering::SeqCst) {
        let (name, next) = (format!("newcomer-{made}"), Instant::now() + PODS);
        tenant.namespace.apply(&manifests::lone_pod(&name))?;
        // Where the API server does not trust the webhook, a pod comes without.
        let containers = tenant.namespace.kubectl(&[
            "get",
            "pod",
            &name,
            "--output=jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}",
        ])?;
        ensure!(containers.contains("snmp-sidecar"), "{name} has no sidecar: {containers:?}");
        cluster.wait_for_pod(tenant.name(), &name)?;
        tenant.namespace.kubectl(&["delete", "pod", &name, "--wait=false"])?;
        made += 1;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(made)
}

fn set(cluster: &Cluster, values: &[&str]) -> Result<()> {
    let options: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    installation::helm_upgrade(cluster, &options, TAG)?;
    cluster.wait_for_rollout(SYSTEM, "deployment/snmp-operator")
}

/// The authorities that a tenant's sidecars trust.
fn trusted(tenant: &Tenant) -> Result<BTreeSet<String>> {
    let bundle = tenant.namespace.get("configmap/snmp-sidecar", "{.data.ca\\.crt}")?;
    let certificates: BTreeSet<String> =
        bundle.split_inclusive("-----END CERTIFICATE-----").map(|pem| pem.trim().to_owned()).collect();
    let certificates: BTreeSet<String> = certificates.into_iter().filter(|pem| !pem.is_empty()).collect();
    ensure!(!certificates.is_empty(), "{bundle:?}");
    Ok(certificates)
}

/// Waits until none of these is trusted any more, and one other is.
fn wait_for_another(cluster: &Cluster, tenant: &Tenant, before: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    cluster.wait_for("another authority", || {
        let now = trusted(tenant)?;
        ensure!(now.len() == 1 && now.is_disjoint(before), "{} authorities, or one as before", now.len());
        Ok(now)
    })
}

/// Has authorities live for years again, and waits until all that live shortly are gone.
fn restore(cluster: &Cluster, tenant: &Tenant) -> Result<()> {
    set(cluster, &[SETTLE])?;
    let openssl = debian("openssl", "openssl")?;
    let folder = harness::Sandbox::new()?;
    cluster.wait_for("an authority that lives for years", || {
        for pem in trusted(tenant)? {
            let file = folder.write("ca.crt", &pem)?;
            let ends_soon = std::process::Command::new(&openssl)
                .args(["x509", "-noout", "-checkend", "86400", "-in"])
                .arg(&file)
                .output()
                .context("cannot run openssl")?;
            ensure!(ends_soon.status.success(), "one ends within a day");
        }
        Ok(())
    })
}
