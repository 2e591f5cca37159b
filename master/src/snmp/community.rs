//! SNMPv1 and SNMPv2c: whoever knows the community may (RFC 1901, RFC 3584 section 5).

use agentx::ResponseError;
use async_snmp::Community;
use master_config::Access as Permission;

use super::{
    access::Access,
    engine::Source,
    exchange::{Dropped, Envelope, Exchange, Known},
    message::{Pdu, Version, community_message, community_message_len},
    pending::Identity,
    request::{Asked, Head, pdu_tag},
    tlv::Elements,
};
use crate::ber::tag;

/// What goes around an answer's PDU.
#[derive(Debug)]
pub(super) struct CommunityEnvelope {
    pub(super) version: Version,
    community: Community,
}

impl CommunityEnvelope {
    /// How long the message is with a PDU of so many octets.
    pub(super) fn message_len(&self, pdu: usize) -> usize {
        community_message_len(self.community.as_bytes(), pdu)
    }

    /// The message.
    pub(super) fn seal(&self, pdu: &Pdu<'_>) -> Vec<u8> {
        community_message(self.version, self.community.as_bytes(), pdu)
    }
}

/// Reads what follows the version in a message. Nothing of its PDU is read before the community is found to be one that
/// may.
pub(super) fn read(
    access: &Access,
    from: Source,
    version: Version,
    mut message: Elements<'_>,
) -> Result<Known, Dropped> {
    let community = message.expect(tag::OCTET_STRING).ok_or(Dropped::Malformed)?;
    let pdu = message.whole().ok_or(Dropped::Malformed)?;
    message.end().ok_or(Dropped::Malformed)?;
    let granted = access.community(community, from.address.ip()).ok_or(Dropped::BadCommunity)?;
    let head = Head::read(pdu).ok_or(Dropped::Malformed)?;
    let asked = Asked::read(version, &head)?;
    let operation = if head.tag == pdu_tag::SET && granted.permission == Permission::ReadOnly {
        Err((ResponseError::NoAccess, asked.first_index()))
    } else {
        asked.operation
    };
    let envelope = CommunityEnvelope { version, community: granted.community.clone() };
    Ok(Known {
        identity: Identity { from, version, asker: granted.hash, id: head.request_id },
        context: granted.context.clone(),
        operation,
        exchange: Exchange {
            from,
            request_id: head.request_id,
            varbinds: asked.varbinds,
            limit: access.message_octets(),
            envelope: Envelope::Community(envelope),
        },
    })
}
