//! Notifications: to whom, when and in which order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agentx::{Body, Oid, Pdu, ResponseError, Value, VarBind};
use notification::{AlarmId, Sync};

use super::rig::{Rig, exports, oid, small};
use crate::{
    notification::{Acknowledged, Entry, Served, Transitions},
    subagent::session::{Input, Outcome, Recipient},
};

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";

fn varbinds(sequence: u32) -> Vec<VarBind> {
    vec![VarBind { name: oid("1.3.6.1.6.3.1.1.4.1.0"), value: Value::Gauge32(sequence) }]
}

/// Returns entries with these bases and sequences. The last alarm of each base is raised if `is_raised`.
fn transitions(entries: &[(&str, u32)], is_raised: bool) -> Arc<Transitions> {
    let entry = |(base, sequence): &(&str, u32)| {
        let base: Oid = oid(base);
        Arc::new(Entry::new(u64::from(*sequence), "", &base, *sequence, varbinds(*sequence)))
    };
    let served = [A, B].map(|base| {
        let last = entries.iter().filter(|(of, _)| *of == base).map(|(_, sequence)| *sequence).max();
        let raised: BTreeMap<_, _> =
            last.filter(|_| is_raised).map(|last| (AlarmId([1; 8]), last)).into_iter().collect();
        Served { context: String::new(), base: oid(base), raised }
    });
    Arc::new(Transitions { entries: entries.iter().map(entry).collect(), served: served.into() })
}

/// Returns what these PDUs notify: sequences, and `sync` with the number of raised alarms.
fn notified(pdus: &[Pdu]) -> Vec<String> {
    let notifies = pdus.iter().filter_map(|pdu| match &pdu.body {
        Body::Notify(varbinds) => Some(match (Sync::parse(varbinds), &varbinds[0].value) {
            (Some(sync), _) => format!("sync {}", sync.raised.len()),
            (None, Value::Gauge32(sequence)) => sequence.to_string(),
            (None, value) => panic!("{value:?}"),
        }),
        _ => None,
    });
    notifies.collect()
}

fn rig(error: ResponseError, recipient: Recipient, transitions: Arc<Transitions>) -> Rig {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    rig.session.handle(Input::Recipient(recipient), rig.now);
    rig.session.handle(Input::Transitions(transitions), rig.now);
    assert_eq!(notified(&rig.sent()), [""; 0], "the master has not accepted the subtree yet");
    rig.answer_all(&sent, error);
    rig
}

/// Answers everything until nothing is sent, and returns what was notified.
fn drain(rig: &mut Rig, error: ResponseError) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let sent = rig.sent();
        if sent.is_empty() {
            return all;
        }
        all.extend(notified(&sent));
        rig.answer_all(&sent, error);
    }
}

fn outcomes(rig: &mut Rig) -> Vec<Option<u32>> {
    let outcomes = rig.session.take_outcomes().into_iter().map(|outcome| match outcome {
        Outcome::Acknowledged(entry) => Some(entry.sequence),
        Outcome::GivenUp => None,
    });
    outcomes.collect()
}

#[test]
fn a_master_that_keeps_alarms_gets_all_and_then_the_list() {
    let both = transitions(&[(A, 1), (B, 2), (A, 3)], true);
    let mut rig = rig(ResponseError::NoError, Recipient::KeepsAlarms, both);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["1", "3", "sync 1"], "the other subtree is not registered");
    assert_eq!(outcomes(&mut rig), [Some(1), Some(3)]);
    rig.session.handle(Input::Transitions(transitions(&[(A, 1), (B, 2), (A, 3), (A, 4)], false)), rig.now);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["4"]);
    rig.session.handle(Input::Exports(exports([small("", A), small("", B)])), rig.now);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["2", "sync 0"]);
}

#[test]
fn a_pod_that_stands_by_is_a_candidate_of_a_master_that_keeps_alarms() {
    let mut rig = rig(ResponseError::DuplicateRegistration, Recipient::KeepsAlarms, transitions(&[(A, 1)], true));
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["1"], "without the list");
    rig.pass(Duration::from_secs(2));
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["sync 1"], "at the takeover");
}

#[test]
fn a_pod_that_stands_by_is_silent_to_a_master_that_forwards() {
    let recipient = Recipient::Forwards(Acknowledged::new());
    let mut rig = rig(ResponseError::DuplicateRegistration, recipient, transitions(&[(A, 1), (A, 2)], true));
    assert_eq!(drain(&mut rig, ResponseError::NoError), [""; 0]);
    rig.pass(Duration::from_secs(2));
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["2"], "only what is still raised, at the takeover");
}

#[test]
fn a_master_that_forwards_gets_nothing_twice() {
    let known = Acknowledged::from([(AlarmId([1; 8]).to_string(), 2)]);
    let entries = [(A, 1), (A, 2), (A, 3)];
    let mut rig = rig(ResponseError::NoError, Recipient::Forwards(known), transitions(&entries, true));
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["3"]);
    rig.session.handle(Input::Transitions(transitions(&entries, true)), rig.now);
    assert_eq!(drain(&mut rig, ResponseError::NoError), [""; 0]);
}

#[test]
fn a_session_that_is_not_the_sender_sends_nothing() {
    let mut rig = rig(ResponseError::NoError, Recipient::Nobody, transitions(&[(A, 1)], true));
    assert_eq!(drain(&mut rig, ResponseError::NoError), [""; 0]);
    rig.session.handle(Input::Recipient(Recipient::Forwards(Acknowledged::new())), rig.now);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["1"], "it became the sender");
}

#[test]
fn a_busy_master_gets_the_same_notification_again_and_the_order_is_kept() {
    let mut rig = rig(ResponseError::NoError, Recipient::KeepsAlarms, transitions(&[(A, 1), (A, 2)], true));
    let first = rig.sent();
    assert_eq!(notified(&first), ["1"]);
    rig.answer_all(&first, ResponseError::ProcessingError);
    assert_eq!(notified(&rig.sent()), [""; 0], "not at once");
    rig.pass(Duration::from_secs(1));
    let again = rig.sent();
    assert_eq!(notified(&again), ["1"]);
    rig.answer_all(&again, ResponseError::NoError);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["2", "sync 1"]);
}

#[test]
fn a_denied_notification_is_given_up() {
    let mut rig = rig(ResponseError::NoError, Recipient::KeepsAlarms, transitions(&[(A, 1), (A, 2)], true));
    let first = rig.sent();
    rig.answer_all(&first, ResponseError::RequestDenied);
    assert_eq!(drain(&mut rig, ResponseError::NoError), ["2", "sync 1"]);
    assert_eq!(outcomes(&mut rig), [None, Some(2)]);
}
