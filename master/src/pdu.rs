//! The types that the SNMP engine and the dispatcher of subagents exchange: requests, responses and varbinds.

pub(crate) mod ber;
pub mod own_objects;
mod request;
pub(crate) mod time_ticks;
pub mod varbind_list;

pub use request::{Answer, Operation, Request, Token};
