//! Timeouts, stalled peers and rate limits.

use std::time::Duration;

use agentx::{Body, ByteOrder, CloseReason, Register, ResponseError, Value, VarBind};
use rstest::rstest;

use super::{
    dispatcher_harness::{DispatcherHarness, get, get_bulk, get_next, int, region, varbind},
    subagent_model::{SubagentModel, request, settle},
};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";
const NAME: &str = "1.3.6.1.4.1.99999.1.1";

#[rstest]
#[case::of_the_region(7, 3, 7_000)]
#[case::of_the_session(0, 3, 3_000)]
#[case::of_the_master(0, 0, 1_500)]
fn the_timeout_of_a_query_is_that_of_the_region_session_or_master(
    #[case] region_s: u8,
    #[case] session_s: u8,
    #[case] expected_ms: u64,
) {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { subagent_timeout_ms: 1_500, ..Default::default() });
    let connection = harness.connect();
    let a = harness.open_on(connection, ByteOrder::Big, session_s);
    harness.register_as(a, "", Register { timeout_s: region_s, ..region(A) });
    let token = harness.request(get(&["1.3.6.1.2.1.1.1.0", NAME]));
    assert_eq!(harness.master.deadline(), Some(harness.now + Duration::from_millis(expected_ms)));
    harness.pass(Duration::from_millis(expected_ms - 1));
    assert!(harness.answers().is_empty());
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.result(token), Err((ResponseError::GenErr, 2)));
    assert_eq!(harness.master.sessions().next().unwrap().counts.timeouts, 1);
}

#[test]
fn three_timeouts_in_a_row_close_the_session() {
    let mut harness = DispatcherHarness::new();
    let (a, wide) = (harness.serving(&[A]), harness.serving(&["1.3.6.1.4.1.99999"]));
    for _ in 0..2 {
        let token = harness.request(get(&[NAME]));
        harness.sent_once(a);
        harness.pass(Duration::from_secs(5));
        assert_eq!(harness.result(token), Err((ResponseError::GenErr, 1)));
    }
    // A response resets the count, even if it is an error.
    let token = harness.request(get(&[NAME]));
    let query = harness.sent_once(a);
    harness.refuse(&query, a, ResponseError::GenErr, 1);
    harness.result(token).unwrap_err();
    for _ in 0..3 {
        let token = harness.request(get(&[NAME]));
        harness.pass(Duration::from_secs(5));
        harness.result(token).unwrap_err();
    }
    assert_eq!(harness.close_reason(a), Some(CloseReason::Timeouts));
    assert_eq!((harness.master.session_count(), harness.master.totals().sessions_silent), (1, 1));
    assert_eq!(harness.call(a, "", Body::Ping).error, ResponseError::NotOpen);
    let token = harness.request(get(&[NAME]));
    let query = harness.sent_once(wide);
    harness.answer(&query, wide, vec![int(NAME, 1)]);
    assert_eq!(harness.result(token), Ok(vec![int(NAME, 1)]));
}

#[test]
fn many_timeouts_during_one_pause_count_as_one() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    for _ in 0..50 {
        harness.request(get(&[NAME]));
    }
    harness.pass(Duration::from_secs(5));
    assert_eq!(harness.answers().len(), 50);
    assert_eq!((harness.master.session_count(), harness.close_reason(a)), (1, None));
}

#[test]
fn outstanding_queries_of_a_closed_session_go_to_another() {
    let mut harness = DispatcherHarness::new();
    let (a, wide) = (harness.serving(&[A]), harness.serving(&["1.3.6.1.4.1.99999"]));
    for _ in 0..2 {
        harness.request(get(&[NAME]));
        harness.pass(Duration::from_secs(5));
    }
    harness.request(get(&[NAME]));
    harness.pass(Duration::from_secs(2));
    harness.answers();
    let token = harness.request(get(&[NAME]));
    harness.pass(Duration::from_secs(3));
    assert_eq!((harness.close_reason(a), harness.answers().len()), (Some(CloseReason::Timeouts), 1));
    let query = harness.sent_once(wide);
    harness.answer(&query, wide, vec![int(NAME, 4)]);
    assert_eq!(harness.result(token), Ok(vec![int(NAME, 4)]));
}

