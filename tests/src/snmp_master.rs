//! Our master under test.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    AUTH_PASSPHRASE, Agent, AgentProcess, COMMUNITY, CONTEXT_COMMUNITY, PRIV_PASSPHRASE, Sandbox, USER_NAME, built,
    free_port, http, operator::render_with,
};

/// A running snmp-master. It also listens on a port for probes and one for `/status`.
#[derive(Debug)]
pub struct SnmpMaster {
    process: AgentProcess,
    /// Of probes and metrics.
    admin_port: u16,
    /// Of status.
    local_port: u16,
    program: PathBuf,
    /// The file that it reads.
    config: PathBuf,
    document: Value,
    tls: Option<Tls>,
}

/// What AgentX over TLS takes.
#[derive(Debug)]
struct Tls {
    /// The folder of certificate and key.
    certificate: PathBuf,
    /// Leads to who reviews tokens.
    kubeconfig: PathBuf,
    port: u16,
}

impl SnmpMaster {
    /// Starts one, and waits until it is ready.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        Self::start_named(sandbox, "snmp-master")
    }

    /// The same; `name` is that of its files in the sandbox.
    pub fn start_named(sandbox: &Sandbox, name: &str) -> Result<Self> {
        Self::start_configured(sandbox, name, |_| {})
    }

    /// Starts one with a document in which `change` has changed something, and waits until it is ready.
    pub fn start_with(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::start_configured(sandbox, "snmp-master", change)
    }

    /// The same with another program than that beside the running one.
    pub fn start_program(sandbox: &Sandbox, program: &Path, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::new(sandbox, "snmp-master", program.to_owned())?.started(change)
    }

    /// The same with AgentX over TLS as well: certificate and key are in the folder `certificate`, and tokens are reviewed
    /// where `kubeconfig` leads.
    pub fn start_with_tls(
        sandbox: &Sandbox,
        certificate: &Path,
        kubeconfig: &Path,
        change: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        let mut master = Self::new(sandbox, "snmp-master", built("snmp-master")?)?;
        let (certificate, kubeconfig) = (certificate.to_owned(), kubeconfig.to_owned());
        let port = free_port()?;
        master.tls = Some(Tls { certificate, kubeconfig, port });
        master.started(|document| {
            if let Some(listeners) = document.get_mut("listeners").and_then(Value::as_object_mut) {
                listeners.insert("agentxTls".to_owned(), json!(format!("127.0.0.1:{port}")));
            }
            change(document);
        })
    }

    /// The AgentX URL of its TLS port.
    pub fn tls_url(&self) -> Result<String> {
        let tls = self.tls.as_ref().context("it does not listen for AgentX over TLS")?;
        Ok(format!("tls://127.0.0.1:{}", tls.port))
    }

    fn start_configured(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::new(sandbox, name, built("snmp-master")?)?.started(change)
    }

    fn new(sandbox: &Sandbox, name: &str, program: PathBuf) -> Result<Self> {
        let process = AgentProcess::new(sandbox, name)?;
        let (config, document) = (sandbox.path(&format!("{name}.json")), document(&process));
        let (admin_port, local_port) = (free_port()?, free_port()?);
        Ok(Self { process, admin_port, local_port, program, config, document, tls: None })
    }

    fn started(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        self.configure(change)?;
        self.start_again()?;
        Ok(self)
    }

    /// Starts one with what `snmp-operator render` makes of manifests, once it is ready. Gives it and the folder that the
    /// sidecars of `namespace` mount.
    pub fn start_rendered(
        sandbox: &Sandbox,
        manifests: &[impl AsRef<OsStr>],
        namespace: &str,
    ) -> Result<(Self, PathBuf)> {
        let mut master = Self::new(sandbox, "snmp-master", built("snmp-master")?)?;
        let (rendered, socket) = (sandbox.path("rendered"), master.process.socket());
        let snmp = format!("127.0.0.1:{}", master.process.port);
        let socket = socket.to_str().context("the folder's name is not UTF-8")?;
        let options = ["--snmp-listen", &snmp, "--agentx-unix", socket];
        let sidecars = render_with(manifests, namespace, &rendered, &options)?;
        master.config = rendered.join("snmp-master/master.json");
        master.document = serde_json::from_slice(&fs::read(&master.config)?)?;
        master.start_again()?;
        Ok((master, sidecars))
    }

    /// Changes the document that the master reads, in one step; a running one follows in its own time.
    pub fn configure(&mut self, change: impl FnOnce(&mut Value)) -> Result<()> {
        change(&mut self.document);
        self.write_configuration(self.document.to_string().as_bytes())
    }

    /// Changes the file that the master reads to anything.
    pub fn write_configuration(&self, content: &[u8]) -> Result<()> {
        let next = self.config.with_extension("next");
        fs::write(&next, content)?;
        Ok(fs::rename(next, &self.config)?)
    }

    /// What `/status` says.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&http::get(self.local_port, "/status")?)?)
    }

    /// What `/metrics` says.
    pub fn metrics(&self) -> Result<String> {
        http::get(self.admin_port, "/metrics")
    }

    /// The sum of the samples of `/metrics` with this name whose labels have all of `labels`, each as `name="value"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = self.metrics()?;
        let samples: Vec<f64> = page
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '))
            .filter(|(series, _)| series.is_empty() || series.starts_with('{'))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .map(|(_, value)| Ok(value.parse()?))
            .collect::<Result<_>>()?;
        ensure!(!samples.is_empty(), "no {name} {labels:?} in\n{page}");
        Ok(samples.into_iter().sum())
    }

    /// Whether it says that it is ready.
    pub fn ready(&self) -> Result<()> {
        http::get(self.admin_port, "/readyz").map(drop)
    }
}

