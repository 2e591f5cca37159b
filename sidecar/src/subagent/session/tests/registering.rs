//! Registrations and capabilities: their order, and the master's refusals.

use std::time::Duration;

use agentx::{AddAgentCaps, Body, Pdu, Range, Register, RemoveAgentCaps, ResponseError};

use rstest::rstest;

use super::rig::{Rig, exports, oid, registered, small};
use crate::{
    mapping::Region,
    subagent::session::{Input, Progress, State},
    view::exports::Export,
};

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";
const C: &str = "1.3.6.1.4.1.9999.3";

fn described(export: Export, description: &str) -> Export {
    Export { capabilities: Some(description.to_owned()), ..export }
}

#[test]
fn regions_are_registered_per_context_in_descending_order() {
    let (_, sent) = Rig::opened(&exports([small("", B), small("acme", A), small("", C), small("", A)]));
    let regions = [("", C), ("", B), ("acme", A), ("", A)];
    assert_eq!(registered(&sent), regions.map(|(context, base)| (context.to_owned(), oid(base))));
    assert_eq!(sent.len(), 4);
}

#[test]
fn rows_of_a_shared_table_are_registered_as_a_range() {
    let columns = Region { subtree: oid("1.3.6.1.4.1.9999.1.2.1.1.7"), range: Some((11, 4)) };
    let base = Region { subtree: oid(A), range: None };
    let (mut rig, sent) = Rig::opened(&exports([Export { regions: vec![base, columns], ..small("", A) }]));
    let ranged = Register {
        timeout_s: 0,
        priority: 127,
        subtree: oid("1.3.6.1.4.1.9999.1.2.1.1.7"),
        range: Some(Range { position: 11, upper_bound: 4 }),
        instance: false,
    };
    assert_eq!(sent[0].body, Body::Register(ranged));
    rig.answer_all(&sent, ResponseError::NoError);
    assert_eq!(rig.progress("1.3.6.1.4.1.9999.1.2.1.[1-4].7"), Some(Progress::Registered));
    assert_eq!(rig.progress(A), Some(Progress::Registered));
}

