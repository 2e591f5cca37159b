//! Requests of managers, and responses to them.

use agentx::{Oid, ResponseError, VarBind};

use super::varbind_list::VarBindList;

/// Identifies a request in progress. The SNMP engine chooses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A request of a manager. Access control has been checked already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Returned in the [`Answer`].
    pub token: Token,
    /// The name of the SNMP context.
    pub context: Vec<u8>,
    /// The operation.
    pub operation: Operation,
    /// Longest total length of the encoded varbinds in the response, in octets. A GetBulk response is truncated to it.
    /// Other responses that do not fit become tooBig.
    pub room: usize,
    /// Whether to skip instances of type Counter64, which SNMPv1 does not have (RFC 3584 section 4.2.2.1).
    pub without_counter64: bool,
}

/// An operation (RFC 3416 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Read these instances.
    Get(Vec<Oid>),
    /// Read the next instance after each name.
    GetNext(Vec<Oid>),
    /// Read the next instances after each name.
    GetBulk {
        /// How many of the first names are read only once.
        non_repeaters: u32,
        /// How many next instances are read of each of the other names.
        max_repetitions: u32,
        /// The names.
        names: Vec<Oid>,
    },
    /// Write all varbinds or none.
    Set(Vec<VarBind>),
}

/// The response to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The token of the request.
    pub token: Token,
    /// The varbinds with SNMPv2 exceptions, or for a Set those of the request. In case of an error, the error status
    /// and the index of the varbind, from 1, or 0 for no varbind.
    pub result: Result<VarBindList, (ResponseError, u32)>,
}
