//! SNMPv1 and SNMPv2c requests.

use std::time::Duration;

use agentx::{Oid, ResponseError as E, ValueRef as V};
use async_snmp::{GetBulkPdu, Pdu, PduType, RequestPdu, Value, VarBind, Version, oid};
use rstest::rstest;
use serde_json::json;

use super::{
    engine_harness::{EngineHarness, document, filler, from, list, nms},
    nms::{community_request, community_response},
};
use crate::{
    pdu::{Operation, Token},
    snmp::{
        Received,
        statistics::{Counter, Statistics},
    },
};

const NAME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];

fn name() -> async_snmp::Oid {
    async_snmp::Oid::from_slice(&NAME)
}

fn get(version: Version) -> RequestPdu {
    RequestPdu::get(version, 7, &[oid!(1, 3, 6), name()]).unwrap()
}

fn set(version: Version) -> RequestPdu {
    RequestPdu::set(version, 7, vec![VarBind::new(name(), Value::Integer(1)), VarBind::new(name(), "text".into())])
        .unwrap()
}

fn names() -> Vec<Oid> {
    vec![Oid::new(vec![1, 3, 6]).unwrap(), Oid::new(NAME.to_vec()).unwrap()]
}

/// Returns error-status, error-index and the number of varbinds of a Response.
fn status(pdu: &Pdu) -> (i32, i32, usize) {
    assert_eq!((pdu.pdu_type(), pdu.request_id()), (PduType::Response, 7));
    (pdu.error_status(), pdu.error_index(), pdu.varbinds().len())
}

#[rstest]
fn a_request_is_passed_on_and_its_answer_is_sent(#[values(Version::V1, Version::V2c)] version: Version) {
    let mut harness = EngineHarness::new();
    let next = RequestPdu::get_next(version, 7, &[oid!(1, 3, 6), name()]).unwrap();
    for (pdu, operation) in [(get(version), Operation::Get(names())), (next, Operation::GetNext(names()))] {
        let request = harness.request(&community_request(version, "public", pdu));
        assert_eq!((&request.context[..], &request.operation), (&b""[..], &operation));
        assert_eq!(request.without_counter64, version == Version::V1);
        let varbinds = list(&[(&NAME, V::TimeTicks(42)), (&NAME, V::OctetString(b"text"))]);
        let answer = harness.answer(&request, Ok(varbinds)).unwrap();
        let pdu = community_response(version, "public", &answer);
        assert_eq!(status(&pdu), (0, 0, 2));
        assert_eq!(pdu.varbinds()[0], VarBind::new(name(), Value::TimeTicks(42)));
        assert_eq!(harness.answer(&request, Ok(list(&[]))), None, "a request must be answered only once");
    }
    assert_eq!(harness.statistics.requests.v1.get() + harness.statistics.requests.v2c.get(), 2);
    assert_eq!(harness.statistics.answers.v1.get() + harness.statistics.answers.v2c.get(), 2);
    assert_eq!(harness.engine.pending(), 0);
}

