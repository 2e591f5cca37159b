//! SNMP agents that are AgentX masters, and what a test does with any of them.

use std::{fmt, path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context, Result};

use crate::{Client, Memory, Process, Sandbox, Signal, SnmpMaster, Snmpd, free_port};

/// The community that reads and writes the default context.
pub const COMMUNITY: &str = "public";
/// The community that reads and writes the context `acme`.
pub const CONTEXT_COMMUNITY: &str = "acme-community";
/// The v3 user that reads and writes every context, with SHA-256 and AES-128.
pub const USER_NAME: &str = "noc";
/// Its passphrase for authentication.
pub const AUTH_PASSPHRASE: &str = "noc-auth-pass";
/// Its passphrase for privacy.
pub const PRIV_PASSPHRASE: &str = "noc-priv-pass";
/// net-snmp's options to be that user.
pub const USER: &[&str] = &[
    "-v3",
    "-l",
    "authPriv",
    "-u",
    USER_NAME,
    "-a",
    "SHA-256",
    "-A",
    AUTH_PASSPHRASE,
    "-x",
    "AES",
    "-X",
    PRIV_PASSPHRASE,
];

/// The agents under which a subagent must serve the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKind {
    /// net-snmp's snmpd.
    NetSnmp,
    /// snmp-master.
    Ours,
}

impl MasterKind {
    /// Starts one, and waits until it answers.
    pub fn start(self, sandbox: &Sandbox) -> Result<Box<dyn Agent>> {
        self.start_named(sandbox, "agent")
    }

    /// The same, where a test has several: `name` is that of its files in the sandbox.
    pub fn start_named(self, sandbox: &Sandbox, name: &str) -> Result<Box<dyn Agent>> {
        Ok(match self {
            Self::NetSnmp => Box::new(Snmpd::start_named(sandbox, name)?),
            Self::Ours => Box::new(SnmpMaster::start_named(sandbox, name)?),
        })
    }
}

/// The process of an agent, which may have been killed, and where it listens: SNMP on a UDP port, AgentX on a Unix
/// socket and a TCP port, all on loopback.
#[derive(Debug)]
pub struct AgentProcess {
    pub(crate) sandbox: Sandbox,
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) agentx_port: u16,
    pub(crate) process: Option<Process>,
}

impl AgentProcess {
    /// Free ports, and nothing started yet.
    pub(crate) fn new(sandbox: &Sandbox, name: &str) -> Result<Self> {
        let (sandbox, name) = (sandbox.clone(), name.to_owned());
        Ok(Self { sandbox, name, port: free_port()?, agentx_port: free_port()?, process: None })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sandbox.path(&format!("{}.agentx", self.name))
    }

    fn running(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    fn take(&mut self) -> Result<Process> {
        self.process.take().with_context(|| format!("{} does not run", self.name))
    }
}

/// An SNMP agent that is an AgentX master. It reads and writes the default context for [`COMMUNITY`] and [`USER`], and
/// the context `acme` for [`CONTEXT_COMMUNITY`] and [`USER`].
pub trait Agent: fmt::Debug + Send + Sync {
    /// Its process and addresses.
    fn process(&self) -> &AgentProcess;

    /// The same, to change.
    fn process_mut(&mut self) -> &mut AgentProcess;

    /// Starts it on the same ports after [`Self::kill`] or [`Self::stop`], and waits until it answers.
    fn start_again(&mut self) -> Result<()>;

    /// Kills it as `kill -9` does.
    fn kill(&mut self) -> Result<()> {
        self.process_mut().take()?.kill()
    }

    /// Ends it in order; says how it ended, and how long that took.
    fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        self.process_mut().take()?.stop()
    }

    /// Sends it a signal.
    fn signal(&self, signal: Signal) -> Result<()> {
        self.process().running()?.signal(signal)
    }

    /// How much memory it has.
    fn memory(&self) -> Result<Memory> {
        Memory::of(self.process().running()?.id())
    }

    /// The AgentX URL of its Unix socket.
    fn unix_url(&self) -> String {
        format!("unix:{}", self.process().socket().display())
    }

    /// The AgentX URL of its TCP port.
    fn tcp_url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.agentx_port())
    }

    /// The path of its AgentX side's Unix socket.
    fn agentx_socket(&self) -> PathBuf {
        self.process().socket()
    }

    /// The TCP port of its AgentX side.
    fn agentx_port(&self) -> u16 {
        self.process().agentx_port
    }

    /// The UDP port of its SNMP side.
    fn port(&self) -> u16 {
        self.process().port
    }

    /// A client with these options of net-snmp's tools.
    fn client(&self, credentials: &[&str]) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port()), credentials, self.process().sandbox.path("tools"))
    }

    /// A client that speaks v2c in the default context.
    fn v2c(&self) -> Client {
        self.client(&["-v2c", "-c", COMMUNITY])
    }

    /// A client that speaks v1 in the default context.
    fn v1(&self) -> Client {
        self.client(&["-v1", "-c", COMMUNITY])
    }

    /// A client that speaks v3 with authentication and privacy in this context.
    fn v3(&self, context: &str) -> Client {
        self.client(&[USER, &["-n", context]].concat())
    }
}
