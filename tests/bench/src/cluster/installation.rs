//! An installation of the chart in a cluster, with a tenant, its application, and the NMS outside the cluster.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use agentx::Value;
use anyhow::{Context, Result, bail, ensure};
use harness::{Client, ClusterKind, DEADLINE, Namespace, Sandbox, repository};

use crate::{cluster::Running, peers::contestants::Bench};

/// The namespace of the operator and the masters.
const SYSTEM: &str = "snmp-system";
const NODE_PORT: &str = "30161";
/// The prefix of the tenant's namespace, and the name of its context and its community.
const TENANT: &str = "tenant";
/// The OID below which the tenant publishes.
const BASE: &str = "1.3.6.1.4.1.8072.9999.9999.78";
/// snmpEngineBoots (RFC 3411), which increases whenever a master becomes active.
const BOOTS: &str = "1.3.6.1.6.3.10.2.1.2.0";
/// The timeout after which the NMS repeats a request.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(200);

/// The installation, which is removed with its cluster.
#[derive(Debug)]
pub struct Installation {
    // The fields are dropped in this order.
    tenant: Namespace,
    nms: Client,
    _scratch: Sandbox,
    cluster: Running,
}

impl Installation {
    /// Starts a cluster, installs the chart with its defaults, runs two pods of the application, and waits until the NMS
    /// reads their first subtree.
    ///
    /// # Errors
    /// Returns an error if a part of the installation does not start.
    pub fn new(bench: &Bench, name: &str) -> Result<Self> {
        let cluster = Running::start(bench, name, ClusterKind::Full)?;
        cluster.load_programs("dev", Some(&bench.programs.in_cluster))?;
        cluster.load_test_images()?;
        install(&cluster)?;
        let restricted = ("pod-security.kubernetes.io/enforce", "restricted");
        let tenant = cluster.namespace_with(TENANT, &[restricted])?;
        cluster.apply(&context(tenant.name()))?;
        let scratch = Sandbox::new()?;
        let address = format!("udp:{}:{NODE_PORT}", cluster.node_address());
        let nms = Client::new(&address, &["-v2c", "-c", TENANT], scratch.path("nms"));
        let nms = nms.outside(&cluster).with_timeout(REQUEST_TIMEOUT, 0);
        let installation = Self { tenant, nms, _scratch: scratch, cluster };
        // Pods get a sidecar only if a subtree selects them when they are created.
        installation.apply("first", 1, "first")?;
        installation.tenant.apply(&application())?;
        installation.cluster.wait_for_rollout(installation.tenant.name(), "deployment/web")?;
        installation.until("the first subtree", || Ok(installation.read(1)? == Some("first".to_owned())))?;
        Ok(installation)
    }

    /// Applies a subtree of the application with one text, below this arc.
    ///
    /// # Errors
    /// Returns an error if it is refused.
    pub fn apply(&self, name: &str, arc: u32, text: &str) -> Result<()> {
        self.tenant.apply(&subtree(name, arc, text)).map(drop)
    }

