//! Many idle subagents: they open sessions, register, wait and disconnect, and get no requests.

use agentx::{Context, Oid, SubId};
use anyhow::Result;
use harness::ScriptedSubagent;

/// The OID of the registrations, in net-snmp's playpen, before [`crate::peers::objects::BASE`].
pub const BASE: [SubId; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 76];

/// Registers a subtree of [`BASE`] in a context.
///
/// # Errors
/// Returns an error if the master refuses.
pub fn register(subagent: &mut ScriptedSubagent, context: &str, arcs: &[SubId]) -> Result<()> {
    subagent.register(&Context::from(context), &Oid::new([BASE.as_slice(), arcs].concat())?, 0)
}
