//! The contract between operator and sidecar: one JSON document per subtree.
//!
//! The operator writes each document as the key [`file_name`] of the ConfigMap `snmp-sidecar`; the sidecar reads
//! the mounted folder. Field names and nesting follow the API (`SnmpSubtree.spec`), so that the path of a
//! [`Violation`] is true of both. All defaults are resolved by the writer.
//!
//! A reader ignores fields that it does not know ([`parse`]); [`parse_strict`] refuses them, for `snmp-sidecar check`.

mod document;
mod validate;

pub use agentx::{Oid, SubId};
pub use document::*;
pub use validate::{Valid, Violation};
