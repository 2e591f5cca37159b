//! SNMPv1 and SNMPv2c.

use std::time::Duration;

use agentx::{Oid, ResponseError as E, ValueRef as V};
use async_snmp::{GetBulkPdu, Pdu, PduType, RequestPdu, Value, VarBind, Version, oid};
use rstest::rstest;
use serde_json::json;

use super::{
    nms::{community_answer, community_request},
    world::{World, contract, filler, from, list, nms},
};
use crate::{
    dispatch::{Operation, Token},
    snmp::Received,
    statistics::{Counter, Statistics},
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

/// Error-status, error-index and how many variable bindings.
fn said(pdu: &Pdu) -> (i32, i32, usize) {
    assert_eq!((pdu.pdu_type(), pdu.request_id()), (PduType::Response, 7));
    (pdu.error_status(), pdu.error_index(), pdu.varbinds().len())
}

#[rstest]
fn a_request_is_asked_and_its_answer_sent(#[values(Version::V1, Version::V2c)] version: Version) {
    let mut world = World::new();
    let next = RequestPdu::get_next(version, 7, &[oid!(1, 3, 6), name()]).unwrap();
    for (pdu, operation) in [(get(version), Operation::Get(names())), (next, Operation::GetNext(names()))] {
        let request = world.request(&community_request(version, "public", pdu));
        assert_eq!((&request.context[..], &request.operation), (&b""[..], &operation));
        assert_eq!(request.without_counter64, version == Version::V1);
        let varbinds = list(&[(&NAME, V::TimeTicks(42)), (&NAME, V::OctetString(b"text"))]);
        let answer = world.answer(&request, Ok(varbinds)).unwrap();
        let pdu = community_answer(version, "public", &answer);
        assert_eq!(said(&pdu), (0, 0, 2));
        assert_eq!(pdu.varbinds()[0], VarBind::new(name(), Value::TimeTicks(42)));
        assert_eq!(world.answer(&request, Ok(list(&[]))), None, "there is one answer");
    }
    assert_eq!(world.statistics.requests.v1.get() + world.statistics.requests.v2c.get(), 2);
    assert_eq!(world.statistics.answers.v1.get() + world.statistics.answers.v2c.get(), 2);
    assert_eq!(world.engine.pending(), 0);
}

#[test]
fn get_bulk_is_for_v2c() {
    let mut world = World::new();
    let bulk = GetBulkPdu::new(Version::V2c, 7, 1, 50, vec![VarBind::null(oid!(1, 3, 6)), VarBind::null(name())]);
    let mut datagram = community_request(Version::V2c, "public", bulk.unwrap());
    let request = world.request(&datagram);
    let operation = Operation::GetBulk { non_repeaters: 1, max_repetitions: 50, names: names() };
    assert_eq!(request.operation, operation);
    world.answer(&request, Ok(list(&[]))).unwrap();
    // RFC 3416 section 4.2.3: less than zero is zero.
    let at = datagram.windows(6).position(|octets| octets == [2, 1, 1, 2, 1, 50]).unwrap();
    datagram[at + 2] = 0xFF;
    datagram[at + 5] = 0x80;
    let operation = Operation::GetBulk { non_repeaters: 0, max_repetitions: 0, names: names() };
    assert_eq!(world.request(&datagram).operation, operation);
    datagram[4] = 0;
    assert_eq!(world.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(world.statistics.unexpected_pdus.get(), 1);
}

#[rstest]
fn a_set_needs_a_community_that_may_write(#[values(Version::V1, Version::V2c)] version: Version) {
    let mut world = World::new();
    let reply = world.reply(&community_request(version, "public", set(version)));
    let status = if version == Version::V1 { E::NoSuchName } else { E::NoAccess };
    let pdu = community_answer(version, "public", &reply);
    assert_eq!(said(&pdu), (i32::from(status.code()), 1, 2));
    assert_eq!(pdu.varbinds(), set(version).varbinds());
    assert_eq!(world.statistics.bad_community_uses.get(), 1);

    let request = world.request(&community_request(version, "private", set(version)));
    let Operation::Set(varbinds) = &request.operation else { panic!("{request:?}") };
    let expected = [agentx::Value::Integer(1), agentx::Value::OctetString(b"text".to_vec())];
    assert_eq!(varbinds.iter().map(|varbind| varbind.value.clone()).collect::<Vec<_>>(), expected);
    let answer = world.answer(&request, Err((E::WrongType, 2))).unwrap();
    let status = if version == Version::V1 { E::BadValue } else { E::WrongType };
    assert_eq!(said(&community_answer(version, "private", &answer)), (i32::from(status.code()), 2, 2));
}

#[rstest]
fn a_set_of_no_value_is_of_the_wrong_type(#[values(5, 0x80, 0x82)] no_value: u8) {
    let mut world = World::new();
    let mut datagram = community_request(Version::V2c, "private", get(Version::V2c));
    let at = datagram.iter().position(|&octet| octet == 0xA0).unwrap();
    datagram[at] = 0xA3;
    *datagram.iter_mut().nth_back(1).unwrap() = no_value;
    let pdu = community_answer(Version::V2c, "private", &world.reply(&datagram));
    assert_eq!((pdu.error_status(), pdu.error_index()), (i32::from(E::WrongType.code()), 1));
}

#[test]
fn v1_says_no_such_name_of_what_it_cannot_carry() {
    let mut world = World::new();
    for unfit in [V::NoSuchObject, V::NoSuchInstance, V::EndOfMibView, V::Counter64(1)] {
        let request = world.request(&community_request(Version::V1, "public", get(Version::V1)));
        let answer = world.answer(&request, Ok(list(&[(&NAME, V::Integer(1)), (&NAME, unfit)]))).unwrap();
        let pdu = community_answer(Version::V1, "public", &answer);
        assert_eq!(said(&pdu), (2, 2, 2));
        assert_eq!(pdu.varbinds(), get(Version::V1).varbinds());
    }
}

#[rstest]
#[case::unknown("publi", "192.0.2.7:1")]
#[case::longer("publicc", "192.0.2.7:1")]
#[case::empty("", "192.0.2.7:1")]
#[case::not_from_there("acme", "198.51.100.1:1")]
#[case::not_from_there_in_ipv6("acme", "[2001:db9::1]:1")]
fn a_community_that_may_not_is_dropped_and_counted(#[case] community: &str, #[case] source: &str) {
    let mut world = World::new();
    let received = world.receive(from(source), &community_request(Version::V2c, community, get(Version::V2c)));
    assert_eq!(received, Received::Nothing);
    assert_eq!(world.statistics.bad_community_names.get(), 1);
    let attempts = world.statistics.failed_attempts.sources();
    assert_eq!((attempts.len(), attempts[0].address), (1, from(source).address.ip()));
}

#[rstest]
fn a_community_may_from_its_sources(
    #[values("192.0.2.200:161", "[::ffff:192.0.2.200]:161", "[2001:db8::1]:161")] source: &str,
) {
    let mut world = World::new();
    let received = world.receive(from(source), &community_request(Version::V2c, "acme", get(Version::V2c)));
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
#[case::nonsense(b"GET / HTTP/1.1\r\n\r\n", malformed)]
#[case::no_version(&[0x30, 0], malformed)]
#[case::version_2(&[0x30, 3, 2, 1, 2], bad_version)]
#[case::version_of_64_bits(&[0x30, 10, 2, 8, 1, 0, 0, 0, 0, 0, 0, 0], malformed)]
#[case::trailing(&[0x30, 3, 2, 1, 1, 0], malformed)]
#[case::no_community(&[0x30, 3, 2, 1, 1], malformed)]
#[case::no_pdu(b"\x30\x0b\x02\x01\x01\x04\x06public", malformed)]
#[case::bad_pdu(b"\x30\x0d\x02\x01\x01\x04\x06public\xa0\x00", malformed)]
#[case::bad_pdu_of_a_stranger(b"\x30\x0d\x02\x01\x01\x04\x06strang\xa0\x00", bad_community)]
#[case::two_pdus(b"\x30\x0f\x02\x01\x01\x04\x06public\xa0\x00\xa0\x00", malformed)]
fn what_is_no_message_is_dropped_and_counted(#[case] datagram: &[u8], #[case] counter: fn(&Statistics) -> &Counter) {
    let mut world = World::new();
    assert_eq!(world.receive(nms(), datagram), Received::Nothing);
    assert_eq!((counter(&world.statistics).get(), world.statistics.in_packets.get()), (1, 1));
}

#[rstest]
#[case::names_are_no_list(b"\x30\x18\x02\x01\x01\x04\x06public\xa0\x0b\x02\x01\x07\x02\x01\x00\x02\x01\x00\x05\x00")]
#[case::empty_name(
    b"\x30\x1e\x02\x01\x01\x04\x06public\xa0\x11\x02\x01\x07\x02\x01\x00\x02\x01\x00\x30\x06\x30\x04\x06\x00\x05\x00"
)]
fn variable_bindings_that_are_none_are_dropped(#[case] datagram: &[u8]) {
    let mut world = World::new();
    assert_eq!(world.receive(nms(), datagram), Received::Nothing);
    assert_eq!(world.statistics.asn_parse_errors.get(), 1);
}

#[rstest]
fn what_asks_for_nothing_is_dropped_and_counted(
    #[values(0xA2, 0xA4, 0xA6, 0xA7, 0xA8, 0xA9, 0x30)] tag: u8,
    #[values(Version::V1, Version::V2c)] version: Version,
) {
    let mut world = World::new();
    let mut datagram = community_request(version, "public", get(version));
    let at = datagram.iter().position(|&octet| octet == 0xA0).unwrap();
    datagram[at] = tag;
    assert_eq!(world.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(world.statistics.unexpected_pdus.get(), 1);
}

#[test]
fn a_repeat_is_dropped_while_the_first_is_being_answered() {
    let mut world = World::new();
    let datagram = community_request(Version::V2c, "public", get(Version::V2c));
    let first = world.request(&datagram);
    assert_eq!(world.receive(nms(), &datagram), Received::Nothing);
    assert_eq!(world.statistics.duplicates.get(), 1);
    // Another port, version or community is another asker's.
    assert!(matches!(world.receive(from("192.0.2.7:40001"), &datagram), Received::Request(_)));
    world.request(&community_request(Version::V2c, "private", get(Version::V2c)));
    world.request(&community_request(Version::V1, "public", get(Version::V1)));
    world.answer(&first, Ok(list(&[]))).unwrap();
    world.request(&datagram);
    assert_eq!(world.statistics.duplicates.get(), 1);
}

#[test]
fn requests_are_bounded_and_never_leak() {
    let mut bounded = contract();
    bounded["limits"] = json!({"snmpRequests": 2});
    let mut world = World::with(bounded);
    let ask = |id| community_request(Version::V2c, "public", RequestPdu::get(Version::V2c, id, &[name()]).unwrap());
    let first = world.request(&ask(1));
    world.request(&ask(2));
    assert_eq!(world.receive(nms(), &ask(3)), Received::Nothing);
    assert_eq!((world.statistics.over_limit.get(), world.engine.pending()), (1, 2));
    world.answer(&first, Err((E::GenErr, 1))).unwrap();
    world.request(&ask(3));
    // Were there never an answer, the engine would go on all the same.
    world.now += Duration::from_hours(1);
    let request = world.request(&ask(4));
    assert_eq!((world.engine.pending(), request.token), (1, Token(4)));
}

#[test]
fn a_new_contract_takes_effect_at_once_and_keeps_what_is_being_answered() {
    let mut world = World::new();
    let datagram = community_request(Version::V2c, "public", get(Version::V2c));
    let request = world.request(&datagram);
    world.reload(json!({"version": 1, "contexts": [{"name": "", "communities": [{"community": "new"}]}]}));
    assert_eq!(
        said(&community_answer(Version::V2c, "public", &world.answer(&request, Ok(list(&[]))).unwrap())),
        (0, 0, 0)
    );
    assert_eq!(world.receive(nms(), &datagram), Received::Nothing);
    world.request(&community_request(Version::V2c, "new", get(Version::V2c)));
}

#[rstest]
fn the_longest_answer_that_fits_is_sent_and_one_octet_more_is_too_big(
    #[values(Version::V1, Version::V2c)] version: Version,
    #[values(484, 1472, 65_507, 100_000)] limit: usize,
) {
    let mut small = contract();
    small["limits"] = json!({"snmpMessageOctets": limit});
    let mut world = World::with(small);
    let datagram = community_request(version, "public", get(version));
    let request = world.request(&datagram);
    let room = request.room;
    let answer = world.answer(&request, Ok(filler(room))).unwrap();
    // Where one octet more makes a length longer by one, the last octet cannot be used.
    assert!((limit.min(65_507) - 1..=limit.min(65_507)).contains(&answer.len()), "{} octets", answer.len());
    assert_eq!(community_answer(version, "public", &answer).error_status(), 0);

    let request = world.request(&datagram);
    let answer = world.answer(&request, Ok(filler(room + 1))).unwrap();
    let varbinds = if version == Version::V1 { 2 } else { 0 };
    assert_eq!(said(&community_answer(version, "public", &answer)), (1, 0, varbinds));
    assert_eq!(world.statistics.errors.v1.get() + world.statistics.errors.v2c.get(), 1);
}

#[test]
fn too_big_is_said_for_the_dispatcher_too() {
    let mut world = World::new();
    let request = world.request(&community_request(Version::V2c, "public", get(Version::V2c)));
    let answer = world.answer(&request, Err((E::TooBig, 2))).unwrap();
    assert_eq!(said(&community_answer(Version::V2c, "public", &answer)), (1, 0, 0));
}

#[test]
fn a_message_longer_than_is_taken_is_dropped() {
    let mut small = contract();
    small["limits"] = json!({"snmpMessageOctets": 484});
    let mut world = World::with(small);
    let set = VarBind::new(name(), Value::OctetString(vec![0; 484].into()));
    let set = RequestPdu::set(Version::V2c, 7, vec![set]).unwrap();
    assert_eq!(world.receive(nms(), &community_request(Version::V2c, "private", set)), Received::Nothing);
    assert_eq!(world.statistics.too_long.get(), 1);
}
