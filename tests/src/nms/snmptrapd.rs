//! net-snmp's snmptrapd, a receiver of notifications.

use std::{collections::HashSet, fs, path::PathBuf, process::Command};

use agentx::{Oid, Value};
use anyhow::{Context, Result, bail, ensure};

use crate::{AUTH_PASSPHRASE, COMMUNITY, PRIV_PASSPHRASE, Process, Row, Sandbox, debian, free_port, parse_rows};

/// The user of [`Snmptrapd`]: SHA-256 and AES, with the passphrases of the other programs.
pub const TRAP_USER: &str = "trapuser";

/// sysUpTime.0 and snmpTrapOID.0 (RFC 3418).
const SYS_UP_TIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
const SNMP_TRAP_OID: [u32; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];

/// A running snmptrapd. It receives SNMPv1, SNMPv2c with [`COMMUNITY`], and SNMPv3 with [`TRAP_USER`].
#[derive(Debug)]
pub struct Snmptrapd {
    sandbox: Sandbox,
    name: String,
    port: u16,
    process: Option<Process>,
}

/// A notification as snmptrapd has received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// What it is, for example `TRAP2, SNMP v2c, community public` or `INFORM, SNMP v3, user trapuser, context `.
    pub kind: String,
    /// The address and port that sent it.
    pub from: String,
    /// The fields that only SNMPv1 has.
    pub v1: Option<TrapV1>,
    /// The value of snmpTrapOID.0. With SNMPv1 it is derived from the enterprise and the specific trap (RFC 3584 section 3.1).
    pub oid: Oid,
    /// The other varbinds, without sysUpTime.0.
    pub rows: Vec<Row>,
}

/// The fields of an SNMPv1 trap (RFC 1157 section 4.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrapV1 {
    /// The enterprise.
    pub enterprise: Oid,
    /// The generic trap; 6 is enterpriseSpecific.
    pub generic: u32,
    /// The specific trap.
    pub specific: u32,
    /// The agent-addr.
    pub agent_address: String,
}

impl Snmptrapd {
    /// Starts snmptrapd on a free port. `name` is the name of its files in the sandbox. `engine` is the SNMPv3 engine id, in
    /// hexadecimal, of an agent whose SNMPv3 traps it must understand; informs need none.
    pub fn start(sandbox: &Sandbox, name: &str, engine: Option<&str>) -> Result<Self> {
        let engine = engine
            .map(|id| format!("createUser -e 0x{id} {TRAP_USER} SHA-256 {AUTH_PASSPHRASE} AES {PRIV_PASSPHRASE}\n"));
        let configuration = format!(
            "authCommunity log {COMMUNITY}\n\
             createUser {TRAP_USER} SHA-256 {AUTH_PASSPHRASE} AES {PRIV_PASSPHRASE}\n\
             {}\
             authUser log {TRAP_USER} priv\n\
             format1 %V\\n% BEGIN %P|%b|%w|%q|%A|%N\\n%v\\nEND\\n\n\
             format2 %V\\n% BEGIN %P|%b\\n%v\\nEND\\n\n",
            engine.unwrap_or_default()
        );
        sandbox.write(&format!("{name}.conf"), configuration)?;
        let mut receiver = Self { sandbox: sandbox.clone(), name: name.to_owned(), port: free_port()?, process: None };
        receiver.start_again()?;
        Ok(receiver)
    }

    /// Starts it again at the same port, after [`Self::stop`]. SNMPv3's snmpEngineBoots has then increased.
    pub fn start_again(&mut self) -> Result<()> {
        let name = &self.name;
        let mut command = Command::new(debian("snmptrapd", "snmptrapd")?);
        command
            .env("SNMP_PERSISTENT_DIR", self.sandbox.folder(&format!("{name}.persistent"))?)
            .env("SNMPCONFPATH", self.sandbox.path("none"))
            .env("MIBS", "")
            .args(["-f", "-C", "-Lo", "-On", "-Oe", "-Ox", "-c"])
            .arg(self.sandbox.path(&format!("{name}.conf")))
            .arg(format!("udp:127.0.0.1:{}", self.port));
        let started = self.starts()?;
        let mut process = self.sandbox.start(name, &command)?;
        self.sandbox.wait_for("snmptrapd to start", || {
            process.running()?;
            ensure!(self.starts()? > started, "it has not printed its version yet");
            Ok(())
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it. Notifications to its port then get an ICMP error.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().context("snmptrapd is not running")?.stop().map(drop)
    }

    /// Returns its port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn log(&self) -> PathBuf {
        self.sandbox.path(&format!("{}.log", self.name))
    }

    /// Returns how often it has been started, by the lines that it prints.
    fn starts(&self) -> Result<usize> {
        let log = match fs::read(self.log()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            log => log?,
        };
        let log = String::from_utf8_lossy(&log);
        Ok(log.lines().filter(|line| line.starts_with("NET-SNMP version")).count())
    }

    /// Returns all notifications that it has received completely, in their order.
    pub fn traps(&self) -> Result<Vec<Trap>> {
        parse(&String::from_utf8_lossy(&fs::read(self.log())?))
    }

    /// Waits until it has received at least `count` notifications that match, and returns these.
    pub fn wait_for(&self, what: &str, count: usize, matches: impl Fn(&Trap) -> bool) -> Result<Vec<Trap>> {
        self.sandbox.wait_for(what, || {
            let traps: Vec<_> = self.traps()?.into_iter().filter(|trap| matches(trap)).collect();
            ensure!(traps.len() >= count, "{} of {count} notifications received", traps.len());
            Ok(traps)
        })
    }
}

impl Trap {
    /// Returns the value of the varbind with this OID.
    pub fn value(&self, oid: &str) -> Result<&Value> {
        let oid: Oid = oid.parse()?;
        let row = self.rows.iter().find(|row| row.oid == oid);
        row.map(|row| &row.value).with_context(|| format!("there is no {oid} in {self:?}"))
    }

