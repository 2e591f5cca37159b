//! A tenant of the tests: a namespace with Pod Security `restricted`, and an SNMP context with credentials.

use std::sync::atomic::{AtomicU32, Ordering};

use agentx::Oid;
use anyhow::{Result, bail, ensure};
use harness::{Client, Cluster, Namespace, Row, Sandbox, Walk};

use crate::{
    installation::{self, SYSTEM},
    manifests,
};

/// The OID below which each test gets its base OID.
const BASE: &str = "1.3.6.1.4.1.8072.9999.9999";

/// A tenant of the installation.
pub(crate) struct Tenant {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: Namespace,
    sandbox: Sandbox,
}

impl Tenant {
    /// Creates a tenant with a new base OID, a community that reads its context, and an SNMPv3 user that also writes.
    pub(crate) fn new(cluster: &Cluster, prefix: &str) -> Result<Self> {
        Self::of_base(cluster, prefix, &new_base())
    }

    /// Like [`Self::new`], with this base OID, which several tenants may share.
    pub(crate) fn of_base(cluster: &Cluster, prefix: &str, base: &str) -> Result<Self> {
        installation::install(cluster)?;
        let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
        let namespace = cluster.namespace_with(prefix, &[restricted])?;
        let tenant = Self { cluster: cluster.clone(), namespace, sandbox: Sandbox::new()? };
        cluster.apply(&manifests::context(tenant.name(), base))?;
        Ok(tenant)
    }

    /// Creates a tenant whose application runs with this many replicas. Returns it and its base OID.
    pub(crate) fn served(cluster: &Cluster, prefix: &str, replicas: usize) -> Result<(Self, String)> {
        let base = new_base();
        let tenant = Self::of_base(cluster, prefix, &base)?;
        tenant.serve(&base, replicas)?;
        Ok((tenant, base))
    }

    /// Runs the application with a subtree, and waits until a walk shows two scalars and a row for each pod.
    pub(crate) fn serve(&self, base: &str, replicas: usize) -> Result<()> {
        self.apply(&manifests::subtree("web", base, self.name()))?;
        self.run_application(replicas)?;
        self.wait_for_walk("the application's values", base, |rows| rows.len() == 2 + replicas).map(drop)
    }

    /// Returns the name of its namespace, which is also the name of its SNMP context and its community.
    pub(crate) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// Runs the application with this many replicas.
    pub(crate) fn run_application(&self, replicas: usize) -> Result<()> {
        self.namespace.apply(&manifests::application(replicas))?;
        self.cluster.wait_for_rollout(self.name(), "deployment/web")
    }

    /// Applies a manifest. After a subtree, waits until new pods of the application get sidecars.
    pub(crate) fn apply(&self, manifest: &str) -> Result<()> {
        self.namespace.apply(manifest)?;
        if manifest.contains("kind: SnmpSubtree") { self.wait_for_injection() } else { Ok(()) }
    }

    /// Waits until a new pod gets a sidecar. For that, the operator must have seen the subtree, and the API server must reach
    /// the webhook.
    fn wait_for_injection(&self) -> Result<()> {
        let output = "--output=jsonpath={.spec.initContainers[*].name}";
        let arguments = ["create", "--dry-run=server", output, "--namespace", self.name(), "--filename=-"];
        self.cluster.wait_for("a pod to get a sidecar", || {
            let seen = self.cluster.kubectl_with(&arguments, &manifests::lone_pod("probe"))?;
            ensure!(seen == "snmp-sidecar", "init containers: {seen:?}");
            Ok(())
        })
    }

    /// Restarts the pods of the application, so that they get sidecars.
    pub(crate) fn restart_application(&self) -> Result<()> {
        self.wait_for_injection()?;
        self.namespace.kubectl(&["rollout", "restart", "deployment/web"])?;
        self.cluster.wait_for_rollout(self.name(), "deployment/web")
    }

    /// Returns the NMS with the tenant's community.
    pub(crate) fn v2c(&self) -> Client {
        installation::nms(&self.cluster, &["-v2c", "-c", self.name()], self.sandbox.path("nms").as_path())
    }

