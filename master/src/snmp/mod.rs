//! The SNMP engine (RFC 3411): SNMPv1, SNMPv2c and SNMPv3, without I/O.
//!
//! | file | what |
//! |---|---|
//! | `engine` | datagrams and answers in, requests and datagrams out |
//! | `access` | who may ask for what, made of the contract; `keys`: what SNMPv3 needs for it |
//! | `community`, `usm` | how SNMPv1 and SNMPv2c, and SNMPv3, know who asks |
//! | `tlv`, `request` | what came; `response`, `fault`, `message`: what goes |
//! | `exchange`, `pending` | requests that are being answered |
//! | `system` | what the engine says of itself |
//!
//! No stranger's octets are decoded further than it takes to see that they are a stranger's.

mod access;
mod community;
mod engine;
mod exchange;
mod fault;
mod fuzz;
mod keys;
mod message;
mod pending;
mod product;
mod request;
mod response;
mod system;
#[cfg(test)]
mod tests;
mod tlv;
mod usm;

pub use access::Access;
pub use engine::{Datagram, Engine, EngineError, EngineIdentity, Received, Source};
#[doc(hidden)]
pub use fuzz::fuzz;
pub use keys::KeyCache;
pub use message::Version;
pub use product::{MASTER, PRODUCT_OID};
pub use system::SystemObjects;
