//! A request between its coming and its answer.

use agentx::ResponseError;
use bytes::Bytes;

use super::{
    community::CommunityEnvelope, engine::Source, fault::Fault, message::Version, pending::Identity, request::NotAsked,
    usm::UserEnvelope,
};
use crate::dispatch::Operation;

/// A request whose asker is known.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// The SNMP context.
    pub(super) context: Vec<u8>,
    /// What is to be done.
    ///
    /// # Errors
    /// What is wrong with it, or what the asker may not, and with which variable binding, from 1.
    pub(super) operation: Result<Operation, (ResponseError, u32)>,
    pub(super) exchange: Exchange,
}

/// What is needed to answer a request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) from: Source,
    pub(super) request_id: i32,
    /// The variable bindings as they came: an error's answer repeats them.
    pub(super) varbinds: Bytes,
    /// The longest message that may be sent, in octets.
    pub(super) limit: usize,
    pub(super) envelope: Envelope,
}

/// What goes around an answer's PDU.
#[derive(Debug)]
pub(super) enum Envelope {
    Community(CommunityEnvelope),
    User(UserEnvelope),
}

impl Envelope {
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Community(envelope) => envelope.version,
            Self::User(_) => Version::V3,
        }
    }
}

/// Why a datagram is no request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is dropped without a word.
    Dropped(Dropped),
    /// A Report says what is wrong, if one may be sent.
    Fault(Fault, Option<Box<Exchange>>),
}

/// Why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// It is longer than is taken.
    TooLong,
    /// It is not what it should be.
    Malformed,
    /// There is no such version.
    BadVersion,
    /// The community is not known, or not there.
    BadCommunity,
    /// There is no such security model.
    UnknownSecurityModel,
    /// Its flags cannot be.
    InvalidFlags,
    /// Its PDU is none that an agent takes, or not in its version.
    Unexpected,
    /// It is being answered already.
    Duplicate,
    /// Too much is being answered.
    OverLimit,
}

impl From<NotAsked> for Dropped {
    fn from(not_asked: NotAsked) -> Self {
        match not_asked {
            NotAsked::Unexpected => Self::Unexpected,
            NotAsked::Malformed => Self::Malformed,
        }
    }
}

impl From<Dropped> for Refusal {
    fn from(dropped: Dropped) -> Self {
        Self::Dropped(dropped)
    }
}
