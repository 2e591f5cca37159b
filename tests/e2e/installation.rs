//! The chart as a user installs it, once for all tests of this process, and the NMS that asks it.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Client, Cluster, repository};

/// The operator's own namespace.
pub(crate) const SYSTEM: &str = "snmp-system";
/// The release's name.
pub(crate) const RELEASE: &str = "snmp";
/// Where the NMS asks, on the node.
const NODE_PORT: u16 = 30161;
/// Images of this tag are what is tested; `tests/run` loads them.
pub(crate) const TAG: &str = "dev";

/// Whether the chart is installed, as far as this process knows.
static INSTALLED: Mutex<bool> = Mutex::new(false);

fn installed() -> MutexGuard<'static, bool> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the chart installed, and waits until all of it is at work.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let mut installed = installed();
    if !*installed {
        // What an earlier test has changed by hand, and left when it failed, is put right as well.
        helm_upgrade(cluster, &["--install", "--create-namespace", "--force-conflicts"], TAG)?;
        wait_for_all(cluster)?;
        *installed = true;
    }
    Ok(())
}

/// Says that the chart is not as [`install`] left it: the next test installs it again.
pub(crate) fn changed() {
    *installed() = false;
}

/// Runs `helm upgrade` with these options and images of this tag.
pub(crate) fn helm_upgrade(cluster: &Cluster, options: &[&str], tag: &str) -> Result<()> {
    let chart = repository().join("charts/snmp-operator");
    let chart = chart.to_str().context("a path that is not UTF-8")?;
    let mut arguments: Vec<String> =
        ["upgrade", RELEASE, chart, "--namespace", SYSTEM].iter().map(ToString::to_string).collect();
    arguments.extend(options.iter().map(ToString::to_string));
    for value in values(tag) {
        arguments.extend(["--set".to_owned(), value]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    cluster.helm(&arguments).map(drop)
}

/// What the installation in the test cluster sets: images that are there, and a port for the NMS.
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
    // A rollout is told to be at its end before sidecars have had their time to connect to the last replica.
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

/// Has all pods of a part of the installation end, `operator` or `master`. The next test finds the chart installed again.
pub(crate) fn end_all(cluster: &Cluster, component: &str) -> Result<()> {
    changed();
    scale(cluster, component, "0")?;
    cluster.wait_for("the pods to end", || {
        let left = pods_of(cluster, component)?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

/// Has as many pods of a part run again as are installed.
pub(crate) fn run_all(cluster: &Cluster, component: &str) -> Result<()> {
    scale(cluster, component, "2")
}

fn scale(cluster: &Cluster, component: &str, replicas: &str) -> Result<()> {
    let workload = if component == "master" { "statefulset/snmp-master" } else { "deployment/snmp-operator" };
    let replicas = format!("--replicas={replicas}");
    cluster.kubectl(&["scale", workload, &replicas, "--namespace", SYSTEM]).map(drop)
}

/// The pod of the master that answers. There is just one.
pub(crate) fn active_master(cluster: &Cluster) -> Result<String> {
    let labels = "app.kubernetes.io/component=master,snmp-operator.dev/role=active";
    let path = "--output=jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, "--selector", labels, path])?;
    ensure!(!names.is_empty() && !names.contains(' '), "active masters: {names:?}");
    Ok(names)
}

/// The NMS outside the cluster with these credentials, as options of net-snmp's tools, and their defaults for patience.
pub(crate) fn nms(cluster: &Cluster, credentials: &[&str], scratch: &Path) -> Client {
    let address = format!("udp:{}:{NODE_PORT}", cluster.node_address());
    Client::new(&address, credentials, scratch.to_owned()).outside(cluster).patience(Duration::from_secs(1), 5)
}

/// The community of the default context, which the operator makes up.
pub(crate) fn default_community(cluster: &Cluster) -> Result<String> {
    let path = "--output=go-template={{.data.community | base64decode}}";
    cluster.kubectl(&["get", "secret", "snmp-default", "--namespace", SYSTEM, path])
}

/// Pods of a part of the installation, `operator` or `master`.
pub(crate) fn pods_of(cluster: &Cluster, component: &str) -> Result<Vec<String>> {
    let labels = format!("app.kubernetes.io/name=snmp-operator,app.kubernetes.io/component={component}");
    let path = "--output=jsonpath={.items[*].metadata.name}";
    let names = cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, "--selector", &labels, path])?;
    Ok(names.split_whitespace().map(str::to_owned).collect())
}
