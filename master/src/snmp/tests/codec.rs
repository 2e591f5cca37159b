//! Checks the codecs that the engine is built on: with async-snmp's public types and the `ber` module, a request of
//! each version can be decoded and answered, and its response decoded, without async-snmp's agent.

use agentx::ValueRef;
use async_snmp::{
    AuthProtocol, DecodeConfig, Oid, Pdu, PduType, PrivProtocol, RequestPdu, Value, Version,
    ber::Decoder,
    message::{RawMsgData, RawV3Message, SecurityLevel},
    oid,
    v3::{UsmSecurityParams, auth::verify_message},
    varbind::decode_varbind_list,
};
use bytes::Bytes;
use rstest::rstest;

use super::nms::{User, community_request, community_response};
use crate::pdu::ber::{push_integer, push_octets, push_varbind, tag};

const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x04engine";

fn name() -> Oid {
    oid!(1, 3, 6, 1, 2, 1, 1, 3, 0)
}

/// Encodes a Response with one varbind of value 42.
fn response(request_id: i32) -> Vec<u8> {
    let (mut varbind, mut content, mut pdu) = (Vec::new(), Vec::new(), Vec::new());
    push_varbind(&mut varbind, name().arcs(), ValueRef::TimeTicks(42));
    push_integer(&mut content, request_id);
    push_integer(&mut content, 0);
    push_integer(&mut content, 0);
    push_octets(&mut content, tag::SEQUENCE, &varbind);
    push_octets(&mut pdu, tag::RESPONSE, &content);
    pdu
}

fn assert_is_42(pdu: &Pdu) {
    assert_eq!((pdu.pdu_type(), pdu.request_id(), pdu.error_status()), (PduType::Response, 7, 0));
    assert_eq!((&pdu.varbinds()[0].oid, &pdu.varbinds()[0].value), (&name(), &Value::TimeTicks(42)));
}

#[rstest]
fn community_messages_are_decoded_and_answered(#[values(Version::V1, Version::V2c)] version: Version) {
    let request = community_request(version, "public", RequestPdu::get(version, 7, &[name()]).unwrap());
    assert_eq!(community_response(version, "public", &request).varbinds()[0].oid, name());
    let (mut content, mut message) = (Vec::new(), Vec::new());
    push_integer(&mut content, version.as_i32());
    push_octets(&mut content, tag::OCTET_STRING, b"public");
    content.extend(response(7));
    push_octets(&mut message, tag::SEQUENCE, &content);
    assert_is_42(&community_response(version, "public", &message));
}

#[rstest]
#[case::no_auth(None, None)]
#[case::sha_1(Some(AuthProtocol::Sha1), None)]
#[case::sha_256_aes(Some(AuthProtocol::Sha256), Some(PrivProtocol::Aes128))]
#[case::md5_des(Some(AuthProtocol::Md5), Some(PrivProtocol::Des))]
fn user_messages_are_decoded_and_answered(#[case] auth: Option<AuthProtocol>, #[case] privacy: Option<PrivProtocol>) {
    let (auth, privacy) = (auth.map(|p| (p, "auth-passphrase")), privacy.map(|p| (p, "priv-passphrase")));
    let user = User::new("noc", ENGINE_ID, auth, privacy);
    let datagram = Bytes::from(user.request(RequestPdu::get(Version::V3, 7, &[name()]).unwrap()));

    let message = RawV3Message::decode(datagram.clone(), DecodeConfig::STRICT).unwrap().value;
    assert_eq!(message.security_level(), user.level);
    let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT).unwrap().value;
    if let Some(key) = &user.auth {
        let (offset, len) = UsmSecurityParams::find_auth_params_offset(&datagram).unwrap();
        assert!(verify_message(key, &datagram, offset, len).unwrap());
        let mut forged = datagram.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(!verify_message(key, &forged, offset, len).unwrap());
    }
    let scoped = match message.msg_data() {
        RawMsgData::Plaintext { data, .. } => data.clone(),
        RawMsgData::Encrypted(data) => {
            user.privacy.as_ref().unwrap().decrypt(data, 1, 0, params.priv_params()).unwrap()
        }
    };
    assert!(scoped.windows(4).any(|octets| octets == [0x02, 0x01, 0x01, 0x03]), "{scoped:?} does not contain the name");

    let mut content = Vec::new();
    push_octets(&mut content, tag::OCTET_STRING, ENGINE_ID);
    push_octets(&mut content, tag::OCTET_STRING, b"");
    content.extend(response(7));
    let mut scoped = Vec::new();
    push_octets(&mut scoped, tag::SEQUENCE, &content);
    // A response is encoded like a request, without the reportable flag.
    let response = User { reportable: false, ..user.clone() }.seal(&scoped);
    let (level, scoped) = user.decode_response(&response);
    assert_eq!(level, user.level);
    assert_is_42(&scoped.pdu);
    let unencrypted = response.windows(ENGINE_ID.len()).filter(|octets| *octets == ENGINE_ID).count();
    assert_eq!(unencrypted, if level == SecurityLevel::AuthPriv { 1 } else { 2 });
}

#[test]
fn variable_bindings_can_be_decoded_alone() {
    let mut list = Vec::new();
    let mut varbind = Vec::new();
    push_varbind(&mut varbind, name().arcs(), ValueRef::Null);
    push_octets(&mut list, tag::SEQUENCE, &varbind.repeat(3));
    let mut decoder = Decoder::from_slice(&list).with_decode_config(DecodeConfig::STRICT);
    assert_eq!(decode_varbind_list(&mut decoder).unwrap().len(), 3);
    assert!(decoder.is_empty());
}
