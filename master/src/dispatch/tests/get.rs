//! Get.

use agentx::{Body, ByteOrder, ResponseError, Value};
use rstest::rstest;

use super::rig::{Rig, get, int, range, ranges, varbind};
use crate::varbind_list::VarBindList;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

#[rstest]
#[case::network_order(ByteOrder::Big)]
#[case::the_other_order(ByteOrder::Little)]
fn a_subagent_is_asked_once_for_all_that_it_serves(#[case] byte_order: ByteOrder) {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let subagent = rig.open_on(connection, byte_order, 0);
    rig.register(subagent, A);
    let names = ["1.3.6.1.4.1.99999.1.2.0", "1.3.6.1.4.1.99999.1.1.0"];
    let token = rig.request(get(&names));
    let asked = rig.asked_once(subagent);
    assert!(matches!(asked.body, Body::Get(_)));
    assert_eq!(ranges(&asked), [range(names[0], false, ""), range(names[1], false, "")]);
    rig.answer(&asked, subagent, vec![int(names[0], 2), int(names[1], 1)]);
    assert_eq!(rig.result(token), Ok(vec![int(names[0], 2), int(names[1], 1)]));
}

#[test]
fn several_subagents_are_asked_at_once_and_answer_in_any_order() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let names = ["1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.2"];
    let token = rig.request(get(&names));
    let (of_a, of_b) = (rig.asked_once(a), rig.asked_once(b));
    assert_eq!(of_a.header.transaction_id, of_b.header.transaction_id);
    assert_ne!(of_a.header.packet_id, of_b.header.packet_id);
    rig.answer(&of_a, a, vec![int(names[1], 10)]);
    assert!(rig.answers().is_empty() && rig.asked(a).is_empty());
    rig.answer(&of_b, b, vec![int(names[0], 20), int(names[2], 21)]);
    assert_eq!(rig.result(token), Ok(vec![int(names[0], 20), int(names[1], 10), int(names[2], 21)]));
}

#[test]
fn what_no_region_holds_and_what_a_subagent_does_not_have_are_exceptions() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.3.1", "1.3.6.1.4.1.99999.1.2"];
    let token = rig.request(get(&names));
    let asked = rig.asked_once(a);
    let (no_object, no_instance) = (varbind(names[0], Value::NoSuchObject), varbind(names[2], Value::NoSuchInstance));
    rig.answer(&asked, a, vec![no_object.clone(), no_instance.clone()]);
    assert_eq!(rig.result(token), Ok(vec![no_object, varbind(names[1], Value::NoSuchObject), no_instance]));
}

#[test]
fn a_request_that_nobody_serves_or_that_names_nothing_is_answered_at_once() {
    let mut rig = Rig::new();
    let token = rig.request(get(&["1.3.6.1.4.1.99999.3.1"]));
    assert_eq!(rig.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999.3.1", Value::NoSuchObject)]));
    let token = rig.request(get(&[]));
    assert_eq!(rig.result(token), Ok(vec![]));
}

#[test]
fn the_masters_own_objects_are_in_every_context() {
    let mut rig = Rig::new();
    let names = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.3.7", "1.3.6.1.2.1.1.9.0"];
    for context in ["", "nobody has named it"] {
        let token = rig.request_in(context, get(&names), 1000);
        let due =
            vec![int(names[0], 13), varbind(names[1], Value::NoSuchInstance), varbind(names[2], Value::NoSuchObject)];
        assert_eq!(rig.result(token), Ok(due));
    }
}

#[test]
fn contexts_are_apart() {
    let mut rig = Rig::new();
    let a = rig.open();
    rig.register_as(a, "acme", super::rig::region(A));
    let name = "1.3.6.1.4.1.99999.1.1";
    let token = rig.request(get(&[name]));
    assert_eq!(rig.result(token), Ok(vec![varbind(name, Value::NoSuchObject)]));
    let token = rig.request_in("acme", get(&[name]), 1000);
    let asked = rig.asked_once(a);
    assert_eq!(asked.context, "acme".into());
    rig.answer(&asked, a, vec![int(name, 1)]);
    assert_eq!(rig.result(token), Ok(vec![int(name, 1)]));
}

#[rstest]
#[case::the_second(2, 3)]
#[case::the_first(1, 1)]
#[case::none(0, 1)]
#[case::one_that_it_was_not_asked(9, 1)]
fn an_error_of_a_subagent_is_that_of_the_varbind_in_the_request(#[case] index: u16, #[case] expected: u32) {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.serving(&[B]));
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1", "1.3.6.1.4.1.99999.1.2"];
    let token = rig.request(get(&names));
    let (of_a, of_b) = (rig.asked_once(a), rig.asked_once(b));
    rig.answer(&of_b, b, vec![int(names[1], 1)]);
    rig.refuse(&of_a, a, ResponseError::ResourceUnavailable, index);
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, expected)));
}

#[test]
fn what_does_not_fit_is_too_big() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let value = varbind("1.3.6.1.4.1.99999.1.1", Value::OctetString(vec![7; 80]));
    let mut list = VarBindList::default();
    list.push(&value.name, value.value.as_ref());
    for (room, fits) in [(list.octets().len(), true), (list.octets().len() - 1, false)] {
        let token = rig.request_in("", get(&["1.3.6.1.4.1.99999.1.1"]), room);
        let asked = rig.asked_once(a);
        rig.answer(&asked, a, vec![value.clone()]);
        let due = if fits { Ok(vec![value.clone()]) } else { Err((ResponseError::TooBig, 0)) };
        assert_eq!(rig.result(token), due, "room for {room} octets");
    }
}

#[test]
fn snmpv1_is_not_shown_a_counter_of_64_bits() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2", "1.3.6.1.2.1.1.2.0"];
    let token = rig.request_v1(get(&names));
    let asked = rig.asked_once(a);
    rig.answer(&asked, a, vec![varbind(names[0], Value::Counter64(1)), int(names[1], 2)]);
    let none = |name| varbind(name, Value::NoSuchInstance);
    assert_eq!(rig.result(token), Ok(vec![none(names[0]), int(names[1], 2), none(names[2])]));
}

#[test]
fn the_next_best_region_answers_for_a_session_that_is_lost() {
    let mut rig = Rig::new();
    let (wide, narrow) = (rig.serving(&["1.3.6.1.4.1.99999"]), rig.serving(&[A, B]));
    let names = ["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1"];
    let token = rig.request(get(&names));
    rig.asked_once(narrow);
    rig.disconnect(narrow);
    let asked = rig.asked_once(wide);
    assert_eq!(ranges(&asked), [range(names[0], false, ""), range(names[1], false, "")]);
    rig.disconnect(wide);
    let gone = |name| varbind(name, Value::NoSuchObject);
    assert_eq!(rig.result(token), Ok(vec![gone(names[0]), gone(names[1])]));
    assert_eq!((rig.master.outstanding(), rig.master.request_count()), (0, 0));
}
