//! Subagents in numbers: they open, register, wait, and go. None of them is asked for anything.

use agentx::{Context, Oid, SubId};
use anyhow::Result;
use harness::Subagent;

/// The OID that a crowd's regions lie under, in net-snmp's playpen, before [`crate::objects::BASE`].
pub const BASE: [SubId; 10] = [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 76];

/// Registers a subtree of [`BASE`] in a context.
///
/// # Errors
/// Where the master refuses.
pub fn register(subagent: &mut Subagent, context: &str, arcs: &[SubId]) -> Result<()> {
    subagent.register(&Context::from(context), &Oid::new([BASE.as_slice(), arcs].concat())?, 0)
}
