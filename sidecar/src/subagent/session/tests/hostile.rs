//! Masters that send invalid octets or do not read.

use std::time::Duration;

use agentx::{Body, ByteOrder, CloseReason, GetBulk, ResponseError, ValueRef};
use proptest::prelude::*;

use super::rig::{Rig, SESSION, export, exports, range, small, view};
use crate::subagent::session::{End, Input, State};

const A: &str = "1.3.6.1.4.1.9999.1";

/// Returns a frame of this session.
fn frame(pdu_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![1, pdu_type, 0x10, 0];
    for number in [SESSION, 5, 6, u32::try_from(payload.len()).unwrap()] {
        octets.extend(number.to_be_bytes());
    }
    octets.extend(payload);
    octets
}

#[test]
fn pdu_with_a_malformed_payload_is_a_parse_error() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    // A truncated Get, GetBulk and TestSet, and an unknown type.
    for (count, (pdu_type, payload)) in (1..).zip([(5, [9, 0, 0, 0]), (7, [0; 4]), (8, [0; 4]), (99, [0; 4])]) {
        // Without ranges the GetBulk is complete, so it is cut.
        let payload = if pdu_type == 7 { &[][..] } else { &payload[..] };
        rig.give_octets(&frame(pdu_type, payload));
        let answers = rig.sent();
        assert_eq!(answers.len(), 1, "type {pdu_type}");
        let Body::Response(response) = &answers[0].body else { panic!("{answers:?}") };
        assert_eq!((response.error, answers[0].header.packet_id), (ResponseError::ParseError, 6));
        assert_eq!(rig.counts().decode_errors, count);
    }
    assert_eq!(rig.varbinds("", Body::Get(vec![range(A, false, "")])).len(), 1);
}

#[test]
fn octets_that_are_not_agentx_end_the_session() {
    for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), &frame(5, &[0; 3]), &{
        let mut long = frame(5, &[]);
        long[16] = 0x7f;
        long
    }] {
        let mut rig = Rig::serving(&exports([small("", A)]));
        rig.give_octets(garbage);
        assert!(matches!(rig.session.state(), State::Ended(End::Garbage(_))), "{:?}", rig.session.state());
        assert_eq!(rig.counts().decode_errors, 1);
    }
}

/// Returns GetBulk requests with long responses: each is a quarter of the output limit.
fn bulks(rig: &mut Rig, count: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..count {
        let bulk = GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range(A, false, "")] };
        agentx::encode(&rig.request("", Body::GetBulk(bulk)), &mut octets).unwrap();
    }
    octets
}

/// Returns 64 KiB of requests.
fn flood(rig: &mut Rig) -> Vec<u8> {
    let one = bulks(rig, 1).len();
    bulks(rig, (64 << 10) / one)
}

fn wide() -> Rig {
    let octets = [7; 1000];
    let suffixes: Vec<String> = (1..500).map(|i| format!("1.{i}")).collect();
    let instances: Vec<_> = suffixes.iter().map(|s| (s.as_str(), ValueRef::OctetString(&octets))).collect();
    Rig::serving(&exports([export("", view(A, &instances))]))
}

#[test]
fn session_ends_with_bounded_memory_if_the_master_only_writes() {
    let mut rig = wide();
    let flood = flood(&mut rig);
    for _ in 0..1000 {
        rig.give_octets(&flood);
        assert!(rig.session.wakeup().is_none_or(|wakeup| wakeup > rig.now));
        assert!(rig.session.output().pending().len() < 2 << 20, "{}", rig.session.output().pending().len());
        assert!(!rig.session.is_behind(), "the session accepts more input");
        if rig.session.state() == State::Ended(End::NotReading) {
            return;
        }
    }
    panic!("{:?}", rig.session.state());
}

#[test]
fn session_ends_in_time_if_the_master_stops_reading() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    let request = rig.request("", Body::Get(vec![range(A, false, "")]));
    rig.give(&request);
    for _ in 0..10 {
        assert!(matches!(rig.session.state(), State::Open { .. }));
        rig.now += Duration::from_secs(1);
        rig.give(&request);
    }
    assert_eq!(rig.session.state(), State::Ended(End::NotReading));
}

#[test]
fn slow_master_gets_every_response() {
    let mut rig = wide();
    let flood = flood(&mut rig);
    let requests = flood.len() / 64;
    rig.give_octets(&flood);
    let mut octets = 0;
    while !rig.session.output().is_empty() || rig.session.is_behind() {
        // A socket that accepts a few kilobytes per second.
        let output = rig.session.output();
        let taken = output.pending().len().min(300 << 10);
        output.advance(taken);
        octets += taken;
        rig.now += Duration::from_secs(1);
        rig.session.handle(Input::Time, rig.now);
        assert!(!matches!(rig.session.state(), State::Ended(_)), "{:?}", rig.session.state());
        assert!(rig.session.output().pending().len() < 2 << 20);
    }
    assert!(octets > requests * (200 << 10), "{octets} octets for {requests} requests");
    assert!(rig.counts().answers > 900);
}

/// Returns a session that is held back, with a Ping in front of the pending output.
fn held_back_behind_a_ping() -> Rig {
    let mut rig = wide();
    rig.pass(Duration::from_secs(5));
    let bulks = bulks(&mut rig, 6);
    rig.give_octets(&bulks);
    assert!(rig.session.is_held_back());
    rig
}