#[test]
fn invalid_range_is_refused_without_affecting_other_regions() {
    let impossible = Region { subtree: oid(B), range: Some((200, 4)) };
    let (mut rig, sent) = Rig::opened(&exports([Export { regions: vec![impossible], ..small("", B) }, small("", A)]));
    assert_eq!(registered(&sent), [(String::new(), oid(A))]);
    rig.answer(&sent[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
    assert_eq!(rig.progress(B), Some(Progress::Refused(ResponseError::ProcessingError)));
}

#[test]
fn at_most_64_registrations_are_unanswered_at_a_time() {
    let many = (1..=200).map(|i| small("", &format!("{A}.{i}")));
    let (mut rig, mut sent) = Rig::opened(&exports(many));
    let mut all = Vec::new();
    while !sent.is_empty() {
        assert!(sent.len() <= 64, "{}", sent.len());
        rig.answer_all(&sent, ResponseError::NoError);
        all.extend(registered(&sent));
        sent = rig.sent();
    }
    assert_eq!(all.len(), 200);
    assert!(all.is_sorted_by(|a, b| a.1 > b.1));
    assert!(rig.registrations().iter().all(|(_, _, progress)| *progress == Progress::Registered));
}

#[test]
fn duplicate_registration_stands_by_and_takes_over() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    rig.answer(&sent[0], ResponseError::DuplicateRegistration);
    for _ in 0..20 {
        assert_eq!(rig.progress(A), Some(Progress::StandingBy));
        rig.pass(Duration::from_millis(999));
        assert_eq!(rig.sent(), [], "after less than 1 s");
        rig.pass(Duration::from_millis(1001));
        let again = rig.sent();
        assert_eq!(registered(&again), [(String::new(), oid(A))], "after 2 s");
        rig.answer(&again[0], ResponseError::DuplicateRegistration);
    }
    rig.pass(Duration::from_secs(2));
    let last = rig.sent();
    rig.answer(&last[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
    assert!(matches!(rig.session.state(), State::Open { .. }));
    assert_eq!(rig.counts().refusals, 0);
}

#[test]
fn standby_retries_are_spread_out() {
    let bases: Vec<String> = (1..=40).map(|i| format!("{A}.{i}")).collect();
    let (mut rig, sent) = Rig::opened(&exports(bases.iter().map(|base| small("", base))));
    rig.answer_all(&sent, ResponseError::DuplicateRegistration);
    let mut moments = 0;
    for _ in 0..100 {
        rig.pass(Duration::from_millis(20));
        moments += usize::from(!rig.sent().is_empty());
    }
    assert!(moments > 15, "40 registrations in {moments} moments");
}

#[test]
fn other_refusals_are_shown_and_retried_with_growing_delays() {
    let (mut rig, mut sent) = Rig::opened(&exports([small("", A), small("", B)]));
    rig.answer(&sent[0], ResponseError::NoError);
    sent.remove(0);
    let mut waits = Vec::new();
    for refusals in 1..=6 {
        rig.answer(&sent[0], ResponseError::ProcessingError);
        assert_eq!(rig.progress(A), Some(Progress::Refused(ResponseError::ProcessingError)));
        assert_eq!(rig.counts().refusals, refusals);
        let since = rig.now;
        sent = loop {
            rig.pass(Duration::from_secs(1));
            let sent = rig.sent();
            sent.iter().filter(|pdu| pdu.body == Body::Ping).for_each(|ping| rig.answer(ping, ResponseError::NoError));
            let again: Vec<Pdu> = sent.into_iter().filter(|pdu| pdu.body != Body::Ping).collect();
            if !again.is_empty() {
                break again;
            }
        };
        waits.push((rig.now - since).as_secs());
    }
    assert!((2..=6).contains(&waits[0]), "{waits:?}");
    assert!((30..=61).contains(&waits[5]), "{waits:?}");
    assert_eq!(rig.progress(B), Some(Progress::Registered));
}

#[rstest]
fn denied_region_is_retried_soon_and_then_every_other_second(
    #[values(ResponseError::RequestDenied, ResponseError::UnsupportedContext)] error: ResponseError,
) {
    let (mut rig, mut sent) = Rig::opened(&exports([small("", A)]));
    let mut waits = Vec::new();
    for _ in 0..20 {
        rig.answer(&sent[0], error);
        assert_eq!(rig.progress(A), Some(Progress::Refused(error)));
        let since = rig.now;
        sent = loop {
            rig.pass(Duration::from_millis(10));
            let sent = rig.sent();
            if !sent.is_empty() {
                break sent;
            }
        };
        waits.push((rig.now - since).as_millis());
    }
    assert!((100..=210).contains(&waits[0]) && (250..=510).contains(&waits[1]), "{waits:?}");
    assert!(waits[2..].iter().all(|wait| (1000..=2010).contains(wait)), "{waits:?}");
    assert!(waits[2..].iter().any(|wait| wait.abs_diff(waits[2]) > 100), "not spread out: {waits:?}");
    rig.answer(&sent[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
}

#[test]
fn changed_subtree_does_not_affect_the_others() {
    let mut rig = Rig::serving(&exports([small("", A), small("", B)]));
    rig.session.handle(Input::Exports(exports([small("", A), small("acme", B), small("", C)])), rig.now);
    let sent = rig.sent();
    let changes: Vec<_> = sent
        .iter()
        .map(|pdu| match &pdu.body {
            Body::Unregister(gone) => ("-", pdu.context.clone(), gone.subtree.clone()),
            Body::Register(new) => ("+", pdu.context.clone(), new.subtree.clone()),
            body => panic!("{body:?}"),
        })
        .collect();
    // Unregistrations go first.
    assert_eq!(changes, [("-", "".into(), oid(B)), ("+", "".into(), oid(C)), ("+", "acme".into(), oid(B))]);
    rig.answer_all(&sent, ResponseError::NoError);
    let expected = [("", A), ("acme", B), ("", C)];
    assert_eq!(
        rig.registrations(),
        expected.map(|(context, base)| (context.to_owned(), base.to_owned(), Progress::Registered))
    );
}

#[test]
fn new_views_of_the_same_regions_send_nothing() {
    let mut rig = Rig::serving(&exports([small("", A), small("", B)]));
    rig.session.handle(Input::Exports(exports([small("", B), small("", A)])), rig.now);
    assert_eq!(rig.sent(), []);
}

#[test]
fn region_removed_while_registering_is_unregistered_after_the_response() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    assert_eq!(rig.sent(), [], "the master has not responded yet");
    rig.answer(&sent[0], ResponseError::NoError);
    let taken_back = rig.sent();
    assert!(matches!(&taken_back[..], [Pdu { body: Body::Unregister(gone), .. }] if gone.subtree == oid(A)));
    rig.answer(&taken_back[0], ResponseError::NoError);
    assert_eq!(rig.registrations(), []);
}

#[test]
fn region_wanted_again_while_unregistering_is_registered_again() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    let taken_back = rig.sent();
    rig.session.handle(Input::Exports(exports([small("", A)])), rig.now);
    assert_eq!(rig.sent(), []);
    rig.answer(&taken_back[0], ResponseError::NoError);
    let again = rig.sent();
    assert_eq!(registered(&again), [(String::new(), oid(A))]);
    rig.answer(&again[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
}

#[test]
fn unwanted_region_that_stands_by_or_was_refused_is_forgotten() {
    for error in [ResponseError::DuplicateRegistration, ResponseError::UnsupportedContext] {
        let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
        rig.answer(&sent[0], error);
        rig.session.handle(Input::Exports(exports([])), rig.now);
        assert_eq!(rig.registrations(), []);
        rig.pass(Duration::from_secs(4));
        assert_eq!(rig.sent(), []);
    }
}

#[test]
fn refused_unregister_counts_as_done() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    let sent = rig.sent();
    rig.answer(&sent[0], ResponseError::UnknownRegistration);
    assert_eq!(rig.registrations(), []);
    assert!(matches!(rig.session.state(), State::Open { .. }));
}

#[test]
fn capabilities_are_sent_first_and_their_failure_is_harmless() {
    let (mut rig, sent) = Rig::opened(&exports([described(small("acme", A), "The A MIB"), small("", B)]));
    let caps = AddAgentCaps { id: oid(A), description: b"The A MIB".to_vec() };
    assert_eq!((sent[0].context.clone(), sent[0].body.clone()), ("acme".into(), Body::AddAgentCaps(caps)));
    assert_eq!(registered(&sent[1..]), [(String::new(), oid(B)), ("acme".to_owned(), oid(A))]);
    rig.answer(&sent[0], ResponseError::ProcessingError);
    rig.answer_all(&sent[1..], ResponseError::NoError);
    assert!(rig.registrations().iter().all(|(_, _, progress)| *progress == Progress::Registered));
    assert_eq!(rig.counts().refusals, 1);
}

#[test]
fn denied_capabilities_are_sent_again_once_their_subtree_is_registered() {
    let (mut rig, sent) = Rig::opened(&exports([described(small("acme", A), "The A MIB")]));
    rig.answer_all(&sent, ResponseError::UnsupportedContext);
    rig.pass(Duration::from_secs(1));
    let again = rig.sent();
    assert_eq!((registered(&again).len(), again.len()), (1, 1), "only the region is sent: {again:?}");
    rig.answer(&again[0], ResponseError::NoError);
    let changes = rig.sent();
    let caps = AddAgentCaps { id: oid(A), description: b"The A MIB".to_vec() };
    assert_eq!(
        changes.iter().map(|pdu| (pdu.context.clone(), pdu.body.clone())).collect::<Vec<_>>(),
        [("acme".into(), Body::AddAgentCaps(caps))]
    );
    rig.answer_all(&changes, ResponseError::NoError);
    rig.pass(Duration::from_secs(4));
    assert_eq!(rig.sent(), []);
}

#[test]
fn capabilities_are_removed_with_their_subtree() {
    let mut rig = Rig::serving(&exports([described(small("", A), "The A MIB")]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    let sent = rig.sent();
    assert_eq!(sent[0].body, Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) }));
    rig.answer(&sent[0], ResponseError::UnknownAgentCaps);
    rig.answer(&sent[1], ResponseError::NoError);
    assert_eq!(rig.registrations(), []);
}

#[test]
fn malformed_response_counts_as_a_refusal() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    let mut octets = Vec::new();
    agentx::encode(&Pdu { body: Body::Response(refusal()), ..sent[0].clone() }, &mut octets).unwrap();
    // A varbind of an unknown type.
    octets.extend([0, 3, 0, 0, 0, 0, 0, 0]);
    octets[19] += 8;
    rig.give_octets(&octets);
    assert_eq!(rig.progress(A), Some(Progress::Refused(ResponseError::ParseError)));
    assert_eq!(rig.counts().decode_errors, 1);
}

fn refusal() -> agentx::Response {
    agentx::Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: Vec::new() }
}
