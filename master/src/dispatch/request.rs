//! What an NMS asks for, and what it gets.

use agentx::{Oid, ResponseError, VarBind};

use crate::varbind_list::VarBindList;

/// Names a request while it is being answered. The asker chooses it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What an NMS asks for. Whether it may is decided already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Comes back in the [`Answer`].
    pub token: Token,
    /// The SNMP context's name.
    pub context: Vec<u8>,
    /// What is to be done.
    pub operation: Operation,
    /// How many octets the answer's variable bindings may take in all. GetBulk is cut to it; what else does not fit is
    /// tooBig.
    pub room: usize,
    /// Pass by instances of type Counter64, which SNMPv1 cannot carry (RFC 3584 section 4.2.2.1).
    pub without_counter64: bool,
}

/// What is to be done (RFC 3416 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Read these instances.
    Get(Vec<Oid>),
    /// Read what follows each.
    GetNext(Vec<Oid>),
    /// Read what follows each, several times.
    GetBulk {
        /// How many names, from the first, are asked for once.
        non_repeaters: u32,
        /// How many times the others are.
        max_repetitions: u32,
        /// The names.
        names: Vec<Oid>,
    },
    /// Write, all or nothing.
    Set(Vec<VarBind>),
}

/// What came of a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The request's.
    pub token: Token,
    /// The variable bindings, in SNMPv2's terms: exceptions in their places. For a Set they are the request's own.
    ///
    /// # Errors
    /// What is wrong, and with which variable binding, from 1; 0 for none of them.
    pub result: Result<VarBindList, (ResponseError, u32)>,
}
