//! Counters of the SNMP engine: what snmpEngine, snmp, usmStats and snmpMPDStats show, and `/metrics`.

mod attempts;

pub use attempts::{FailedAttempts, FailedSource};
pub use daemon::Counter;

use crate::{latency::Latency, snmp::Version};

/// A counter for each version of SNMP.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct PerVersion {
    pub v1: Counter,
    pub v2c: Counter,
    pub v3: Counter,
}

impl PerVersion {
    /// The counter of one version.
    pub fn of(&self, version: Version) -> &Counter {
        match version {
            Version::V1 => &self.v1,
            Version::V2c => &self.v2c,
            Version::V3 => &self.v3,
        }
    }
}

/// What the engine has seen and done since it started.
#[derive(Debug, Default)]
pub struct Statistics {
    /// snmpInPkts (RFC 3418): datagrams that came.
    pub in_packets: Counter,
    /// snmpInBadVersions: messages of a version that there is not.
    pub bad_versions: Counter,
    /// snmpInBadCommunityNames: messages with a community that is not known, or not where they came from.
    pub bad_community_names: Counter,
    /// snmpInBadCommunityUses: Sets with a community that may only read.
    pub bad_community_uses: Counter,
    /// snmpInASNParseErrs: messages that are not what they should be.
    pub asn_parse_errors: Counter,
    /// snmpSilentDrops: requests not answered, as not even tooBig fitted into a message.
    pub silent_drops: Counter,

    /// snmpUnknownSecurityModels (RFC 3412).
    pub unknown_security_models: Counter,
    /// snmpInvalidMsgs (RFC 3412): messages with flags that cannot be.
    pub invalid_messages: Counter,
    /// snmpUnknownPDUHandlers (RFC 3412): PDUs for another engine's context, or that nobody here takes.
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

    /// snmpUnavailableContexts (RFC 3413). A context is never known and not available here.
    pub unavailable_contexts: Counter,
    /// snmpUnknownContexts (RFC 3413): contexts that there are not, or that are not the asker's.
    pub unknown_contexts: Counter,

    /// Requests that were taken on: their askers are known.
    pub requests: PerVersion,
    /// Responses without an error.
    pub answers: PerVersion,
    /// Responses with an error, of the engine or of whoever serves the objects.
    pub errors: PerVersion,
    /// Reports sent (RFC 3412 section 7.1).
    pub reports: Counter,
    /// Messages dropped for being longer than is taken.
    pub too_long: Counter,
    /// PDUs dropped that are no requests: Responses, Reports, notifications.
    pub unexpected_pdus: Counter,
    /// Requests dropped for being asked again while they are being answered.
    pub duplicates: Counter,
    /// Requests dropped for being too many at once.
    pub over_limit: Counter,
    /// How long requests took, from the datagram to its answer.
    pub latency: Latency,
    /// Who failed to say who he is, and how often: bad communities, unknown users, wrong digests.
    pub failed_attempts: FailedAttempts,
}
