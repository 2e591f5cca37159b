//! The examples in the cluster. Only images and contexts are replaced: the cluster has no registry, and each test has its own
//! context.

use anyhow::{Result, ensure};
use harness::{Cluster, POSTGRES_IMAGE, PYTHON_IMAGE, Row, TOOLS_IMAGE, example};

use crate::tenant::{Tenant, value_at};

/// Creates a tenant and applies these examples in its namespace and context. The last one is the example under test; the
/// others provide pods for it.
pub(crate) fn served(cluster: &Cluster, names: &[&str], base: &str, workload: &str) -> Result<Tenant> {
    let name = names.last().copied().unwrap_or_default();
    let tenant = Tenant::of_base(cluster, &format!("example-{name}"), base)?;
    // The pods of the examples do not meet Pod Security `restricted`.
    let label = "pod-security.kubernetes.io/enforce=baseline";
    cluster.kubectl(&["label", "--overwrite", "namespace", tenant.name(), label])?;
    for example_name in names {
        let manifest = cluster.kubectl(&["kustomize", &example(example_name).to_string_lossy()])?;
        let manifest = manifest
            .replace("docker.io/library/python:3.13-slim", PYTHON_IMAGE)
            .replace("registry.k8s.io/pause:3.10", TOOLS_IMAGE)
            .replace("docker.io/library/postgres:17", POSTGRES_IMAGE)
            .replace("\n  oid: 1.3.6", &format!("\n  contextRefs: [{}]\n  oid: 1.3.6", tenant.name()));
        tenant.namespace.apply(&manifest)?;
    }
    tenant.wait_for_condition(subtree_of(name), "Accepted", "True")?;
    // Pods that were created before the operator has seen the subtree have no sidecar.
    tenant.namespace.kubectl(&["rollout", "restart", workload])?;
    cluster.wait_for_rollout(tenant.name(), workload)?;
    Ok(tenant)
}

/// Returns the name of the subtree of an example.
fn subtree_of(example: &str) -> &str {
    if example == "interfaces" { "own-interfaces" } else { example }
}

fn number(rows: &[Row], oid: &str) -> Result<i128> {
    value_at(rows, oid)?.number()
}

#[test]
fn the_example_system_shows_the_machine() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.7";
    let tenant = served(&cluster, &["system"], base, "deployment/system")?;
    let rows = tenant.wait_for_walk("the machine", base, |rows| number(rows, &format!("{base}.1.0")).is_ok())?;
    let pod = tenant.namespace.kubectl(&["get", "pods", "--output=jsonpath={.items[*].metadata.name}"])?;
    let name = value_at(&rows, &format!("{base}.8.0"))?.text()?;
    ensure!(pod.split(' ').any(|pod| pod == name), "{name} is not one of the pods {pod}");
    ensure!((1..=100).contains(&number(&rows, &format!("{base}.2.0"))?), "memory in use: {rows:?}");
    // The value is in KiB, and the machine has more than 256 MiB.
    ensure!(number(&rows, &format!("{base}.6.0"))? > 256 << 10, "memory: {rows:?}");
    tenant.wait_for_condition("system", "Ready", "True").map(drop)
}

#[test]
fn the_example_interfaces_shows_the_interfaces_of_the_pod() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.8";
    // The pods are those of the example `system`. This context does not admit the subtree of that example.
    let tenant = served(&cluster, &["system", "interfaces"], base, "deployment/system")?;
    let rows = tenant.wait_for_walk("the interfaces", base, |rows| number(rows, &format!("{base}.1.0")).is_ok())?;
    let names: Vec<&str> = rows
        .iter()
        .filter(|row| row.oid.to_string().starts_with(&format!("{base}.2.1.2.")))
        .map(Row::text)
        .collect::<Result<_>>()?;
    ensure!(names.contains(&"eth0") && names.contains(&"lo"), "{names:?}");
    ensure!(number(&rows, &format!("{base}.1.0"))? == i128::try_from(names.len())?, "{rows:?}");
    Ok(())
}

#[test]
fn the_example_settings_can_be_written_by_an_nms() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.9";
    let tenant = served(&cluster, &["settings"], base, "deployment/settings")?;
    tenant.wait_for_walk("the settings", base, |rows| value_at(rows, &format!("{base}.1.0")).is_ok())?;
    let (host, level, limit) = (format!("{base}.1.0"), format!("{base}.2.0"), format!("{base}.3.0"));
    let nms = tenant.v3(tenant.name());
    nms.set_all(&[(&host, "s", "db-7"), (&level, "i", "4"), (&limit, "u", "250")])?;
    let rows = nms.get(&[&host, &level, &limit])?;
    ensure!(value_at(&rows, &host)?.text()? == "db-7" && number(&rows, &level)? == 4, "{rows:?}");
    ensure!(number(&rows, &limit)? == 250, "{rows:?}");
    // The application refuses more than 500 connections, so the name that was written before is restored.
    let refused = nms.set_all(&[(&host, "s", "db-8"), (&limit, "u", "501")]);
    let error = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains("commitFailed"), "the SET must fail with commitFailed: {error}");
    ensure!(value_at(&nms.get(&[&host])?, &host)?.text()? == "db-7");
    Ok(())
}

#[test]
fn the_example_http_api_shows_the_api_with_its_token() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.5";
    let tenant = served(&cluster, &["http-api"], base, "deployment/http-api")?;
    let rows = tenant.wait_for_walk("the API", base, |rows| value_at(rows, &format!("{base}.1.0")).is_ok())?;
    let version = value_at(&rows, &format!("{base}.1.0"))?.text()?;
    ensure!(version == "2.3.0", "{version}");
    ensure!(number(&rows, &format!("{base}.2.0"))? == 1, "{rows:?}");
    tenant.wait_for_condition("http-api", "ResolvedRefs", "True").map(drop)
}

#[test]
fn the_example_postgresql_shows_the_server() -> Result<()> {
    let cluster = Cluster::shared()?;
    let base = "1.3.6.1.4.1.8072.9999.9999.6";
    let tenant = served(&cluster, &["postgresql"], base, "deployment/postgresql")?;
    let is_up = |rows: &[Row]| number(rows, &format!("{base}.1.0")).is_ok_and(|up| up == 1);
    let rows = tenant.wait_for_walk("the server", base, is_up)?;
    let version = value_at(&rows, &format!("{base}.2.0"))?.text()?;
    ensure!(version.starts_with("15."), "{version}");
    ensure!(number(&rows, &format!("{base}.4.0"))? == 100, "connections: {rows:?}");
    let commits = number(&rows, &format!("{base}.6.0"))?;
    // The index of the database `postgres`.
    let postgres = "8.112.111.115.116.103.114.101.115";
    ensure!(number(&rows, &format!("{base}.10.1.2.{postgres}"))? > 1 << 20, "its size: {rows:?}");
    tenant.wait_for_condition("postgresql", "ResolvedRefs", "True")?;
    let counts = |rows: &[Row]| number(rows, &format!("{base}.6.0")).is_ok_and(|now| now > commits);
    tenant.wait_for_walk("its transactions to be counted", base, counts).map(drop)
}
