//! Many tenants: namespaces with SnmpSubtrees, each with a context of its own and a credential of a source.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use harness::Cluster;
use serde_json::{Value, json};

/// The operator's own namespace.
pub const SYSTEM: &str = "snmp-system";
/// Scalars of each subtree.
const SCALARS: u32 = 10;
/// How many kubectl run at once.
const AT_ONCE: usize = 4;
const VERSION: &str = "snmp-operator.dev/v1alpha1";

/// So many namespaces with so many subtrees each.
#[derive(Debug, Clone, Copy)]
pub struct Tenants {
    /// Namespaces.
    pub namespaces: u32,
    /// Subtrees of each.
    pub each: u32,
}

impl Tenants {
    /// How many subtrees there are in all.
    #[must_use]
    pub fn subtrees(self) -> u32 {
        self.namespaces * self.each
    }

    /// Creates all of it, and waits until Kubernetes' own controllers have done what they do for new namespaces.
    ///
    /// # Errors
    /// Where something is refused.
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

    /// Fails unless all that the operator writes is written, and all statuses say so.
    ///
    /// # Errors
    /// What is missing.
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

    /// Fails unless each tenant's namespace has an object of this name.
    fn count(self, cluster: &Cluster, resource: &str, name: &str) -> Result<()> {
        let selector = format!("--field-selector=metadata.name={name}");
        let found = cluster.kubectl(&["get", resource, "--all-namespaces", &selector, "--output=name"])?;
        let found = found.lines().count();
        ensure!(found >= usize::try_from(self.namespaces)?, "{found} {resource} of the name {name}");
        Ok(())
    }
}

/// Creates objects, in one call of kubectl.
fn create(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.kubectl_with(&["create", "--validate=ignore", "--filename=-"], &list.to_string()).map(drop)
}

/// The name of a tenant's namespace, context and community.
fn name(tenant: u32) -> String {
    format!("tenant-{tenant:04}")
}

fn namespace(tenant: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name(tenant)}})
}

/// The community's, and that of a source.
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

/// A tenant's subtree of this number, which differs from others by a text. The source of the first asks for a token.
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
