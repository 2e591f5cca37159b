//! Agreement with the crate `agentx` 0.1.1, in both directions.
//!
//! The crate differs from the RFC, or does not support all of it:
//! * octet strings are `String`: octets that are not UTF-8 do not decode (section 5.3 has any octets);
//! * TimeTicks is signed, and IpAddress is a string of any length;
//! * `res.error` does not include the SNMP errors 1 to 18 of section 6.2.16, so such Responses do not decode;
//! * `res.sysUpTime` over 429,496,729 overflows while decoding;
//! * a context is written even if its flag is not set, and the caller must set the flag;
//! * OIDs can be longer than 128 sub-identifiers, the length of a frame is not checked, and octets after a PDU are ignored;
//! * OIDs are never compressed, so the octets differ from ours and only their meaning can be compared.

use crate::arbitrary::pdu;
use agentx::{
    Body, ByteOrder, CloseReason, IndexAllocate, Limits, Oid, Pdu, Range, Response, ResponseError, SearchRange, Value,
    VarBind, decode, encode,
};
use agentx_peer::{encodings as peer, pdu as peer_pdu};
use proptest::prelude::*;
use std::{fmt::Debug, io, time::Duration};

fn peer_text(octets: &[u8]) -> peer::OctetString {
    peer::OctetString(String::from_utf8(octets.to_vec()).unwrap())
}

fn peer_oid(oid: &Oid) -> peer::ID {
    peer::ID::try_from(oid.to_vec()).unwrap()
}

fn peer_range(range: &SearchRange) -> peer::SearchRange {
    let mut start = peer_oid(&range.start);
    start.include = range.include.into();
    peer::SearchRange::new(start, peer_oid(&range.end))
}

fn peer_ranges(ranges: &[SearchRange]) -> peer::SearchRangeList {
    peer::SearchRangeList(ranges.iter().map(peer_range).collect())
}

fn peer_value(value: &Value) -> peer::Value {
    match value {
        Value::Integer(v) => peer::Value::Integer(*v),
        Value::OctetString(v) => peer::Value::OctetString(peer_text(v)),
        Value::Null => peer::Value::Null,
        Value::ObjectIdentifier(v) => peer::Value::ObjectIdentifier(peer_oid(v)),
        Value::IpAddress(v) => peer::Value::IpAddress(peer_text(v)),
        Value::Counter32(v) => peer::Value::Counter32(*v),
        Value::Gauge32(v) => peer::Value::Gauge32(*v),
        Value::TimeTicks(v) => peer::Value::TimeTicks(v.cast_signed()),
        Value::Opaque(v) => peer::Value::Opaque(peer_text(v)),
        Value::Counter64(v) => peer::Value::Counter64(*v),
        Value::NoSuchObject => peer::Value::NoSuchObject,
        Value::NoSuchInstance => peer::Value::NoSuchInstance,
        Value::EndOfMibView => peer::Value::EndOfMibView,
    }
}

fn peer_varbinds(varbinds: &[VarBind]) -> peer::VarBindList {
    let varbind = |varbind: &VarBind| peer::VarBind::new(peer_oid(&varbind.name), peer_value(&varbind.value));
    peer::VarBindList(varbinds.iter().map(varbind).collect())
}

/// Returns the peer's error, or `None` if the peer does not have it.
fn peer_error(error: ResponseError) -> Option<peer_pdu::ResError> {
    use peer_pdu::ResError as Peer;
    Some(match error {
        ResponseError::NoError => Peer::NoAgentXError,
        ResponseError::OpenFailed => Peer::OpenFailed,
        ResponseError::NotOpen => Peer::NotOpen,
        ResponseError::IndexWrongType => Peer::IndexWrongType,
        ResponseError::IndexAlreadyAllocated => Peer::IndexAlreadyAllocated,
        ResponseError::IndexNoneAvailable => Peer::IndexNoneAvailable,
        ResponseError::IndexNotAllocated => Peer::IndexNotAllocated,
        ResponseError::UnsupportedContext => Peer::UnsupportedContext,
        ResponseError::DuplicateRegistration => Peer::DuplicateRegistration,
        ResponseError::UnknownRegistration => Peer::UnknownRegistration,
        ResponseError::UnknownAgentCaps => Peer::UnknownAgentCaps,
        ResponseError::ParseError => Peer::ParseError,
        ResponseError::RequestDenied => Peer::RequestDenied,
        ResponseError::ProcessingError => Peer::ProcessingError,
        _ => return None,
    })
}

