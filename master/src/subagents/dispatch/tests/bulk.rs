//! GetBulk requests.

use agentx::{Body, GetBulk, Oid, Pdu, ResponseError, SubId, Value, VarBind};
use rstest::rstest;

use super::{
    dispatcher_harness::{DispatcherHarness, ROOM, get_bulk, int, oid, range, ranged, ranges, region, varbind},
    subagent_model::{SubagentModel, request, settle},
};
use crate::pdu::varbind_list::VarBindList;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";

/// Returns a table of two columns and `rows` rows.
fn table(base: &str, rows: i32) -> Vec<VarBind> {
    [1, 2].iter().flat_map(|c| (1..=rows).map(move |r| int(&format!("{base}.{c}.{r}"), c * 100 + r))).collect()
}

fn bulks(model: &SubagentModel) -> Vec<&GetBulk> {
    let bulk = |pdu: &'_ Pdu| matches!(pdu.body, Body::GetBulk(_));
    model
        .received
        .iter()
        .filter(|pdu| bulk(pdu))
        .filter_map(|pdu| match &pdu.body {
            Body::GetBulk(bulk) => Some(bulk),
            _ => None,
        })
        .collect()
}

fn octets(varbinds: &[VarBind]) -> usize {
    let mut list = VarBindList::default();
    for varbind in varbinds {
        list.push(&varbind.name, varbind.value.as_ref());
    }
    list.octets().len()
}

#[test]
fn one_getbulk_queries_all_rows_of_all_columns() {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 20))];
    let names = [&format!("{A}.1")[..], &format!("{A}.1.19"), &format!("{A}.2.2")];
    let result = request(&mut harness, &mut models, get_bulk(1, 3, &names)).unwrap();
    let expected = [(1, 1), (1, 20), (2, 3), (2, 1), (2, 4), (2, 2), (2, 5)];
    assert_eq!(result, expected.map(|(c, r)| int(&format!("{A}.{c}.{r}"), c * 100 + r)));
    let [query] = &models[0].received[..] else { panic!("{:?}", models[0].received) };
    let expected = names.map(|name| range(name, false, B)).to_vec();
    let bulk = GetBulk { non_repeaters: 1, max_repetitions: 3, ranges: expected };
    assert_eq!(query.body, Body::GetBulk(bulk));
}

#[rstest]
#[case(A, "1.3.6.1.4.1.99999.0", true)]
#[case("1.3.6.1.4.1.99999.0", "1.3.6.1.4.1.99999", false)]
fn the_query_starts_at_the_last_possible_name_before_a_region(
    #[case] region: &str,
    #[case] start: &str,
    #[case] is_filled: bool,
) {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[region]);
    let token = harness.request(get_bulk(0, 2, &["1.3.6.1.4.1.99998"]));
    let query = harness.sent_once(a);
    let mut last = oid(start).to_vec();
    if is_filled {
        last.resize(Oid::MAX_LEN, SubId::MAX);
    }
    assert_eq!((ranges(&query)[0].start.as_slice(), ranges(&query)[0].include), (&last[..], false));
    let expected = [int(region, 1), int(&format!("{region}.1"), 2)];
    harness.answer(&query, a, expected.to_vec());
    assert_eq!(harness.result(token).unwrap(), expected);
}

#[test]
fn names_after_the_end_of_the_range_are_ignored() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let token = harness.request(get_bulk(0, 3, &[&format!("{A}.1")]));
    let query = harness.sent_once(a);
    // For example, instances below B in another context.
    let (own, behind) = (int(&format!("{A}.2"), 2), int(&format!("{B}.7"), 666));
    harness.answer(&query, a, vec![own.clone(), behind.clone(), behind]);
    let query = harness.sent_once(b);
    let expected = [int(&format!("{B}.1"), 3), int(&format!("{B}.2"), 4)];
    harness.answer(&query, b, expected.to_vec());
    assert_eq!(harness.result(token).unwrap(), [&[own][..], &expected].concat());
}

#[test]
fn the_answer_ends_with_the_first_row_of_only_end_of_mib_view() {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 2))];
    let names = [&format!("{A}.1.2")[..], &format!("{A}.2.1")];
    let result = request(&mut harness, &mut models, get_bulk(0, 50, &names)).unwrap();
    let end = varbind(&format!("{A}.2.2"), Value::EndOfMibView);
    let at = |c, r| int(&format!("{A}.{c}.{r}"), c * 100 + r);
    assert_eq!(result, [at(2, 1), at(2, 2), at(2, 2), end.clone(), end.clone(), end]);
}

