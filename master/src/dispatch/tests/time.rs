//! What time does: timeouts, silence, peers that do not read or send too fast.

use std::time::Duration;

use agentx::{Body, ByteOrder, CloseReason, Register, ResponseError, Value, VarBind};
use rstest::rstest;

use super::{
    model::{Model, ask, settle},
    rig::{Rig, get, get_bulk, get_next, int, region, varbind},
};

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";
const NAME: &str = "1.3.6.1.4.1.99999.1.1";

#[rstest]
#[case::the_regions(7, 3, 7_000)]
#[case::else_the_sessions(0, 3, 3_000)]
#[case::else_the_masters(0, 0, 1_500)]
fn an_answer_may_take_as_long_as_was_agreed(#[case] region_s: u8, #[case] session_s: u8, #[case] due_ms: u64) {
    let mut rig = Rig::with(&master_config::Limits { subagent_timeout_ms: 1_500, ..Default::default() });
    let connection = rig.connect();
    let a = rig.open_on(connection, ByteOrder::Big, session_s);
    rig.register_as(a, "", Register { timeout_s: region_s, ..region(A) });
    let token = rig.request(get(&["1.3.6.1.2.1.1.1.0", NAME]));
    assert_eq!(rig.master.deadline(), Some(rig.now + Duration::from_millis(due_ms)));
    rig.pass(Duration::from_millis(due_ms - 1));
    assert!(rig.answers().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, 2)));
    assert_eq!(rig.master.sessions().next().unwrap().counts.timeouts, 1);
}

#[test]
fn three_timeouts_in_a_row_close_the_session() {
    let mut rig = Rig::new();
    let (a, wide) = (rig.serving(&[A]), rig.serving(&["1.3.6.1.4.1.99999"]));
    for _ in 0..2 {
        let token = rig.request(get(&[NAME]));
        rig.asked_once(a);
        rig.pass(Duration::from_secs(5));
        assert_eq!(rig.result(token), Err((ResponseError::GenErr, 1)));
    }
    // An answer, whatever it says, begins the count anew.
    let token = rig.request(get(&[NAME]));
    let asked = rig.asked_once(a);
    rig.refuse(&asked, a, ResponseError::GenErr, 1);
    rig.result(token).unwrap_err();
    for _ in 0..3 {
        let token = rig.request(get(&[NAME]));
        rig.pass(Duration::from_secs(5));
        rig.result(token).unwrap_err();
    }
    assert_eq!(rig.closed(a), Some(CloseReason::Timeouts));
    assert_eq!((rig.master.session_count(), rig.master.totals().sessions_silent), (1, 1));
    assert_eq!(rig.call(a, "", Body::Ping).error, ResponseError::NotOpen);
    let token = rig.request(get(&[NAME]));
    let asked = rig.asked_once(wide);
    rig.answer(&asked, wide, vec![int(NAME, 1)]);
    assert_eq!(rig.result(token), Ok(vec![int(NAME, 1)]));
}

#[test]
fn many_requests_during_one_pause_are_one_silence() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    for _ in 0..50 {
        rig.request(get(&[NAME]));
    }
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.answers().len(), 50);
    assert_eq!((rig.master.session_count(), rig.closed(a)), (1, None));
}

#[test]
fn what_waits_when_a_session_is_closed_for_its_silence_is_asked_of_others() {
    let mut rig = Rig::new();
    let (a, wide) = (rig.serving(&[A]), rig.serving(&["1.3.6.1.4.1.99999"]));
    for _ in 0..2 {
        rig.request(get(&[NAME]));
        rig.pass(Duration::from_secs(5));
    }
    rig.request(get(&[NAME]));
    rig.pass(Duration::from_secs(2));
    rig.answers();
    let token = rig.request(get(&[NAME]));
    rig.pass(Duration::from_secs(3));
    assert_eq!((rig.closed(a), rig.answers().len()), (Some(CloseReason::Timeouts), 1));
    let asked = rig.asked_once(wide);
    rig.answer(&asked, wide, vec![int(NAME, 4)]);
    assert_eq!(rig.result(token), Ok(vec![int(NAME, 4)]));
}