/// What is served unless a test changes it: the contexts and askers of [`Agent`].
fn document(process: &AgentProcess) -> Value {
    let AgentProcess { port, agentx_port, .. } = process;
    let context = |name: &str, community: &str| {
        json!({
            "name": name,
            "communities": [{"community": community, "access": "ReadWrite", "sources": ["127.0.0.0/8"]}],
            "users": [{"name": USER_NAME, "securityLevel": "AuthPriv", "access": "ReadWrite"}],
        })
    };
    json!({
        "version": 1,
        "listeners": {
            "snmp": [format!("127.0.0.1:{port}")],
            "agentxUnix": {"path": process.socket()},
            "agentxTcp": format!("127.0.0.1:{agentx_port}"),
        },
        "contexts": [context("", COMMUNITY), context("acme", CONTEXT_COMMUNITY)],
        "users": [{
            "name": USER_NAME,
            "auth": {"protocol": "SHA-256", "passphrase": AUTH_PASSPHRASE},
            "priv": {"protocol": "AES-128", "passphrase": PRIV_PASSPHRASE},
        }],
    })
}

impl Agent for SnmpMaster {
    fn process(&self) -> &AgentProcess {
        &self.process
    }

    fn process_mut(&mut self) -> &mut AgentProcess {
        &mut self.process
    }

    fn start_again(&mut self) -> Result<()> {
        let AgentProcess { sandbox, name, .. } = &self.process;
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(&self.config)
            .arg("--state")
            .arg(sandbox.folder(&format!("{name}.state"))?)
            .args(["--listen", &format!("127.0.0.1:{}", self.admin_port)])
            .args(["--local-listen", &format!("127.0.0.1:{}", self.local_port)]);
        if let Some(Tls { certificate, kubeconfig, .. }) = &self.tls {
            command.arg("--tls").arg(certificate).env("KUBECONFIG", kubeconfig);
        }
        let mut process = sandbox.start(name, &command)?;
        sandbox.wait_for("snmp-master to be ready", || {
            process.running()?;
            self.ready()
        })?;
        self.process.process = Some(process);
        Ok(())
    }
}