    /// Deletes a subtree.
    ///
    /// # Errors
    /// Returns an error if the API server does not delete it.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.tenant.kubectl(&["delete", "snmpsubtree", name, "--wait=false"]).map(drop)
    }

    /// Reads the text below this arc as the NMS. Returns `None` if there is no such object.
    ///
    /// # Errors
    /// Returns an error if there is no response, or an unexpected one.
    pub fn read(&self, arc: u32) -> Result<Option<String>> {
        let rows = self.nms.get(&[&format!("{BASE}.{arc}.1.0")])?;
        let row = rows.first().context("the response has no varbind")?;
        match row.value {
            Value::NoSuchObject | Value::NoSuchInstance => Ok(None),
            _ => Ok(Some(row.text()?.to_owned())),
        }
    }

    /// Returns the boots of the active SNMP engine, if the first subtree is right in the same response.
    ///
    /// # Errors
    /// Returns an error if there is no response, or a wrong one.
    pub fn boots(&self) -> Result<i128> {
        let rows = self.nms.get(&[BOOTS, &format!("{BASE}.1.1.0")])?;
        let [boots, first] = rows.as_slice() else { bail!("{rows:?}") };
        ensure!(first.text()? == "first", "{rows:?}");
        boots.number()
    }

    /// Lets the NMS send requests without a pause until `probe` returns true. Returns when that was.
    ///
    /// # Errors
    /// Returns an error if it is not true before the deadline, with the last result and the state of the cluster.
    pub fn until(&self, what: &str, mut probe: impl FnMut() -> Result<bool>) -> Result<Instant> {
        let deadline = Instant::now() + 2 * DEADLINE;
        loop {
            match probe() {
                Ok(true) => return Ok(Instant::now()),
                Ok(false) if Instant::now() > deadline => bail!("waited for {what}"),
                Err(error) if Instant::now() > deadline => return Err(error.context(format!("waited for {what}"))),
                Ok(false) | Err(_) => {}
            }
        }
    }

    /// Returns ids that change when a pod of the application, or one of its containers, is restarted.
    ///
    /// # Errors
    /// Returns an error if the API server does not respond.
    pub fn lives(&self) -> Result<String> {
        let template = "--output=go-template={{range .items}}{{.metadata.uid}}{{range .status.initContainerStatuses}} {{.containerID}}{{end}}{{range .status.containerStatuses}} {{.containerID}}{{end}}\n{{end}}";
        self.tenant.kubectl(&["get", "pods", "--selector", "app=web", template])
    }

    /// Deletes the pod of the active master with these options of `kubectl delete`, without waiting.
    ///
    /// # Errors
    /// Returns an error if there is not exactly one, or kubectl cannot be run.
    pub fn delete_active_master(&self, options: &[&str]) -> Result<(Instant, Child)> {
        let labels = "app.kubernetes.io/component=master,snmp-operator.dev/role=active";
        let path = "--output=jsonpath={.items[*].metadata.name}";
        let name = self.cluster.kubectl(&["get", "pods", "--namespace", SYSTEM, "--selector", labels, path])?;
        ensure!(!name.is_empty() && !name.contains(' '), "active masters: {name:?}");
        let mut command = self.cluster.kubectl_command()?;
        command.args(["delete", "pod", &name, "--namespace", SYSTEM, "--wait=false"]).args(options);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Ok((Instant::now(), command.spawn()?))
    }

    /// Waits until both masters are available again.
    ///
    /// # Errors
    /// Returns an error if the deadline passes.
    pub fn wait_for_masters(&self) -> Result<()> {
        wait_for_masters(&self.cluster)
    }
}

fn install(cluster: &Running) -> Result<()> {
    let chart = repository().join("charts/snmp-operator");
    let chart = Path::to_str(&chart).context("the path of the chart is not UTF-8")?;
    let port = format!("master.service.nodePort={NODE_PORT}");
    let values = ["image.registry=localhost", "image.tag=dev", "master.service.type=NodePort", &port];
    let mut arguments = vec!["install", "snmp", chart, "--namespace", SYSTEM, "--create-namespace"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    cluster.helm(&arguments)?;
    cluster.wait_for_rollout(SYSTEM, "deployment/snmp-operator")?;
    cluster.wait_for_rollout(SYSTEM, "statefulset/snmp-master")?;
    wait_for_masters(cluster)?;
    cluster.wait_for("the webhooks' certificates", || {
        for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
            let path = "--output=jsonpath={.webhooks[*].clientConfig.caBundle}";
            ensure!(!cluster.kubectl(&["get", kind, "snmp-operator", path])?.is_empty(), "{kind} has no caBundle");
        }
        Ok(())
    })
}

fn wait_for_masters(cluster: &Running) -> Result<()> {
    cluster.wait_for("both masters to be available", || {
        let path = "--output=jsonpath={.status.availableReplicas} of {.spec.replicas}";
        let seen = cluster.kubectl(&["get", "statefulset", "snmp-master", "--namespace", SYSTEM, path])?;
        ensure!(seen == "2 of 2", "{seen}");
        Ok(())
    })
}

/// Returns the tenant's context and its community.
fn context(namespace: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: {TENANT}-ro, namespace: {SYSTEM}}}
stringData: {{community: {TENANT}}}
---
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpContext
metadata: {{name: {TENANT}}}
spec:
  allowedNamespaces: {{from: Selector, selector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
  allowedSubtrees: [{BASE}]
  communities: [{{secretRef: {{name: {TENANT}-ro, key: community}}}}]
"
    )
}

/// Returns the application: two pods of node_exporter without any privilege.
fn application() -> String {
    "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 2
      containers:
      - name: exporter
        image: localhost/test/node-exporter:dev
        args: [--collector.disable-defaults, --collector.time]
        ports: [{name: metrics, containerPort: 9100}]
        readinessProbe: {httpGet: {path: /metrics, port: metrics}, periodSeconds: 1, timeoutSeconds: 5}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"
    .to_owned()
}

fn subtree(name: &str, arc: u32, text: &str) -> String {
    format!(
        "
apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: {name}}}
spec:
  oid: {BASE}.{arc}
  contextRefs: [{TENANT}]
  selector: {{matchLabels: {{app: web}}}}
  sources:
  - name: app
    prometheus: {{port: metrics, interval: 1s, scrapeTimeout: 1s}}
  scalars:
  - {{name: theText, oid: '1', syntax: DisplayString, value: {{constant: {text}}}}}
"
    )
}
