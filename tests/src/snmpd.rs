//! net-snmp's snmpd as AgentX master, private to one test.

use std::{
    path::PathBuf,
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{Client, Process, Sandbox, Signal, debian, free_port};

/// The community that reads and writes the default context.
pub const COMMUNITY: &str = "public";
/// The community that reads and writes the context `acme`.
pub const CONTEXT_COMMUNITY: &str = "acme-community";
/// The v3 user that reads and writes every context, with net-snmp's options to be that user.
pub const USER: &[&str] =
    &["-v3", "-l", "authPriv", "-u", "noc", "-a", "SHA-256", "-A", "noc-auth-pass", "-x", "AES", "-X", "noc-priv-pass"];

/// What can differ between two snmpd's.
#[derive(Debug, Clone, Copy)]
pub struct SnmpdOptions<'a> {
    /// Names its files in the sandbox.
    pub name: &'a str,
    /// More lines for snmpd.conf.
    pub configuration: &'a str,
}

impl Default for SnmpdOptions<'_> {
    fn default() -> Self {
        Self { name: "snmpd", configuration: "" }
    }
}

/// A running snmpd: SNMP on a UDP port, AgentX on a Unix socket and a TCP port, all on loopback.
#[derive(Debug)]
pub struct Snmpd {
    sandbox: Sandbox,
    name: String,
    port: u16,
    agentx_port: u16,
    process: Option<Process>,
}

impl Snmpd {
    /// Starts one, and waits until it answers.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        Self::start_with(sandbox, SnmpdOptions::default())
    }

    /// Starts one with options, and waits until it answers.
    pub fn start_with(sandbox: &Sandbox, options: SnmpdOptions<'_>) -> Result<Self> {
        let name = options.name.to_owned();
        let mut snmpd =
            Self { sandbox: sandbox.clone(), name, port: free_port()?, agentx_port: free_port()?, process: None };
        let configuration = format!("{}{}", snmpd.configuration()?, options.configuration);
        sandbox.write(&format!("{}.conf", snmpd.name), configuration)?;
        snmpd.start_again()?;
        Ok(snmpd)
    }

    fn configuration(&self) -> Result<String> {
        let Self { port, agentx_port, .. } = self;
        let socket = self.socket();
        let socket = socket.to_str().context("the folder's name is not UTF-8")?;
        Ok(format!(
            "agentAddress udp:127.0.0.1:{port}\n\
             master agentx\n\
             agentXSocket unix:{socket},tcp:127.0.0.1:{agentx_port}\n\
             sysObjectID 1.3.6.1.4.1.8072.3.2.10\n\
             rwcommunity {COMMUNITY} 127.0.0.1\n\
             view all included .1\n\
             com2sec -Cn acme acme 127.0.0.1 {CONTEXT_COMMUNITY}\n\
             group acme v1 acme\n\
             group acme v2c acme\n\
             access acme acme any noauth exact all all none\n\
             createUser noc SHA-256 noc-auth-pass AES noc-priv-pass\n\
             group noc usm noc\n\
             access noc \"\" usm priv prefix all all none\n"
        ))
    }

    fn socket(&self) -> PathBuf {
        self.sandbox.path(&format!("{}.agentx", self.name))
    }

    /// Starts it on the same ports after [`Self::kill`] or [`Self::stop`], and waits until it answers.
    pub fn start_again(&mut self) -> Result<()> {
        let mut command = Command::new(debian("snmpd", "snmpd")?);
        command
            .env("SNMP_PERSISTENT_DIR", self.sandbox.folder(&format!("{}.persistent", self.name))?)
            .env("SNMPCONFPATH", self.sandbox.path("none"))
            .env("MIBS", "")
            // SMUX would take a port that is not ours.
            .args(["-f", "-C", "-Lo", "-I", "-smux", "-c"])
            .arg(self.sandbox.path(&format!("{}.conf", self.name)));
        let mut process = self.sandbox.start(&self.name, &command)?;
        let client = self.v2c().patience(Duration::from_millis(100), 0);
        self.sandbox.wait_for("snmpd to answer", || {
            process.running()?;
            client.get(&["1.3.6.1.2.1.1.2.0"])
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn process(&mut self) -> Result<Process> {
        self.process.take().context("snmpd does not run")
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.process()?.kill()
    }

    /// Ends it in order.
    pub fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        self.process()?.stop()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.as_ref().context("snmpd does not run")?.signal(signal)
    }

    /// The AgentX URL of its Unix socket.
    pub fn unix_url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The AgentX URL of its TCP port.
    pub fn tcp_url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.agentx_port)
    }

    /// The TCP port of its AgentX side.
    pub fn agentx_port(&self) -> u16 {
        self.agentx_port
    }

    /// A client with these options of net-snmp's tools.
    pub fn client(&self, credentials: &[&str]) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port), credentials, self.sandbox.path("tools"))
    }

    /// A client that speaks v2c in the default context.
    pub fn v2c(&self) -> Client {
        self.client(&["-v2c", "-c", COMMUNITY])
    }

    /// A client that speaks v1 in the default context.
    pub fn v1(&self) -> Client {
        self.client(&["-v1", "-c", COMMUNITY])
    }

    /// A client that speaks v3 with authentication and privacy in this context.
    pub fn v3(&self, context: &str) -> Client {
        self.client(&[USER, &["-n", context]].concat())
    }
}