    /// Returns whether all OIDs of its varbinds are different.
    #[must_use]
    pub fn has_distinct_oids(&self) -> bool {
        let mut seen = HashSet::new();
        self.rows.iter().all(|row| seen.insert(&row.oid))
    }
}

/// Parses the log of snmptrapd in the formats of its configuration.
fn parse(log: &str) -> Result<Vec<Trap>> {
    let mut traps = Vec::new();
    let mut current: Option<(&str, String)> = None;
    for line in log.lines() {
        match (line.strip_prefix(" BEGIN "), &mut current) {
            (Some(head), _) => current = Some((head, String::new())),
            (None, Some((head, rows))) if line == "END" => {
                traps.push(parse_trap(head, rows)?);
                current = None;
            }
            (None, Some((_, rows))) => {
                rows.push_str(line);
                rows.push('\n');
            }
            (None, None) => {}
        }
    }
    Ok(traps)
}

fn parse_trap(head: &str, rows: &str) -> Result<Trap> {
    let fields: Vec<&str> = head.split('|').collect();
    let mut rows = parse_rows(rows)?;
    let (kind, from, v1) = match fields.as_slice() {
        [kind, from] => (kind, from, None),
        [kind, from, generic, specific, agent_address, enterprise] => {
            let specific = specific.trim_start_matches('.').parse()?;
            let (enterprise, agent_address) = (enterprise.parse()?, (*agent_address).to_owned());
            (kind, from, Some(TrapV1 { enterprise, generic: generic.parse()?, specific, agent_address }))
        }
        _ => bail!("unknown format: {head}"),
    };
    let oid = match &v1 {
        Some(TrapV1 { enterprise, generic: 6, specific, .. }) => enterprise.join(&[0, *specific])?,
        Some(TrapV1 { generic, .. }) => "1.3.6.1.6.3.1.1.5".parse::<Oid>()?.join(&[generic + 1])?,
        None => {
            let oid = match rows.as_slice() {
                [time, Row { oid, value: Value::ObjectIdentifier(of_trap) }, ..]
                    if *time.oid == SYS_UP_TIME && **oid == SNMP_TRAP_OID =>
                {
                    of_trap.clone()
                }
                _ => bail!("sysUpTime.0 and snmpTrapOID.0 are not the first varbinds: {rows:?}"),
            };
            rows.drain(..2);
            oid
        }
    };
    Ok(Trap { kind: (*kind).to_owned(), from: (*from).to_owned(), v1, oid, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_of_all_versions_are_parsed() {
        let log = "NET-SNMP version 5.9.3\n \
            BEGIN INFORM, SNMP v2c, community public|UDP: [127.0.0.1]:42373->[127.0.0.1]:11062\n\
            .1.3.6.1.2.1.1.3.0 = Timeticks: (123) 0:00:01.23\n\
            .1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.9.0.1\n\
            .1.3.6.1.4.1.9.1.0 = Gauge32: 81\nEND\n \
            BEGIN TRAP, SNMP v1, community public|UDP: [127.0.0.1]:1->[127.0.0.1]:2|6|.17|10.1.2.3|.1.3.6.1.4.1.9\n\
            .1.3.6.1.4.1.9.1.0 = Gauge32: 81\nEND\n \
            BEGIN TRAP2, SNMP v2c, community public|unfinished\n";
        let traps = parse(log).unwrap();
        assert_eq!(traps.len(), 2);
        assert_eq!(traps[0].oid, "1.3.6.1.4.1.9.0.1".parse().unwrap());
        assert_eq!(traps[0].value("1.3.6.1.4.1.9.1.0").unwrap(), &Value::Gauge32(81));
        assert_eq!(traps[0].rows.len(), 1);
        assert_eq!(traps[1].oid, "1.3.6.1.4.1.9.0.17".parse().unwrap());
        assert_eq!(traps[1].v1.as_ref().unwrap().agent_address, "10.1.2.3");
    }
}