#[test]
fn get_bulk_requires_v2c() {
    let mut harness = EngineHarness::new();
    let bulk = GetBulkPdu::new(Version::V2c, 7, 1, 50, vec![VarBind::null(oid!(1, 3, 6)), VarBind::null(name())]);
    let mut datagram = community_request(Version::V2c, "public", bulk.unwrap());
    let request = harness.request(&datagram);
    let operation = Operation::GetBulk { non_repeaters: 1, max_repetitions: 50, names: names() };
    assert_eq!(request.operation, operation);
    harness.answer(&request, Ok(list(&[]))).unwrap();
    // RFC 3416 section 4.2.3: negative numbers count as zero.
    let at = datagram.windows(6).position(|octets| octets == [2, 1, 1, 2, 1, 50]).unwrap();
    datagram[at + 2] = 0xFF;
    datagram[at + 5] = 0x80;
    let operation = Operation::GetBulk { non_repeaters: 0, max_repetitions: 0, names: names() };
    assert_eq!(harness.request(&datagram).operation, operation);
    datagram[4] = 0;
    assert_eq!(harness.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(harness.statistics.unexpected_pdus.get(), 1);
}

#[rstest]
fn a_set_requires_a_community_with_write_access(#[values(Version::V1, Version::V2c)] version: Version) {
    let mut harness = EngineHarness::new();
    let reply = harness.reply(&community_request(version, "public", set(version)));
    let expected = if version == Version::V1 { E::NoSuchName } else { E::NoAccess };
    let pdu = community_response(version, "public", &reply);
    assert_eq!(status(&pdu), (i32::from(expected.code()), 1, 2));
    assert_eq!(pdu.varbinds(), set(version).varbinds());
    assert_eq!(harness.statistics.bad_community_uses.get(), 1);

    let request = harness.request(&community_request(version, "private", set(version)));
    let Operation::Set(varbinds) = &request.operation else { panic!("{request:?}") };
    let expected = [agentx::Value::Integer(1), agentx::Value::OctetString(b"text".to_vec())];
    assert_eq!(varbinds.iter().map(|varbind| varbind.value.clone()).collect::<Vec<_>>(), expected);
    let answer = harness.answer(&request, Err((E::WrongType, 2))).unwrap();
    let expected = if version == Version::V1 { E::BadValue } else { E::WrongType };
    assert_eq!(status(&community_response(version, "private", &answer)), (i32::from(expected.code()), 2, 2));
}

#[rstest]
fn a_set_without_a_value_is_wrong_type(#[values(5, 0x80, 0x82)] no_value: u8) {
    let mut harness = EngineHarness::new();
    let mut datagram = community_request(Version::V2c, "private", get(Version::V2c));
    let at = datagram.iter().position(|&octet| octet == 0xA0).unwrap();
    datagram[at] = 0xA3;
    *datagram.iter_mut().nth_back(1).unwrap() = no_value;
    let pdu = community_response(Version::V2c, "private", &harness.reply(&datagram));
    assert_eq!((pdu.error_status(), pdu.error_index()), (i32::from(E::WrongType.code()), 1));
}

#[test]
fn v1_returns_no_such_name_for_unsupported_values() {
    let mut harness = EngineHarness::new();
    for unsupported in [V::NoSuchObject, V::NoSuchInstance, V::EndOfMibView, V::Counter64(1)] {
        let request = harness.request(&community_request(Version::V1, "public", get(Version::V1)));
        let answer = harness.answer(&request, Ok(list(&[(&NAME, V::Integer(1)), (&NAME, unsupported)]))).unwrap();
        let pdu = community_response(Version::V1, "public", &answer);
        assert_eq!(status(&pdu), (2, 2, 2));
        assert_eq!(pdu.varbinds(), get(Version::V1).varbinds());
    }
}

#[rstest]
#[case::unknown("publi", "192.0.2.7:1")]
#[case::longer("publicc", "192.0.2.7:1")]
#[case::empty("", "192.0.2.7:1")]
#[case::wrong_source("acme", "198.51.100.1:1")]
#[case::wrong_ipv6_source("acme", "[2001:db9::1]:1")]
fn a_community_without_access_is_dropped_and_counted(#[case] community: &str, #[case] source: &str) {
    let mut harness = EngineHarness::new();
    let received = harness.receive(from(source), &community_request(Version::V2c, community, get(Version::V2c)));
    assert_eq!(received, Received::Nothing);
    assert_eq!(harness.statistics.bad_community_names.get(), 1);
    let attempts = harness.statistics.failed_attempts.sources();
    assert_eq!((attempts.len(), attempts[0].address), (1, from(source).address.ip()));
}

#[rstest]
fn a_community_is_accepted_from_its_sources(
    #[values("192.0.2.200:161", "[::ffff:192.0.2.200]:161", "[2001:db8::1]:161")] source: &str,
) {
    let mut harness = EngineHarness::new();
    let received = harness.receive(from(source), &community_request(Version::V2c, "acme", get(Version::V2c)));
    assert!(matches!(received, Received::Request(request) if request.context == b"acme"));
}

fn malformed(statistics: &Statistics) -> &Counter {
    &statistics.asn_parse_errors
}

fn bad_version(statistics: &Statistics) -> &Counter {
    &statistics.bad_versions
}

fn bad_community(statistics: &Statistics) -> &Counter {
    &statistics.bad_community_names
}

#[rstest]
#[case::empty(&[], malformed)]
#[case::not_ber(b"GET / HTTP/1.1\r\n\r\n", malformed)]
#[case::no_version(&[0x30, 0], malformed)]
#[case::version_2(&[0x30, 3, 2, 1, 2], bad_version)]
#[case::version_of_64_bits(&[0x30, 10, 2, 8, 1, 0, 0, 0, 0, 0, 0, 0], malformed)]
#[case::trailing(&[0x30, 3, 2, 1, 1, 0], malformed)]
#[case::no_community(&[0x30, 3, 2, 1, 1], malformed)]
#[case::no_pdu(b"\x30\x0b\x02\x01\x01\x04\x06public", malformed)]
#[case::bad_pdu(b"\x30\x0d\x02\x01\x01\x04\x06public\xa0\x00", malformed)]
#[case::bad_pdu_with_unknown_community(b"\x30\x0d\x02\x01\x01\x04\x06strang\xa0\x00", bad_community)]
#[case::two_pdus(b"\x30\x0f\x02\x01\x01\x04\x06public\xa0\x00\xa0\x00", malformed)]
fn malformed_messages_are_dropped_and_counted(#[case] datagram: &[u8], #[case] counter: fn(&Statistics) -> &Counter) {
    let mut harness = EngineHarness::new();
    assert_eq!(harness.receive(nms(), datagram), Received::Nothing);
    assert_eq!((counter(&harness.statistics).get(), harness.statistics.in_packets.get()), (1, 1));
}

#[rstest]
#[case::not_a_list(b"\x30\x18\x02\x01\x01\x04\x06public\xa0\x0b\x02\x01\x07\x02\x01\x00\x02\x01\x00\x05\x00")]
#[case::empty_name(
    b"\x30\x1e\x02\x01\x01\x04\x06public\xa0\x11\x02\x01\x07\x02\x01\x00\x02\x01\x00\x30\x06\x30\x04\x06\x00\x05\x00"
)]
fn malformed_variable_bindings_are_dropped(#[case] datagram: &[u8]) {
    let mut harness = EngineHarness::new();
    assert_eq!(harness.receive(nms(), datagram), Received::Nothing);
    assert_eq!(harness.statistics.asn_parse_errors.get(), 1);
}