#[test]
fn a_late_response_is_counted_and_ignored() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get(&[NAME]));
    let query = harness.sent_once(a);
    harness.pass(Duration::from_secs(5));
    harness.result(token).unwrap_err();
    harness.answer(&query, a, vec![int(NAME, 1)]);
    assert!(harness.answers().is_empty());
    assert_eq!(harness.master.sessions().next().unwrap().counts.unexpected, 1);
}

#[test]
fn a_session_that_hangs_fails_only_its_own_objects() {
    let mut harness = DispatcherHarness::new();
    let instances = |base: &str| (1..=3).map(|row| int(&format!("{base}.{row}"), row)).collect::<Vec<_>>();
    let hung = harness.serving(&[B]);
    let c = "1.3.6.1.4.1.99999.3";
    let mut models = [
        SubagentModel::with(harness.serving(&[A]), instances(A)),
        SubagentModel::with(harness.serving(&[c]), instances(c)),
    ];
    let first = harness.request(get_next(&[A, c]));
    let second = harness.request(get_next(&[A, B]));
    let third = harness.request(get_bulk(0, 10, &[A]));
    settle(&mut harness, &mut models);
    assert_eq!(harness.result(first), Ok(vec![int(&format!("{A}.1"), 1), int(&format!("{c}.1"), 1)]));
    harness.pass(Duration::from_secs(5));
    let mut answers = harness.answers();
    answers.sort_by_key(|answer| answer.token);
    let [of_second, of_third] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((of_second.token, &of_second.result), (second, &Err((ResponseError::GenErr, 2))));
    assert_eq!(of_third.token, third);
    assert_eq!(
        super::dispatcher_harness::read(of_third.result.as_ref().unwrap()),
        instances(A),
        "the rows before the failed region"
    );
    assert_eq!(harness.sent_to(hung).len(), 2);
}

#[rstest]
#[case::first_timeout(1)]
#[case::second_timeout(2)]
fn a_subagent_that_does_not_answer_getbulk_twice_is_queried_with_getnext(#[case] missed: usize) {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    for _ in 0..missed {
        harness.request(get_bulk(0, 2, &[A]));
        harness.request(get_bulk(0, 2, &[A]));
        assert!(harness.sent_to(a).iter().all(|pdu| matches!(pdu.body, Body::GetBulk(_))));
        harness.pass(Duration::from_secs(5));
        assert_eq!(harness.answers().len(), 2);
    }
    let mut models = [SubagentModel::with(a, [int(NAME, 1)])];
    let expected = vec![int(NAME, 1), varbind(NAME, Value::EndOfMibView)];
    assert_eq!(request(&mut harness, &mut models, get_bulk(0, 2, &[A])), Ok(expected));
    let is_bulk = |pdu: &agentx::Pdu| matches!(pdu.body, Body::GetBulk(_));
    assert_eq!(models[0].received.iter().any(is_bulk), missed < 2);
}

#[test]
fn a_peer_that_does_not_read_gets_no_more_queries_and_is_disconnected() {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { subagent_timeout_ms: 60_000, ..Default::default() });
    let a = harness.serving(&[A]);
    let names = vec![NAME; 2_000];
    let mut unanswered = 0;
    let refused = loop {
        harness.request(get(&names));
        unanswered += 1;
        if let [answer] = &harness.answers()[..] {
            break answer.result.clone();
        }
        assert!(unanswered < 100, "the output is not limited");
    };
    assert_eq!(refused, Err((ResponseError::GenErr, 1)));
    let pending = harness.master.output(a.connection).unwrap().pending().len();
    assert!((1 << 20..2 << 20).contains(&pending), "{pending} octets");
    // The connection stays open while there is some progress.
    harness.pass(Duration::from_secs(9));
    harness.master.output(a.connection).unwrap().advance(1);
    harness.pass(Duration::from_secs(9));
    assert!(!harness.master.output(a.connection).unwrap().closes());
    harness.pass(Duration::from_secs(11));
    let output = harness.master.output(a.connection).unwrap();
    assert!(output.closes() && output.is_empty());
    assert_eq!(harness.answers().len(), unanswered - 1);
    let totals = harness.master.totals();
    assert_eq!((totals.connections_stalled, totals.sessions_stalled, harness.master.outstanding()), (1, 1, 0));
}

