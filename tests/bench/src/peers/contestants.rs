//! The programs that are compared, and how they are started.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use harness::{MasterProgram, Process, Sandbox, Sidecar, SidecarOptions};
use serde_json::Value;

use crate::{cores::Cores, peers::objects::Objects, programs::Programs};

/// An interval of an hour. The page is scraped once, and not again during the measurements.
pub const ONCE: u64 = 3_600_000;

/// The programs and processors of all measurements.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The programs that are measured.
    pub programs: Programs,
    /// The processors on which they run.
    pub cores: Cores,
}

impl Bench {
    /// Starts our sidecar under the master with this URL. It scrapes a page on this port.
    ///
    /// # Errors
    /// Returns an error if it does not start.
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

    /// Starts our master with the default context and a document that `change` has modified.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn master(&self, sandbox: &Sandbox, change: impl FnOnce(&mut Value)) -> Result<MasterProgram> {
        MasterProgram::start_program(sandbox, &self.programs.master, |document| {
            if let Some(contexts) = document.get_mut("contexts").and_then(Value::as_array_mut) {
                contexts.truncate(1);
            }
            change(document);
        })
    }

    /// Starts async-snmp's engine with a sorted array. Returns it and its port.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn floor(&self, sandbox: &Sandbox) -> Result<(Process, u16)> {
        let process = sandbox.start("floor", Command::new(&self.programs.part).arg("floor"))?;
        Ok((process, port(sandbox, "floor")?))
    }

    /// Starts net-snmp's subagent on a Unix socket.
    ///
    /// # Errors
    /// Returns an error if it does not start.
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

    /// Starts snmpkit's subagent on a Unix socket. It updates all values at this interval in seconds.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn snmpkit(&self, sandbox: &Sandbox, socket: &Path, objects: Objects, seconds: u32) -> Result<Process> {
        let mut command = Command::new(&self.programs.python);
        command
            .arg(harness::repository().join("tests/bench/peers/snmpkit_subagent.py"))
            .arg(socket)
            .args([objects.rows, objects.columns, objects.scalars, seconds].map(|number| number.to_string()));
        sandbox.start("snmpkit", &command)
    }

    /// Starts the bare loop of [`crate::peers::bare`] on a Unix socket.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn bare(&self, sandbox: &Sandbox, socket: &Path) -> Result<Process> {
        sandbox.start("bare", Command::new(&self.programs.part).arg("bare").arg(socket))
    }

    /// Starts an exporter whose values change with each scrape, as a process with low priority on the processor of the
    /// clients. Returns it and its port.
    ///
    /// # Errors
    /// Returns an error if it does not start.
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

    /// Returns how often the exporter was scraped.
    #[must_use]
    pub fn scrapes(sandbox: &Sandbox) -> usize {
        sandbox.log("exporter").lines().filter(|line| *line == "scraped").count()
    }
}

/// Waits for the port that a part of the bench prints.
fn port(sandbox: &Sandbox, part: &str) -> Result<u16> {
    sandbox.wait_for("the port", || {
        let log = sandbox.log(part);
        let number =
            log.lines().find_map(|line| line.strip_prefix("port ")).context("the process has printed no port")?;
        Ok(number.parse()?)
    })
}
