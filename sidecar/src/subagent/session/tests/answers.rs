//! Requests of the master and their responses.

use agentx::{Body, GetBulk, ResponseError, Value, ValueRef, VarBind};
use rstest::rstest;

use super::rig::{Rig, export, exports, names, oid, range, small, view};
use crate::subagent::session::answer::MAX_VALUE;

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";

/// Returns a rig with two subtrees in the default context and one in another context.
fn rig() -> Rig {
    Rig::serving(&exports([
        export("", view(A, &[("1.0", ValueRef::Integer(1)), ("2.0", ValueRef::OctetString(b"two"))])),
        export("", view(B, &[("1.1.1", ValueRef::Counter64(u64::MAX)), ("1.1.2", ValueRef::Gauge32(4))])),
        export("acme", view(A, &[("1.0", ValueRef::Integer(42))])),
    ]))
}

fn get(names: &[&str]) -> Body {
    Body::Get(names.iter().map(|name| range(name, false, "")).collect())
}

fn bound(name: &str, value: Value) -> VarBind {
    VarBind { name: oid(name), value }
}

#[test]
fn get_of_several_subtrees_returns_one_varbind_per_name_in_order() {
    let (b, a, missing) = (format!("{B}.1.1.2"), format!("{A}.1.0"), format!("{A}.1.1"));
    let varbinds = rig().varbinds("", get(&[&b, &a, &missing, "1.3.6.1.2.1.1.1.0", A]));
    let expected = [
        bound(&b, Value::Gauge32(4)),
        bound(&a, Value::Integer(1)),
        bound(&missing, Value::NoSuchInstance),
        bound("1.3.6.1.2.1.1.1.0", Value::NoSuchObject),
        bound(A, Value::NoSuchObject),
    ];
    assert_eq!(varbinds, expected);
}

#[test]
fn contexts_are_separate_in_one_session() {
    let mut rig = rig();
    let name = format!("{A}.1.0");
    assert_eq!(rig.varbinds("acme", get(&[&name])), [bound(&name, Value::Integer(42))]);
    assert_eq!(rig.varbinds("", get(&[&name])), [bound(&name, Value::Integer(1))]);
}

#[test]
fn unknown_context_has_no_objects() {
    let mut rig = rig();
    let name = format!("{A}.1.0");
    assert_eq!(rig.varbinds("nowhere", get(&[&name])), [bound(&name, Value::NoSuchObject)]);
    let next = Body::GetNext(vec![range(A, true, "")]);
    assert_eq!(rig.varbinds("nowhere", next), [bound(A, Value::EndOfMibView)]);
}

#[rstest]
#[case::from_the_base(A, false, B, "1.3.6.1.4.1.9999.1.1.0")]
#[case::after_the_start("1.3.6.1.4.1.9999.1.1.0", false, B, "1.3.6.1.4.1.9999.1.2.0")]
#[case::at_the_start("1.3.6.1.4.1.9999.1.1.0", true, B, "1.3.6.1.4.1.9999.1.1.0")]
#[case::across_subtrees("1.3.6.1.4.1.9999.1.2.0", false, "", "1.3.6.1.4.1.9999.2.1.1.1")]
#[case::from_before_everything("1", false, "", "1.3.6.1.4.1.9999.1.1.0")]
fn get_next_returns_the_first_instance_in_its_range(
    #[case] start: &str,
    #[case] include: bool,
    #[case] end: &str,
    #[case] found: &str,
) {
    let varbinds = rig().varbinds("", Body::GetNext(vec![range(start, include, end)]));
    assert_eq!(names(&varbinds), [found]);
}

#[rstest]
#[case::the_end_is_excluded("1.3.6.1.4.1.9999.1.1.0", "1.3.6.1.4.1.9999.1.2.0")]
#[case::the_next_subtree_is_beyond_it("1.3.6.1.4.1.9999.1.2.0", B)]
#[case::nothing_follows("1.3.6.1.4.1.9999.2.1.1.2", "")]
#[case::backwards(B, A)]
fn get_next_without_a_match_returns_end_of_mib_view_with_its_start(#[case] start: &str, #[case] end: &str) {
    let varbinds = rig().varbinds("", Body::GetNext(vec![range(start, false, end)]));
    assert_eq!(varbinds, [bound(start, Value::EndOfMibView)]);
}