#[test]
fn master_that_reads_a_ping_late_is_not_silent() {
    let mut rig = held_back_behind_a_ping();
    // 30 s, until the master has read everything and sees the Ping.
    let mut sent = Vec::new();
    while !rig.session.output().is_empty() {
        let output = rig.session.output();
        let len = output.pending().len().min(40 << 10);
        sent.extend_from_slice(&output.pending()[..len]);
        output.advance(len);
        rig.now += Duration::from_secs(1);
        rig.session.handle(Input::Time, rig.now);
        assert!(matches!(rig.session.state(), State::Open { .. }), "{:?}", rig.session.state());
    }
    let ping = agentx::decode(&sent[..20], &agentx::Limits::default()).unwrap();
    assert_eq!(ping.body, Body::Ping);
    rig.pass(Duration::from_secs(7));
    assert!(matches!(rig.session.state(), State::Open { .. }), "the master has time to respond");
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.session.state(), State::Ended(End::Silent), "the time has passed");
}

#[test]
fn response_that_waits_behind_requests_is_in_time() {
    let mut rig = held_back_behind_a_ping();
    let ping = agentx::decode(&rig.session.output().pending()[..20], &agentx::Limits::default()).unwrap();
    rig.answer(&ping, ResponseError::NoError);
    rig.now += Duration::from_secs(9);
    rig.session.handle(Input::Time, rig.now);
    assert_eq!(rig.sent().len(), 2, "the Ping and the first response");
    for _ in 1..6 {
        rig.session.handle(Input::Time, rig.now);
        assert_eq!(rig.sent().len(), 1);
    }
    assert!(matches!(rig.session.state(), State::Open { .. }), "{:?}", rig.session.state());
}

#[test]
fn malformed_cleanup_set_has_no_response() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.give_octets(&frame(11, &[0; 4]));
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.counts().decode_errors, 1);
}

#[test]
fn ended_session_has_nothing_waiting() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    let (close, ping) = (rig.request("", Body::Close(CloseReason::Other)), rig.request("", Body::Ping));
    let mut octets = Vec::new();
    agentx::encode(&close, &mut octets).unwrap();
    agentx::encode(&ping, &mut octets).unwrap();
    rig.give_octets(&octets);
    assert_eq!(rig.session.state(), State::Ended(End::Closed(CloseReason::Other)));
    assert!(!rig.session.is_behind() && !rig.session.is_held_back());
}

#[test]
fn flood_of_requests_is_handled_in_steps() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    let mut octets = Vec::new();
    for _ in 0..200 {
        agentx::encode(&rig.request("", Body::Ping), &mut octets).unwrap();
    }
    rig.give_octets(&octets);
    let mut answered = vec![rig.sent().len()];
    while rig.session.is_behind() {
        rig.session.handle(Input::Time, rig.now);
        answered.push(rig.sent().len());
    }
    assert_eq!(answered, [64, 64, 64, 8]);
}

/// Octets of a master: well-formed, malformed and damaged PDUs.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        Just(Body::Ping),
        Just(Body::CommitSet),
        Just(Body::UndoSet),
        Just(Body::CleanupSet),
        Just(Body::Get(vec![range(A, false, ""), range("", true, A)])),
        Just(Body::GetNext(vec![range("1", true, ""); 3])),
        (any::<u16>(), any::<u16>()).prop_map(|(non_repeaters, max_repetitions)| Body::GetBulk(GetBulk {
            non_repeaters,
            max_repetitions,
            ranges: vec![range("", true, ""), range(A, false, "")],
        })),
        Just(Body::TestSet(Vec::new())),
        Just(Body::Close(CloseReason::Other)),
        (0..20_u16, 250..270_u16).prop_map(|(index, code)| {
            let error = ResponseError::from_code(if index < 10 { 0 } else { code });
            Body::Response(agentx::Response { sys_up_time: 0, error, index, varbinds: Vec::new() })
        }),
    ];
    let pdu = (body, 0..6_u32, prop_oneof![9 => Just(SESSION), 1 => any::<u32>()], any::<bool>()).prop_map(
        |(body, packet_id, session_id, big)| {
            let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
            let header = agentx::Header { byte_order, session_id, transaction_id: 1, packet_id };
            let mut octets = Vec::new();
            agentx::encode(&agentx::Pdu { header, context: "".into(), body }, &mut octets).unwrap();
            octets
        },
    );
    let damaged = (pdu.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut octets, at, octet)| {
        let at = at.index(octets.len());
        octets[at] = octet;
        octets
    });
    let typed = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(pdu_type, mut payload)| {
        payload.truncate(payload.len() / 4 * 4);
        frame(pdu_type, &payload)
    });
    prop_oneof![6 => pdu, 2 => damaged, 2 => typed, 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn session_sends_well_formed_pdus_whatever_it_receives(
        all in prop::collection::vec((anything(), 1..50_usize, 0..4000_u64, any::<bool>()), 1..40),
    ) {
        let mut rig = Rig::new(&exports([small("", A), small("acme", A)]));
        for (octets, piece, wait, reads) in all {
            octets.chunks(piece).for_each(|piece| rig.give_octets(piece));
            rig.now += Duration::from_millis(wait);
            rig.session.handle(Input::Time, rig.now);
            prop_assert!(rig.session.output().pending().len() < 2 << 20);
            prop_assert!(rig.session.wakeup().is_none_or(|wakeup| wakeup > rig.now));
            if reads {
                // The output always consists of complete, well-formed PDUs.
                rig.sent();
            }
        }
    }
}
