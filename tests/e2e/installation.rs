//! The installation of the chart, which all tests of this process share, and the NMS outside the cluster.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Client, Cluster, repository};

/// The namespace of the operator and the masters.
pub(crate) const SYSTEM: &str = "snmp-system";
/// The name of the Helm release.
pub(crate) const RELEASE: &str = "snmp";
/// The node port of the masters' Service.
const NODE_PORT: u16 = 30161;
/// The tag of the images under test, which `tests/run` loads.
pub(crate) const TAG: &str = "dev";

/// Whether the chart is installed and unchanged, as far as this process knows.
static INSTALLED: Mutex<bool> = Mutex::new(false);

fn installed() -> MutexGuard<'static, bool> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the chart unless it is installed, and waits until all parts work.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let mut installed = installed();
    if !*installed {
        // This also restores what an earlier failed test has changed by hand.
        helm_upgrade(cluster, &["--install", "--create-namespace", "--force-conflicts"], TAG)?;
        wait_for_all(cluster)?;
        *installed = true;
    }
    Ok(())
}

/// Records that the installation differs from that of [`install`], so that the next test installs it again.
pub(crate) fn mark_changed() {
    *installed() = false;
}

/// Runs `helm upgrade` with these options and images of this tag.
pub(crate) fn helm_upgrade(cluster: &Cluster, options: &[&str], tag: &str) -> Result<()> {
    let chart = repository().join("charts/snmp-operator");
    let chart = chart.to_str().context("the path of the chart is not UTF-8")?;
    let mut arguments: Vec<String> =
        ["upgrade", RELEASE, chart, "--namespace", SYSTEM].iter().map(ToString::to_string).collect();
    arguments.extend(options.iter().map(ToString::to_string));
    for value in values(tag) {
        arguments.extend(["--set".to_owned(), value]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cluster.helm(&arguments).map(drop)
}

/// Returns the values for the test cluster: images that are loaded, and a node port for the NMS.
fn values(tag: &str) -> [String; 5] {
    [
        "image.registry=localhost".to_owned(),
        format!("image.tag={tag}"),
        "master.service.type=NodePort".to_owned(),
        format!("master.service.nodePort={NODE_PORT}"),
        "writes.enabled=true".to_owned(),
    ]
}

/// Waits until operator, webhooks and master work.
pub(crate) fn wait_for_all(cluster: &Cluster) -> Result<()> {
    cluster.wait_for_rollout(SYSTEM, "deployment/snmp-operator")?;
    cluster.wait_for_rollout(SYSTEM, "statefulset/snmp-master")?;
    // A rollout ends before the last replica is available, because sidecars get time to connect to it.
    cluster.wait_for("both masters to be available", || {
        let path =
            "--output=jsonpath={.status.availableReplicas} of {.spec.replicas}, {.status.updatedReplicas} updated";
        let seen = cluster.kubectl(&["get", "statefulset", "snmp-master", "--namespace", SYSTEM, path])?;
        ensure!(seen == "2 of 2, 2 updated", "{seen}");
        Ok(())
    })?;
    cluster.wait_for("a master to be active", || active_master(cluster))?;
    cluster.wait_for("the webhooks' certificates", || {
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let path = "--output=jsonpath={.webhooks[*].clientConfig.caBundle}";
            ensure!(!cluster.kubectl(&["get", kind, "snmp-operator", path])?.is_empty(), "{kind} has no caBundle");
        }
        Ok(())
    })
}

/// Scales `operator` or `master` to zero and waits until its pods have ended. The next test installs the chart again.
pub(crate) fn scale_to_zero(cluster: &Cluster, component: &str) -> Result<()> {
    mark_changed();
    scale(cluster, component, "0")?;
    cluster.wait_for("the pods to end", || {
        let left = pods_of(cluster, component)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

/// Scales `operator` or `master` back to its number of replicas.
pub(crate) fn scale_back(cluster: &Cluster, component: &str) -> Result<()> {
    scale(cluster, component, "2")
}

fn scale(cluster: &Cluster, component: &str, replicas: &str) -> Result<()> {
    let workload = if component == "master" { "statefulset/snmp-master" } else { "deployment/snmp-operator" };
    let replicas = format!("--replicas={replicas}");
    cluster.kubectl(&["scale", workload, &replicas, "--namespace", SYSTEM]).map(drop)
}

/// Returns the pod of the active master. Returns an error unless there is exactly one.
pub(crate) fn active_master(cluster: &Cluster) -> Result<String> {
    let labels = "app.kubernetes.io/component=master,snmp-operator.dev/role=active";
    let path = "--output=jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, "--selector", labels, path])?;
    ensure!(!names.is_empty() && !names.contains(' '), "active masters: {names:?}");
    Ok(names)
}

/// Returns the NMS outside the cluster with these credentials, given as options of net-snmp's tools. Its timeout and its
/// retries are net-snmp's defaults.
pub(crate) fn nms(cluster: &Cluster, credentials: &[&str], scratch: &Path) -> Client {
    let address = format!("udp:{}:{NODE_PORT}", cluster.node_address());
    Client::new(&address, credentials, scratch.to_owned()).outside(cluster).with_timeout(Duration::from_secs(1), 5)
}

/// Returns the community of the default context, which the operator generates.
pub(crate) fn default_community(cluster: &Cluster) -> Result<String> {
    let path = "--output=go-template={{.data.community | base64decode}}";
    cluster.kubectl(&["get", "secret", "snmp-default", "--namespace", SYSTEM, path])
}

/// Returns the pods of `operator` or `master`.
pub(crate) fn pods_of(cluster: &Cluster, component: &str) -> Result<Vec<String>> {
    let labels = format!("app.kubernetes.io/name=snmp-operator,app.kubernetes.io/component={component}");
    let path = "--output=jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, "--selector", &labels, path])?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}
