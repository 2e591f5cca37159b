//! SNMP agents that are AgentX masters: net-snmp's and ours, behind one trait.

use std::{fmt, path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context, Result};

use crate::{Client, MasterProgram, Memory, Process, Sandbox, Signal, Snmpd, free_port};

/// The community that reads and writes the default context.
pub const COMMUNITY: &str = "public";
/// The community that reads and writes the context `acme`.
pub const CONTEXT_COMMUNITY: &str = "acme-community";
/// The SNMPv3 user that reads and writes every context, with SHA-256 and AES-128.
pub const USER_NAME: &str = "noc";
/// The authentication passphrase of [`USER_NAME`].
pub const AUTH_PASSPHRASE: &str = "noc-auth-pass";
/// The privacy passphrase of [`USER_NAME`].
pub const PRIV_PASSPHRASE: &str = "noc-priv-pass";
/// The options with which net-snmp's tools act as [`USER_NAME`].
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

/// The AgentX masters under which a subagent must behave in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterKind {
    /// net-snmp's snmpd.
    NetSnmp,
    /// Our snmp-master.
    Ours,
}

impl MasterKind {
    /// Starts a master and waits until it answers.
    pub fn start(self, sandbox: &Sandbox) -> Result<Box<dyn SnmpAgent>> {
        self.start_named(sandbox, "agent")
    }

    /// Like [`Self::start`], for tests with several masters: `name` is the name of its files in the sandbox.
    pub fn start_named(self, sandbox: &Sandbox, name: &str) -> Result<Box<dyn SnmpAgent>> {
        Ok(match self {
            Self::NetSnmp => Box::new(Snmpd::start_named(sandbox, name)?),
            Self::Ours => Box::new(MasterProgram::start_named(sandbox, name)?),
        })
    }
}

/// The process of an agent, if it runs, and its addresses on loopback: a UDP port for SNMP, a Unix socket and a TCP port
/// for AgentX.
#[derive(Debug)]
pub struct AgentProcess {
    pub(crate) sandbox: Sandbox,
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) agentx_port: u16,
    pub(crate) process: Option<Process>,
}

impl AgentProcess {
    /// Reserves free ports. Nothing is started yet.
    pub(crate) fn new(sandbox: &Sandbox, name: &str) -> Result<Self> {
        let (sandbox, name) = (sandbox.clone(), name.to_owned());
        Ok(Self { sandbox, name, port: free_port()?, agentx_port: free_port()?, process: None })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.sandbox.path(&format!("{}.agentx", self.name))
    }

    fn running_process(&self) -> Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} is not running", self.name))
    }

    fn take_process(&mut self) -> Result<Process> {
        self.process.take().with_context(|| format!("{} is not running", self.name))
    }
}

/// An SNMP agent that is an AgentX master. It reads and writes the default context for [`COMMUNITY`] and [`USER`], and
/// the context `acme` for [`CONTEXT_COMMUNITY`] and [`USER`].
pub trait SnmpAgent: fmt::Debug + Send + Sync {
    /// Returns its process and addresses.
    fn process(&self) -> &AgentProcess;

    /// Returns its process and addresses for changes.
    fn process_mut(&mut self) -> &mut AgentProcess;

    /// Starts it again on the same ports after [`Self::kill`] or [`Self::stop`], and waits until it answers.
    fn start_again(&mut self) -> Result<()>;

    /// Kills it with SIGKILL.
    fn kill(&mut self) -> Result<()> {
        self.process_mut().take_process()?.kill()
    }

    /// Shuts it down. Returns its exit status and how long the shutdown took.
    fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        self.process_mut().take_process()?.stop()
    }

    /// Sends it a signal.
    fn signal(&self, signal: Signal) -> Result<()> {
        self.process().running_process()?.signal(signal)
    }

    /// Returns its memory use.
    fn memory(&self) -> Result<Memory> {
        Memory::of(self.process().running_process()?.id())
    }

    /// Returns the AgentX URL of its Unix socket.
    fn unix_url(&self) -> String {
        format!("unix:{}", self.process().socket().display())
    }

    /// Returns the AgentX URL of its TCP port.
    fn tcp_url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.agentx_port())
    }

    /// Returns the path of its Unix socket for AgentX.
    fn agentx_socket(&self) -> PathBuf {
        self.process().socket()
    }

    /// Returns its TCP port for AgentX.
    fn agentx_port(&self) -> u16 {
        self.process().agentx_port
    }

    /// Returns its UDP port for SNMP.
    fn port(&self) -> u16 {
        self.process().port
    }

    /// Returns a client that passes these options to net-snmp's tools.
    fn client(&self, credentials: &[&str]) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port()), credentials, self.process().sandbox.path("tools"))
    }

    /// Returns a client that uses SNMPv2c in the default context.
    fn v2c(&self) -> Client {
        self.client(&["-v2c", "-c", COMMUNITY])
    }

    /// Returns a client that uses SNMPv1 in the default context.
    fn v1(&self) -> Client {
        self.client(&["-v1", "-c", COMMUNITY])
    }

    /// Returns a client that uses SNMPv3 with authentication and privacy in this context.
    fn v3(&self, context: &str) -> Client {
        self.client(&[USER, &["-n", context]].concat())
    }
}
