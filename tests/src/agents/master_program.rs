//! The program `snmp-master` under test.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    AUTH_PASSPHRASE, AgentProcess, COMMUNITY, CONTEXT_COMMUNITY, PRIV_PASSPHRASE, Sandbox, SnmpAgent, USER_NAME,
    agents::render::render_with, built, free_port, http,
};

/// A running snmp-master, which also listens on one port for probes and metrics, and on one for `/status`.
#[derive(Debug)]
pub struct MasterProgram {
    process: AgentProcess,
    /// The port of probes and metrics.
    admin_port: u16,
    /// The port of `/status`.
    local_port: u16,
    program: PathBuf,
    /// The configuration file that it reads.
    config: PathBuf,
    /// What that file contains.
    document: Value,
    tls: Option<Tls>,
}

/// What AgentX over TLS needs.
#[derive(Debug)]
struct Tls {
    /// The folder with certificate and key.
    certificate: PathBuf,
    /// The kubeconfig of the API server that reviews tokens.
    kubeconfig: PathBuf,
    port: u16,
}

impl MasterProgram {
    /// Starts snmp-master and waits until it is ready.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        Self::start_named(sandbox, "snmp-master")
    }

    /// Like [`Self::start`]; `name` is the name of its files in the sandbox.
    pub fn start_named(sandbox: &Sandbox, name: &str) -> Result<Self> {
        Self::start_configured(sandbox, name, |_| {})
    }

    /// Like [`Self::start`], with a document that `change` has modified.
    pub fn start_with(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::start_configured(sandbox, "snmp-master", change)
    }

    /// Like [`Self::start_with`], with another build of the program.
    pub fn start_program(sandbox: &Sandbox, program: &Path, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::new(sandbox, "snmp-master", program.to_owned())?.configured_and_started(change)
    }

    /// Like [`Self::start_with`], with AgentX over TLS as well: certificate and key are in the folder `certificate`, and
    /// the API server of `kubeconfig` reviews tokens.
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
        master.configured_and_started(|document| {
            if let Some(listeners) = document.get_mut("listeners").and_then(Value::as_object_mut) {
                listeners.insert("agentxTls".to_owned(), json!(format!("127.0.0.1:{port}")));
            }
            change(document);
        })
    }

    /// Returns the AgentX URL of its TLS port.
    pub fn tls_url(&self) -> Result<String> {
        let tls = self.tls.as_ref().context("this snmp-master does not listen for AgentX over TLS")?;
        Ok(format!("tls://127.0.0.1:{}", tls.port))
    }

    fn start_configured(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::new(sandbox, name, built("snmp-master")?)?.configured_and_started(change)
    }

    fn new(sandbox: &Sandbox, name: &str, program: PathBuf) -> Result<Self> {
        let process = AgentProcess::new(sandbox, name)?;
        let (config, document) = (sandbox.path(&format!("{name}.json")), document(&process));
        let (admin_port, local_port) = (free_port()?, free_port()?);
        Ok(Self { process, admin_port, local_port, program, config, document, tls: None })
    }

    fn configured_and_started(mut self, change: impl FnOnce(&mut Value)) -> Result<Self> {
        self.configure(change)?;
        self.start_again()?;
        Ok(self)
    }

    /// Starts snmp-master with the configuration that `snmp-operator render` makes of manifests, and waits until it is
    /// ready. Returns it and the folder that the sidecars of `namespace` mount.
    pub fn start_rendered(
        sandbox: &Sandbox,
        manifests: &[impl AsRef<OsStr>],
        namespace: &str,
    ) -> Result<(Self, PathBuf)> {
        let mut master = Self::new(sandbox, "snmp-master", built("snmp-master")?)?;
        let (rendered, socket) = (sandbox.path("rendered"), master.process.socket());
        let snmp = format!("127.0.0.1:{}", master.process.port);
        let socket = socket.to_str().context("the path of the sandbox is not UTF-8")?;
        let options = ["--snmp-listen", &snmp, "--agentx-unix", socket];
        let sidecars = render_with(manifests, namespace, &rendered, &options)?;
        master.config = rendered.join("snmp-master/master.json");
        master.document = serde_json::from_slice(&fs::read(&master.config)?)?;
        master.start_again()?;
        Ok((master, sidecars))
    }

    /// Changes the document in the configuration file atomically. A running master reads it within seconds.
    pub fn configure(&mut self, change: impl FnOnce(&mut Value)) -> Result<()> {
        change(&mut self.document);
        self.write_configuration(self.document.to_string().as_bytes())
    }

    /// Replaces the configuration file atomically with any content.
    pub fn write_configuration(&self, content: &[u8]) -> Result<()> {
        let next = self.config.with_extension("next");
        fs::write(&next, content)?;
        Ok(fs::rename(next, &self.config)?)
    }

    /// Returns the page `/status`.
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&http::get(self.local_port, "/status")?)?)
    }

    /// Returns the page `/metrics`.
    pub fn metrics(&self) -> Result<String> {
        http::get(self.admin_port, "/metrics")
    }

    /// Returns the sum of the samples of `/metrics` with this name and all of `labels`, each written as `name="value"`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let page = self.metrics()?;
        let samples: Vec<f64> = page
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '))
            .filter(|(series, _)| series.is_empty() || series.starts_with('{'))
            .filter(|(series, _)| labels.iter().all(|label| series.contains(label)))
            .map(|(_, value)| Ok(value.parse()?))
            .collect::<Result<_>>()?;
        ensure!(!samples.is_empty(), "no sample of {name} with the labels {labels:?} in\n{page}");
        Ok(samples.into_iter().sum())
    }

    /// Returns an error unless `/readyz` reports that it is ready.
    pub fn ready(&self) -> Result<()> {
        http::get(self.admin_port, "/readyz").map(drop)
    }
}

/// Returns the default configuration: the contexts, communities and user that [`SnmpAgent`] describes.
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

impl SnmpAgent for MasterProgram {
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