#[test]
fn get_next_of_a_hundred_ranges_is_answered_in_order() {
    let starts = [A, B];
    let ranges = (0..100).map(|i| range(starts[i % 2], false, ""));
    let varbinds = rig().varbinds("", Body::GetNext(ranges.collect()));
    let expected = ["1.3.6.1.4.1.9999.1.1.0", "1.3.6.1.4.1.9999.2.1.1.1"];
    assert_eq!(names(&varbinds), (0..100).map(|i| expected[i % 2]).collect::<Vec<_>>());
}

#[test]
fn request_without_ranges_gets_no_varbinds() {
    assert_eq!(rig().varbinds("", Body::GetNext(Vec::new())), []);
    let bulk = GetBulk { non_repeaters: 3, max_repetitions: u16::MAX, ranges: Vec::new() };
    assert_eq!(rig().varbinds("", Body::GetBulk(bulk)), []);
}

#[test]
fn get_bulk_repeats_until_all_repeaters_are_at_their_end() {
    let ranges = vec![range("1", false, ""), range(A, false, B), range(B, false, "")];
    let bulk = GetBulk { non_repeaters: 1, max_repetitions: 50, ranges };
    let varbinds = rig().varbinds("", Body::GetBulk(bulk));
    let (a1, a2) = (format!("{A}.1.0"), format!("{A}.2.0"));
    let (b1, b2) = (format!("{B}.1.1.1"), format!("{B}.1.1.2"));
    let expected = [
        bound(&a1, Value::Integer(1)),
        bound(&a1, Value::Integer(1)),
        bound(&b1, Value::Counter64(u64::MAX)),
        bound(&a2, Value::OctetString(b"two".to_vec())),
        bound(&b2, Value::Gauge32(4)),
        bound(&a2, Value::EndOfMibView),
        bound(&b2, Value::EndOfMibView),
    ];
    assert_eq!(varbinds, expected);
}

#[test]
fn get_bulk_stops_when_its_response_is_long_enough() {
    let octets = [7; 1000];
    let suffixes: Vec<String> = (1..2000).map(|i| format!("1.{i}")).collect();
    let instances: Vec<_> = suffixes.iter().map(|s| (s.as_str(), ValueRef::OctetString(&octets))).collect();
    let mut rig = Rig::serving(&exports([export("", view(A, &instances))]));
    let bulk = GetBulk { non_repeaters: 0, max_repetitions: u16::MAX, ranges: vec![range(A, false, "")] };
    let varbinds = rig.varbinds("", Body::GetBulk(bulk));
    assert!((200..300).contains(&varbinds.len()), "{}", varbinds.len());
    let (expected, names) = (suffixes.iter().map(|s| format!("{A}.{s}")), names(&varbinds));
    assert_eq!(names, expected.take(varbinds.len()).collect::<Vec<_>>());
}

#[test]
fn response_that_would_be_too_long_is_gen_err_for_the_first_varbind_beyond_the_limit() {
    let octets = vec![7; 60_000];
    let mut rig = Rig::serving(&exports([export("", view(A, &[("1.0", ValueRef::OctetString(&octets))]))]));
    let name = format!("{A}.1.0");
    let answers = rig.ask("", get(&vec![name.as_str(); 20]));
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].error, answers[0].index, answers[0].varbinds.len()), (ResponseError::GenErr, 18, 0));
    assert_eq!(rig.counts().oversized, 1);
}

#[test]
fn values_longer_than_65000_octets_are_cut_and_counted() {
    let octets: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_VALUE + 1).collect();
    let values = [
        ("1.0", ValueRef::OctetString(&octets)),
        ("2.0", ValueRef::Opaque(&octets)),
        ("3.0", ValueRef::OctetString(&octets[1..])),
    ];
    let mut rig = Rig::serving(&exports([export("", view(A, &values))]));
    let values = rig.varbinds("", get(&[&format!("{A}.1.0"), &format!("{A}.2.0"), &format!("{A}.3.0")]));
    assert_eq!(values[0].value, Value::OctetString(octets[..MAX_VALUE].to_vec()));
    assert_eq!(values[1].value, Value::Opaque(octets[..MAX_VALUE].to_vec()));
    assert_eq!(values[2].value, Value::OctetString(octets[1..].to_vec()));
    assert_eq!(rig.counts().cut_values, 2);
}