#[test]
fn a_late_answer_is_counted_and_nothing_else() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get(&[NAME]));
    let asked = rig.asked_once(a);
    rig.pass(Duration::from_secs(5));
    rig.result(token).unwrap_err();
    rig.answer(&asked, a, vec![int(NAME, 1)]);
    assert!(rig.answers().is_empty());
    assert_eq!(rig.master.sessions().next().unwrap().counts.unexpected, 1);
}

#[test]
fn a_session_that_hangs_costs_its_own_objects_only() {
    let mut rig = Rig::new();
    let instances = |base: &str| (1..=3).map(|row| int(&format!("{base}.{row}"), row)).collect::<Vec<_>>();
    let hung = rig.serving(&[B]);
    let c = "1.3.6.1.4.1.99999.3";
    let mut models = [Model::with(rig.serving(&[A]), instances(A)), Model::with(rig.serving(&[c]), instances(c))];
    let first = rig.request(get_next(&[A, c]));
    let second = rig.request(get_next(&[A, B]));
    let third = rig.request(get_bulk(0, 10, &[A]));
    settle(&mut rig, &mut models);
    assert_eq!(rig.result(first), Ok(vec![int(&format!("{A}.1"), 1), int(&format!("{c}.1"), 1)]));
    rig.pass(Duration::from_secs(5));
    let mut answers = rig.answers();
    answers.sort_by_key(|answer| answer.token);
    let [of_second, of_third] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((of_second.token, &of_second.result), (second, &Err((ResponseError::GenErr, 2))));
    assert_eq!(of_third.token, third);
    assert_eq!(super::rig::read(of_third.result.as_ref().unwrap()), instances(A), "the rows before it");
    assert_eq!(rig.asked(hung).len(), 2);
}

#[rstest]
#[case::which_it_may_have_missed_for_another_reason(1)]
#[case::twice_and_then_by_getnext(2)]
fn a_subagent_that_does_not_answer_its_first_getbulk_is_asked_another(#[case] missed: usize) {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    for _ in 0..missed {
        rig.request(get_bulk(0, 2, &[A]));
        rig.request(get_bulk(0, 2, &[A]));
        assert!(rig.asked(a).iter().all(|pdu| matches!(pdu.body, Body::GetBulk(_))));
        rig.pass(Duration::from_secs(5));
        assert_eq!(rig.answers().len(), 2);
    }
    let mut models = [Model::with(a, [int(NAME, 1)])];
    let due = vec![int(NAME, 1), varbind(NAME, Value::EndOfMibView)];
    assert_eq!(ask(&mut rig, &mut models, get_bulk(0, 2, &[A])), Ok(due));
    let is_bulk = |pdu: &agentx::Pdu| matches!(pdu.body, Body::GetBulk(_));
    assert_eq!(models[0].asked.iter().any(is_bulk), missed < 2);
}

#[test]
fn requests_in_flight_are_bounded() {
    let mut rig = Rig::with(&master_config::Limits { snmp_requests: 2, ..Default::default() });
    let a = rig.serving(&[A]);
    rig.request(get(&[NAME]));
    rig.request(get(&[NAME]));
    let token = rig.request(get(&[NAME]));
    assert_eq!(rig.result(token), Err((ResponseError::GenErr, 0)));
    assert_eq!(rig.master.totals().requests_refused, 1);
    let asked = rig.asked(a).remove(0);
    rig.answer(&asked, a, vec![int(NAME, 1)]);
    assert_eq!(rig.answers().len(), 1);
    rig.request(get(&[NAME]));
    assert!(rig.answers().is_empty());
}

#[test]
fn a_peer_that_does_not_read_is_asked_nothing_more_and_then_left() {
    let mut rig = Rig::with(&master_config::Limits { subagent_timeout_ms: 60_000, ..Default::default() });
    let a = rig.serving(&[A]);
    let names = vec![NAME; 2_000];
    let mut unanswered = 0;
    let refused = loop {
        rig.request(get(&names));
        unanswered += 1;
        if let [answer] = &rig.answers()[..] {
            break answer.result.clone();
        }
        assert!(unanswered < 100, "its output is without bound");
    };
    assert_eq!(refused, Err((ResponseError::GenErr, 1)));
    let pending = rig.master.output(a.connection).unwrap().pending().len();
    assert!((1 << 20..2 << 20).contains(&pending), "{pending} octets");
    // Some progress keeps it.
    rig.pass(Duration::from_secs(9));
    rig.master.output(a.connection).unwrap().advance(1);
    rig.pass(Duration::from_secs(9));
    assert!(!rig.master.output(a.connection).unwrap().closes());
    rig.pass(Duration::from_secs(11));
    let output = rig.master.output(a.connection).unwrap();
    assert!(output.closes() && output.is_empty());
    assert_eq!(rig.answers().len(), unanswered - 1);
    let totals = rig.master.totals();
    assert_eq!((totals.connections_stalled, totals.sessions_stalled, rig.master.outstanding()), (1, 1, 0));
}

