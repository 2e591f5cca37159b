//! Our master, as it is measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use harness::{COMMUNITY, Memory, Process, Sandbox, free_port};
use serde_json::{Value, json};

use crate::{
    snmp::{Client, Question},
    v3::{AUTH_PASSPHRASE, PRIV_PASSPHRASE, USER},
};

/// sysServices.0, which is always the same.
const SYS_SERVICES: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 7, 0];

/// The default context, read by the community and by the user that all agents here know.
#[must_use]
pub fn document() -> Value {
    json!({
        "version": 1,
        "contexts": [{
            "name": "",
            "communities": [{"community": COMMUNITY, "access": "ReadWrite"}],
            "users": [{"name": USER, "securityLevel": "AuthPriv", "access": "ReadWrite"}],
        }],
        "users": [{
            "name": USER,
            "auth": {"protocol": "SHA-256", "passphrase": AUTH_PASSPHRASE},
            "priv": {"protocol": "AES-128", "passphrase": PRIV_PASSPHRASE},
        }],
    })
}

/// A running master: SNMP on a port of 127.0.0.1, AgentX on a Unix socket.
#[derive(Debug)]
pub struct Master {
    process: Process,
    port: u16,
    socket: PathBuf,
    file: PathBuf,
}

impl Master {
    pub(crate) fn start(program: &Path, sandbox: &Sandbox, document: Value) -> Result<Self> {
        let (port, socket, file) = (free_port()?, sandbox.path("master.agentx"), sandbox.path("master.json"));
        let mut command = Command::new(program);
        command.arg("--config").arg(&file).arg("--state").arg(sandbox.folder("master.state")?);
        for flag in ["--listen", "--local-listen"] {
            command.args([flag, &format!("127.0.0.1:{}", free_port()?)]);
        }
        write(&file, document, port, &socket)?;
        let mut process = sandbox.start("master", &command)?;
        let question = Question::get(1, vec![(SYS_SERVICES.to_vec(), agentx::Value::Integer(72))])?;
        sandbox.wait_for("the master to answer", || {
            process.running()?;
            Client::check(&format!("127.0.0.1:{port}"), std::slice::from_ref(&question))
        })?;
        Ok(Self { process, port, socket, file })
    }

    /// Gives it another document, but for where it listens.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn configure(&self, document: Value) -> Result<()> {
        write(&self.file, document, self.port, &self.socket)
    }

    /// Its address for SNMP.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its socket for subagents.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its URL for our sidecar.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// How much memory it has.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.process.id())
    }
}

/// Puts the document in its place at once, as a mounted Secret is.
fn write(file: &Path, mut document: Value, port: u16, socket: &Path) -> Result<()> {
    let listeners = json!({"snmp": [format!("127.0.0.1:{port}")], "agentxUnix": {"path": socket}});
    document.as_object_mut().context("not an object")?.insert("listeners".to_owned(), listeners);
    let fresh = file.with_extension("fresh");
    fs::write(&fresh, serde_json::to_vec(&document)?)?;
    Ok(fs::rename(&fresh, file)?)
}
