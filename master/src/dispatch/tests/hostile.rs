//! Subagents that answer what they may not: it costs their own objects an error, and the NMS never sees it.

use agentx::{Body, ByteOrder, Context, FrameHeader, Header, Pdu, Response, ResponseError, Value, VarBind, encode};
use rstest::rstest;

use super::{
    model::{Model, settle},
    rig::{Rig, Subagent, get, get_bulk, get_next, int, oid, varbind},
};
use crate::dispatch::Operation;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

fn dropped(rig: &Rig, subagent: Subagent) -> u64 {
    rig.master.sessions().find(|session| session.id.0 == subagent.session).unwrap().counts.dropped
}

fn at(arcs: &str, value: i32) -> VarBind {
    int(&format!("1.3.6.1.4.1.99999.{arcs}"), value)
}

fn none(arcs: &str, value: Value) -> VarBind {
    varbind(&format!("1.3.6.1.4.1.99999.{arcs}"), value)
}

#[rstest]
#[case::get_of_another_name(get(&[A, B]), vec![at("1.1", 1)], 1)]
#[case::get_with_too_many(get(&[A, B]), vec![int(A, 1), at("1.1", 1)], 1)]
#[case::get_with_too_few(get(&[B, A]), vec![], 2)]
#[case::get_with_the_wrong_second(get(&[A, B, "1.3.6.1.4.1.99999.1.2"]), vec![int(A, 1), at("1.3", 1)], 3)]
#[case::get_of_null(get(&[A, B]), vec![varbind(A, Value::Null)], 1)]
#[case::get_of_the_end(get(&[A, B]), vec![varbind(A, Value::EndOfMibView)], 1)]
#[case::next_is_the_same(get_next(&["1.3.6.1.4.1.99999.1.1", B]), vec![at("1.1", 1)], 1)]
#[case::next_is_before(get_next(&["1.3.6.1.4.1.99999.1.1", B]), vec![at("1.0", 1)], 1)]
#[case::next_is_out_of_range(get_next(&["1.3.6.1.4.1.99999.1.1", B]), vec![at("2.1", 1)], 1)]
#[case::next_is_the_end_of_the_range(get_next(&["1.3.6.1.4.1.99999.1.1", B]), vec![int(B, 1)], 1)]
#[case::next_is_null(get_next(&[B, A]), vec![none("1.1", Value::Null)], 2)]
#[case::next_is_no_object(get_next(&[B, A]), vec![none("1.1", Value::NoSuchObject)], 2)]
#[case::next_is_no_instance(get_next(&[B, A]), vec![none("1.1", Value::NoSuchInstance)], 2)]
#[case::next_with_too_many(get_next(&[B, A]), vec![at("1.1", 1), at("1.2", 2)], 2)]
#[case::bulk_with_too_many(get_bulk(0, 2, &[A]), vec![at("1.1", 1), at("1.2", 2), at("1.3", 3)], 1)]
#[case::bulk_out_of_order(get_bulk(0, 3, &[A]), vec![at("1.1", 1), at("1.3", 2), at("1.2", 3)], 1)]
#[case::bulk_twice_the_same(get_bulk(0, 3, &[A]), vec![at("1.1", 1), at("1.1", 2)], 1)]
#[case::bulk_after_its_end(get_bulk(0, 3, &[A]), vec![at("1.1", 1), none("1.1", Value::EndOfMibView), at("1.2", 2)], 1)]
#[case::bulk_with_columns_crossed(get_bulk(0, 2, &[A, "1.3.6.1.4.1.99999.1.5"]), vec![at("1.1", 1), at("1.2", 2)], 2)]
fn a_wrong_answer_is_dropped_and_counted(
    #[case] operation: Operation,
    #[case] varbinds: Vec<VarBind>,
    #[case] index: u32,
) {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let mut others = [Model::with(rig.serving(&[B]), [int(B, 1), at("2.1", 1)])];
    let token = rig.request(operation);
    settle(&mut rig, &mut others);
    let asked = rig.asked_once(a);
    rig.answer(&asked, a, varbinds);
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, index)));
    assert_eq!((dropped(&rig, a), rig.master.outstanding()), (1, 0));
    assert_eq!(dropped(&rig, others[0].subagent), 0);
    let token = rig.request(get(&["1.3.6.1.4.1.99999.1.9"]));
    let asked = rig.asked_once(a);
    rig.answer(&asked, a, vec![at("1.9", 9)]);
    assert_eq!(rig.result(token), Ok(vec![at("1.9", 9)]), "it goes on");
}

