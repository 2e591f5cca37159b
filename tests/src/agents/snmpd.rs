//! net-snmp's snmpd as an AgentX master, started for one test.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{
    AUTH_PASSPHRASE, AgentProcess, COMMUNITY, CONTEXT_COMMUNITY, PRIV_PASSPHRASE, Sandbox, SnmpAgent, USER_NAME, debian,
};

/// The options of an snmpd.
#[derive(Debug, Clone, Copy)]
pub struct SnmpdOptions<'a> {
    /// The name of its files in the sandbox.
    pub name: &'a str,
    /// Additional lines for snmpd.conf.
    pub configuration: &'a str,
}

impl Default for SnmpdOptions<'_> {
    fn default() -> Self {
        Self { name: "snmpd", configuration: "" }
    }
}

/// A running snmpd.
#[derive(Debug)]
pub struct Snmpd {
    process: AgentProcess,
}

impl Snmpd {
    /// Starts snmpd and waits until it answers.
    pub fn start(sandbox: &Sandbox) -> Result<Self> {
        Self::start_with(sandbox, SnmpdOptions::default())
    }

    /// Like [`Self::start`]; `name` is the name of its files in the sandbox.
    pub fn start_named(sandbox: &Sandbox, name: &str) -> Result<Self> {
        Self::start_with(sandbox, SnmpdOptions { name, ..SnmpdOptions::default() })
    }

    /// Like [`Self::start`], with options.
    pub fn start_with(sandbox: &Sandbox, options: SnmpdOptions<'_>) -> Result<Self> {
        let mut snmpd = Self { process: AgentProcess::new(sandbox, options.name)? };
        let configuration = format!("{}{}", snmpd.configuration()?, options.configuration);
        sandbox.write(&format!("{}.conf", options.name), configuration)?;
        snmpd.start_again()?;
        Ok(snmpd)
    }

    fn configuration(&self) -> Result<String> {
        let AgentProcess { port, agentx_port, .. } = self.process;
        let socket = self.process.socket();
        let socket = socket.to_str().context("the path of the sandbox is not UTF-8")?;
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
             createUser {USER_NAME} SHA-256 {AUTH_PASSPHRASE} AES {PRIV_PASSPHRASE}\n\
             group noc usm {USER_NAME}\n\
             access noc \"\" usm priv prefix all all none\n"
        ))
    }
}

impl SnmpAgent for Snmpd {
    fn process(&self) -> &AgentProcess {
        &self.process
    }

    fn process_mut(&mut self) -> &mut AgentProcess {
        &mut self.process
    }

    fn start_again(&mut self) -> Result<()> {
        let AgentProcess { sandbox, name, .. } = &self.process;
        let mut command = Command::new(debian("snmpd", "snmpd")?);
        command
            .env("SNMP_PERSISTENT_DIR", sandbox.folder(&format!("{name}.persistent"))?)
            .env("SNMPCONFPATH", sandbox.path("none"))
            .env("MIBS", "")
            // SMUX would listen on a fixed port.
            .args(["-f", "-C", "-Lo", "-I", "-smux", "-c"])
            .arg(sandbox.path(&format!("{name}.conf")));
        let mut process = sandbox.start(name, &command)?;
        let client = self.v2c().with_timeout(Duration::from_millis(100), 0);
        sandbox.wait_for("snmpd to answer", || {
            process.running()?;
            client.get(&["1.3.6.1.2.1.1.2.0"])
        })?;
        self.process.process = Some(process);
        Ok(())
    }
}
