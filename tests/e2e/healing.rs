//! What is broken or taken away heals by itself, and the walk goes on meanwhile.

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

/// A change that only an operator at work can bring about.
fn operator_works(tenant: &Tenant, base: &str, text: &str) -> Result<()> {
    let old = format!("constant: {}", tenant.name());
    let manifest = manifests::subtree("web", base, tenant.name()).replace(&old, &format!("constant: {text}"));
    tenant.cluster.wait_for("the change to be taken", || tenant.apply(&manifest))?;
    let oid = format!("{base}.2");
    let is_new = |rows: &[harness::Row]| matches!(rows, [row] if row.text().is_ok_and(|seen| seen == text));
    tenant.wait_for_walk("what a working operator brings", &oid, is_new).map(drop)
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
fn the_leading_operator_is_killed_and_the_other_leads() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "leader", 2)?;
    let walk = walk(&tenant, &base);
    let before = lease_holder(&cluster)?;
    let pods = installation::pods_of(&cluster, "operator")?;
    let leader = pods.iter().find(|pod| before.contains(pod.as_str()));
    let Some(leader) = leader else { anyhow::bail!("the Lease's holder {before:?} is none of {pods:?}") };
    cluster.kubectl(&["delete", "pod", leader, "--namespace", SYSTEM, "--grace-period=0", "--force"])?;
    operator_works(&tenant, &base, "after-the-leader")?;
    ensure!(lease_holder(&cluster)? != before, "{before} still leads");
    walk.stop().is_all_right()?;
    installation::wait_for_all(&cluster)
}

#[test]
fn api_server_and_etcd_are_killed_and_started_again() -> Result<()> {
    let cluster = Cluster::alone()?;
    let (tenant, base) = Tenant::served(&cluster, "api-server", 2)?;
    let walk = walk(&tenant, &base);
    cluster.kill(Component::ApiServer)?;
    cluster.kill(Component::Etcd)?;
    // Leases of the operators and of the masters run out meanwhile.
    let client = tenant.v2c();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::time::Instant::now() < until {
        let rows = client.walk(harness::Walk::Bulk(20), &base)?;
        ensure!(rows.len() == 4, "{rows:?}");
    }
    cluster.start_component(Component::Etcd)?;
    cluster.start_component(Component::ApiServer)?;
    operator_works(&tenant, &base, "after-the-api-server")?;
    walk.stop().is_all_right()?;
    installation::wait_for_all(&cluster)
}

#[test]
fn what_is_edited_by_hand_is_put_right() -> Result<()> {
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
        cluster.wait_for("the ConfigMap to be as it was", || {
            let now = document(&cluster)?;
            ensure!(now == before, "{now}");
            Ok(())
        })?;
    }
    tenant.namespace.kubectl(&["delete", "configmap", "snmp-sidecar"])?;
    cluster.wait_for("the ConfigMap to be there again", || {
        ensure!(document(&cluster)? == before);
        Ok(())
    })?;
    // The masters' own.
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
    cluster.wait_for("the master's Secret to be as it was", || {
        ensure!(shards()? == before, "it is not");
        Ok(())
    })?;
    walk.stop().is_all_right()?;
    tenant.wait_for_condition("web", "Ready", "True").map(drop)
}

#[test]
fn a_definition_that_is_edited_by_hand_harms_nothing_and_is_put_right_by_an_upgrade() -> Result<()> {
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
    operator_works(&tenant, &base, "after-the-edit")?;
    // Helm asks before it takes what a person has changed.
    installation::helm_upgrade(&cluster, &["--force-conflicts"], installation::TAG)?;
    installation::wait_for_all(&cluster)?;
    ensure!(columns()? == before, "{before} and then {}", columns()?);
    walk.stop().is_all_right()
}
