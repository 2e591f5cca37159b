//! The contract between operator and sidecar: one JSON document per subtree.
//!
//! The operator writes each document as the key [`file_name`] of the ConfigMap `snmp-sidecar`, and the sidecar reads the
//! mounted folder. Field names and nesting follow the API (`SnmpSubtree.spec`), so the path of a [`Violation`] is valid
//! for both, except for durations and file names. The writer resolves all defaults.
//!
//! [`parse()`] ignores unknown fields; [`parse_strict`] refuses them, for `snmp-sidecar check`.

mod document;
pub mod health;
mod parse;
mod syntax;
mod validate;

pub use agentx::{Oid, SubId};
pub use document::*;
pub use parse::{ParseError, file_name, parse, parse_strict, subtree_name};
pub use syntax::TextError;
pub use validate::{
    MAX_COLUMNS, MAX_CONTEXT_OCTETS, MAX_CONTEXTS, MAX_INDEXES, MAX_SCALARS, MAX_SOURCES, MAX_TABLES, RESERVED_ARCS,
    Valid, Violation, json_path, whole_text,
};
