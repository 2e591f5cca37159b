//! The setup of most tests: an application with a metrics page, a sidecar with the configuration that the operator renders
//! for it, and a master.

use anyhow::{Result, ensure};
use harness::{
    Client, Exporter, MasterKind, Row, Sandbox, Sidecar, SidecarOptions, SnmpAgent, Walk, oids_and_types, render,
};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// The namespace of the manifests.
pub(crate) const NAMESPACE: &str = "acme";
/// The base OID of the subtree in most tests, in net-snmp's playpen.
pub(crate) const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.77";

/// The base OID of the second subtree, in tests with two.
pub(crate) const OTHER: &str = "1.3.6.1.4.1.8072.9999.9999.76";

/// A page with counters, gauges and labels.
pub(crate) const PAGE: &str = r#"# TYPE requests_total counter
requests_total 42
# TYPE temperature_celsius gauge
temperature_celsius -21.54
# TYPE build_info gauge
build_info{version="1.2.3"} 1
# TYPE queue_depth gauge
queue_depth{queue="in"} 7
queue_depth{queue="out"} 8
# TYPE queue_bytes_total counter
queue_bytes_total{queue="in"} 10000000000
queue_bytes_total{queue="out"} 18446744073709551615
"#;

/// The objects for [`PAGE`]: the scalars 1 to 3, and the table 10 with a row for each queue.
pub(crate) const OBJECTS: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Counter64, value: {source: app, metric: requests_total}}
  - {name: temperature, oid: '2', syntax: Integer32, value: {source: app, metric: temperature_celsius, scale: 10}}
  - {name: version, oid: '3', syntax: DisplayString, value: {source: app, metric: build_info, label: version}}
  tables:
  - name: queueTable
    oid: '10'
    index:
    - {name: queueName, oid: '1', label: queue, as: String}
    columns:
    - {name: queueDepth, oid: '2', syntax: Gauge32, value: {source: app, metric: queue_depth}}
    - {name: queueBytes, oid: '3', syntax: Counter64, value: {source: app, metric: queue_bytes_total}}
";

/// The walk of [`PAGE`] with [`OBJECTS`], as `arcs below the base OID = TYPE: value`.
pub(crate) const WALK: &[&str] = &[
    "1.0 = Counter64: 42",
    "2.0 = INTEGER: -215",
    "3.0 = STRING: \"1.2.3\"",
    "10.1.2.2.105.110 = Gauge32: 7",
    "10.1.2.3.111.117.116 = Gauge32: 8",
    "10.1.3.2.105.110 = Counter64: 10000000000",
    "10.1.3.3.111.117.116 = Counter64: 18446744073709551615",
];

/// Returns rows from lines of the form `arcs below the base OID = TYPE: value`.
pub(crate) fn rows_under(base: &str, rows: &[&str]) -> Vec<Row> {
    let text: Vec<String> = rows.iter().map(|row| format!("{base}.{row}")).collect();
    harness::parse_rows(&text.join("\n")).expect("the rows of the test are well formed")
}

/// The manifest of a subtree with one Prometheus source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manifest<'a> {
    pub(crate) name: &'a str,
    pub(crate) oid: &'a str,
    /// The SnmpContexts in which it is published.
    pub(crate) contexts: &'a [&'a str],
    /// The port of the metrics page.
    pub(crate) port: u16,
    /// Additional fields of the Prometheus endpoint.
    pub(crate) endpoint: &'a str,
    /// The field `staleAfter` of the source; the default if it is empty.
    pub(crate) stale_after: &'a str,
    /// The scalars and tables.
    pub(crate) objects: &'a str,
}

impl Default for Manifest<'_> {
    fn default() -> Self {
        Self {
            name: "app",
            oid: BASE,
            contexts: &["default"],
            port: 0,
            endpoint: "interval: 1s",
            stale_after: "",
            objects: OBJECTS,
        }
    }
}

impl Manifest<'_> {
    /// Returns the manifest as YAML.
    pub(crate) fn yaml(&self) -> String {
        let Self { name, oid, port, endpoint, objects, .. } = self;
        let stale_after =
            if self.stale_after.is_empty() { String::new() } else { format!("staleAfter: {}", self.stale_after) };
        let contexts = self.contexts.join(", ");
        format!(
            "apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  oid: {oid}
  contextRefs: [{contexts}]
  selector: {{matchLabels: {{app: {name}}}}}
  sources:
  - name: app
    {stale_after}
    prometheus: {{port: {port}, {endpoint}}}
{objects}"
        )
    }
}

