//! Starting who is measured.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use harness::{Process, Sandbox, Sidecar, SidecarOptions, SnmpMaster};
use serde_json::Value;

use crate::{cores::Cores, objects::Objects, programs::Programs};

/// An hour: a page is scraped once and then not again while something is measured.
pub const ONCE: u64 = 3_600_000;

/// What every measurement needs.
#[derive(Debug, Clone)]
pub struct Bench {
    /// What is measured.
    pub programs: Programs,
    /// Where it runs.
    pub cores: Cores,
}

impl Bench {
    /// Our sidecar under the master of this URL. Its page is on this port.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn sidecar(
        &self,
        sandbox: &Sandbox,
        master: String,
        objects: Objects,
        port: u16,
        interval_ms: u64,
    ) -> Result<Sidecar> {
        let (file, document) = objects.document(port, interval_ms)?;
        let config = sandbox.folder("config")?;
        fs::write(config.join(file), document)?;
        let options = SidecarOptions {
            program: Some(self.programs.sidecar.clone()),
            config,
            masters: vec![master],
            ..SidecarOptions::default()
        };
        Sidecar::start_unready(sandbox, options)
    }

    /// Our master, with the default context and what `change` makes of the document.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn master(&self, sandbox: &Sandbox, change: impl FnOnce(&mut Value)) -> Result<SnmpMaster> {
        SnmpMaster::start_program(sandbox, &self.programs.master, |document| {
            if let Some(contexts) = document.get_mut("contexts").and_then(Value::as_array_mut) {
                contexts.truncate(1);
            }
            change(document);
        })
    }

    /// async-snmp's engine over a sorted array, and the port that it listens at.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn floor(&self, sandbox: &Sandbox) -> Result<(Process, u16)> {
        let process = sandbox.start("floor", Command::new(&self.programs.part).arg("floor"))?;
        Ok((process, port(sandbox, "floor")?))
    }

    /// net-snmp's subagent, on a Unix socket.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn c_subagent(&self, sandbox: &Sandbox, socket: &Path, objects: Objects) -> Result<Process> {
        let mut command = Command::new(&self.programs.subagent);
        command
            .env("SNMP_PERSISTENT_DIR", sandbox.folder("subagent.persistent")?)
            .env("SNMPCONFPATH", sandbox.path("none"))
            .env("MIBS", "")
            .arg(socket)
            .args([objects.rows, objects.columns, objects.scalars].map(|number| number.to_string()));
        sandbox.start("subagent", &command)
    }

    /// snmpkit's subagent, on a Unix socket. It makes all values anew each so many seconds.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn snmpkit(&self, sandbox: &Sandbox, socket: &Path, objects: Objects, seconds: u32) -> Result<Process> {
        let mut command = Command::new(&self.programs.python);
        command
            .arg(harness::repository().join("tests/bench/peers/snmpkit_subagent.py"))
            .arg(socket)
            .args([objects.rows, objects.columns, objects.scalars, seconds].map(|number| number.to_string()));
        sandbox.start("snmpkit", &command)
    }

    /// The bare loop of [`crate::bare`], on a Unix socket.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn bare(&self, sandbox: &Sandbox, socket: &Path) -> Result<Process> {
        sandbox.start("bare", Command::new(&self.programs.part).arg("bare").arg(socket))
    }

    /// An exporter in a process of its own whose values change with each scrape, on the clients' processor, where it
    /// gets what time nothing else wants. Gives it and its port.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn changing_exporter(&self, sandbox: &Sandbox, objects: Objects) -> Result<(Process, u16)> {
        let mut command = Command::new(harness::debian("chrt", "util-linux")?);
        command
            .args(["--idle", "0"])
            .arg(&self.programs.part)
            .arg("exporter")
            .args([objects.rows, objects.columns, objects.scalars].map(|number| number.to_string()));
        self.cores.stay_on_client()?;
        let exporter = sandbox.start("exporter", &command)?;
        Ok((exporter, port(sandbox, "exporter")?))
    }

    /// How often the exporter was scraped.
    #[must_use]
    pub fn scrapes(sandbox: &Sandbox) -> usize {
        sandbox.log("exporter").lines().filter(|line| *line == "scraped").count()
    }
}

/// The port that a part of the bench wrote.
fn port(sandbox: &Sandbox, part: &str) -> Result<u16> {
    sandbox.wait_for("the port", || {
        let log = sandbox.log(part);
        let number = log.lines().find_map(|line| line.strip_prefix("port ")).context("no port yet")?;
        Ok(number.parse()?)
    })
}