fn peer_reason(reason: CloseReason) -> Option<peer_pdu::CloseReason> {
    use peer_pdu::CloseReason as Peer;
    Some(match reason {
        CloseReason::Other => Peer::Other,
        CloseReason::ParseError => Peer::ParseError,
        CloseReason::ProtocolError => Peer::ProtocolError,
        CloseReason::Timeouts => Peer::Timeouts,
        CloseReason::Shutdown => Peer::Shutdown,
        CloseReason::ByManager => Peer::ByManager,
        CloseReason::Unknown(_) => return None,
    })
}

fn bits(pairs: &[(bool, u8)]) -> u8 {
    pairs.iter().filter(|(set, _)| *set).map(|(_, bit)| 1 << bit).sum()
}

/// Returns the peer's header for `pdu`. The peer computes the payload's length.
fn peer_header(pdu: &Pdu) -> peer_pdu::Header {
    let mut header = peer_pdu::Header::new(peer_pdu::Type::from_byte(pdu.body.pdu_type().code()).unwrap());
    let (new, any) = match &pdu.body {
        Body::IndexAllocate(IndexAllocate { new, any, .. }) => (*new, *any),
        _ => (false, false),
    };
    let instance = matches!(&pdu.body, Body::Register(register) if register.instance);
    header.flags = bits(&[
        (instance, peer_pdu::INSTANCE_REGISTRATION),
        (new, peer_pdu::NEW_INDEX),
        (any, peer_pdu::ANY_INDEX),
        (!pdu.context.is_default(), peer_pdu::NON_DEFAULT_CONTEXT),
        (pdu.header.byte_order == ByteOrder::Big, peer_pdu::NETWORK_BYTE_ORDER),
    ]);
    header.session_id = pdu.header.session_id;
    header.transaction_id = pdu.header.transaction_id;
    header.packet_id = pdu.header.packet_id;
    header
}

/// Returns whether the peer can represent this PDU.
fn peer_can(pdu: &Pdu) -> bool {
    match &pdu.body {
        Body::Close(reason) => peer_reason(*reason).is_some(),
        Body::Response(response) => peer_error(response.error).is_some(),
        _ => true,
    }
}

/// Compares a PDU with the peer's: each side decodes what the other encodes. `$peer` is the peer's PDU without its header.
macro_rules! agree {
    ($pdu:expr, $type:ident, $peer:expr) => {{
        let mut peer = $peer;
        peer.header = peer_header($pdu);
        let theirs = peer.to_bytes();
        read_theirs($pdu, theirs);
        let ours = write_ours($pdu);
        let mut read = peer_pdu::$type::from_bytes(&ours).unwrap();
        read.header.payload_length = peer.header.payload_length;
        assert_same(&read, &peer);
        read
    }};
}

fn read_theirs(pdu: &Pdu, theirs: io::Result<Vec<u8>>) {
    assert_eq!(decode(&theirs.unwrap(), &Limits::default()).as_ref(), Ok(pdu));
}

fn write_ours(pdu: &Pdu) -> Vec<u8> {
    let mut ours = Vec::new();
    encode(pdu, &mut ours).unwrap();
    ours
}

fn assert_same<T: PartialEq + Debug>(read: &T, built: &T) {
    assert_eq!(read, built);
}

/// Returns the `include` fields, which the peer's comparison of OIDs ignores.
fn includes(ranges: &peer::SearchRangeList) -> Vec<u8> {
    ranges.0.iter().map(|range| range.start.include).collect()
}

fn upper_bound(range: Option<Range>) -> (u8, Option<u32>) {
    range.map_or((0, None), |range| (range.position, Some(range.upper_bound)))
}

