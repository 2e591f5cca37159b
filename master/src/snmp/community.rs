//! SNMPv1 and SNMPv2c: access by community (RFC 1901, RFC 3584 section 5).

use agentx::ResponseError;
use master_config::Access as Permission;

use super::{
    access::Access,
    datagram::Source,
    envelope::{CommunityEnvelope, Envelope},
    exchange::{AuthenticatedRequest, Exchange, RequestKey},
    message::Version,
    receive_error::DropReason,
    request::{RawPdu, RequestPdu, pdu_tag},
    tlv::Elements,
};
use crate::pdu::ber::tag;

/// Decodes and authorizes a message. `message` begins after the version.
///
/// The PDU is decoded only once the community is known to be allowed from this source.
pub(super) fn authenticate(
    access: &Access,
    from: Source,
    version: Version,
    mut message: Elements<'_>,
) -> Result<AuthenticatedRequest, DropReason> {
    let community = message.expect(tag::OCTET_STRING).ok_or(DropReason::Malformed)?;
    let pdu = message.next_whole().ok_or(DropReason::Malformed)?;
    message.end().ok_or(DropReason::Malformed)?;
    let community = access.community(community, from.address.ip()).ok_or(DropReason::BadCommunity)?;
    let pdu = RawPdu::parse(pdu).ok_or(DropReason::Malformed)?;
    let request = RequestPdu::decode(version, &pdu)?;
    let operation = if pdu.tag == pdu_tag::SET && community.permission == Permission::ReadOnly {
        Err((ResponseError::NoAccess, request.first_index()))
    } else {
        request.operation
    };
    let envelope = CommunityEnvelope { version, community: community.community.clone() };
    Ok(AuthenticatedRequest {
        key: RequestKey { from, version, sender: community.hash, id: pdu.request_id },
        context: community.context.clone(),
        operation,
        exchange: Exchange {
            from,
            request_id: pdu.request_id,
            varbinds: request.varbinds,
            limit: access.message_octets(),
            envelope: Envelope::Community(envelope),
        },
    })
}
