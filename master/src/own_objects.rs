//! What the master itself serves, in every context, beside the subagents.

use std::time::Instant;

use agentx::{Oid, SubId, Value};

/// Who asks for an object of the master's own, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The SNMP context.
    pub context: &'a [u8],
    /// What subagents have announced in that context, by sysORIndex from the lowest: sysORTable.
    pub capabilities: &'a [Capability],
    /// When the last of them came or went; `None` if none ever did: sysORLastChange.
    pub capabilities_changed: Option<Instant>,
    /// The time.
    pub now: Instant,
}

/// A row of sysORTable (RFC 3418): what a subagent announced by AddAgentCaps (RFC 2741 section 6.2.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// sysORIndex: from 1, never used twice in a context.
    pub index: u32,
    /// sysORID.
    pub id: Oid,
    /// sysORDescr.
    pub description: Vec<u8>,
    /// When it was added: sysORUpTime.
    pub added: Instant,
}

/// Objects of the master's own.
pub trait OwnObjects {
    /// The subtrees in which they lie, disjoint. No subagent may register there.
    fn subtrees(&self) -> &[Oid];

    /// The first instance at or after `from` (only after it, if not `include`) that lies before `end`; `None` if there
    /// is none.
    fn next(&self, asked: Asked<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)>;

    /// Whether an object (not an instance) of this name is known: noSuchInstance, and not noSuchObject, is the answer
    /// where an instance is missing.
    fn knows(&self, name: &[SubId]) -> bool;
}
