//! Errors of SNMPv3 messages that are reported to their sender (RFC 3412 section 7.1).

use agentx::{SubId, ValueRef};

use crate::{
    pdu::varbind_list::VarBindList,
    snmp::statistics::{Counter, Statistics},
};

/// The reason for a Report. Each has a counter, which the Report carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportReason {
    /// The user has no keys for this security level.
    UnsupportedSecurityLevel,
    /// msgAuthoritativeEngineBoots or msgAuthoritativeEngineTime is outside the time window.
    NotInTimeWindow,
    /// The user is unknown.
    UnknownUserName,
    /// The message names another engine or none. Managers send such messages to discover the engine.
    UnknownEngineId,
    /// The digest does not match the user's key.
    WrongDigest,
    /// The message cannot be decrypted.
    DecryptionError,
    /// The context does not exist, or the user has no access to it.
    UnknownContext,
    /// The context belongs to another engine, or the PDU is a notification, which an agent does not receive.
    UnknownPduHandler,
}

impl ReportReason {
    /// Returns the OID of the counter instance.
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

    /// Returns the counter.
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

    /// Returns the varbinds of the Report: the counter.
    pub(super) fn varbinds(self, statistics: &Statistics) -> VarBindList {
        let mut varbinds = VarBindList::default();
        varbinds.push(self.name(), ValueRef::Counter32(self.counter(statistics).wrapped()));
        varbinds
    }

    /// Returns whether the sender failed to authenticate.
    pub(super) fn is_authentication_failure(self) -> bool {
        matches!(self, Self::UnknownUserName | Self::WrongDigest)
    }
}