#[test]
fn a_peer_that_reads_again_is_asked_again() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let names = vec![NAME; 2_000];
    while rig.answers().is_empty() {
        rig.request(get(&names));
    }
    assert!(rig.asked(a).len() > 1);
    rig.request(get(&[NAME]));
    rig.asked_once(a);
}

#[test]
fn a_peer_that_is_to_be_left_and_does_not_read_is_left_at_once() {
    let mut rig = Rig::new();
    let a = rig.open();
    rig.master.malformed(a.connection, rig.now);
    assert!(!rig.master.output(a.connection).unwrap().is_empty());
    rig.pass(Duration::from_secs(10));
    let output = rig.master.output(a.connection).unwrap();
    assert!(output.closes() && output.is_empty());
    assert_eq!(std::iter::from_fn(|| rig.master.next_ready()).collect::<Vec<_>>(), [a.connection]);
}

#[test]
fn a_peer_that_sends_too_fast_is_read_no_more_for_a_while() {
    let mut rig = Rig::with(&master_config::Limits { agentx_pdus_per_second: 10, ..Default::default() });
    let a = rig.open();
    for _ in 0..9 {
        rig.call(a, "", Body::Ping);
        assert_eq!(rig.master.read_after(a.connection, rig.now), None);
    }
    for _ in 0..5 {
        assert_eq!(rig.call(a, "", Body::Ping).error, ResponseError::NoError, "what has been read is answered");
    }
    let half_a_second = rig.now + Duration::from_millis(500);
    assert_eq!(rig.master.read_after(a.connection, rig.now), Some(half_a_second));
    rig.pass(Duration::from_millis(500));
    assert_eq!(rig.master.read_after(a.connection, rig.now), None);
}

#[test]
fn answers_do_not_count_as_fast_unless_nobody_asked() {
    let mut rig = Rig::with(&master_config::Limits { agentx_pdus_per_second: 4, ..Default::default() });
    let a = rig.serving(&[A]);
    rig.pass(Duration::from_secs(1));
    let mut last = None;
    for _ in 0..20 {
        let token = rig.request(get(&[NAME]));
        let asked = rig.asked_once(a);
        rig.answer(&asked, a, vec![int(NAME, 1)]);
        rig.result(token).unwrap();
        last = Some(asked);
    }
    assert_eq!(rig.master.read_after(a.connection, rig.now), None);
    for _ in 0..5 {
        rig.answer(last.as_ref().unwrap(), a, vec![]);
    }
    assert!(rig.master.read_after(a.connection, rig.now).is_some());
}

#[test]
fn sizes_are_as_they_were_after_a_flood() {
    let mut rig = Rig::new();
    let subagents: Vec<_> = (0..5_000).map(|number| rig.serving(&[&format!("{A}.{number}")])).collect();
    for number in 0..4_000 {
        rig.request(get(&[&format!("{A}.{number}.0")]));
    }
    for subagent in subagents {
        rig.disconnect(subagent);
    }
    let gone = |varbinds: Vec<VarBind>| varbinds.iter().all(|varbind| varbind.value == Value::NoSuchObject);
    let answers = rig.answers();
    assert!(answers.len() == 4_000 && answers.iter().all(|a| gone(super::rig::read(a.result.as_ref().unwrap()))));
    let master = &rig.master;
    let capacities = [master.transactions.capacity(), master.spare_reads.len(), master.ranges.capacity()];
    assert!(capacities.iter().all(|capacity| *capacity <= 2_048), "{capacities:?}");
    assert_eq!((master.outstanding(), master.connection_count(), master.registration_count()), (0, 0, 0));
    assert_eq!(master.deadline(), None);
}
