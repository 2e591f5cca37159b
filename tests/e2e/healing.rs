//! Recovery from killed components and manual changes, while an NMS walks without interruption.

use anyhow::{Result, ensure};
use harness::{Cluster, Component};

use crate::{
    constant_walk::ConstantWalk,
    installation::{self, SYSTEM},
    manifests,
    tenant::Tenant,
};

fn walk(tenant: &Tenant, base: &str) -> ConstantWalk {
    ConstantWalk::start(tenant.v2c(), base, |rows| rows.len() == 4)
}

/// Changes a constant of the subtree, and waits until it is published. This needs a working operator.
fn check_operator_works(tenant: &Tenant, base: &str, text: &str) -> Result<()> {
    let old = format!("constant: {}", tenant.name());
    let manifest = manifests::subtree("web", base, tenant.name()).replace(&old, &format!("constant: {text}"));
    tenant.cluster.wait_for("the change to be accepted", || tenant.apply(&manifest))?;
    let oid = format!("{base}.2");
    let is_new = |rows: &[harness::Row]| matches!(rows, [row] if row.text().is_ok_and(|seen| seen == text));
    tenant.wait_for_walk("the changed constant", &oid, is_new).map(drop)
}

fn lease_holder(cluster: &Cluster) -> Result<String> {
    cluster.kubectl(&[
        "get",
        "lease",
        "snmp-operator",
        "--namespace",
        SYSTEM,
        "--output=jsonpath={.spec.holderIdentity}",
    ])
}

#[test]
fn a_killed_leader_is_replaced_by_the_other_operator() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "leader", 2)?;
    let walk = walk(&tenant, &base);
    let before = lease_holder(&cluster)?;
    let pods = installation::pods_of(&cluster, "operator")?;
    let leader = pods.iter().find(|pod| before.contains(pod.as_str()));
    let Some(leader) = leader else { anyhow::bail!("the lease holder {before:?} is not one of the pods {pods:?}") };
    cluster.kubectl(&["delete", "pod", leader, "--namespace", SYSTEM, "--grace-period=0", "--force"])?;
    check_operator_works(&tenant, &base, "after-the-leader")?;
    ensure!(lease_holder(&cluster)? != before, "{before} is still the leader");
    walk.stop().check()?;
    installation::wait_for_all(&cluster)
}

#[test]
fn the_nms_is_served_while_api_server_and_etcd_are_down() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "api-server", 2)?;
    let walk = walk(&tenant, &base);
    cluster.kill(Component::ApiServer)?;
    cluster.kill(Component::Etcd)?;
    // The Leases of the operators and the masters expire meanwhile.
    let client = tenant.v2c();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::time::Instant::now() < until {
        let rows = client.walk(harness::Walk::Bulk(20), &base)?;
        ensure!(rows.len() == 4, "{rows:?}");
    }
    cluster.start_component(Component::Etcd)?;
    cluster.start_component(Component::ApiServer)?;
    check_operator_works(&tenant, &base, "after-the-api-server")?;
    walk.stop().check()?;
    installation::wait_for_all(&cluster)
}

#[test]
fn manual_changes_of_generated_objects_are_reverted() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "by-hand", 2)?;
    let walk = walk(&tenant, &base);
    let document = |cluster: &Cluster| {
        cluster.kubectl(&[
            "get",
            "configmap",
            "snmp-sidecar",
            "--namespace",
            tenant.name(),
            "--output=jsonpath={.data}",
        ])
    };
    let before = document(&cluster)?;
    for patch in [
        r#"{"data":{"subtree.web.json":"{}"}}"#,
        r#"{"data":{"subtree.web.json":null}}"#,
        r#"{"data":{"ca.crt":"none"}}"#,
    ] {
        tenant.namespace.kubectl(&["patch", "configmap", "snmp-sidecar", "--type=merge", "--patch", patch])?;
        cluster.wait_for("the ConfigMap to be restored", || {
            let now = document(&cluster)?;
            ensure!(now == before, "{now}");
            Ok(())
        })?;
    }
    tenant.namespace.kubectl(&["delete", "configmap", "snmp-sidecar"])?;
    cluster.wait_for("the ConfigMap to be created again", || {
        ensure!(document(&cluster)? == before);
        Ok(())
    })?;
    // The Secrets of the masters.
    let shards = || {
        cluster.kubectl(&[
            "get",
            "secrets",
            "--namespace",
            SYSTEM,
            "--output=jsonpath={range .items[*]}{.metadata.name} {.data.master\\.json}{\"\\n\"}{end}",
        ])
    };
    let before = shards()?;
    let shard = before.lines().find_map(|line| {
        Some(
            line.split_once(' ')
                .filter(|(name, data)| name.starts_with("snmp-master-") && !data.is_empty())?
                .0
                .to_owned(),
        )
    });
    let Some(shard) = shard else { anyhow::bail!("no shard in {before}") };
    cluster.kubectl(&[
        "patch",
        "secret",
        &shard,
        "--namespace",
        SYSTEM,
        "--type=merge",
        "--patch",
        r#"{"stringData":{"master.json":"garbage"}}"#,
    ])?;
    cluster.wait_for("the master's Secret to be restored", || {
        ensure!(shards()? == before, "it differs");
        Ok(())
    })?;
    walk.stop().check()?;
    tenant.wait_for_condition("web", "Ready", "True").map(drop)
}

#[test]
fn a_manual_change_of_a_crd_has_no_effect_and_is_reverted_by_an_upgrade() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "definition", 2)?;
    let walk = walk(&tenant, &base);
    let name = "snmpsubtrees.snmp-operator.dev";
    let columns = || {
        cluster.kubectl(&["get", "crd", name, "--output=jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"])
    };
    let before = columns()?;
    cluster.kubectl(&[
        "patch",
        "crd",
        name,
        "--type=json",
        "--patch",
        r#"[{"op":"remove","path":"/spec/versions/0/additionalPrinterColumns"}]"#,
    ])?;
    ensure!(columns()?.is_empty());
    check_operator_works(&tenant, &base, "after-the-edit")?;
    // Helm overwrites fields that someone else has changed only with this option.
    installation::helm_upgrade(&cluster, &["--force-conflicts"], installation::TAG)?;
    installation::wait_for_all(&cluster)?;
    ensure!(columns()? == before, "the columns were {before}, and are {}", columns()?);
    walk.stop().check()
}
