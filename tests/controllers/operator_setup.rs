//! The setup of the controller tests: a control plane that all tests share, and operators that run in it. The tests run one
//! at a time, each in its own namespaces.

use std::{
    fs,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterKind, Namespace, Process, Sandbox, Signal, built, free_port, http, repository};
use serde_json::Value as Json;

use crate::manifests::admitting;

/// The control plane, which is removed when no test uses it.
struct ControlPlane(Cluster);

impl ControlPlane {
    fn shared() -> Result<Arc<Self>> {
        static RUNNING: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plane) = running.upgrade() {
            return Ok(plane);
        }
        // The previous control plane may still be shutting down, so each has its own name.
        let name = format!("controllers-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let plane = match Cluster::start(&name, ClusterKind::ControlPlane) {
            Ok(cluster) => Arc::new(Self(cluster)),
            Err(error) => {
                Cluster::remove(&name, true)?;
                return Err(error);
            }
        };
        let definitions = repository().join("crds");
        let definitions = definitions.to_str().context("the path of the CRDs is not UTF-8")?;
        plane.0.kubectl(&["apply", "--server-side", "--filename", definitions])?;
        let names =
            ["snmpsubtrees", "snmpcontexts", "snmptraptargets"].map(|name| format!("crd/{name}.snmp-operator.dev"));
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        plane.0.kubectl(&[&["wait", "--for=condition=Established", "--timeout=60s"], &*names].concat())?;
        *running = Arc::downgrade(&plane);
        Ok(plane)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if let Err(error) = Cluster::remove(self.0.name(), false) {
            eprintln!("{error:#}");
        }
    }
}

/// The setup of one test, which uses the control plane exclusively until this is dropped.
pub(crate) struct OperatorSetup {
    // The fields are dropped in this order.
    contexts: Vec<String>,
    system: Namespace,
    kubeconfig: std::path::PathBuf,
    sandbox: Sandbox,
    _turn: MutexGuard<'static, ()>,
    plane: Arc<ControlPlane>,
}

/// A running operator.
pub(crate) struct Operator {
    process: Process,
    port: u16,
}