/// Returns the manifest of an SnmpContext that every namespace may use below the playpen.
pub(crate) fn context(name: &str) -> String {
    format!(
        "apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpContext
metadata: {{name: {name}}}
spec:
  allowedNamespaces: {{from: All}}
  allowedSubtrees: [1.3.6.1.4.1.8072.9999.9999]
"
    )
}

/// Renders manifests into the folder `name` of the sandbox. Returns the folder that a sidecar mounts.
pub(crate) fn render_in(sandbox: &Sandbox, name: &str, manifests: &[String]) -> Result<PathBuf> {
    let file = sandbox.write(&format!("{name}.yaml"), manifests.join("---\n"))?;
    render(&[file], NAMESPACE, &sandbox.path(name))
}

/// An application with its sidecar under a master.
#[derive(Debug)]
pub(crate) struct SidecarSetup {
    pub(crate) sidecar: Sidecar,
    pub(crate) agent: Box<dyn SnmpAgent>,
    pub(crate) exporter: Exporter,
    pub(crate) config: PathBuf,
    pub(crate) sandbox: Sandbox,
}

impl SidecarSetup {
    /// Starts a setup that serves [`PAGE`] with [`OBJECTS`].
    pub(crate) fn start(master: MasterKind) -> Result<Self> {
        Self::serve(master, Exporter::with_page(PAGE)?, Manifest::default())
    }

    /// Starts a setup that serves the page of `exporter` with `manifest`, over a Unix socket.
    pub(crate) fn serve(master: MasterKind, exporter: Exporter, manifest: Manifest<'_>) -> Result<Self> {
        Self::serve_over(master, |agent| agent.unix_url(), exporter, manifest)
    }

    /// Like [`Self::serve`], with the AgentX URL that `url` returns.
    pub(crate) fn serve_over(
        master: MasterKind,
        url: impl Fn(&dyn SnmpAgent) -> String,
        exporter: Exporter,
        manifest: Manifest<'_>,
    ) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let manifest = Manifest { port: exporter.port(), ..manifest };
        let config = render_in(&sandbox, "config", &[context("acme"), manifest.yaml()])?;
        let agent = master.start(&sandbox)?;
        let masters = vec![url(&*agent)];
        let sidecar =
            Sidecar::start(&sandbox, SidecarOptions { config: config.clone(), masters, ..Default::default() })?;
        Ok(Self { sidecar, agent, exporter, config, sandbox })
    }

    /// Waits until a walk of [`BASE`] shows the same instances as `snmp-sidecar walk`, and returns it.
    pub(crate) fn wait_for_complete_walk(&self) -> Result<Vec<Row>> {
        let whole = Sidecar::walk_once(&self.config, &[])?;
        let client = self.agent.v2c();
        self.sandbox.wait_for("a complete walk", || {
            let rows = client.walk(Walk::Bulk(50), BASE)?;
            ensure!(
                oids_and_types(&rows) == oids_and_types(&whole),
                "the walk has {} of {} rows",
                rows.len(),
                whole.len()
            );
            Ok(rows)
        })
    }

    /// Waits until the default context shows `row`, given as `arcs below the base OID = TYPE: value`.
    pub(crate) fn wait_for_value(&self, row: &str) -> Result<()> {
        wait_for_value(&self.sandbox, &self.agent.v2c(), row)
    }
}

/// Waits until the client sees `row`, given as `arcs below the base OID = TYPE: value`.
pub(crate) fn wait_for_value(sandbox: &Sandbox, client: &Client, row: &str) -> Result<()> {
    let expected = rows_under(BASE, &[row]);
    let oid = expected[0].oid.to_string();
    let client = client.clone().with_timeout(Duration::from_secs(2), 1);
    sandbox.wait_for(row, || {
        let seen = client.get(&[&oid])?;
        ensure!(seen == expected, "{seen:?}");
        Ok(())
    })
}

/// Runs `change` while another thread walks [`OTHER`] without a pause. Each of these walks must show `expected`.
pub(crate) fn under_a_constant_walk(
    client: &Client,
    expected: &[Row],
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let over = AtomicBool::new(false);
    let walks = AtomicUsize::new(0);
    thread::scope(|scope| {
        let walking = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let seen = client.walk(Walk::Next, OTHER)?;
                ensure!(seen == expected, "after {walks:?} right walks: {seen:?}");
                walks.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        let changed = change();
        over.store(true, Ordering::SeqCst);
        let walked = walking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        changed.and(walked)
    })?;
    ensure!(walks.into_inner() > 0, "no walk was made during the change");
    Ok(())
}