#[test]
fn repeated_packet_id_is_answered_again() {
    let mut rig = rig();
    let request = rig.request("", get(&[&format!("{A}.1.0")]));
    rig.give(&request);
    let first = rig.sent();
    rig.give(&request);
    assert_eq!(rig.sent(), first);
    assert_eq!((rig.counts().requests, rig.counts().answers, rig.counts().resends), (2, 2, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut rig = rig();
    let requests: Vec<_> = (0..50).map(|_| rig.request("", get(&[&format!("{A}.1.0")]))).collect();
    let mut octets = Vec::new();
    for request in &requests {
        agentx::encode(request, &mut octets).unwrap();
    }
    // In pieces of arbitrary length.
    for piece in octets.chunks(33) {
        rig.give_octets(piece);
    }
    let answered: Vec<u32> = rig.sent().iter().map(|answer| answer.header.packet_id).collect();
    assert_eq!(answered, requests.iter().map(|request| request.header.packet_id).collect::<Vec<_>>());
}

#[test]
fn set_of_a_read_only_object_is_not_writable() {
    let mut rig = rig();
    let varbinds = vec![bound(&format!("{A}.1.0"), Value::Integer(5)), bound(B, Value::Integer(5))];
    let answers = rig.ask("", Body::TestSet(varbinds));
    assert_eq!(answers.iter().map(|a| (a.error, a.index)).collect::<Vec<_>>(), [(ResponseError::NotWritable, 1)]);
    assert_eq!(rig.ask("", Body::CleanupSet), []);
    assert_eq!(rig.ask("", Body::CommitSet)[0].error, ResponseError::CommitFailed);
    assert_eq!(rig.ask("", Body::UndoSet)[0].error, ResponseError::UndoFailed);
}

#[test]
fn request_of_an_unknown_session_is_not_open() {
    let mut rig = rig();
    let mut request = rig.request("", get(&[A]));
    request.header.session_id += 1;
    rig.give(&request);
    let answers = rig.sent();
    assert!(matches!(&answers[..], [answer] if answer.header == request.header));
    assert!(matches!(&answers[0].body, Body::Response(r) if r.error == ResponseError::NotOpen));
    assert_eq!(rig.counts().unexpected, 1);
}

#[test]
fn ping_is_answered_and_pdus_for_masters_are_refused() {
    let mut rig = rig();
    assert_eq!(rig.ask("", Body::Ping)[0].error, ResponseError::NoError);
    assert_eq!(rig.ask("", Body::Notify(Vec::new()))[0].error, ResponseError::ProcessingError);
}

#[test]
fn changed_values_are_returned_at_once() {
    let served = small("", A);
    let shown = std::sync::Arc::clone(&served.view);
    let mut rig = Rig::serving(&exports([served]));
    let name = format!("{A}.1.0");
    assert_eq!(rig.varbinds("", get(&[&name])), [bound(&name, Value::Integer(1))]);
    shown.store(std::sync::Arc::new(view(A, &[("1.0", ValueRef::Integer(2))])));
    assert_eq!(rig.varbinds("", get(&[&name])), [bound(&name, Value::Integer(2))]);
}

#[test]
fn subtree_within_another_one_answers_for_its_part() {
    let inner = format!("{A}.2");
    let outer = [("1.0", ValueRef::Integer(1)), ("2.5", ValueRef::Integer(2)), ("3.0", ValueRef::Integer(3))];
    let mut rig =
        Rig::serving(&exports([export("", view(A, &outer)), export("", view(&inner, &[("9", ValueRef::Integer(9))]))]));
    let bulk = GetBulk { non_repeaters: 0, max_repetitions: 9, ranges: vec![range(A, false, "")] };
    let varbinds = rig.varbinds("", Body::GetBulk(bulk));
    let (first, within, behind) = (format!("{A}.1.0"), format!("{A}.2.9"), format!("{A}.3.0"));
    assert_eq!(names(&varbinds), [first, within, behind.clone(), behind]);
}
