//! What is wrong with a message of SNMPv3 so that a Report says so (RFC 3412 section 7.1).

use agentx::{SubId, ValueRef};

use crate::{
    statistics::{Counter, Statistics},
    varbind_list::VarBindList,
};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The user has no keys for this level of security.
    UnsupportedSecurityLevel,
    /// It is of another time, or of another boot.
    NotInTimeWindow,
    /// There is no such user.
    UnknownUserName,
    /// It is for another engine, or for any: this is how an engine is discovered.
    UnknownEngineId,
    /// It is not from that user.
    WrongDigest,
    /// It cannot be decrypted.
    DecryptionError,
    /// There is no such context, or not for this user.
    UnknownContext,
    /// The context is another engine's, or the PDU is none that anything here takes.
    UnknownPduHandler,
}

impl Fault {
    /// Its counter's instance.
    fn name(self) -> &'static [SubId] {
        match self {
            Self::UnsupportedSecurityLevel => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 1, 0],
            Self::NotInTimeWindow => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 2, 0],
            Self::UnknownUserName => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 3, 0],
            Self::UnknownEngineId => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0],
            Self::WrongDigest => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 5, 0],
            Self::DecryptionError => &[1, 3, 6, 1, 6, 3, 15, 1, 1, 6, 0],
            Self::UnknownContext => &[1, 3, 6, 1, 6, 3, 12, 1, 5, 0],
            Self::UnknownPduHandler => &[1, 3, 6, 1, 6, 3, 11, 2, 1, 3, 0],
        }
    }

    /// Its counter.
    pub(super) fn counter(self, statistics: &Statistics) -> &Counter {
        match self {
            Self::UnsupportedSecurityLevel => &statistics.unsupported_security_levels,
            Self::NotInTimeWindow => &statistics.not_in_time_windows,
            Self::UnknownUserName => &statistics.unknown_user_names,
            Self::UnknownEngineId => &statistics.unknown_engine_ids,
            Self::WrongDigest => &statistics.wrong_digests,
            Self::DecryptionError => &statistics.decryption_errors,
            Self::UnknownContext => &statistics.unknown_contexts,
            Self::UnknownPduHandler => &statistics.unknown_pdu_handlers,
        }
    }

    /// What a Report of it says: its counter.
    pub(super) fn varbinds(self, statistics: &Statistics) -> VarBindList {
        let mut varbinds = VarBindList::default();
        varbinds.push(self.name(), ValueRef::Counter32(self.counter(statistics).wrapped()));
        varbinds
    }

    /// Whether someone failed to say who he is.
    pub(super) fn is_failed_attempt(self) -> bool {
        matches!(self, Self::UnknownUserName | Self::WrongDigest)
    }
}