    /// Returns the NMS with the tenant's SNMPv3 user, in this context.
    pub(crate) fn v3(&self, context: &str) -> Client {
        let user = format!("{}-noc", self.name());
        let credentials = [
            "-v3",
            "-l",
            "authPriv",
            "-u",
            &user,
            "-a",
            "SHA-256",
            "-A",
            manifests::AUTH_PASSPHRASE,
            "-x",
            "AES",
            "-X",
            manifests::PRIV_PASSPHRASE,
            "-n",
            context,
        ];
        installation::nms(&self.cluster, &credentials, self.sandbox.path("nms").as_path())
    }

    /// Walks until `right` returns true, and returns the rows.
    pub(crate) fn wait_for_walk(&self, what: &str, oid: &str, right: impl Fn(&[Row]) -> bool) -> Result<Vec<Row>> {
        let client = self.v2c();
        self.cluster.wait_for(what, || {
            let rows = client.walk(Walk::Bulk(20), oid)?;
            ensure!(right(&rows), "{rows:?}");
            Ok(rows)
        })
    }

    /// Returns a condition of a subtree as `STATUS REASON MESSAGE`.
    pub(crate) fn condition(&self, subtree: &str, condition: &str) -> Result<String> {
        let path = format!(
            "--output=jsonpath={{range .status.conditions[?(@.type==\"{condition}\")]}}{{.status}} {{.reason}} {{.message}}{{end}}"
        );
        self.namespace.kubectl(&["get", "snmpsubtree", subtree, &path])
    }

    /// Waits until a condition of a subtree begins with `expected`, and returns it as `STATUS REASON MESSAGE`.
    pub(crate) fn wait_for_condition(&self, subtree: &str, condition: &str, expected: &str) -> Result<String> {
        self.cluster.wait_for(&format!("{condition} of {subtree} to be {expected}"), || {
            let seen = self.condition(subtree, condition)?;
            ensure!(seen.starts_with(expected), "{condition}: {seen}");
            Ok(seen)
        })
    }

    /// Returns the names of the application's pods, except those that are being deleted.
    pub(crate) fn pods(&self) -> Result<Vec<String>> {
        let template = "--output=go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}";
        let names = self.namespace.kubectl(&["get", "pods", "--selector", "app=web", template])?;
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Returns an error unless the only pod of the application is ready.
    pub(crate) fn only_pod_is_ready(&self) -> Result<()> {
        let path = "--output=jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
        let state = self.namespace.kubectl(&["get", "pods", "--selector=app=web", path])?;
        ensure!(state == "True", "Ready is {state}");
        Ok(())
    }

    /// Returns the ids of the pods and their containers, with restart counts. They change with every restart.
    pub(crate) fn container_ids(&self) -> Result<String> {
        let template = "--output=go-template={{range .items}}{{.metadata.uid}}{{range .status.initContainerStatuses}} {{.restartCount}} {{.containerID}}{{end}}{{range .status.containerStatuses}} {{.restartCount}} {{.containerID}}{{end}}\n{{end}}";
        self.namespace.kubectl(&["get", "pods", "--selector", "app=web", template])
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let context = self.cluster.kubectl(&["delete", "snmpcontext", self.name(), "--ignore-not-found"]);
        let secrets = [format!("{}-ro", self.name()), format!("{}-noc", self.name())];
        let secrets: Vec<&str> = ["delete", "secret", "--ignore-not-found", "--namespace", SYSTEM]
            .into_iter()
            .chain(secrets.iter().map(String::as_str))
            .collect();
        for gone in [context, self.cluster.kubectl(&secrets)] {
            if let Err(error) = gone {
                eprintln!("{error:#}");
            }
        }
    }
}

/// Returns a base OID that no other test uses.
pub(crate) fn new_base() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(100);
    format!("{BASE}.{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the row with this OID.
pub(crate) fn value_at<'a>(rows: &'a [Row], oid: &str) -> Result<&'a Row> {
    let oid: Oid = oid.parse()?;
    match rows.iter().find(|row| row.oid == oid) {
        Some(row) => Ok(row),
        None => bail!("no {oid} in {rows:?}"),
    }
}
