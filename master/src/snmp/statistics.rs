//! Counters of the SNMP engine, shown by the groups snmp, usmStats and snmpMPDStats, and by `/metrics`.

mod attempts;
pub(crate) mod latency;

pub use attempts::{FailedAttempts, FailedSource};
pub use daemon::Counter;

use self::latency::Latency;
use super::Version;

/// A counter for each version of SNMP.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct PerVersion {
    pub v1: Counter,
    pub v2c: Counter,
    pub v3: Counter,
}

impl PerVersion {
    /// Returns the counter of a version.
    pub fn of(&self, version: Version) -> &Counter {
        match version {
            Version::V1 => &self.v1,
            Version::V2c => &self.v2c,
            Version::V3 => &self.v3,
        }
    }
}

/// The counters of the engine since the process started.
#[derive(Debug, Default)]
pub struct Statistics {
    /// snmpInPkts (RFC 3418): received messages.
    pub in_packets: Counter,
    /// snmpInBadVersions: messages of an unsupported version.
    pub bad_versions: Counter,
    /// snmpInBadCommunityNames: messages with a community that is unknown, or not allowed from their source address.
    pub bad_community_names: Counter,
    /// snmpInBadCommunityUses: SetRequests with a read-only community.
    pub bad_community_uses: Counter,
    /// snmpInASNParseErrs: malformed messages.
    pub asn_parse_errors: Counter,
    /// snmpSilentDrops: requests without a response, because not even tooBig fitted into a message.
    pub silent_drops: Counter,

    /// snmpUnknownSecurityModels (RFC 3412).
    pub unknown_security_models: Counter,
    /// snmpInvalidMsgs (RFC 3412): messages with invalid flags.
    pub invalid_messages: Counter,
    /// snmpUnknownPDUHandlers (RFC 3412): PDUs for a context of another engine, or of a type without a handler.
    pub unknown_pdu_handlers: Counter,

    /// usmStatsUnsupportedSecLevels (RFC 3414).
    pub unsupported_security_levels: Counter,
    /// usmStatsNotInTimeWindows (RFC 3414).
    pub not_in_time_windows: Counter,
    /// usmStatsUnknownUserNames (RFC 3414).
    pub unknown_user_names: Counter,
    /// usmStatsUnknownEngineIDs (RFC 3414).
    pub unknown_engine_ids: Counter,
    /// usmStatsWrongDigests (RFC 3414).
    pub wrong_digests: Counter,
    /// usmStatsDecryptionErrors (RFC 3414).
    pub decryption_errors: Counter,

    /// snmpUnavailableContexts (RFC 3413). Always 0, because each known context is available.
    pub unavailable_contexts: Counter,
    /// snmpUnknownContexts (RFC 3413): contexts that do not exist, or that the user must not access.
    pub unknown_contexts: Counter,

    /// Accepted requests: the community or user is authenticated.
    pub requests: PerVersion,
    /// Responses without an error.
    pub answers: PerVersion,
    /// Responses with an error, of the engine, the master or a subagent.
    pub errors: PerVersion,
    /// Reports sent (RFC 3412 section 7.1).
    pub reports: Counter,
    /// Messages dropped because they are too long.
    pub too_long: Counter,
    /// PDUs dropped because they are no requests: Responses, Reports, notifications.
    pub unexpected_pdus: Counter,
    /// Requests dropped because the same request is in progress.
    pub duplicates: Counter,
    /// Requests dropped because the limit of requests in progress is reached.
    pub over_limit: Counter,
    /// Time from the datagram of a request to its response.
    pub latency: Latency,
    /// Failed authentication attempts by source: bad communities, unknown users, wrong digests.
    pub failed_attempts: FailedAttempts,
}
