//! The objects that the master itself serves in every context.

use std::time::Instant;

use agentx::{Oid, SubId, Value};

/// The state that the values of the master's own objects depend on.
#[derive(Debug, Clone, Copy)]
pub struct Environment<'a> {
    /// The SNMP context.
    pub context: &'a [u8],
    /// The rows of sysORTable in this context, in ascending order of sysORIndex.
    pub capabilities: &'a [Capability],
    /// sysORLastChange: when a row was last added or removed. `None` if there never was a row.
    pub capabilities_changed: Option<Instant>,
    /// The current time.
    pub now: Instant,
}

/// A row of sysORTable (RFC 3418), announced by a subagent with AddAgentCaps (RFC 2741 section 6.2.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// sysORIndex, from 1. No value is used twice in a context.
    pub index: u32,
    /// sysORID.
    pub id: Oid,
    /// sysORDescr.
    pub description: Vec<u8>,
    /// sysORUpTime: when the row was added.
    pub added: Instant,
}

/// The objects of the master itself.
pub trait OwnObjects {
    /// Returns the disjoint subtrees of these objects. No subagent may register in them.
    fn subtrees(&self) -> &[Oid];

    /// Returns the first instance after `from`, or at `from` if `include`, and before `end`. Returns `None` if there is
    /// none.
    fn next(&self, env: Environment<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)>;

    /// Returns whether an object with this name exists. A missing instance of an existing object is reported as
    /// noSuchInstance instead of noSuchObject.
    fn has_object(&self, name: &[SubId]) -> bool;
}
