//! The setup of tests with AgentX over TLS: snmp-master, a certificate authority, an API server that reviews tokens, and
//! sidecars with the files that the kubelet mounts.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use harness::{
    CONTEXT_COMMUNITY, CertificateAuthority, Client, MasterProgram, PodToken, Sandbox, Sidecar, SidecarOptions,
    SnmpAgent as _, TokenReviewer, mount,
};
use serde_json::{Value, json};

use crate::sidecar_setup::{NAMESPACE, context, render_in};

/// A master that accepts AgentX over TLS only and grants nothing at first. The subtrees are in the context `acme`.
pub(crate) struct TlsSetup {
    pub(crate) master: MasterProgram,
    pub(crate) reviewer: TokenReviewer,
    pub(crate) authority: CertificateAuthority,
    pub(crate) sandbox: Sandbox,
    certificates: usize,
}

impl TlsSetup {
    pub(crate) fn start() -> Result<Self> {
        let (sandbox, reviewer, authority) =
            (Sandbox::new()?, TokenReviewer::start()?, CertificateAuthority::new("first")?);
        certify(&sandbox, &authority, 0)?;
        let kubeconfig = reviewer.kubeconfig(&sandbox)?;
        let master = MasterProgram::start_with_tls(&sandbox, &sandbox.path("tls"), &kubeconfig, |document| {
            if let Some(listeners) = document.get_mut("listeners").and_then(Value::as_object_mut) {
                listeners.retain(|name, _| matches!(name.as_str(), "snmp" | "agentxTls"));
            }
        })?;
        Ok(Self { master, reviewer, authority, sandbox, certificates: 1 })
    }

    /// Grants [`NAMESPACE`] these subtrees and no others.
    pub(crate) fn grant(&mut self, subtrees: &[&str]) -> Result<()> {
        self.master.configure(|document| {
            let contexts = document.get_mut("contexts").and_then(Value::as_array_mut);
            for context in contexts.into_iter().flatten().filter(|context| context["name"] == "acme") {
                let grants = [json!({"namespace": NAMESPACE, "subtrees": subtrees})];
                context["grants"] = if subtrees.is_empty() { json!([]) } else { json!(grants) };
            }
        })
    }

    /// Returns a client that reads the context.
    pub(crate) fn client(&self) -> Client {
        self.master.client(&["-v2c", "-c", CONTEXT_COMMUNITY])
    }

    /// Replaces the master's certificate by one of this authority. A running master reads it within seconds.
    pub(crate) fn certify_by(&mut self, authority: &CertificateAuthority) -> Result<()> {
        self.certificates += 1;
        certify(&self.sandbox, authority, self.certificates)
    }

    /// Mounts the files of a sidecar with these manifests, and a token of a pod of this namespace.
    pub(crate) fn mounted(&self, name: &str, namespace: &str, manifests: &[String]) -> Result<Mounted> {
        let rendered =
            render_in(&self.sandbox, &format!("{name}.rendered"), &[&[context("acme")], manifests].concat())?;
        let (folder, ca) = (self.sandbox.folder(name)?, self.authority.pem());
        let token = PodToken::new(namespace, name);
        let mut mounted =
            Mounted { sandbox: self.sandbox.clone(), name: name.to_owned(), folder, rendered, ca, token, versions: 0 };
        mounted.publish()?;
        Ok(mounted)
    }

    /// Starts a sidecar with these files, without waiting until it has registered.
    pub(crate) fn sidecar(&self, mounted: &Mounted) -> Result<Sidecar> {
        let options = SidecarOptions {
            name: format!("{}-sidecar", mounted.name),
            config: mounted.folder.clone(),
            masters: vec![self.master.tls_url()?],
            pod_name: mounted.name.clone(),
            ..Default::default()
        };
        Sidecar::start_unready(&self.sandbox, options)
    }

    /// Waits until `seen` succeeds for the only session of a sidecar, and returns its result.
    pub(crate) fn wait_for_session<T>(
        &self,
        sidecar: &Sidecar,
        what: &str,
        seen: impl Fn(&Value) -> Result<T>,
    ) -> Result<T> {
        self.sandbox.wait_for(what, || {
            let session = session(sidecar)?;
            seen(&session).with_context(|| session.to_string())
        })
    }
}

/// Returns the only session in the `/status` of a sidecar.
pub(crate) fn session(sidecar: &Sidecar) -> Result<Value> {
    let mut status = sidecar.status()?;
    let session = status.pointer_mut("/masters/0/sessions/0").context("the status has no session")?;
    Ok(session.take())
}

/// Checks that the session has registrations, all of them in this state. Returns their reasons.
pub(crate) fn check_registrations(session: &Value, state: &str) -> Result<Vec<String>> {
    let registrations = session["registrations"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!registrations.is_empty(), "nothing is registered");
    ensure!(registrations.iter().all(|registration| registration["state"] == state), "not all are {state}");
    Ok(registrations.iter().filter_map(|registration| registration["reason"].as_str().map(str::to_owned)).collect())
}

/// Mounts a certificate for 127.0.0.1 for the master.
fn certify(sandbox: &Sandbox, authority: &CertificateAuthority, version: usize) -> Result<()> {
    let certified = authority.certify(&["127.0.0.1"])?;
    let content = sandbox.folder(&format!("tls.{version}"))?;
    fs::write(content.join("tls.crt"), certified.certificate)?;
    fs::write(content.join("tls.key"), certified.key)?;
    mount(&content, &sandbox.folder("tls")?, &version.to_string())
}

/// The mounted folder of a sidecar, with documents, authorities and a token. It changes as the kubelet changes volumes.
pub(crate) struct Mounted {
    sandbox: Sandbox,
    name: String,
    pub(crate) folder: PathBuf,
    rendered: PathBuf,
    /// The authorities that it trusts, in PEM.
    pub(crate) ca: String,
    /// The claims of its tokens.
    pub(crate) token: PodToken,
    versions: usize,
}

impl Mounted {
    /// Publishes the current files with a new token.
    pub(crate) fn publish(&mut self) -> Result<()> {
        let token = self.token.issue()?;
        self.publish_with(&token)
    }

    /// Publishes the current files with this token.
    pub(crate) fn publish_with(&mut self, token: &str) -> Result<()> {
        self.versions += 1;
        let content = self.sandbox.folder(&format!("{}.{}", self.name, self.versions))?;
        for file in fs::read_dir(&self.rendered)? {
            let file = file?;
            fs::copy(file.path(), content.join(file.file_name()))?;
        }
        fs::write(content.join("ca.crt"), &self.ca)?;
        fs::write(content.join("token"), token)?;
        mount(&content, &self.folder, &self.versions.to_string())
    }
}
