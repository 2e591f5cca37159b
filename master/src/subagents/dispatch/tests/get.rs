//! Get requests.

use agentx::{Body, ByteOrder, ResponseError, Value};
use rstest::rstest;

use super::dispatcher_harness::{DispatcherHarness, get, int, range, ranges, varbind};
use crate::pdu::varbind_list::VarBindList;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

#[rstest]
#[case::big_endian(ByteOrder::Big)]
#[case::little_endian(ByteOrder::Little)]
fn a_subagent_receives_one_query_for_all_its_names(#[case] byte_order: ByteOrder) {
    let mut harness = DispatcherHarness::new();
    let connection = harness.connect();
    let subagent = harness.open_on(connection, byte_order, 0);
    harness.register(subagent, A);
    let names = ["1.3.6.1.4.1.99999.1.2.0", "1.3.6.1.4.1.99999.1.1.0"];
    let token = harness.request(get(&names));
    let query = harness.sent_once(subagent);
    assert!(matches!(query.body, Body::Get(_)));
    assert_eq!(ranges(&query), [range(names[0], false, ""), range(names[1], false, "")]);
    harness.answer(&query, subagent, vec![int(names[0], 2), int(names[1], 1)]);
    assert_eq!(harness.result(token), Ok(vec![int(names[0], 2), int(names[1], 1)]));
}

#[test]
fn subagents_are_queried_in_parallel_and_may_respond_in_any_order() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let names = ["1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.2"];
    let token = harness.request(get(&names));
    let (of_a, of_b) = (harness.sent_once(a), harness.sent_once(b));
    assert_eq!(of_a.header.transaction_id, of_b.header.transaction_id);
    assert_ne!(of_a.header.packet_id, of_b.header.packet_id);
    harness.answer(&of_a, a, vec![int(names[1], 10)]);
    assert!(harness.answers().is_empty() && harness.sent_to(a).is_empty());
    harness.answer(&of_b, b, vec![int(names[0], 20), int(names[2], 21)]);
    assert_eq!(harness.result(token), Ok(vec![int(names[0], 20), int(names[1], 10), int(names[2], 21)]));
}

#[test]
fn missing_objects_and_instances_are_exceptions() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.3.1", "1.3.6.1.4.1.99999.1.2"];
    let token = harness.request(get(&names));
    let query = harness.sent_once(a);
    let (no_object, no_instance) = (varbind(names[0], Value::NoSuchObject), varbind(names[2], Value::NoSuchInstance));
    harness.answer(&query, a, vec![no_object.clone(), no_instance.clone()]);
    assert_eq!(harness.result(token), Ok(vec![no_object, varbind(names[1], Value::NoSuchObject), no_instance]));
}

#[test]
fn a_request_without_served_names_is_answered_at_once() {
    let mut harness = DispatcherHarness::new();
    let token = harness.request(get(&["1.3.6.1.4.1.99999.3.1"]));
    assert_eq!(harness.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999.3.1", Value::NoSuchObject)]));
    let token = harness.request(get(&[]));
    assert_eq!(harness.result(token), Ok(vec![]));
}

#[test]
fn own_objects_are_in_every_context() {
    let mut harness = DispatcherHarness::new();
    let names = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.3.7", "1.3.6.1.2.1.1.9.0"];
    for context in ["", "unused"] {
        let token = harness.request_in(context, get(&names), 1000);
        let expected =
            vec![int(names[0], 13), varbind(names[1], Value::NoSuchInstance), varbind(names[2], Value::NoSuchObject)];
        assert_eq!(harness.result(token), Ok(expected));
    }
}

#[test]
fn contexts_are_isolated() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    harness.register_as(a, "acme", super::dispatcher_harness::region(A));
    let name = "1.3.6.1.4.1.99999.1.1";
    let token = harness.request(get(&[name]));
    assert_eq!(harness.result(token), Ok(vec![varbind(name, Value::NoSuchObject)]));
    let token = harness.request_in("acme", get(&[name]), 1000);
    let query = harness.sent_once(a);
    assert_eq!(query.context, "acme".into());
    harness.answer(&query, a, vec![int(name, 1)]);
    assert_eq!(harness.result(token), Ok(vec![int(name, 1)]));
}

#[rstest]
#[case::the_second(2, 3)]
#[case::the_first(1, 1)]
#[case::no_index(0, 1)]
#[case::out_of_range(9, 1)]
fn the_error_index_of_a_subagent_is_mapped_to_the_request(#[case] index: u16, #[case] expected: u32) {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.1.2"];
    let token = harness.request(get(&names));
    let (of_a, of_b) = (harness.sent_once(a), harness.sent_once(b));
    harness.answer(&of_b, b, vec![int(names[1], 1)]);
    harness.refuse(&of_a, a, ResponseError::ResourceUnavailable, index);
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, expected)));
}

#[test]
fn an_answer_that_does_not_fit_is_too_big() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let value = varbind("1.3.6.1.4.1.99999.1.1", Value::OctetString(vec![7; 80]));
    let mut list = VarBindList::default();
    list.push(&value.name, value.value.as_ref());
    for (room, fits) in [(list.octets().len(), true), (list.octets().len() - 1, false)] {
        let token = harness.request_in("", get(&["1.3.6.1.4.1.99999.1.1"]), room);
        let query = harness.sent_once(a);
        harness.answer(&query, a, vec![value.clone()]);
        let expected = if fits { Ok(vec![value.clone()]) } else { Err((ResponseError::TooBig, 0)) };
        assert_eq!(harness.result(token), expected, "with room for {room} octets");
    }
}

#[test]
fn snmpv1_gets_no_such_instance_for_a_counter64() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2", "1.3.6.1.2.1.1.2.0"];
    let token = harness.request_v1(get(&names));
    let query = harness.sent_once(a);
    harness.answer(&query, a, vec![varbind(names[0], Value::Counter64(1)), int(names[1], 2)]);
    let none = |name| varbind(name, Value::NoSuchInstance);
    assert_eq!(harness.result(token), Ok(vec![none(names[0]), int(names[1], 2), none(names[2])]));
}

#[test]
fn when_a_session_ends_the_next_registration_answers() {
    let mut harness = DispatcherHarness::new();
    let (wide, narrow) = (harness.serving(&["1.3.6.1.4.1.99999"]), harness.serving(&[A, B]));
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1"];
    let token = harness.request(get(&names));
    harness.sent_once(narrow);
    harness.disconnect(narrow);
    let query = harness.sent_once(wide);
    assert_eq!(ranges(&query), [range(names[0], false, ""), range(names[1], false, "")]);
    harness.disconnect(wide);
    let gone = |name| varbind(name, Value::NoSuchObject);
    assert_eq!(harness.result(token), Ok(vec![gone(names[0]), gone(names[1])]));
    assert_eq!((harness.master.outstanding(), harness.master.request_count()), (0, 0));
}
