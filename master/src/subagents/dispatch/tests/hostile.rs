//! Subagents that violate RFC 2741. Only requests of their own objects fail, and no invalid varbind reaches the NMS.

use agentx::{Body, ByteOrder, Context, FrameHeader, Header, Pdu, Response, ResponseError, Value, VarBind, encode};
use rstest::rstest;

use super::{
    dispatcher_harness::{DispatcherHarness, Subagent, get, get_bulk, get_next, int, oid, varbind},
    subagent_model::{SubagentModel, settle},
};
use crate::pdu::Operation;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

fn dropped(harness: &DispatcherHarness, subagent: Subagent) -> u64 {
    harness.master.sessions().find(|session| session.id.0 == subagent.session).unwrap().counts.dropped
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
#[case::next_is_no_such_object(get_next(&[B, A]), vec![none("1.1", Value::NoSuchObject)], 2)]
#[case::next_is_no_such_instance(get_next(&[B, A]), vec![none("1.1", Value::NoSuchInstance)], 2)]
#[case::next_with_too_many(get_next(&[B, A]), vec![at("1.1", 1), at("1.2", 2)], 2)]
#[case::bulk_with_too_many(get_bulk(0, 2, &[A]), vec![at("1.1", 1), at("1.2", 2), at("1.3", 3)], 1)]
#[case::bulk_out_of_order(get_bulk(0, 3, &[A]), vec![at("1.1", 1), at("1.3", 2), at("1.2", 3)], 1)]
#[case::bulk_with_a_duplicate(get_bulk(0, 3, &[A]), vec![at("1.1", 1), at("1.1", 2)], 1)]
#[case::bulk_after_its_end(get_bulk(0, 3, &[A]), vec![at("1.1", 1), none("1.1", Value::EndOfMibView), at("1.2", 2)], 1)]
#[case::bulk_with_columns_crossed(get_bulk(0, 2, &[A, "1.3.6.1.4.1.99999.1.5"]), vec![at("1.1", 1), at("1.2", 2)], 2)]
fn an_invalid_response_is_dropped_and_counted(
    #[case] operation: Operation,
    #[case] varbinds: Vec<VarBind>,
    #[case] index: u32,
) {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let mut others = [SubagentModel::with(harness.serving(&[B]), [int(B, 1), at("2.1", 1)])];
    let token = harness.request(operation);
    settle(&mut harness, &mut others);
    let query = harness.sent_once(a);
    harness.answer(&query, a, varbinds);
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, index)));
    assert_eq!((dropped(&harness, a), harness.master.outstanding()), (1, 0));
    assert_eq!(dropped(&harness, others[0].subagent), 0);
    let token = harness.request(get(&["1.3.6.1.4.1.99999.1.9"]));
    let query = harness.sent_once(a);
    harness.answer(&query, a, vec![at("1.9", 9)]);
    assert_eq!(harness.result(token), Ok(vec![at("1.9", 9)]), "the session must still be served");
}

#[test]
fn rows_before_an_invalid_response_are_kept() {
    let mut harness = DispatcherHarness::new();
    let b = harness.serving(&[B]);
    let mut models = [SubagentModel::with(harness.serving(&[A]), [at("1.1", 1), at("1.2", 2)])];
    let token = harness.request(get_bulk(0, 10, &[A]));
    settle(&mut harness, &mut models);
    let query = harness.sent_once(b);
    harness.answer(&query, b, vec![at("2.1", 1), at("2.2", 2), at("2.2", 3)]);
    assert_eq!(harness.result(token), Ok(vec![at("1.1", 1), at("1.2", 2)]));
    assert_eq!(dropped(&harness, b), 1);
}

#[test]
fn a_response_that_cannot_be_decoded_ends_the_query() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get(&[A]));
    let query = harness.sent_once(a);
    let response = Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: vec![int(A, 1)] };
    let pdu = Pdu { header: query.header, context: Context::default(), body: Body::Response(response) };
    let mut frame = Vec::new();
    encode(&pdu, &mut frame).unwrap();
    // An unknown type of value.
    frame[FrameHeader::LEN + 8 + 1] = 99;
    harness.master.receive(a.connection, &frame, harness.now);
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, 1)));
    assert_eq!((dropped(&harness, a), harness.master.outstanding(), harness.master.session_count()), (1, 0, 1));
}

#[test]
fn a_response_of_another_session_or_packet_is_ignored() {
    let mut harness = DispatcherHarness::new();
    let connection = harness.connect();
    let (a, sibling) = (harness.open_on(connection, ByteOrder::Big, 0), harness.open_on(connection, ByteOrder::Big, 0));
    let stranger = harness.open();
    harness.register(a, A);
    let token = harness.request(get(&[A]));
    let query = harness.sent_once(a);
    let as_if =
        |session_id, packet_id| Pdu { header: Header { session_id, packet_id, ..query.header }, ..query.clone() };
    let packet = query.header.packet_id;
    harness.answer(&as_if(a.session, packet), stranger, vec![int(A, 666)]);
    harness.answer(&as_if(stranger.session, packet), stranger, vec![int(A, 666)]);
    harness.answer(&as_if(sibling.session, packet), sibling, vec![int(A, 666)]);
    harness.answer(&as_if(a.session, packet.wrapping_add(1)), a, vec![int(A, 666)]);
    harness.answer(&as_if(0, packet), a, vec![int(A, 666)]);
    assert!(harness.answers().is_empty());
    harness.answer(&query, a, vec![int(A, 1)]);
    assert_eq!(harness.result(token), Ok(vec![int(A, 1)]));
    harness.answer(&query, a, vec![int(A, 666)]);
    assert!(harness.answers().is_empty(), "a request must be answered only once");
    assert_eq!(harness.master.totals().responses_unknown, 2);
}

#[test]
fn a_subagent_that_returns_one_varbind_at_a_time_is_not_queried_forever() {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { subagent_timeout_ms: 60_000, ..Default::default() });
    let a = harness.serving(&[A]);
    let token = harness.request(get_bulk(0, 1000, &[A]));
    let mut rows = 0;
    while let [query] = &harness.sent_to(a)[..] {
        rows += 1;
        harness.pass(std::time::Duration::from_secs(50));
        harness.answer(query, a, vec![int(&format!("{A}.{rows}"), rows)]);
    }
    assert_eq!(harness.result(token).unwrap().len(), 7);
}

#[test]
fn values_beyond_the_room_are_not_buffered() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A, B]);
    let long = Value::OctetString(vec![7; 60_000]);
    let token = harness.request_in("", get_bulk(0, 10, &[A, B]), 100_000);
    let query = harness.sent_once(a);
    let row = |row| [A, B].map(|base| VarBind { name: oid(&format!("{base}.{row}")), value: long.clone() });
    harness.answer(&query, a, (1..=8).flat_map(row).collect());
    assert_eq!(harness.result(token).unwrap(), row(1)[..1]);
}
