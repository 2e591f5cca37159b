//! The identity of the SNMP engine.

use std::time::Instant;

use async_snmp::v3::compute_engine_boots_time;

/// The identity of an SNMP engine (RFC 3411 section 3.1.1), as it is stored across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineIdentity {
    /// snmpEngineID: 5 to 32 octets. It is unique among all engines and never changes.
    pub engine_id: Vec<u8>,
    /// snmpEngineBoots: how often the engine has started, including this start; from 1 to 2³¹ − 1.
    pub boots: u32,
}

impl EngineIdentity {
    /// Returns snmpEngineBoots and snmpEngineTime, in seconds, at `now` of an engine that started at `started`.
    pub(super) fn boots_and_time(&self, started: Instant, now: Instant) -> (u32, u32) {
        compute_engine_boots_time(self.boots, now.saturating_duration_since(started).as_secs())
    }
}

/// An error that prevents the engine from starting.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The snmpEngineID has a wrong length, or all its octets are 0 or all are 255 (RFC 3411 section 5).
    #[error("invalid snmpEngineID {0:02x?}: it must have 5 to 32 octets, not all 0 and not all 255")]
    EngineId(Vec<u8>),
    /// The snmpEngineBoots is out of range (RFC 3414 section 2.2.2).
    #[error("invalid snmpEngineBoots {0}: it must be between 1 and 2147483647")]
    Boots(u32),
    /// The operating system provides no random octets.
    #[error(transparent)]
    Random(Box<async_snmp::Error>),
}
