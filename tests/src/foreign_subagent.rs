//! Subagents that are not ours: what others built on net-snmp's library, and with Python.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::{Agent, Process, Sandbox, debian, program::compiled, repository};

/// The subagent in C, `tests/agents/subagent.c`, which says `text` in `context`. It need not have registered yet.
pub fn start_c_subagent(sandbox: &Sandbox, agent: &dyn Agent, context: &str, text: &str) -> Result<Process> {
    let mut command = Command::new(c_subagent()?);
    command.env("MIBS", "").args([&agent.unix_url(), context, text]);
    sandbox.start(&format!("subagent-{text}"), &command)
}

/// FRRouting's BGP daemon with its SNMP module, and two neighbours that are not there: 127.0.0.2 and 127.0.0.3.
pub fn start_bgpd(sandbox: &Sandbox, agent: &dyn Agent) -> Result<Process> {
    let folder = sandbox.folder("bgpd")?;
    fs::write(folder.join("frr.conf"), format!("agentXSocket {}\n", agent.unix_url()))?;
    let configuration = "router bgp 65001\n bgp router-id 192.0.2.1\n neighbor 127.0.0.2 remote-as 65002\n \
                         neighbor 127.0.0.3 remote-as 65003\nagentx\n";
    fs::write(folder.join("bgpd.conf"), configuration)?;
    let mut command = Command::new(frr("bgpd")?);
    command
        .env("SNMPCONFPATH", &folder)
        .env("MIBS", "")
        // No other daemon, no change of user, no ports, and its files in the folder.
        .args(["-M", "snmp", "-Z", "-S", "-p", "0", "-P", "0", "--log", "stdout"])
        .arg("-f")
        .arg(folder.join("bgpd.conf"))
        .arg("--vty_socket")
        .arg(&folder)
        .arg("-i")
        .arg(folder.join("bgpd.pid"));
    sandbox.start("bgpd", &command)
}

/// The subagent in Python, `tests/agents/pyagentx_subagent.py`.
pub fn start_python_subagent(sandbox: &Sandbox, agent: &dyn Agent) -> Result<Process> {
    // Debian's interpreter, which has Debian's packages.
    let mut command = Command::new(debian("python3", "python3-pyagentx")?);
    command.arg(repository().join("tests/agents/pyagentx_subagent.py")).arg(agent.agentx_socket());
    sandbox.start("python-subagent", &command)
}

fn frr(program: &str) -> Result<PathBuf> {
    let file = Path::new("/usr/lib/frr").join(program);
    file.metadata().with_context(|| format!("{} is missing: apt-get install frr-snmp", file.display()))?;
    Ok(file)
}

/// The subagent in C, compiled once in this process.
fn c_subagent() -> Result<PathBuf> {
    static PROGRAM: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut program = PROGRAM.lock().unwrap_or_else(PoisonError::into_inner);
    if program.is_none() {
        *program = Some(compiled(&repository().join("tests/agents/subagent.c"))?);
    }
    program.clone().context("it was compiled just now")
}
