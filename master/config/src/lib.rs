//! The contract between operator and master: contexts, grants, access, targets, limits, listeners.
//!
//! The operator writes one JSON document, or several where one would not fit into a Secret ([`Document::join`]); the
//! master reads it ([`parse()`]), and goes by nothing but a [`Valid`] one. All defaults are this crate's.
//!
//! A reader ignores fields that it does not know; [`parse_strict`] refuses them, for `snmp-master check`.
//!
//! Documents hold passphrases. No error holds a value of a document: it tells places, names of fields, and rules.

mod document;
mod parse;
mod secret;
mod validate;

pub use agentx::{Oid, SubId};
pub use document::*;
pub use ipnet::IpNet;
pub use parse::{MAX_OCTETS, ParseError, parse, parse_strict, read};
pub use secret::Secret;
pub use validate::{
    MAX_COMMUNITIES, MAX_CONTEXT_OCTETS, MAX_NETWORKS, MAX_SOCKET_PATH, MAX_VIOLATIONS, Valid, Violation,
};
