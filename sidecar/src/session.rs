//! The AgentX session (RFC 2741 section 7), without I/O: [`Session`] is given octets and the time, and yields octets.
//!
//! Requests are answered from the [`crate::mib_view::MibView`]s of the [`Export`]s alone, within the call that they
//! came with. [`crate::subagent`] drives sessions over sockets.

pub mod answer;
mod capabilities;
mod catalogue;
mod counters;
mod fuzz;
mod jitter;
mod machine;
mod registrations;
mod set;
#[cfg(test)]
mod tests;
mod writes;

use std::sync::Arc;

use agentx::Oid;
use arc_swap::ArcSwap;

pub use agentx::Output;
pub use answer::Responder;
pub use capabilities::{Capabilities, Capability, Declaration, Number};
pub use catalogue::{Catalogue, Loaded, Snapshot};
pub use counters::{Counter, Counters, Counts};
#[doc(hidden)]
pub use fuzz::fuzz;
pub use jitter::Jitter;
pub use machine::{End, Input, Session, State};
pub use registrations::{Command, Progress, Registration, Registrations};
pub use set::{SetTransaction, Step, Verdict};
pub use writes::Writes;

use crate::{mapping::Region, mib_view::MibView};

/// One subtree that is served. What it is: its context and base.
#[derive(Debug, Clone)]
pub struct Export {
    /// The SNMP context; empty is the default context.
    pub context: String,
    /// The subtree's base OID, which all instances lie below.
    pub base: Oid,
    /// What to register for it.
    pub regions: Vec<Region>,
    /// Where its latest snapshot is.
    pub view: Arc<ArcSwap<MibView>>,
    /// What the master's sysORTable says about it, if anything.
    pub capabilities: Option<String>,
    /// Whether any of its objects can be written.
    pub writable: bool,
}

/// All that is served.
pub type Exports = Arc<Vec<Export>>;
