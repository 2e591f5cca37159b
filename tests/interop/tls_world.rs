//! Our master behind TLS, an authority, who reviews tokens, and sidecars with what the kubelet would mount for them.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent as _, Authority, CONTEXT_COMMUNITY, Client, PodToken, Sandbox, Sidecar, SidecarOptions, SnmpMaster,
    TokenReviewer, mount,
};
use serde_json::{Value, json};

use crate::world::{NAMESPACE, context, render_in};

/// A master that is reached by TLS alone, and grants nothing until it is told to. What it serves is in the context
/// `acme`.
pub(crate) struct TlsWorld {
    pub(crate) master: SnmpMaster,
    pub(crate) reviewer: TokenReviewer,
    pub(crate) authority: Authority,
    pub(crate) sandbox: Sandbox,
    certificates: usize,
}

impl TlsWorld {
    pub(crate) fn start() -> Result<Self> {
        let (sandbox, reviewer, authority) = (Sandbox::new()?, TokenReviewer::start()?, Authority::new("first")?);
        certify(&sandbox, &authority, 0)?;
        let kubeconfig = reviewer.kubeconfig(&sandbox)?;
        let master = SnmpMaster::start_with_tls(&sandbox, &sandbox.path("tls"), &kubeconfig, |document| {
            if let Some(listeners) = document.get_mut("listeners").and_then(Value::as_object_mut) {
                listeners.retain(|name, _| matches!(name.as_str(), "snmp" | "agentxTls"));
            }
        })?;
        Ok(Self { master, reviewer, authority, sandbox, certificates: 1 })
    }

    /// Grants [`NAMESPACE`] just these subtrees.
    pub(crate) fn grant(&mut self, subtrees: &[&str]) -> Result<()> {
        self.master.configure(|document| {
            let contexts = document.get_mut("contexts").and_then(Value::as_array_mut);
            for context in contexts.into_iter().flatten().filter(|context| context["name"] == "acme") {
                let grants = [json!({"namespace": NAMESPACE, "subtrees": subtrees})];
                context["grants"] = if subtrees.is_empty() { json!([]) } else { json!(grants) };
            }
        })
    }

    /// An NMS that reads the context.
    pub(crate) fn client(&self) -> Client {
        self.master.client(&["-v2c", "-c", CONTEXT_COMMUNITY])
    }

    /// Has the master show a certificate of another authority, which is given; a running one follows in its own time.
    pub(crate) fn certify_by(&mut self, authority: &Authority) -> Result<()> {
        self.certificates += 1;
        certify(&self.sandbox, authority, self.certificates)
    }

    /// What is mounted for a sidecar that serves these manifests, with a token of a pod of this namespace.
    pub(crate) fn mounted(&self, name: &str, namespace: &str, manifests: &[String]) -> Result<Mounted> {
        let rendered =
            render_in(&self.sandbox, &format!("{name}.rendered"), &[&[context("acme")], manifests].concat())?;
        let (folder, ca) = (self.sandbox.folder(name)?, self.authority.pem());
        let token = PodToken::new(namespace, name);
        let mut mounted =
            Mounted { sandbox: self.sandbox.clone(), name: name.to_owned(), folder, rendered, ca, token, versions: 0 };
        mounted.show()?;
        Ok(mounted)
    }

    /// Starts a sidecar with that, which may be served or not.
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

    /// Waits until the only session of a sidecar is as it should be, and gives what that said.
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

/// The only session of a sidecar, as its `/status` has it.
pub(crate) fn session(sidecar: &Sidecar) -> Result<Value> {
    let mut status = sidecar.status()?;
    let session = status.pointer_mut("/masters/0/sessions/0").context("no session yet")?;
    Ok(session.take())
}

/// Fails unless every registration of the session is so, and there is one. Gives the reasons.
pub(crate) fn all_are(session: &Value, state: &str) -> Result<Vec<String>> {
    let registrations = session["registrations"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!registrations.is_empty(), "nothing is registered");
    ensure!(registrations.iter().all(|registration| registration["state"] == state), "not all are {state}");
    Ok(registrations.iter().filter_map(|registration| registration["reason"].as_str().map(str::to_owned)).collect())
}

/// Puts a certificate for 127.0.0.1 where the master looks for it.
fn certify(sandbox: &Sandbox, authority: &Authority, version: usize) -> Result<()> {
    let certified = authority.certify(&["127.0.0.1"])?;
    let content = sandbox.folder(&format!("tls.{version}"))?;
    fs::write(content.join("tls.crt"), certified.certificate)?;
    fs::write(content.join("tls.key"), certified.key)?;
    mount(&content, &sandbox.folder("tls")?, &version.to_string())
}

/// What a sidecar sees in its folder: documents, authorities and a token. It changes as the kubelet would change it.
pub(crate) struct Mounted {
    sandbox: Sandbox,
    name: String,
    pub(crate) folder: PathBuf,
    rendered: PathBuf,
    /// The authorities that it trusts, in PEM.
    pub(crate) ca: String,
    /// Whose tokens it gets.
    pub(crate) token: PodToken,
    versions: usize,
}

impl Mounted {
    /// Shows what there is now, with a new token.
    pub(crate) fn show(&mut self) -> Result<()> {
        let token = self.token.issue()?;
        self.show_with(&token)
    }

    /// Shows what there is now, with this token.
    pub(crate) fn show_with(&mut self, token: &str) -> Result<()> {
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
