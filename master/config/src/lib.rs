//! The contract between operator and master: contexts, grants, access, targets, limits, listeners.
//!
//! The operator writes one JSON document, or several if one would not fit into a Secret ([`Document::join`]). The
//! master reads it with [`parse()`] and uses it only if it is [`Valid`]. All defaults are defined in this crate.
//!
//! [`parse()`] ignores unknown fields; [`parse_strict`] refuses them, for `snmp-master check`.
//!
//! Documents contain passphrases. Errors never quote a value of a document, only positions, field names and rules.

mod document;
mod parse;
mod secret;
mod validate;

pub use agentx::{Oid, SubId};
pub use document::*;
pub use ipnet::IpNet;
pub use parse::{ParseError, parse, parse_strict, read};
pub use secret::Secret;
pub use validate::{
    MAX_COMMUNITIES, MAX_CONTEXT_OCTETS, MAX_NETWORKS, MAX_OCTETS, MAX_SOCKET_PATH, MAX_VIOLATIONS, Valid, Violation,
};
