//! Tests of messages, with the codec of async-snmp as a second opinion.

use agentx::Oid;
use async_snmp::{
    DecodeConfig, Oid as PeerOid, Value as PeerValue,
    message::{CommunityMessage, RawV3Message},
};
use bytes::Bytes;
use master_config::SecurityLevel;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::snmp::Keys;

fn oid(arcs: &[SubId]) -> Oid {
    Oid::try_from(arcs).unwrap()
}

fn varbind(arcs: &[SubId], value: Value) -> VarBind {
    VarBind { name: oid(arcs), value }
}

fn objects() -> Vec<VarBind> {
    vec![
        varbind(&[1, 3, 6, 1, 4, 1, 9, 1, 0], Value::Gauge32(81)),
        varbind(&[1, 3, 6, 1, 4, 1, 9, 2, 0], Value::Counter64(1 << 40)),
        varbind(&[1, 3, 6, 1, 4, 1, 9, 3, 0], Value::OctetString(b"disk".to_vec())),
    ]
}

fn details() -> Vec<VarBind> {
    vec![varbind(&[1, 3, 9, 2, 1, 0], Value::OctetString(vec![7; 200]))]
}

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

fn content<'a>(oid: &'a [SubId], objects: &'a [VarBind], details: &'a [VarBind]) -> Content<'a> {
    Content { oid, uptime: 4711, objects, details, address: Some(ADDRESS) }
}

/// The fields of a Trap-PDU of SNMPv1, read with the general element reader.
fn read_v1(message: &[u8]) -> (Vec<u8>, Vec<u8>, i32, i32, usize) {
    use crate::snmp::Elements;
    let mut fields = Elements(Elements(message).expect(tag::SEQUENCE).unwrap());
    assert_eq!(fields.integer(), Some(0));
    assert_eq!(fields.expect(tag::OCTET_STRING), Some(&b"public"[..]));
    let mut trap = Elements(fields.expect(V1_TRAP).unwrap());
    fields.end().unwrap();
    let enterprise = trap.expect(tag::OBJECT_IDENTIFIER).unwrap().to_vec();
    let address = trap.expect(tag::IP_ADDRESS).unwrap().to_vec();
    let (generic, specific) = (trap.integer().unwrap(), trap.integer().unwrap());
    assert_eq!(trap.expect(tag::TIME_TICKS), Some(&[0x12, 0x67][..]));
    let mut varbinds = Elements(trap.expect(tag::SEQUENCE).unwrap());
    trap.end().unwrap();
    let count = std::iter::from_fn(|| varbinds.next()).count();
    (enterprise, address, generic, specific, count)
}

#[rstest]
#[case::with_a_zero(&[1, 3, 6, 1, 4, 1, 9, 0, 5], &[0x2B, 6, 1, 4, 1, 9], 6, 5)]
#[case::without_a_zero(&[1, 3, 6, 1, 4, 1, 9, 5], &[0x2B, 6, 1, 4, 1, 9], 6, 5)]
#[case::cold_start(&[1, 3, 6, 1, 6, 3, 1, 1, 5, 1], &[0x2B, 6, 1, 6, 3, 1, 1, 5], 0, 0)]
#[case::warm_start(&[1, 3, 6, 1, 6, 3, 1, 1, 5, 2], &[0x2B, 6, 1, 6, 3, 1, 1, 5], 1, 0)]
#[case::authentication_failure(&[1, 3, 6, 1, 6, 3, 1, 1, 5, 5], &[0x2B, 6, 1, 6, 3, 1, 1, 5], 4, 0)]
#[case::not_standard(&[1, 3, 6, 1, 6, 3, 1, 1, 5, 7], &[0x2B, 6, 1, 6, 3, 1, 1, 5], 6, 7)]
fn a_trap_of_version_1_is_translated(
    #[case] trap: &[SubId],
    #[case] enterprise: &[u8],
    #[case] generic: i32,
    #[case] specific: i32,
) {
    let (objects, details) = (objects(), details());
    let (message, omitted) = v1_trap(b"public", &content(trap, &objects, &details), 1472);
    // Only the Counter64 is left out.
    assert_eq!(read_v1(&message), (enterprise.to_vec(), ADDRESS.octets().to_vec(), generic, specific, 3));
    assert_eq!(omitted, Omitted { untranslatable: 1, ..Omitted::default() });
}