#[rstest]
#[case::no_repetitions(0, 0, 2, 0)]
#[case::only_non_repeaters(1, 0, 2, 1)]
#[case::more_non_repeaters_than_names(7, 5, 2, 2)]
#[case::no_names(0, 5, 0, 0)]
fn unusual_requests_are_answered(#[case] once: u32, #[case] times: u32, #[case] names: usize, #[case] expected: usize) {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 9))];
    let result = request(&mut harness, &mut models, get_bulk(once, times, &[A, A][..names])).unwrap();
    assert_eq!(result, vec![int(&format!("{A}.1.1"), 101); expected]);
}

#[test]
fn queries_are_limited_to_the_room_and_the_answer_is_truncated_to_it() {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 400))];
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let token = harness.request_in("", get_bulk(0, 10_000, &names), 1000);
    settle(&mut harness, &mut models);
    let result = harness.result(token).unwrap();
    let whole = request(&mut harness, &mut models, get_bulk(0, 100, &names)).unwrap();
    assert_eq!(result, whole[..result.len()]);
    assert!(octets(&result) <= 1000 && octets(&whole[..=result.len()]) > 1000);
    let [query, _] = bulks(&models[0])[..] else { panic!("{:?}", models[0].received) };
    assert!((20..100).contains(&query.max_repetitions), "{query:?}");
}

#[test]
fn an_answer_without_room_for_one_varbind_is_too_big() {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 4))];
    let token = harness.request_in("", get_bulk(0, 10, &[A]), 10);
    settle(&mut harness, &mut models);
    assert_eq!(harness.result(token), Err((ResponseError::TooBig, 0)));
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(3)]
#[case(7)]
fn a_subagent_that_truncates_its_responses_is_queried_again(#[case] cut: usize) {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 12))];
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let whole = request(&mut harness, &mut models, get_bulk(0, 15, &names)).unwrap();
    assert_eq!(models[0].received.len(), 1);
    models[0].cut = cut;
    assert_eq!(request(&mut harness, &mut models, get_bulk(0, 15, &names)).unwrap(), whole);
    assert!(models[0].received.len() > 3);
}

#[test]
fn a_subagent_without_getbulk_is_queried_with_getnext() {
    let mut harness = DispatcherHarness::new();
    let mut models = [SubagentModel::with(harness.serving(&[A]), table(A, 12))];
    models[0].has_no_bulk = true;
    let expected: Vec<_> = (1..=4).map(|row| int(&format!("{A}.1.{row}"), 100 + row)).collect();
    for _ in 0..2 {
        assert_eq!(request(&mut harness, &mut models, get_bulk(0, 4, &[A])).unwrap(), expected);
    }
    assert_eq!((bulks(&models[0]).len(), models[0].received.len()), (1, 9));
}

#[test]
fn the_answer_continues_in_other_sessions_and_in_own_objects() {
    let mut harness = DispatcherHarness::new();
    let mut models = [
        SubagentModel::with(
            harness.serving(&["1.3.6.1.2.1.0"]),
            [int("1.3.6.1.2.1.0.1", 1), int("1.3.6.1.2.1.0.2", 2)],
        ),
        SubagentModel::with(harness.serving(&["1.3.6.1.2.1.2"]), [int("1.3.6.1.2.1.2.1", 3)]),
    ];
    let result = request(&mut harness, &mut models, get_bulk(0, 20, &["1.3"])).unwrap();
    let mut expected = vec![int("1.3.6.1.2.1.0.1", 1), int("1.3.6.1.2.1.0.2", 2)];
    expected.extend(super::dispatcher_harness::TestObjects::objects());
    expected.extend([int("1.3.6.1.2.1.2.1", 3), varbind("1.3.6.1.2.1.2.1", Value::EndOfMibView)]);
    assert_eq!(result, expected);
}

#[test]
fn only_the_first_region_is_queried_if_it_is_sufficient() {
    let mut harness = DispatcherHarness::new();
    let mut models = [
        SubagentModel::with(harness.serving(&[A]), table(A, 400)),
        SubagentModel::with(harness.serving(&[B]), table(B, 4)),
    ];
    let result = request(&mut harness, &mut models, get_bulk(0, 50, &[A])).unwrap();
    assert_eq!(result.len(), 50);
    assert_eq!((models[0].received.len(), models[1].received.len()), (1, 0));
}

/// Opens sessions that share a table of two columns. Each has one row.
fn pods(harness: &mut DispatcherHarness, number: i32) -> Vec<SubagentModel> {
    let pod = |row: i32| {
        let subagent = harness.open();
        harness.register_as(subagent, "", ranged(&format!("{A}.1.{row}"), 9, 2));
        let rows = [1, 2].map(|column| int(&format!("{A}.{column}.{row}"), column * 100 + row));
        SubagentModel::with(subagent, rows)
    };
    (1..=number).map(pod).collect()
}

