//! GetNext requests.

use agentx::{Body, ResponseError, Value};

use super::dispatcher_harness::{DispatcherHarness, get_next, int, range, ranges, varbind};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

#[test]
fn the_search_ends_at_the_end_of_the_region() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get_next(&["1.3.6.1.4.1.99999.1.5"]));
    let query = harness.sent_once(a);
    assert!(matches!(query.body, Body::GetNext(_)));
    assert_eq!(ranges(&query), [range("1.3.6.1.4.1.99999.1.5", false, B)]);
    harness.answer(&query, a, vec![int("1.3.6.1.4.1.99999.1.6", 6)]);
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.4.1.99999.1.6", 6)]));
}

#[test]
fn the_search_includes_the_start_of_a_later_region() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get_next(&["1.3.6.1.4.1.5"]));
    let query = harness.sent_once(a);
    assert_eq!(ranges(&query), [range(A, true, B)]);
    harness.answer(&query, a, vec![int(A, 6)]);
    assert_eq!(harness.result(token), Ok(vec![int(A, 6)]));
}

#[test]
fn the_search_continues_in_the_next_region() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let token = harness.request(get_next(&["1.3.6.1.4.1.99999.1.5", "1.3.6.1.4.1.99999.1.1"]));
    let query = harness.sent_once(a);
    let (end, found) = (varbind("1.3.6.1.4.1.99999.1.5", Value::EndOfMibView), int("1.3.6.1.4.1.99999.1.2", 2));
    harness.answer(&query, a, vec![end, found.clone()]);
    assert!(harness.sent_to(a).is_empty());
    let query = harness.sent_once(b);
    assert_eq!(ranges(&query), [range(B, true, "1.3.6.1.4.1.99999.3")]);
    harness.answer(&query, b, vec![int("1.3.6.1.4.1.99999.2.1", 1)]);
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.4.1.99999.2.1", 1), found]));
}

#[test]
fn a_nested_region_is_excluded_from_the_search_around_it() {
    let mut harness = DispatcherHarness::new();
    let (wide, narrow) = (harness.serving(&["1.3.6.1.4.1.99999"]), harness.serving(&[B]));
    let token = harness.request(get_next(&["1.3.6.1.4.1.99999.1"]));
    let query = harness.sent_once(wide);
    assert_eq!(ranges(&query), [range("1.3.6.1.4.1.99999.1", false, B)]);
    harness.answer(&query, wide, vec![varbind("1.3.6.1.4.1.99999.1", Value::EndOfMibView)]);
    let query = harness.sent_once(narrow);
    harness.answer(&query, narrow, vec![varbind(B, Value::EndOfMibView)]);
    let query = harness.sent_once(wide);
    assert_eq!(ranges(&query), [range("1.3.6.1.4.1.99999.3", true, "1.3.6.1.4.1.100000")]);
    harness.answer(&query, wide, vec![int("1.3.6.1.4.1.99999.4", 4)]);
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.4.1.99999.4", 4)]));
}

#[test]
fn the_search_ends_with_end_of_mib_view_after_the_last_region() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get_next(&["1.3.6.1.4.1.99999.1.5", "1.3.6.1.5"]));
    let query = harness.sent_once(a);
    harness.answer(&query, a, vec![varbind("1.3.6.1.4.1.99999.1.5", Value::EndOfMibView)]);
    let end = |name| varbind(name, Value::EndOfMibView);
    assert_eq!(harness.result(token), Ok(vec![end("1.3.6.1.4.1.99999.1.5"), end("1.3.6.1.5")]));
}

#[test]
fn own_objects_are_found_in_order() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&["1.3.6.1.2.1"]);
    let token = harness.request(get_next(&["1.3.6.1.2", "1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.3.0"]));
    let query = harness.sent_once(a);
    let expected = [range("1.3.6.1.2.1", true, "1.3.6.1.2.1.1"), range("1.3.6.1.2.1.2", true, "1.3.6.1.2.2")];
    assert_eq!(ranges(&query), expected);
    let found = int("1.3.6.1.2.1.2.1.0", 21);
    harness.answer(&query, a, vec![varbind("1.3.6.1.2.1", Value::EndOfMibView), found.clone()]);
    let counter = varbind("1.3.6.1.2.1.1.2.0", Value::Counter64(12));
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.2.1.1.1.0", 11), counter, found]));
}

#[test]
fn the_number_of_regions_queried_at_once_doubles_while_nothing_is_found() {
    let mut harness = DispatcherHarness::new();
    let subtrees: Vec<_> = (1..20).map(|arc| format!("1.3.6.1.4.1.99999.1.{}", arc * 2)).collect();
    let a = harness.serving(&subtrees.iter().map(String::as_str).collect::<Vec<_>>());
    let token = harness.request(get_next(&["1.3.6.1.4.1.99999"]));
    let mut widths = Vec::new();
    while let [query] = &harness.sent_to(a)[..] {
        widths.push(ranges(query).len());
        let end =
            |range: &agentx::SearchRange| agentx::VarBind { name: range.start.clone(), value: Value::EndOfMibView };
        harness.answer(query, a, ranges(query).iter().map(end).collect());
    }
    assert_eq!(widths, [1, 2, 4, 8, 4]);
    assert_eq!(harness.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999", Value::EndOfMibView)]));
}

#[test]
fn the_error_index_of_a_subagent_is_mapped_to_the_request() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get_next(&["1.3.6.1.2.1.1.1.0", "1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.1.2"]));
    let query = harness.sent_once(a);
    harness.refuse(&query, a, ResponseError::GenErr, 2);
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, 3)));
}

#[test]
fn snmpv1_skips_counter64_instances() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request_v1(get_next(&[A, "1.3.6.1.2.1.1.1.0"]));
    let mut next = 0;
    let mut repetitions = Vec::new();
    while let [query] = &harness.sent_to(a)[..] {
        let count = match &query.body {
            Body::GetBulk(bulk) => bulk.max_repetitions,
            _ => 1,
        };
        repetitions.push(count);
        let found = (0..count).map(|_| {
            next += 1;
            let value = if next < 20 { Value::Counter64(next) } else { Value::Integer(20) };
            varbind(&format!("{A}.{next}"), value)
        });
        let found = found.collect();
        harness.answer(query, a, found);
    }
    assert_eq!(repetitions, [1, 2, 6, 18]);
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.4.1.99999.1.20", 20), int("1.3.6.1.2.1.1.3.0", 13)]));
}

#[test]
fn the_search_continues_when_a_session_ends() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let token = harness.request(get_next(&[A]));
    harness.sent_once(a);
    harness.disconnect(a);
    let query = harness.sent_once(b);
    assert_eq!(ranges(&query), [range(B, true, "1.3.6.1.4.1.99999.3")]);
    harness.answer(&query, b, vec![int("1.3.6.1.4.1.99999.2.1", 1)]);
    assert_eq!(harness.result(token), Ok(vec![int("1.3.6.1.4.1.99999.2.1", 1)]));
}