#[test]
fn a_peer_that_reads_again_is_queried_again() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let names = vec![NAME; 2_000];
    while harness.answers().is_empty() {
        harness.request(get(&names));
    }
    assert!(harness.sent_to(a).len() > 1);
    harness.request(get(&[NAME]));
    harness.sent_once(a);
}

#[test]
fn a_closing_peer_that_does_not_read_is_disconnected() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    harness.master.close_malformed(a.connection, harness.now);
    assert!(!harness.master.output(a.connection).unwrap().is_empty());
    harness.pass(Duration::from_secs(10));
    let output = harness.master.output(a.connection).unwrap();
    assert!(output.closes() && output.is_empty());
    assert_eq!(std::iter::from_fn(|| harness.master.next_ready()).collect::<Vec<_>>(), [a.connection]);
}

#[test]
fn a_peer_over_the_rate_limit_is_paused() {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { agentx_pdus_per_second: 10, ..Default::default() });
    let a = harness.open();
    for _ in 0..9 {
        harness.call(a, "", Body::Ping);
        assert_eq!(harness.master.read_after(a.connection, harness.now), None);
    }
    for _ in 0..5 {
        assert_eq!(
            harness.call(a, "", Body::Ping).error,
            ResponseError::NoError,
            "PDUs that were read must be responded to"
        );
    }
    let half_a_second = harness.now + Duration::from_millis(500);
    assert_eq!(harness.master.read_after(a.connection, harness.now), Some(half_a_second));
    harness.pass(Duration::from_millis(500));
    assert_eq!(harness.master.read_after(a.connection, harness.now), None);
}

#[test]
fn only_unexpected_responses_count_towards_the_rate_limit() {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { agentx_pdus_per_second: 4, ..Default::default() });
    let a = harness.serving(&[A]);
    harness.pass(Duration::from_secs(1));
    let mut last = None;
    for _ in 0..20 {
        let token = harness.request(get(&[NAME]));
        let query = harness.sent_once(a);
        harness.answer(&query, a, vec![int(NAME, 1)]);
        harness.result(token).unwrap();
        last = Some(query);
    }
    assert_eq!(harness.master.read_after(a.connection, harness.now), None);
    for _ in 0..5 {
        harness.answer(last.as_ref().unwrap(), a, vec![]);
    }
    assert!(harness.master.read_after(a.connection, harness.now).is_some());
}

#[test]
fn memory_is_released_after_a_flood() {
    let mut harness = DispatcherHarness::new();
    let subagents: Vec<_> = (0..5_000).map(|number| harness.serving(&[&format!("{A}.{number}")])).collect();
    for number in 0..4_000 {
        harness.request(get(&[&format!("{A}.{number}.0")]));
    }
    for subagent in subagents {
        harness.disconnect(subagent);
    }
    let gone = |varbinds: Vec<VarBind>| varbinds.iter().all(|varbind| varbind.value == Value::NoSuchObject);
    let answers = harness.answers();
    assert!(
        answers.len() == 4_000
            && answers.iter().all(|a| gone(super::dispatcher_harness::read(a.result.as_ref().unwrap())))
    );
    let master = &harness.master;
    let capacities = [master.transactions.capacity(), master.spare_reads.len(), master.ranges.capacity()];
    assert!(capacities.iter().all(|capacity| *capacity <= 2_048), "{capacities:?}");
    assert_eq!((master.outstanding(), master.connection_count(), master.registration_count()), (0, 0, 0));
    assert_eq!(master.deadline(), None);
}
