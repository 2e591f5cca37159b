//! The program `snmp-sidecar` under test.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{Memory, Process, Row, Sandbox, Signal, built, free_port, http, parse_rows, run};

/// The options of a sidecar.
#[derive(Debug, Clone, Default)]
pub struct SidecarOptions {
    /// The name of its files in the sandbox; `sidecar` if it is empty.
    pub name: String,
    /// The program; that of this build if there is none.
    pub program: Option<PathBuf>,
    /// The configuration folder.
    pub config: PathBuf,
    /// The AgentX URLs of its masters.
    pub masters: Vec<String>,
    /// The pod's name; the host's name if it is empty.
    pub pod_name: String,
    /// The file with the pod's labels. Without it, the sidecar serves every document.
    pub labels: Option<PathBuf>,
    /// The state directory, if it has one.
    pub state: Option<PathBuf>,
    /// Named ports, such as `metrics=9100`.
    pub ports: Vec<String>,
    /// A folder in place of /proc.
    pub procfs: Option<PathBuf>,
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    sandbox: Sandbox,
    options: SidecarOptions,
    /// The port of probes and metrics.
    port: u16,
    /// The port of `/status` and `/walk`.
    local_port: u16,
    process: Option<Process>,
}

impl Sidecar {
    /// Starts a sidecar and waits until it has registered with a master.
    pub fn start(sandbox: &Sandbox, options: SidecarOptions) -> Result<Self> {
        let mut sidecar = Self::new(sandbox, options)?;
        sidecar.start_again()?;
        sidecar.wait_ready()?;
        Ok(sidecar)
    }

    /// Starts a sidecar without waiting, for tests where it has no master or is on standby.
    pub fn start_unready(sandbox: &Sandbox, options: SidecarOptions) -> Result<Self> {
        let mut sidecar = Self::new(sandbox, options)?;
        sidecar.start_again()?;
        Ok(sidecar)
    }

    fn new(sandbox: &Sandbox, mut options: SidecarOptions) -> Result<Self> {
        if options.name.is_empty() {
            "sidecar".clone_into(&mut options.name);
        }
        Ok(Self { sandbox: sandbox.clone(), options, port: free_port()?, local_port: free_port()?, process: None })
    }

    /// Starts it again with the same options after [`Self::kill`] or [`Self::stop`].
    pub fn start_again(&mut self) -> Result<()> {
        let options = &self.options;
        let program = options.program.clone().map_or_else(|| built("snmp-sidecar"), Ok)?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&options.config);
        for master in &options.masters {
            command.args(["--master", master]);
        }
        command.args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(["--local-listen", &format!("127.0.0.1:{}", self.local_port)]);
        if !options.pod_name.is_empty() {
            command.args(["--pod-name", &options.pod_name]);
        }
        if let Some(labels) = &options.labels {
            command.arg("--labels").arg(labels);
        }
        if let Some(state) = &options.state {
            command.arg("--state").arg(state);
        }
        if !options.ports.is_empty() {
            command.args(["--ports", &options.ports.join(",")]);
        }
        if let Some(procfs) = &options.procfs {
            command.arg("--procfs").arg(procfs);
        }
        self.process = Some(self.sandbox.start(&options.name, &command)?);
        Ok(())
    }

    /// Waits until `/readyz` reports that it is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("the sidecar is not running")?;
        let (sandbox, port) = (&self.sandbox, self.port);
        sandbox.wait_for("the sidecar to be ready", || {
            process.running()?;
            http::get(port, "/readyz")
        })?;
        Ok(())
    }

    fn take_process(&mut self) -> Result<Process> {
        self.process.take().context("the sidecar is not running")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.take_process()?.kill()
    }

    /// Shuts it down. Returns its exit status and how long the shutdown took.
    pub fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        self.take_process()?.stop()
    }

    /// Returns its process id.
    pub fn id(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("the sidecar is not running")?.id())
    }

    /// Returns an error if it has ended.
    pub fn running(&mut self) -> Result<()> {
        self.process.as_mut().context("the sidecar is not running")?.running()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("the sidecar is not running")?.signal(signal)
    }

    /// Returns its memory use.
    pub fn memory(&self) -> Result<Memory> {
        Memory::of(self.id()?)
    }

    /// Returns the page `/status`.
    pub fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&http::get(self.local_port, "/status")?)?)
    }

    /// Returns the sum of a counter in `/status` over all sessions with all masters.
    pub fn count(&self, counter: &str) -> Result<u64> {
        fn sum(status: &serde_json::Value, counter: &str) -> u64 {
            let below: u64 = match status {
                serde_json::Value::Object(fields) => fields.values().map(|field| sum(field, counter)).sum(),
                serde_json::Value::Array(items) => items.iter().map(|item| sum(item, counter)).sum(),
                _ => 0,
            };
            below + status.get(counter).and_then(serde_json::Value::as_u64).unwrap_or_default()
        }
        Ok(sum(&self.status()?, counter))
    }

    /// Returns the page `/metrics`.
    pub fn metrics(&self) -> Result<String> {
        http::get(self.port, "/metrics")
    }

    /// Returns what `/walk` shows of a context.
    pub fn walk(&self, context: &str) -> Result<Vec<Row>> {
        parse_rows(&http::get(self.local_port, &format!("/walk?context={context}"))?)
    }

    /// Runs `snmp-sidecar walk` on a configuration folder and returns what it prints.
    pub fn walk_once(config: &Path, options: &[&str]) -> Result<Vec<Row>> {
        let output = run(Command::new(built("snmp-sidecar")?).arg("walk").arg(config).args(options))?;
        let output = String::from_utf8(output.stdout)?;
        // A comment with its name precedes each context.
        let rows: Vec<&str> = output.lines().filter(|line| !line.starts_with("# context")).collect();
        parse_rows(&rows.join("\n"))
    }
}