#[test]
fn a_table_of_many_sessions_is_queried_in_parallel() {
    let mut harness = DispatcherHarness::new();
    let mut models = pods(&mut harness, 30);
    let names = [&format!("{A}.1")[..], &format!("{A}.2")];
    let result = request(&mut harness, &mut models, get_bulk(0, 25, &names)).unwrap();
    let expected = (1..=25).flat_map(|row| [1, 2].map(|c| int(&format!("{A}.{c}.{row}"), c * 100 + row)));
    assert_eq!(result, expected.collect::<Vec<_>>());
    let queries: Vec<_> = models.iter().map(|model| model.received.len()).collect();
    assert_eq!(queries, [[1; 25].as_slice(), &[0; 5]].concat());
}

#[test]
fn an_answer_does_not_wait_for_queries_that_are_not_needed() {
    let mut harness = DispatcherHarness::new();
    let mut models = pods(&mut harness, 8);
    models[0] = SubagentModel::with(models[0].subagent, (1..=9).map(|row| int(&format!("{A}.1.1.{row}"), row)));
    let token = harness.request(get_bulk(0, 5, &[&format!("{A}.1")]));
    let query = harness.sent_once(models[0].subagent);
    models[0].answer(&mut harness, &query);
    let expected = (1..=5).map(|row| int(&format!("{A}.1.1.{row}"), row));
    assert_eq!(harness.result(token).unwrap(), expected.collect::<Vec<_>>());
    assert!(harness.master.outstanding() > 0);
    settle(&mut harness, &mut models);
    assert_eq!((harness.answers(), harness.master.outstanding()), (vec![], 0));
}

#[test]
fn rows_before_an_error_are_returned_and_an_error_in_the_first_row_is_the_answer() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.serving(&[B]));
    let mut models = [SubagentModel::with(a, [int(&format!("{A}.1"), 1), int(&format!("{A}.2"), 2)])];
    for (from, expected) in [
        (A.to_owned(), Ok(vec![int(&format!("{A}.1"), 1), int(&format!("{A}.2"), 2)])),
        (format!("{A}.2"), Err((ResponseError::GenErr, 1))),
    ] {
        let token = harness.request(get_bulk(0, 10, &[&from]));
        settle(&mut harness, &mut models);
        // The first query is a GetBulk, the second a GetNext.
        for query in [harness.sent_to(b), harness.sent_to(b)].concat() {
            harness.refuse(&query, b, ResponseError::GenErr, 1);
        }
        for query in harness.sent_to(b) {
            harness.refuse(&query, b, ResponseError::GenErr, 1);
        }
        assert_eq!(harness.result(token), expected, "from {from}");
    }
}

#[test]
fn an_instance_with_an_error_does_not_hide_the_rows_before_it() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get_bulk(0, 10, &[A]));
    let mut found = 0;
    while let [query] = &harness.sent_to(a)[..] {
        match &query.body {
            Body::GetNext(_) if found < 3 => {
                found += 1;
                harness.answer(query, a, vec![int(&format!("{A}.{found}"), found)]);
            }
            _ => harness.refuse(query, a, ResponseError::GenErr, 1),
        }
    }
    assert_eq!(harness.result(token), Ok((1..=3).map(|row| int(&format!("{A}.{row}"), row)).collect()));
}

#[test]
fn rows_of_other_sessions_remain_when_a_session_ends() {
    let mut harness = DispatcherHarness::new();
    let mut models = pods(&mut harness, 6);
    let token = harness.request(get_bulk(0, 6, &[&format!("{A}.1")]));
    let dead = models.remove(2);
    let query = harness.sent_once(models[0].subagent);
    models[0].answer(&mut harness, &query);
    harness.disconnect(dead.subagent);
    settle(&mut harness, &mut models);
    let expected =
        [(1, 1), (1, 2), (1, 4), (1, 5), (1, 6), (2, 1)].map(|(c, r)| int(&format!("{A}.{c}.{r}"), c * 100 + r));
    assert_eq!(harness.result(token).unwrap(), expected);
}

#[test]
fn queries_are_limited_to_the_maximum_varbinds_of_a_pdu() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let names = vec![A; 2000];
    harness.request_in("", get_bulk(0, 60_000, &names), ROOM * 1000);
    let query = harness.sent_once(a);
    let Body::GetBulk(bulk) = &query.body else { panic!("{query:?}") };
    assert_eq!((ranges(&query).len(), bulk.max_repetitions), (2000, 8));
}

#[test]
fn instance_registrations_are_queried_in_parallel() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    let rows: Vec<_> = (1..=20).map(|row| int(&format!("{A}.{}.0", row * 2), row)).collect();
    for row in &rows {
        let register = agentx::Register { instance: true, ..region(&row.name.to_string()) };
        harness.register_as(a, "", register);
    }
    let mut models = [SubagentModel::with(a, rows.clone())];
    assert_eq!(request(&mut harness, &mut models, get_bulk(0, 20, &[A])).unwrap(), rows);
    assert_eq!(models[0].received.len(), 1);
}