#[rstest]
#[case::all_fit(1472, 0, false)]
#[case::without_details(200, 0, true)]
#[case::without_the_last_object(130, 1, true)]
#[case::without_objects(10, 3, true)]
fn a_message_that_is_too_long_loses_details_first(#[case] limit: usize, #[case] lost: usize, #[case] no_details: bool) {
    let (objects, details) = (objects(), details());
    let content = content(&[1, 3, 6, 1, 4, 1, 9, 0, 5], &objects, &details);
    let (message, omitted) = v2c_message(b"public", pdu_tag::TRAP, 7, &content, limit);
    assert_eq!(omitted, Omitted { details: no_details, objects: lost, untranslatable: 0 });
    assert!(message.len() <= limit || lost == objects.len());
    let read = CommunityMessage::decode(Bytes::from(message), DecodeConfig::STRICT).unwrap().value;
    let pdu = read.pdu().standard().unwrap();
    let varbinds = pdu.varbinds();
    assert_eq!(varbinds.len(), 2 + objects.len() - lost + usize::from(!no_details) + 1);
    assert_eq!(varbinds[0].value, PeerValue::TimeTicks(4711));
    assert_eq!(varbinds[1].value, PeerValue::ObjectIdentifier(PeerOid::from_slice(content.oid)));
    assert_eq!(varbinds.last().unwrap().value, PeerValue::IpAddress(ADDRESS.octets()));
}

fn answer(level: SecurityLevel, keys: Option<std::sync::Arc<Keys>>, tag: u8, name: &[SubId]) -> Vec<u8> {
    let envelope = UserEnvelope {
        msg_id: 9,
        max_size: 1472,
        level,
        is_reportable: false,
        user_name: Bytes::from_static(b"noc"),
        keys,
        context: Bytes::new(),
    };
    let authority = Authority { engine_id: b"receiver", context_engine_id: b"receiver", boots: 3, time: 50 };
    let mut varbinds = VarBindList::default();
    varbinds.push(name, ValueRef::Counter32(1));
    let pdu = Pdu { tag, request_id: 8, error_status: 0, error_index: 0, varbinds: varbinds.octets() };
    Sealer::new(1).unwrap().seal(&envelope, authority, &pdu).unwrap()
}

fn keys(passphrase: &str) -> std::sync::Arc<Keys> {
    let user = serde_json::json!({
        "name": "noc",
        "auth": {"protocol": "SHA-256", "passphrase": passphrase},
        "priv": {"protocol": "AES-128", "passphrase": passphrase},
    });
    let user = serde_json::from_value(user).unwrap();
    std::sync::Arc::new(Keys::derive_for(&user, b"receiver").unwrap().unwrap())
}

#[test]
fn a_response_must_be_as_secure_as_the_inform() {
    let (ours, theirs) = (keys("our passphrase"), keys("their passphrase"));
    let read = |datagram: &[u8], engine: &[u8]| {
        read_user_answer(datagram, b"noc", SecurityLevel::AuthPriv, engine, Some(&ours))
    };
    let good = answer(SecurityLevel::AuthPriv, Some(ours.clone()), tag::RESPONSE, &[1, 3]);
    let times = Some(Times { boots: 3, time: 50 });
    assert_eq!(read(&good, b"receiver"), Some(Answer::Acknowledged { request_id: 8, times }));
    assert_eq!(read(&good, b"another"), None);
    for (level, keys) in [
        (SecurityLevel::AuthPriv, Some(theirs)),
        (SecurityLevel::AuthNoPriv, Some(ours.clone())),
        (SecurityLevel::NoAuthNoPriv, None),
    ] {
        assert_eq!(read(&answer(level, keys, tag::RESPONSE, &[1, 3]), b"receiver"), None, "{level:?}");
    }
}

#[test]
fn a_report_tells_the_engine_and_what_is_wrong() {
    let datagram = answer(SecurityLevel::NoAuthNoPriv, None, tag::REPORT, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 5, 0]);
    let read = read_user_answer(&datagram, b"noc", SecurityLevel::AuthPriv, b"", None).unwrap();
    let (kind, times) = (ReportKind::WrongDigest, Times { boots: 3, time: 50 });
    assert_eq!(read, Answer::Report { id: 9, kind, engine_id: b"receiver".to_vec(), times, is_authentic: false });
}

