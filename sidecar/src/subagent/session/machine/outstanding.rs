//! The session's own requests that the master has not answered yet.

use std::time::Instant;

use crate::subagent::session::{
    capabilities::{AdditionNumber, Capability},
    registrations::Registration,
};

/// A request of the session that the master has not answered yet.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) packet_id: u32,
    pub(super) sent: Instant,
    pub(super) request: SubagentRequest,
}

/// A request of the session to the master.
#[derive(Debug)]
pub(super) enum SubagentRequest {
    Open,
    Register(Registration),
    Unregister(Registration),
    AddCapability(Capability, AdditionNumber),
    RemoveCapability,
    Ping,
    Close,
}
