//! Subagents of other projects: on net-snmp's library, in FRRouting, and in Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::{Process, Sandbox, SnmpAgent, debian, process::program::compiled, repository};

/// Starts the subagent in C, `tests/agents/subagent.c`, which publishes `text` in `context`. Returns before it has
/// registered.
pub fn start_c_subagent(sandbox: &Sandbox, agent: &dyn SnmpAgent, context: &str, text: &str) -> Result<Process> {
    let mut command = Command::new(c_subagent()?);
    command.env("MIBS", "").args([&agent.unix_url(), context, text]);
    sandbox.start(&format!("subagent-{text}"), &command)
}

/// Starts FRRouting's BGP daemon with its SNMP module. Its two neighbours, 127.0.0.2 and 127.0.0.3, do not exist.
pub fn start_bgpd(sandbox: &Sandbox, agent: &dyn SnmpAgent) -> Result<Process> {
    let folder = sandbox.folder("bgpd")?;
    fs::write(folder.join("frr.conf"), format!("agentXSocket {}\n", agent.unix_url()))?;
    let configuration = "router bgp 65001\n bgp router-id 192.0.2.1\n neighbor 127.0.0.2 remote-as 65002\n \
                         neighbor 127.0.0.3 remote-as 65003\nagentx\n";
    fs::write(folder.join("bgpd.conf"), configuration)?;
    let mut command = Command::new(frr("bgpd")?);
    command
        .env("SNMPCONFPATH", &folder)
        .env("MIBS", "")
        // Without zebra, a change of user and ports, and with its files in the folder.
        .args(["-M", "snmp", "-Z", "-S", "-p", "0", "-P", "0", "--log", "stdout"])
        .arg("-f")
        .arg(folder.join("bgpd.conf"))
        .arg("--vty_socket")
        .arg(&folder)
        .arg("-i")
        .arg(folder.join("bgpd.pid"));
    sandbox.start("bgpd", &command)
}

/// Starts the subagent in Python, `tests/agents/pyagentx_subagent.py`.
pub fn start_python_subagent(sandbox: &Sandbox, agent: &dyn SnmpAgent) -> Result<Process> {
    // Debian's interpreter, because Debian's package of pyagentx is installed for it.
    let mut command = Command::new(debian("python3", "python3-pyagentx")?);
    command.arg(repository().join("tests/agents/pyagentx_subagent.py")).arg(agent.agentx_socket());
    sandbox.start("python-subagent", &command)
}

fn frr(program: &str) -> Result<PathBuf> {
    let file = Path::new("/usr/lib/frr").join(program);
    file.metadata().with_context(|| format!("{} is missing: apt-get install frr-snmp", file.display()))?;
    Ok(file)
}

/// Returns the subagent in C, which is compiled once in each process.
fn c_subagent() -> Result<PathBuf> {
    static PROGRAM: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut program = PROGRAM.lock().unwrap_or_else(PoisonError::into_inner);
    if program.is_none() {
        *program = Some(compiled(&repository().join("tests/agents/subagent.c"))?);
    }
    program.clone().context("it was compiled just now")
}