fn check(pdu: &Pdu) {
    let context = (!pdu.context.is_default()).then(|| peer::Context(peer_text(&pdu.context.0)));
    /// Sets the context of the peer's PDU, if there is one.
    macro_rules! agree_in_context {
        ($type:ident, $peer:expr) => {{
            let mut peer = $peer;
            peer.context = context;
            agree!(pdu, $type, peer)
        }};
    }
    match &pdu.body {
        Body::Open(open) => {
            let mut peer = peer_pdu::Open::new(peer_oid(&open.id), peer_text(&open.description).0.as_str());
            peer.timeout = Duration::from_secs(open.timeout_s.into());
            agree!(pdu, Open, peer);
        }
        Body::Close(reason) => {
            agree!(pdu, Close, peer_pdu::Close::new(peer_reason(*reason).unwrap()));
        }
        Body::Register(register) => {
            let mut peer = peer_pdu::Register::new(peer_oid(&register.subtree));
            peer.timeout = Duration::from_secs(register.timeout_s.into());
            peer.priority = register.priority;
            (peer.range_subid, peer.upper_bound) = upper_bound(register.range);
            agree_in_context!(Register, peer);
        }
        Body::Unregister(unregister) => {
            let mut peer = peer_pdu::Unregister::new(peer_oid(&unregister.subtree), unregister.priority);
            (peer.range_subid, peer.upper_bound) = upper_bound(unregister.range);
            agree_in_context!(Unregister, peer);
        }
        Body::Get(ranges) => {
            let read = agree_in_context!(Get, peer_pdu::Get::new(peer_ranges(ranges)));
            assert_eq!(includes(&read.sr), includes(&peer_ranges(ranges)));
        }
        Body::GetNext(ranges) => {
            let read = agree_in_context!(GetNext, peer_pdu::GetNext::new(peer_ranges(ranges)));
            assert_eq!(includes(&read.sr), includes(&peer_ranges(ranges)));
        }
        Body::GetBulk(bulk) => {
            let mut peer = peer_pdu::GetBulk::new(peer_ranges(&bulk.ranges));
            (peer.non_repeaters, peer.max_repetitions) = (bulk.non_repeaters, bulk.max_repetitions);
            let read = agree_in_context!(GetBulk, peer);
            assert_eq!(includes(&read.sr), includes(&peer_ranges(&bulk.ranges)));
        }
        Body::TestSet(varbinds) => {
            agree_in_context!(TestSet, peer_pdu::TestSet::new(peer_varbinds(varbinds)));
        }
        Body::CommitSet => {
            agree!(pdu, CommitSet, peer_pdu::CommitSet::new());
        }
        Body::UndoSet => {
            agree!(pdu, UndoSet, peer_pdu::UndoSet::new());
        }
        Body::CleanupSet => {
            agree!(pdu, CleanupSet, peer_pdu::CleanupSet::new());
        }
        Body::Notify(varbinds) => {
            agree_in_context!(Notify, peer_pdu::Notify::new(peer_varbinds(varbinds)));
        }
        Body::Ping => {
            agree_in_context!(Ping, peer_pdu::Ping::new());
        }
        Body::IndexAllocate(index) => {
            agree_in_context!(IndexAllocate, peer_pdu::IndexAllocate::new(peer_varbinds(&index.varbinds)));
        }
        Body::IndexDeallocate(varbinds) => {
            agree_in_context!(IndexDeallocate, peer_pdu::IndexDeallocate::new(peer_varbinds(varbinds)));
        }
        Body::AddAgentCaps(caps) => {
            let peer = peer_pdu::AddAgentCaps::new(peer_oid(&caps.id), peer_text(&caps.description).0.as_str());
            agree_in_context!(AddAgentCaps, peer);
        }
        Body::RemoveAgentCaps(caps) => {
            agree_in_context!(RemoveAgentCaps, peer_pdu::RemoveAgentCaps::new(peer_oid(&caps.id)));
        }
        Body::Response(response) => {
            let mut peer = peer_pdu::Response::new();
            peer.sys_uptime = Duration::from_millis(u64::from(response.sys_up_time) * 10);
            peer.res_error = peer_error(response.error).unwrap();
            peer.res_index = response.index;
            // The peer decodes an empty list even if it encodes none.
            peer.vb = Some(peer_varbinds(&response.varbinds));
            agree!(pdu, Response, peer);
        }
    }
}

/// Replaces everything that the peer cannot represent.
fn representable_by_the_peer(mut pdu: Pdu) -> Pdu {
    let varbinds = match &mut pdu.body {
        Body::TestSet(varbinds) | Body::Notify(varbinds) | Body::IndexDeallocate(varbinds) => varbinds,
        Body::IndexAllocate(index) => &mut index.varbinds,
        Body::Response(Response { sys_up_time, varbinds, .. }) => {
            *sys_up_time %= 429_496_730;
            varbinds
        }
        _ => return pdu,
    };
    for varbind in varbinds {
        if let Value::IpAddress(octets) = &mut varbind.value {
            *octets = octets.map(|octet| octet & 0x7f);
        }
    }
    pdu
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn each_codec_decodes_what_the_other_encodes(pdu in pdu().prop_map(representable_by_the_peer).prop_filter("unknown to the peer", peer_can)) {
        check(&pdu);
    }
}
