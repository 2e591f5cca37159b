//! net-snmp's command-line tools, in the role of the NMS.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;

use crate::{Cluster, Row, debian, parse_rows, repository, run};

/// An NMS that reads and writes one agent: its address, credentials and timeouts.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
    credentials: Vec<String>,
    timeout: Duration,
    retries: u32,
    scratch: PathBuf,
    /// The cluster beside which the tools run; on this machine itself if there is none.
    beside: Option<Cluster>,
}

/// How a walk is done.
#[derive(Debug, Clone, Copy)]
pub enum Walk {
    /// By snmpwalk, with a GetNext for each varbind.
    Next,
    /// By snmpbulkwalk, with this many repetitions.
    Bulk(u16),
}

impl Client {
    /// Returns a client of the agent at `address`. `credentials` are options of net-snmp's tools, and `scratch` is the
    /// folder for their persistent files.
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

    /// Sets the timeout of a request, and how often it is sent again after a timeout.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration, retries: u32) -> Self {
        Self { timeout, retries, ..self }
    }

    /// Runs the tools in the network of the NMS, outside this cluster.
    #[must_use]
    pub fn outside(self, cluster: &Cluster) -> Self {
        Self { beside: Some(cluster.clone()), ..self }
    }

    /// Returns the command of a tool with timeout and credentials. Further options, the address and the OIDs are missing.
    fn tool(&self, tool: &str) -> Result<Command> {
        let program = debian(tool, "snmp")?;
        let mut command = match &self.beside {
            Some(cluster) => cluster.nms_command(&program.to_string_lossy()),
            None => Command::new(program),
        };
        command
            // Without the user's configuration, the system's MIB modules, and files in the home folder.
            .env("SNMPCONFPATH", self.scratch.join("none"))
            .env("SNMP_PERSISTENT_DIR", &self.scratch)
            .env("MIBS", "")
            .args(["-t", &self.timeout.as_secs_f32().to_string(), "-r", &self.retries.to_string()])
            .args(&self.credentials);
        Ok(command)
    }

    /// Returns the command of a tool to which only the OIDs must be added. It prints OIDs and enumerations as numbers, and
    /// octet strings in hexadecimal.
    pub fn command(&self, tool: &str, options: &[&str]) -> Result<Command> {
        let mut command = self.tool(tool)?;
        command.args(["-On", "-Oe", "-Ox"]).args(options).arg(&self.address);
        Ok(command)
    }

    /// Runs a tool and returns what it prints for a person, with no MIB module loaded. `arguments` follow the address.
    pub fn print(&self, tool: &str, options: &[&str], arguments: &[&str]) -> Result<String> {
        let mut command = self.tool(tool)?;
        command.args(options).arg(&self.address).args(arguments);
        Ok(String::from_utf8_lossy(&run(&mut command)?.stdout).into_owned())
    }

    /// Runs a tool on the object `module`::`object` and returns what it prints for a person: names and values as the MIB
    /// module `module` in `folder` defines them.
    pub fn print_by_name(
        &self,
        tool: &str,
        options: &[&str],
        folder: &Path,
        module: &str,
        object: &str,
    ) -> Result<String> {
        let folders = format!("{}:{}", folder.display(), repository().join("tests/mibs").display());
        let options = [&["-M", &folders, "-m", module], options].concat();
        self.print(tool, &options, &[&format!("{module}::{object}")])
    }

    fn rows(&self, tool: &str, options: &[&str], oids: &[&str]) -> Result<Vec<Row>> {
        let output = run(self.command(tool, options)?.args(oids))?;
        parse_rows(&String::from_utf8_lossy(&output.stdout))
    }

    /// Returns the agent's address, as net-snmp's tools expect it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends one Get for all `oids`.
    pub fn get(&self, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpget", &[], oids)
    }

    /// Sends one GetNext for all `oids`.
    pub fn get_next(&self, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpgetnext", &[], oids)
    }

    /// Sends one GetBulk for all `oids`.
    pub fn get_bulk(&self, non_repeaters: u16, max_repetitions: u16, oids: &[&str]) -> Result<Vec<Row>> {
        self.rows("snmpbulkget", &[&format!("-Cn{non_repeaters}"), &format!("-Cr{max_repetitions}")], oids)
    }

    /// Walks the subtree `oid`.
    pub fn walk(&self, how: Walk, oid: &str) -> Result<Vec<Row>> {
        let rows = match how {
            Walk::Next => self.rows("snmpwalk", &[], &[oid]),
            Walk::Bulk(repetitions) => self.rows("snmpbulkwalk", &[&format!("-Cr{repetitions}")], &[oid]),
        };
        // If the subtree is empty, the tools send a Get for the OID itself and print its result.
        Ok(rows?.into_iter().filter(|row| !is_exception(row)).collect())
    }

    /// Sends one Set of one varbind. `kind` is snmpset's letter for the syntax.
    pub fn set(&self, oid: &str, kind: &str, value: &str) -> Result<Vec<Row>> {
        self.set_all(&[(oid, kind, value)])
    }

    /// Sends one Set of several varbinds, each with its OID, snmpset's letter for the syntax, and its value.
    pub fn set_all(&self, variables: &[(&str, &str, &str)]) -> Result<Vec<Row>> {
        let arguments: Vec<&str> = variables.iter().flat_map(|(oid, kind, value)| [*oid, kind, value]).collect();
        self.rows("snmpset", &[], &arguments)
    }
}

fn is_exception(row: &Row) -> bool {
    matches!(row.value, agentx::Value::NoSuchObject | agentx::Value::NoSuchInstance | agentx::Value::EndOfMibView)
}
