//! The NMS: net-snmp's command line tools.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::{Cluster, Row, debian, parse_rows, repository, run};

/// Who asks, how, and where.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    credentials: Vec<String>,
    timeout: Duration,
    retries: u32,
    scratch: PathBuf,
    /// Where the tools run, if not on this machine.
    beside: Option<Cluster>,
}

/// The two tools that walk.
#[derive(Debug, Clone, Copy)]
pub enum Walk {
    /// snmpwalk: one GetNext per variable.
    Next,
    /// snmpbulkwalk with this many repetitions.
    Bulk(u16),
}

impl Client {
    /// A client of the agent at `address`, with the options of net-snmp's tools that say who asks. `scratch` is a folder
    /// for what the tools keep.
    pub fn new(address: &str, credentials: &[&str], scratch: PathBuf) -> Self {
        let credentials = credentials.iter().map(ToString::to_string).collect();
        Self {
            address: address.to_owned(),
            credentials,
            timeout: Duration::from_secs(15),
            retries: 2,
            scratch,
            beside: None,
        }
    }

    /// The same, with other patience: how long until each of `retries` further tries.
    #[must_use]
    pub fn patience(self, timeout: Duration, retries: u32) -> Self {
        Self { timeout, retries, ..self }
    }

    /// The same, on the machine that stands outside this cluster.
    #[must_use]
    pub fn outside(self, cluster: &Cluster) -> Self {
        Self { beside: Some(cluster.clone()), ..self }
    }

    /// The tool, ready to run, but for its further options, the address and the OIDs.
    fn tool(&self, tool: &str) -> Result<Command> {
        let program = debian(tool, "snmp")?;
        let mut command = match &self.beside {
            Some(cluster) => cluster.nms_command(&program.to_string_lossy()),
            None => Command::new(program),
        };
        command
            // No configuration of the user's, no MIBs of the system's, and no files in the home folder.
            .env("SNMPCONFPATH", self.scratch.join("none"))
            .env("SNMP_PERSISTENT_DIR", &self.scratch)
            .env("MIBS", "")
            .args(["-t", &self.timeout.as_secs_f32().to_string(), "-r", &self.retries.to_string()])
            .args(&self.credentials);
        Ok(command)
    }

    /// The tool, ready to run, but for the OIDs. It prints numbers, and octets in hexadecimal.
    pub fn command(&self, tool: &str, options: &[&str]) -> Result<Command> {
        let mut command = self.tool(tool)?;
        command.args(["-On", "-Oe", "-Ox"]).args(options).arg(&self.address);
        Ok(command)
    }

    /// Walks what lies under the object `module`::`root` and gives what snmpwalk prints: names, as the MIB module in
    /// `folder` has them.
    pub fn walk_by_name(&self, folder: &Path, module: &str, root: &str) -> Result<String> {
        let folders = format!("{}:{}", folder.display(), repository().join("tests/mibs").display());
        let mut command = self.tool("snmpwalk")?;
        command.args(["-M", &folders, "-m", module, &self.address]).arg(format!("{module}::{root}"));
        Ok(String::from_utf8_lossy(&run(&mut command)?.stdout).into_owned())
    }

    fn rows(&self, tool: &str, options: &[&str], oids: &[&str]) -> Result<Vec<Row>> {
        let output = run(self.command(tool, options)?.args(oids))?;
        parse_rows(&String::from_utf8_lossy(&output.stdout))
    }

    /// The agent's address, for snmpwalk.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// One Get of all `oids`.
    pub fn get(&self, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpget", &[], oids)
    }

    /// One GetNext of all `oids`.
    pub fn get_next(&self, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpgetnext", &[], oids)
    }

    /// One GetBulk of all `oids`.
    pub fn get_bulk(&self, non_repeaters: u16, max_repetitions: u16, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpbulkget", &[&format!("-Cn{non_repeaters}"), &format!("-Cr{max_repetitions}")], oids)
    }

    /// Everything under `oid`.
    pub fn walk(&self, how: Walk, oid: &str) -> Result<Vec<Row>> {
        let rows = match how {
            Walk::Next => self.rows("snmpwalk", &[], &[oid]),
            Walk::Bulk(repetitions) => self.rows("snmpbulkwalk", &[&format!("-Cr{repetitions}")], &[oid]),
        };
        // Where nothing is under it the tools ask for the OID itself, and print what they got.
        Ok(rows?.into_iter().filter(|row| !is_exception(row)).collect())
    }

    /// One Set of one variable: `kind` is snmpset's letter for the type.
    pub fn set(&self, oid: &str, kind: &str, value: &str) -> Result<Vec<Row>> {
        self.set_all(&[(oid, kind, value)])
    }

    /// One Set of all these variables, each with snmpset's letter for its type, and its value.
    pub fn set_all(&self, variables: &[(&str, &str, &str)]) -> Result<Vec<Row>> {
        let arguments: Vec<&str> = variables.iter().flat_map(|(oid, kind, value)| [*oid, kind, value]).collect();
        self.rows("snmpset", &[], &arguments)
    }
}

fn is_exception(row: &Row) -> bool {
    matches!(row.value, agentx::Value::NoSuchObject | agentx::Value::NoSuchInstance | agentx::Value::EndOfMibView)
}
