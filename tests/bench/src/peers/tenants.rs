//! Many tenants: namespaces with SnmpSubtrees, each with a context and a credential of a source.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use harness::Cluster;
use serde_json::{Value, json};

/// The namespace of the operator.
pub const SYSTEM: &str = "snmp-system";
/// The number of scalars in each subtree.
const SCALARS: u32 = 10;
/// The number of kubectl processes that run in parallel.
const AT_ONCE: usize = 4;
const VERSION: &str = "snmp-operator.dev/v1alpha1";

/// The numbers of namespaces and subtrees.
#[derive(Debug, Clone, Copy)]
pub struct Tenants {
    /// The number of namespaces.
    pub namespaces: u32,
    /// The number of subtrees in each namespace.
    pub each: u32,
}

impl Tenants {
    /// Returns the number of all subtrees.
    #[must_use]
    pub fn subtrees(self) -> u32 {
        self.namespaces * self.each
    }

    /// Creates all objects, and waits until the controllers of Kubernetes have processed the new namespaces.
    ///
    /// # Errors
    /// Returns an error if the API server refuses an object.
    pub fn create(self, cluster: &Cluster) -> Result<()> {
        let numbers = || 1..=self.namespaces;
        create(cluster, &numbers().map(namespace).collect::<Vec<_>>())?;
        create(cluster, &numbers().flat_map(secrets).collect::<Vec<_>>())?;
        create(cluster, &numbers().map(context).collect::<Vec<_>>())?;
        let subtrees = numbers().flat_map(|tenant| (1..=self.each).map(move |number| subtree(tenant, number, "first")));
        let subtrees: Vec<_> = subtrees.collect();
        let made: Result<Vec<()>> = thread::scope(|scope| {
            let parts = subtrees.chunks(subtrees.len().div_ceil(AT_ONCE));
            let running: Vec<_> = parts.map(|part| scope.spawn(move || create(cluster, part))).collect();
            let panicked = |_| Err(anyhow!("a thread panicked"));
            running.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        made?;
        cluster.wait_for("the namespaces' ConfigMaps", || self.count(cluster, "configmaps", "kube-root-ca.crt"))
    }

    /// Checks that the operator has written all objects and statuses.
    ///
    /// # Errors
    /// Returns an error that says what is missing.
    pub fn are_in_place(self, cluster: &Cluster) -> Result<()> {
        self.count(cluster, "configmaps", "snmp-sidecar")?;
        self.count(cluster, "secrets", "snmp-sidecar")?;
        for (resource, expected) in [("snmpsubtrees", self.subtrees()), ("snmpcontexts", self.namespaces)] {
            let template = "--output=go-template={{range .items}}{{$generation := .metadata.generation}}{{range .status.conditions}}{{if and (eq .type \"Programmed\") (eq .status \"True\") (eq .observedGeneration $generation)}}{{\"programmed\\n\"}}{{end}}{{end}}{{end}}";
            let programmed = cluster.kubectl(&["get", resource, "--all-namespaces", template])?;
            let programmed = programmed.lines().count();
            ensure!(programmed >= usize::try_from(expected)?, "{programmed} of {expected} {resource} are programmed");
        }
        Ok(())
    }

    /// Checks that the namespace of each tenant has an object of this name.
    fn count(self, cluster: &Cluster, resource: &str, name: &str) -> Result<()> {
        let selector = format!("--field-selector=metadata.name={name}");
        let found = cluster.kubectl(&["get", resource, "--all-namespaces", &selector, "--output=name"])?;
        let found = found.lines().count();
        ensure!(found >= usize::try_from(self.namespaces)?, "only {found} {resource} have the name {name}");
        Ok(())
    }
}

/// Creates objects with one call of kubectl.
fn create(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.kubectl_with(&["create", "--validate=ignore", "--filename=-"], &list.to_string()).map(drop)
}

/// Returns the name of a tenant's namespace, context and community.
fn name(tenant: u32) -> String {
    format!("tenant-{tenant:04}")
}

fn namespace(tenant: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name(tenant)}})
}

/// Returns the Secrets of the community and of the source.
fn secrets(tenant: u32) -> [Value; 2] {
    let name = name(tenant);
    [
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-ro"), "namespace": SYSTEM},
            "stringData": {"community": name},
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "token", "namespace": name, "labels": {"snmp-operator.dev/readable": "true"}},
            "stringData": {"token": format!("token-of-{name}")},
        }),
    ]
}

fn context(tenant: u32) -> Value {
    let name = name(tenant);
    json!({
        "apiVersion": VERSION, "kind": "SnmpContext", "metadata": {"name": name},
        "spec": {
            "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            "allowedSubtrees": [base(tenant)],
            "communities": [{"secretRef": {"name": format!("{name}-ro"), "key": "community"}}],
        },
    })
}

fn base(tenant: u32) -> String {
    format!("1.3.6.1.4.1.8072.9999.9999.{tenant}")
}

/// Returns a tenant's subtree with this number. Each has another text, and the source of the first needs a token.
#[must_use]
pub fn subtree(tenant: u32, number: u32, text: &str) -> Value {
    let source = match number {
        1 => json!({"port": 8080, "authorization": {"credentials": {"name": "token", "key": "token"}}}),
        _ => json!({"port": 8080}),
    };
    let metric = |scalar: u32| {
        let value = json!({"source": "app", "metric": format!("app_metric_{scalar}_total")});
        json!({"name": format!("appMetric{scalar}"), "oid": scalar.to_string(), "syntax": "Counter64", "value": value})
    };
    let mut scalars: Vec<_> = (1..SCALARS).map(metric).collect();
    scalars.push(
        json!({"name": "appText", "oid": SCALARS.to_string(), "syntax": "DisplayString", "value": {"constant": text}}),
    );
    json!({
        "apiVersion": VERSION, "kind": "SnmpSubtree",
        "metadata": {"name": format!("subtree-{number:02}"), "namespace": name(tenant)},
        "spec": {
            "oid": format!("{}.{number}", base(tenant)),
            "contextRefs": [name(tenant)],
            "selector": {"matchLabels": {"app": format!("app-{number}")}},
            "sources": [{"name": "app", "prometheus": source}],
            "scalars": scalars,
        },
    })
}
