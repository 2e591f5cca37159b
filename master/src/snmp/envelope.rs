//! Envelopes: everything of a message but its PDU, kept from a request until its response is sent.

mod user;

use async_snmp::Community;

pub(super) use self::user::{Sender, UserEnvelope};
use super::message::{Pdu, Version, community_message, community_message_len};

/// The envelope of a response or report.
#[derive(Debug)]
pub(super) enum Envelope {
    /// Of SNMPv1 and SNMPv2c.
    Community(CommunityEnvelope),
    /// Of SNMPv3.
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

/// The envelope of a message of SNMPv1 or SNMPv2c.
#[derive(Debug)]
pub(super) struct CommunityEnvelope {
    pub(super) version: Version,
    pub(super) community: Community,
}

impl CommunityEnvelope {
    /// Returns the length of the message, in octets, with a PDU of `pdu` octets.
    pub(super) fn message_len(&self, pdu: usize) -> usize {
        community_message_len(self.community.as_bytes(), pdu)
    }

    /// Encodes the message with this PDU.
    pub(super) fn seal(&self, pdu: &Pdu<'_>) -> Vec<u8> {
        community_message(self.version, self.community.as_bytes(), pdu)
    }
}