impl OperatorSetup {
    pub(crate) fn new() -> Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let plane = ControlPlane::shared()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let system = plane.0.namespace("system")?;
        let sandbox = Sandbox::new()?;
        let privileges = include_str!("privileges.yaml").replace("SYSTEM", system.name());
        plane.0.apply(&privileges)?;
        let token = system.kubectl(&["create", "token", "snmp-operator", "--duration=3h"])?;
        let admin = fs::read_to_string(plane.0.kubeconfig())?;
        let kubeconfig = sandbox.write("kubeconfig", with_token(&admin, token.trim())?)?;
        Ok(Self { contexts: Vec::new(), system, kubeconfig, sandbox, _turn: turn, plane })
    }

    /// Returns a setup with a namespace, and a context `tenant` that admits it.
    pub(crate) fn with_tenant() -> Result<(Self, Namespace)> {
        let mut setup = Self::new()?;
        let namespace = setup.namespace("tenant")?;
        setup.context("tenant", &admitting(namespace.name()))?;
        Ok((setup, namespace))
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.plane.0
    }

    /// Returns the namespace of the operator.
    pub(crate) fn system(&self) -> &Namespace {
        &self.system
    }

    pub(crate) fn namespace(&self, prefix: &str) -> Result<Namespace> {
        self.cluster().namespace(prefix)
    }

    /// Starts an operator and waits until it is ready: it is the leader, or another operator is.
    pub(crate) fn operator(&self, name: &str, flags: &[&str]) -> Result<Operator> {
        let port = free_port()?;
        let mut command = Command::new(built("snmp-operator")?);
        command
            .args([
                "run",
                "--namespace",
                self.system.name(),
                "--identity",
                name,
                "--log-level=debug,hyper=info,kube=info,tower=info,rustls=info",
            ])
            .args(["--listen", &format!("127.0.0.1:{port}"), "--master-token", "/nowhere/token"])
            .args(["--webhook-listen", "127.0.0.1:0"])
            .args(flags)
            .env("KUBECONFIG", &self.kubeconfig);
        let process = self.sandbox.start(name, &command)?;
        let mut operator = Operator { process, port };
        self.wait_for("the operator to be ready", || {
            operator.process.running()?;
            http::get(port, "/readyz")
        })?;
        Ok(operator)
    }

    /// Applies a context, which is deleted with this setup.
    pub(crate) fn context(&mut self, name: &str, spec: &str) -> Result<()> {
        self.contexts.push(name.to_owned());
        let manifest = format!(
            r#"{{"apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpContext", "metadata": {{"name": "{name}"}}, "spec": {spec}}}"#
        );
        self.cluster().apply(&manifest).map(drop)
    }

    /// Calls `probe` until it succeeds. After the deadline it returns an error with the last error of the probe and the end
    /// of each log.
    pub(crate) fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
        self.sandbox.wait_for(what, probe)
    }

    /// Returns an object as JSON.
    pub(crate) fn get(&self, namespace: &str, resource: &str) -> Result<Json> {
        let text = self.cluster().kubectl(&["get", resource, "--namespace", namespace, "--output=json"])?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until a condition of an object has this status and reason, and returns its message.
    pub(crate) fn condition(&self, namespace: &str, object: &str, kind: &str, expected: &str) -> Result<String> {
        self.wait_for(&format!("{object} to be {kind}={expected}"), || {
            let object = self.get(namespace, object)?;
            let conditions = object["status"]["conditions"].as_array().context("the object has no conditions")?;
            let condition = conditions.iter().find(|condition| condition["type"] == kind);
            let condition = condition.with_context(|| format!("{conditions:?}"))?;
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            let seen = format!("{} {}", text("status"), text("reason"));
            ensure!(seen == expected, "{seen}: {}", text("message"));
            ensure!(
                condition["observedGeneration"] == object["metadata"]["generation"],
                "the condition is of an earlier generation"
            );
            Ok(text("message"))
        })
    }

    /// Returns the document of the masters, with the contexts and users of all shards.
    pub(crate) fn masters(&self) -> Result<Json> {
        let (mut contexts, mut users) = (Vec::new(), Vec::new());
        for shard in 0..8 {
            let secret = self.get(self.system.name(), &format!("secret/snmp-master-{shard}"))?;
            let text = secret["data"]["master.json"].as_str().context("no master.json")?;
            let document: Json = serde_json::from_slice(&base64(text)?)?;
            contexts.extend(document["contexts"].as_array().cloned().unwrap_or_default());
            users.extend(document["users"].as_array().cloned().unwrap_or_default());
            let listener = &document["listeners"]["agentxTls"];
            ensure!((shard == 0) == listener.is_string(), "shard {shard}: {listener}");
        }
        Ok(serde_json::json!({"contexts": contexts, "users": users}))
    }

    /// Returns the grants of a context: each namespace with the OIDs that it may publish.
    pub(crate) fn grants(&self, context: &str) -> Result<Vec<(String, Vec<String>)>> {
        let masters = self.masters()?;
        let contexts = masters["contexts"].as_array().cloned().unwrap_or_default();
        let found =
            contexts.iter().find(|one| one["name"] == context).with_context(|| format!("no context {context:?}"))?;
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let grants = found["grants"].as_array().cloned().unwrap_or_default();
        Ok(grants
            .iter()
            .map(|grant| {
                let subtrees = grant["subtrees"].as_array().into_iter().flatten();
                (text(&grant["namespace"]), subtrees.map(text).collect())
            })
            .collect())
    }
}

impl Drop for OperatorSetup {
    fn drop(&mut self) {
        self.contexts.push("default".to_owned());
        for context in &self.contexts {
            let _ = self.plane.0.kubectl(&["delete", "snmpcontext", context, "--ignore-not-found", "--wait=true"]);
        }
    }
}

impl Operator {
    /// Returns the sum of the samples of a metric whose series contain all of these texts.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = http::get(self.port, "/metrics")?;
        let mut sum = 0.0;
        for line in page.lines().filter(|line| line.starts_with(name)) {
            if labels.iter().all(|label| line.contains(label)) {
                sum += line.rsplit(' ').next().unwrap_or_default().parse::<f64>()?;
            }
        }
        Ok(sum)
    }

    /// Returns the number of requests to the API server, except those for the Lease.
    pub(crate) fn requests(&self) -> Result<f64> {
        let name = "snmp_operator_api_requests_total";
        Ok(self.metric(name, &[])? - self.metric(name, &["kind=\"Lease\""])?)
    }

    pub(crate) fn leads(&self) -> Result<bool> {
        Ok(self.metric("snmp_operator_leader", &[])? > 0.5)
    }

    pub(crate) fn is_alive(&mut self) -> Result<()> {
        self.process.running()?;
        http::get(self.port, "/livez").map(drop)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Replaces the user in a kubeconfig by a token.
fn with_token(kubeconfig: &str, token: &str) -> Result<String> {
    let mut kubeconfig: Json = serde_json::from_str(kubeconfig)?;
    let user = kubeconfig.pointer_mut("/users/0/user").context("no user in the kubeconfig")?;
    *user = serde_json::json!({ "token": token });
    Ok(kubeconfig.to_string())
}

fn base64(text: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("base64");
    let mut child =
        command.arg("-d").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("base64 has no standard input")?, text.as_bytes())?;
    Ok(child.wait_with_output()?.stdout)
}

/// Returns an error unless a condition is true.
pub(crate) fn is_true(condition: bool) -> Result<()> {
    ensure!(condition, "it is not true yet");
    Ok(())
}
