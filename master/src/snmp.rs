//! The SNMP engine (RFC 3411): SNMPv1, SNMPv2c and SNMPv3, without I/O.
//!
//! | module | contents |
//! |---|---|
//! | `engine` | the engine: takes datagrams and answers, returns requests and datagrams |
//! | `access` | the access rules of the configuration document; `keys`: the keys of SNMPv3 users |
//! | `community`, `usm` | authentication and authorization of SNMPv1 and SNMPv2c, and of SNMPv3 |
//! | `tlv`, `request` | decoding of requests |
//! | `response`, `report`, `envelope`, `message` | encoding of responses and reports |
//! | `exchange`, `pending` | requests that are being answered |
//! | `system` | the objects that the engine itself serves |
//! | `statistics` | counters |
//!
//! A datagram is decoded no further than necessary until its sender is authenticated.

mod access;
mod community;
mod datagram;
mod engine;
mod engine_identity;
mod envelope;
mod exchange;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod keys;
mod message;
mod pending;
mod product;
mod receive_error;
mod report;
mod request;
mod response;
pub mod statistics;
mod system;
#[cfg(test)]
mod tests;
mod tlv;
mod usm;

pub use access::Access;
pub(crate) use datagram::{Datagram, Source};
pub use engine::Engine;
pub(crate) use engine::Received;
pub use engine_identity::{EngineError, EngineIdentity};
pub use keys::KeyCache;
pub use message::Version;
pub(crate) use product::PRODUCT_OID;
pub use system::SystemObjects;
