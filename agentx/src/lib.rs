//! The AgentX protocol, version 1 (RFC 2741): object identifiers, values, PDUs and their codec.
//!
//! Nothing here does I/O, reads a clock or is async.

pub mod oid;
pub mod value;

pub use oid::{DisplayArcs, Oid, OidError, SubId};
pub use value::{Value, ValueRef};