#[test]
fn rows_of_others_before_a_wrong_answer_are_kept_and_nothing_of_it_is() {
    let mut rig = Rig::new();
    let b = rig.serving(&[B]);
    let mut models = [Model::with(rig.serving(&[A]), [at("1.1", 1), at("1.2", 2)])];
    let token = rig.request(get_bulk(0, 10, &[A]));
    settle(&mut rig, &mut models);
    let asked = rig.asked_once(b);
    rig.answer(&asked, b, vec![at("2.1", 1), at("2.2", 2), at("2.2", 3)]);
    assert_eq!(rig.result(token), Ok(vec![at("1.1", 1), at("1.2", 2)]));
    assert_eq!(dropped(&rig, b), 1);
}

#[test]
fn an_answer_that_does_not_parse_is_an_answer_all_the_same() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get(&[A]));
    let asked = rig.asked_once(a);
    let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: vec![int(A, 1)] };
    let pdu = Pdu { header: asked.header, context: Context::default(), body: Body::Response(response) };
    let mut frame = Vec::new();
    encode(&pdu, &mut frame).unwrap();
    // An unknown type of value.
    frame[FrameHeader::LEN + 8 + 1] = 99;
    rig.master.receive(a.connection, &frame, rig.now);
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, 1)));
    assert_eq!((dropped(&rig, a), rig.master.outstanding(), rig.master.session_count()), (1, 0, 1));
}

#[test]
fn nobody_answers_in_the_place_of_another() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let (a, sibling) = (rig.open_on(connection, ByteOrder::Big, 0), rig.open_on(connection, ByteOrder::Big, 0));
    let stranger = rig.open();
    rig.register(a, A);
    let token = rig.request(get(&[A]));
    let asked = rig.asked_once(a);
    let as_if =
        |session_id, packet_id| Pdu { header: Header { session_id, packet_id, ..asked.header }, ..asked.clone() };
    let packet = asked.header.packet_id;
    rig.answer(&as_if(a.session, packet), stranger, vec![int(A, 666)]);
    rig.answer(&as_if(stranger.session, packet), stranger, vec![int(A, 666)]);
    rig.answer(&as_if(sibling.session, packet), sibling, vec![int(A, 666)]);
    rig.answer(&as_if(a.session, packet.wrapping_add(1)), a, vec![int(A, 666)]);
    rig.answer(&as_if(0, packet), a, vec![int(A, 666)]);
    assert!(rig.answers().is_empty());
    rig.answer(&asked, a, vec![int(A, 1)]);
    assert_eq!(rig.result(token), Ok(vec![int(A, 1)]));
    rig.answer(&asked, a, vec![int(A, 666)]);
    assert!(rig.answers().is_empty(), "answered once");
    assert_eq!(rig.master.totals().responses_unknown, 2);
}

#[test]
fn a_subagent_that_answers_one_varbind_at_a_time_is_not_followed_for_ever() {
    let mut rig = Rig::with(&master_config::Limits { subagent_timeout_ms: 60_000, ..Default::default() });
    let a = rig.serving(&[A]);
    let token = rig.request(get_bulk(0, 1000, &[A]));
    let mut rows = 0;
    while let [asked] = &rig.asked(a)[..] {
        rows += 1;
        rig.pass(std::time::Duration::from_secs(50));
        rig.answer(asked, a, vec![int(&format!("{A}.{rows}"), rows)]);
    }
    assert_eq!(rig.result(token).unwrap().len(), 7);
}

#[test]
fn values_that_leave_no_room_are_not_hoarded() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A, B]);
    let long = Value::OctetString(vec![7; 60_000]);
    let token = rig.request_in("", get_bulk(0, 10, &[A, B]), 100_000);
    let asked = rig.asked_once(a);
    let row = |row| [A, B].map(|base| VarBind { name: oid(&format!("{base}.{row}")), value: long.clone() });
    rig.answer(&asked, a, (1..=8).flat_map(row).collect());
    assert_eq!(rig.result(token).unwrap(), row(1)[..1]);
}
