//! The contract between operator and master: contexts, grants, access, targets, limits, listeners.

mod document;
mod secret;

pub use agentx::{Oid, SubId};
pub use document::*;
pub use ipnet::IpNet;
pub use secret::Secret;