#[test]
fn an_answer_needs_the_community_of_the_inform() {
    let pdu = Pdu { tag: tag::RESPONSE, request_id: 8, error_status: 0, error_index: 0, varbinds: &[] };
    let message = community_message(Version::V2c, b"public", &pdu);
    assert_eq!(read_community_answer(&message, b"public"), Some(Answer::Acknowledged { request_id: 8, times: None }));
    assert_eq!(read_community_answer(&message, b"other"), None);
    let inform = Pdu { tag: pdu_tag::INFORM, ..pdu };
    assert_eq!(read_community_answer(&community_message(Version::V2c, b"public", &inform), b"public"), None);
}

proptest! {
    /// Any octets from a receiver are read or ignored, also those that resemble an answer.
    #[test]
    fn any_answer_is_read_or_ignored(
        octets in proptest::collection::vec(any::<u8>(), 0..300), at in 0..100_usize, cut in 0..16_usize,
    ) {
        let secured = answer(SecurityLevel::AuthNoPriv, Some(keys("our passphrase")), tag::RESPONSE, &[1, 3]);
        let report = answer(SecurityLevel::NoAuthNoPriv, None, tag::REPORT, &[1, 3, 6, 1, 6, 3, 15, 1, 1, 5, 0]);
        for base in [Vec::new(), secured, report] {
            let mut datagram = base;
            let at = at.min(datagram.len());
            let end = (at + cut).min(datagram.len());
            datagram.splice(at..end, octets.iter().copied().take(8));
            _ = read_community_answer(&datagram, b"public");
            let read = read_user_answer(&datagram, b"noc", SecurityLevel::AuthNoPriv, b"receiver", None);
            prop_assert!(!matches!(read, Some(Answer::Acknowledged { .. })), "without keys nothing is authentic");
            _ = read_community_answer(&octets, b"public");
        }
    }

    /// What is sent is decoded by another implementation, whatever the objects are.
    #[test]
    fn any_notification_is_decoded_by_async_snmp(
        values in proptest::collection::vec(crate::pdu::ber::tests::value(), 0..12), limit in 484..3000_usize,
    ) {
        let objects: Vec<_> = values.into_iter().map(|value| varbind(&[1, 3, 6, 1, 4, 1, 9, 1, 0], value)).collect();
        let content = content(&[1, 3, 6, 1, 4, 1, 9, 0, 5], &objects, &[]);
        let (message, omitted) = v2c_message(b"public", pdu_tag::INFORM, 7, &content, limit);
        prop_assert!(message.len() <= limit);
        let read = CommunityMessage::decode(Bytes::from(message), DecodeConfig::STRICT).unwrap().value;
        prop_assert_eq!(read.pdu().standard().unwrap().varbinds().len(), 3 + objects.len() - omitted.objects);
        prop_assert!(v1_trap(b"public", &content, limit).0.len() <= limit);
    }
}

#[test]
fn messages_of_version_3_fit_the_limit() {
    let (objects, details) = (objects(), details());
    let content = content(&[1, 3, 6, 1, 4, 1, 9, 0, 5], &objects, &details);
    let envelope = UserEnvelope {
        msg_id: 9,
        max_size: 1472,
        level: SecurityLevel::AuthPriv,
        is_reportable: true,
        user_name: Bytes::from_static(b"noc"),
        keys: Some(keys("our passphrase")),
        context: Bytes::from_static(b"acme"),
    };
    let authority = Authority { engine_id: b"receiver", context_engine_id: b"our engine", boots: 3, time: 50 };
    for limit in 250..700 {
        let (message, _) =
            v3_message(&mut Sealer::new(1).unwrap(), &envelope, authority, pdu_tag::INFORM, 7, &content, limit)
                .unwrap();
        assert!(message.len() <= limit, "{} of {limit}", message.len());
        let read = RawV3Message::decode(Bytes::from(message), DecodeConfig::STRICT).unwrap().value;
        assert!(read.global_data().msg_flags().reportable);
    }
}