#[rstest]
fn pdus_that_are_not_requests_are_dropped_and_counted(
    #[values(0xA2, 0xA4, 0xA6, 0xA7, 0xA8, 0xA9, 0x30)] tag: u8,
    #[values(Version::V1, Version::V2c)] version: Version,
) {
    let mut harness = EngineHarness::new();
    let mut datagram = community_request(version, "public", get(version));
    let at = datagram.iter().position(|&octet| octet == 0xA0).unwrap();
    datagram[at] = tag;
    assert_eq!(harness.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(harness.statistics.unexpected_pdus.get(), 1);
}

#[test]
fn a_duplicate_is_dropped_while_the_first_is_being_answered() {
    let mut harness = EngineHarness::new();
    let datagram = community_request(Version::V2c, "public", get(Version::V2c));
    let first = harness.request(&datagram);
    assert_eq!(harness.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(harness.statistics.duplicates.get(), 1);
    // A request with another port, version or community is not a duplicate.
    assert!(matches!(harness.receive(from("192.0.2.7:40001"), &datagram), Received::Request(_)));
    harness.request(&community_request(Version::V2c, "private", get(Version::V2c)));
    harness.request(&community_request(Version::V1, "public", get(Version::V1)));
    harness.answer(&first, Ok(list(&[]))).unwrap();
    harness.request(&datagram);
    assert_eq!(harness.statistics.duplicates.get(), 1);
}

#[test]
fn requests_over_the_limit_are_dropped_and_unanswered_ones_expire() {
    let mut limited = document();
    limited["limits"] = json!({"snmpRequests": 2});
    let mut harness = EngineHarness::with(limited);
    let get = |id| community_request(Version::V2c, "public", RequestPdu::get(Version::V2c, id, &[name()]).unwrap());
    let first = harness.request(&get(1));
    harness.request(&get(2));
    assert_eq!(harness.receive(nms(), &get(3)), Received::Nothing);
    assert_eq!((harness.statistics.over_limit.get(), harness.engine.pending()), (1, 2));
    harness.answer(&first, Err((E::GenErr, 1))).unwrap();
    harness.request(&get(3));
    // A request that is never answered is removed after an hour.
    harness.now += Duration::from_hours(1);
    let request = harness.request(&get(4));
    assert_eq!((harness.engine.pending(), request.token), (1, Token(4)));
}

#[test]
fn a_new_document_takes_effect_at_once_and_keeps_pending_requests() {
    let mut harness = EngineHarness::new();
    let datagram = community_request(Version::V2c, "public", get(Version::V2c));
    let request = harness.request(&datagram);
    harness.reload(json!({"version": 1, "contexts": [{"name": "", "communities": [{"community": "new"}]}]}));
    assert_eq!(
        status(&community_response(Version::V2c, "public", &harness.answer(&request, Ok(list(&[]))).unwrap())),
        (0, 0, 0)
    );
    assert_eq!(harness.receive(nms(), &datagram), Received::Nothing);
    harness.request(&community_request(Version::V2c, "new", get(Version::V2c)));
}

#[rstest]
fn the_longest_response_that_fits_is_sent_and_one_octet_more_is_too_big(
    #[values(Version::V1, Version::V2c)] version: Version,
    #[values(484, 1472, 65_507, 100_000)] limit: usize,
) {
    let mut small = document();
    small["limits"] = json!({"snmpMessageOctets": limit});
    let mut harness = EngineHarness::with(small);
    let datagram = community_request(version, "public", get(version));
    let request = harness.request(&datagram);
    let room = request.room;
    let answer = harness.answer(&request, Ok(filler(room))).unwrap();
    // The last octet cannot be used where it would make a length field longer.
    assert!((limit.min(65_507) - 1..=limit.min(65_507)).contains(&answer.len()), "{} octets", answer.len());
    assert_eq!(community_response(version, "public", &answer).error_status(), 0);

    let request = harness.request(&datagram);
    let answer = harness.answer(&request, Ok(filler(room + 1))).unwrap();
    let varbinds = if version == Version::V1 { 2 } else { 0 };
    assert_eq!(status(&community_response(version, "public", &answer)), (1, 0, varbinds));
    assert_eq!(harness.statistics.errors.v1.get() + harness.statistics.errors.v2c.get(), 1);
}

#[test]
fn a_too_big_answer_of_the_dispatcher_is_sent() {
    let mut harness = EngineHarness::new();
    let request = harness.request(&community_request(Version::V2c, "public", get(Version::V2c)));
    let answer = harness.answer(&request, Err((E::TooBig, 2))).unwrap();
    assert_eq!(status(&community_response(Version::V2c, "public", &answer)), (1, 0, 0));
}

#[test]
fn a_message_over_the_length_limit_is_dropped() {
    let mut small = document();
    small["limits"] = json!({"snmpMessageOctets": 484});
    let mut harness = EngineHarness::with(small);
    let set = VarBind::new(name(), Value::OctetString(vec![0; 484].into()));
    let set = RequestPdu::set(Version::V2c, 7, vec![set]).unwrap();
    assert_eq!(harness.receive(nms(), &community_request(Version::V2c, "private", set)), Received::Nothing);
    assert_eq!(harness.statistics.too_long.get(), 1);
}
