//! Tests of snmp-master: SNMP as NMSs use it, authorization, faulty subagents, and changes of its configuration.

mod async_snmp_client;
mod authorization;
mod churn;
mod engine_restarts;
mod faults;
mod live_changes;
mod probe;
mod sizes;
mod user_security;
mod wire;
mod with_async_snmp;
mod with_pysnmp;

use agentx::{Context, Oid};
use anyhow::Result;
use harness::{BackgroundSubagent, MasterProgram, Mib, Row, Sandbox, SnmpAgent as _};
use serde_json::Value;

use crate::sidecar_setup::OTHER;

/// OIDs of the master's own objects (RFC 3411, 3412, 3414, 3418, SNMP-TARGET-MIB).
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

/// A master with a healthy subagent, which serves 20 rows below [`OTHER`] in the default context.
struct Served {
    subagent: BackgroundSubagent,
    master: MasterProgram,
    rows: Vec<Row>,
    sandbox: Sandbox,
}

impl Served {
    fn start() -> Result<Self> {
        Self::start_with(|_| {})
    }

    /// Like [`Self::start`], with a master configuration that `change` has modified.
    fn start_with(change: impl FnOnce(&mut Value)) -> Result<Self> {
        let sandbox = Sandbox::new()?;
        let master = MasterProgram::start_with(&sandbox, change)?;
        let base: Oid = OTHER.parse()?;
        let mib = Mib::column(&base, 20)?;
        let rows = mib.rows();
        let subagent = BackgroundSubagent::healthy(&master.agentx_socket(), &Context::default(), &base, mib)?;
        Ok(Self { subagent, master, rows, sandbox })
    }
}

/// Returns the value of one of the master's counters.
fn count(master: &MasterProgram, oid: &str) -> Result<i128> {
    let rows = master.v2c().get(&[oid])?;
    rows.first().map_or_else(|| Err(anyhow::anyhow!("the response has no varbind")), Row::number)
}
