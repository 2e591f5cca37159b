//! Rotation of certificates and their authority without interruption.

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

/// The shortest lifetimes that the operator accepts with this settle time: nine times the settle time for an authority, six
/// times for its certificates. The kubelet of the test cluster publishes changes within 8 s.
const SETTLE: &str = "operator.extraArgs={--certificate-settle=12s}";
const SHORT: [&str; 3] = ["certificates.caLifetime=108s", "certificates.certificateLifetime=72s", SETTLE];
/// The interval in which pods are created.
const POD_INTERVAL: Duration = Duration::from_secs(4);

#[test]
fn authorities_are_rotated_without_interruption_while_pods_are_created() -> Result<()> {
    let cluster = Cluster::alone()?;
    let base = new_base();
    let tenant = Tenant::of_base(&cluster, "rotation", &base)?;
    tenant.apply(&manifests::subtree("web", &base, tenant.name()))?;
    tenant.run_application(2)?;
    let rows = tenant.wait_for_walk("the values", &base, |rows| rows.len() == 4)?;
    installation::mark_changed();
    let rotated = rotate(&cluster, &tenant, &base, &rows);
    // First the lifetimes, then the settle time: with the long settle time, an authority with a short lifetime would expire
    // before sidecars trust another one.
    let restored = restore(&cluster, &tenant);
    rotated.and(restored)?;
    installation::install(&cluster)
}

fn rotate(cluster: &Cluster, tenant: &Tenant, base: &str, rows: &[Row]) -> Result<()> {
    let expected: Vec<Oid> = rows.iter().map(|row| row.oid.clone()).collect();
    let all_there = move |rows: &[Row]| expected.iter().all(|oid| rows.iter().any(|row| row.oid == *oid));
    let walk = ConstantWalk::start(tenant.v2c(), base, all_there);
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let created = thread::scope(|scope| {
        let creator = scope.spawn(|| create_pods(cluster, tenant, &over));
        let rotated = (|| {
            let first = trusted(tenant)?;
            set(cluster, &SHORT)?;
            let second = wait_for_another(cluster, tenant, &first)?;
            println!("the first rotation was complete after {:?}", began.elapsed());
            wait_for_another(cluster, tenant, &second)?;
            println!("the second rotation was complete after {:?}", began.elapsed());
            Ok(())
        })();
        over.store(true, Ordering::SeqCst);
        let created = creator.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        rotated.and(created)
    })?;
    // Restarted masters use the current certificate, which sidecars must trust.
    cluster.kubectl(&["rollout", "restart", "statefulset/snmp-master", "--namespace", SYSTEM])?;
    installation::wait_for_all(cluster)?;
    tenant.wait_for_condition("web", "Ready", "True")?;
    let seen = walk.stop();
    println!("{} right walks, longest gap {:?}, {created} pods created", seen.right, seen.longest_gap);
    seen.check()?;
    ensure!(created > 10, "only {created} pods were created");
    Ok(())
}

/// Creates pods until `over` is set, and returns their number. Each pod must get a sidecar and become ready.
fn create_pods(cluster: &Cluster, tenant: &Tenant, over: &AtomicBool) -> Result<usize> {
    let mut created = 0;
    while !over.load(Ordering::SeqCst) {
        let (name, next) = (format!("newcomer-{created}"), Instant::now() + POD_INTERVAL);
        tenant.namespace.apply(&manifests::lone_pod(&name))?;
        // A pod would have no sidecar if the API server did not trust the webhook.
        let containers = tenant.namespace.kubectl(&[
            "get",
            "pod",
            &name,
            "--output=jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name}",
        ])?;
        ensure!(containers.contains("snmp-sidecar"), "{name} has no sidecar: {containers:?}");
        cluster.wait_for_pod(tenant.name(), &name)?;
        tenant.namespace.kubectl(&["delete", "pod", &name, "--wait=false"])?;
        created += 1;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(created)
}

fn set(cluster: &Cluster, values: &[&str]) -> Result<()> {
    let options: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
    installation::helm_upgrade(cluster, &options, TAG)?;
    cluster.wait_for_rollout(SYSTEM, "deployment/snmp-operator")
}

/// Returns the authorities that a tenant's sidecars trust.
fn trusted(tenant: &Tenant) -> Result<BTreeSet<String>> {
    let bundle = tenant.namespace.get("configmap/snmp-sidecar", "{.data.ca\\.crt}")?;
    let certificates: BTreeSet<String> =
        bundle.split_inclusive("-----END CERTIFICATE-----").map(|pem| pem.trim().to_owned()).collect();
    let certificates: BTreeSet<String> = certificates.into_iter().filter(|pem| !pem.is_empty()).collect();
    ensure!(!certificates.is_empty(), "{bundle:?}");
    Ok(certificates)
}

/// Waits until exactly one authority is trusted that is not among `before`. Returns it.
fn wait_for_another(cluster: &Cluster, tenant: &Tenant, before: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    cluster.wait_for("another authority", || {
        let now = trusted(tenant)?;
        ensure!(
            now.len() == 1 && now.is_disjoint(before),
            "{} authorities are trusted, or an earlier one is",
            now.len()
        );
        Ok(now)
    })
}

/// Restores the default lifetimes, and waits until no authority with a short lifetime is trusted.
fn restore(cluster: &Cluster, tenant: &Tenant) -> Result<()> {
    set(cluster, &[SETTLE])?;
    let openssl = debian("openssl", "openssl")?;
    let folder = harness::Sandbox::new()?;
    cluster.wait_for("an authority that is valid for years", || {
        for pem in trusted(tenant)? {
            let file = folder.write("ca.crt", &pem)?;
            let ends_soon = std::process::Command::new(&openssl)
                .args(["x509", "-noout", "-checkend", "86400", "-in"])
                .arg(&file)
                .output()
                .context("cannot run openssl")?;
            ensure!(ends_soon.status.success(), "a trusted authority expires within a day");
        }
        Ok(())
    })
}
