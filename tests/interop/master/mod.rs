//! Our master itself: what NMSs see of it, what subagents may do to it, and who is told what.

mod askers;
mod async_client;
mod boots;
mod churn;
mod faults;
mod live_changes;
mod nms;
mod probe;
mod pysnmp;
mod sizes;
mod user_security;
mod wire;

use agentx::{Context, Oid};
use anyhow::Result;
use harness::{Agent as _, Mib, Row, Sandbox, ServedSubagent, SnmpMaster};
use serde_json::Value;

use crate::world::OTHER;

/// Names of the master's own objects (RFC 3411, 3412, 3414, 3418, SNMP-TARGET-MIB).
const SYS_UP_TIME: &str = "1.3.6.1.2.1.1.3.0";
const SNMP_IN_BAD_COMMUNITY_NAMES: &str = "1.3.6.1.2.1.11.4.0";
const SNMP_ENGINE_ID: &str = "1.3.6.1.6.3.10.2.1.1.0";
const SNMP_ENGINE_BOOTS: &str = "1.3.6.1.6.3.10.2.1.2.0";
const SNMP_UNKNOWN_CONTEXTS: &str = "1.3.6.1.6.3.12.1.5.0";
const USM_STATS_UNSUPPORTED_SEC_LEVELS: &str = "1.3.6.1.6.3.15.1.1.1.0";
const USM_STATS_NOT_IN_TIME_WINDOWS: &str = "1.3.6.1.6.3.15.1.1.2.0";
const USM_STATS_UNKNOWN_USER_NAMES: &str = "1.3.6.1.6.3.15.1.1.3.0";
const USM_STATS_WRONG_DIGESTS: &str = "1.3.6.1.6.3.15.1.1.5.0";
const USM_STATS_DECRYPTION_ERRORS: &str = "1.3.6.1.6.3.15.1.1.6.0";

/// A master with a subagent that serves 20 rows under [`OTHER`] in the default context.
struct Served {
    subagent: ServedSubagent,
    master: SnmpMaster,
    rows: Vec<Row>,
    sandbox: Sandbox,
}

impl Served {
    fn start() -> Result<Self> {
        Self::start_with(|_| {})
    }

    /// The same, from a document in which `change` has changed something.
    fn start_with(change: impl FnOnce(&mut Value)) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let master = SnmpMaster::start_with(&sandbox, change)?;
        let base: Oid = OTHER.parse()?;
        let mib = Mib::column(&base, 20)?;
        let rows = mib.rows();
        let subagent = ServedSubagent::healthy(&master.agentx_socket(), &Context::default(), &base, mib)?;
        Ok(Self { subagent, master, rows, sandbox })
    }
}

/// The number that an object of the master's own has now.
fn count(master: &SnmpMaster, oid: &str) -> Result<i128> {
    let rows = master.v2c().get(&[oid])?;
    rows.first().map_or_else(|| Err(anyhow::anyhow!("no answer")), Row::number)
}
