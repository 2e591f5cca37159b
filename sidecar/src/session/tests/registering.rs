//! What is registered, in which order, and what happens when the master does not want it.

use std::time::Duration;

use agentx::{AddAgentCaps, Body, Pdu, Range, Register, RemoveAgentCaps, ResponseError};

use rstest::rstest;

use super::rig::{Rig, exports, oid, registered, small};
use crate::{
    mapping::Region,
    session::{Export, Input, Progress, State},
};

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";
const C: &str = "1.3.6.1.4.1.9999.3";

fn described(export: Export, description: &str) -> Export {
    Export { capabilities: Some(description.to_owned()), ..export }
}

#[test]
fn each_subtree_is_one_region_per_context_and_regions_go_in_descending_order() {
    let (_, sent) = Rig::opened(&exports([small("", B), small("acme", A), small("", C), small("", A)]));
    let regions = [("", C), ("", B), ("acme", A), ("", A)];
    assert_eq!(registered(&sent), regions.map(|(context, base)| (context.to_owned(), oid(base))));
    assert_eq!(sent.len(), 4);
}

#[test]
fn rows_of_a_shared_table_are_registered_by_range() {
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
fn a_range_that_no_pdu_can_hold_is_refused_and_harms_nothing_else() {
    let impossible = Region { subtree: oid(B), range: Some((200, 4)) };
    let (mut rig, sent) = Rig::opened(&exports([Export { regions: vec![impossible], ..small("", B) }, small("", A)]));
    assert_eq!(registered(&sent), [(String::new(), oid(A))]);
    rig.answer(&sent[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
    assert_eq!(rig.progress(B), Some(Progress::Refused(ResponseError::ProcessingError)));
}

#[test]
fn no_more_than_64_registrations_are_unanswered_at_a_time() {
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
fn a_duplicate_registration_stands_by_in_the_same_session_and_takes_over() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    rig.answer(&sent[0], ResponseError::DuplicateRegistration);
    for _ in 0..20 {
        assert_eq!(rig.progress(A), Some(Progress::StandingBy));
        rig.pass(Duration::from_millis(999));
        assert_eq!(rig.sent(), [], "within a second");
        rig.pass(Duration::from_millis(1001));
        let again = rig.sent();
        assert_eq!(registered(&again), [(String::new(), oid(A))], "after two");
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
fn sidecars_that_stand_by_do_not_ask_in_step() {
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
fn any_other_refusal_is_shown_and_tried_again_ever_later() {
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
fn what_the_master_is_not_told_of_yet_is_asked_for_again_within_moments_and_then_every_other_second(
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
    assert!(waits[2..].iter().any(|wait| wait.abs_diff(waits[2]) > 100), "not in step: {waits:?}");
    rig.answer(&sent[0], ResponseError::NoError);
    assert_eq!(rig.progress(A), Some(Progress::Registered));
}

#[test]
fn a_subtree_added_changed_or_removed_leaves_the_others_alone() {
    let mut rig = Rig::serving(&exports([small("", A), small("", B)]));
    rig.session.handle(Input::Exports(exports([small("", A), small("acme", B), small("", C)])), rig.now);
    let sent = rig.sent();
    let told: Vec<_> = sent
        .iter()
        .map(|pdu| match &pdu.body {
            Body::Unregister(gone) => ("-", pdu.context.clone(), gone.subtree.clone()),
            Body::Register(new) => ("+", pdu.context.clone(), new.subtree.clone()),
            body => panic!("{body:?}"),
        })
        .collect();
    // What goes makes room first.
    assert_eq!(told, [("-", "".into(), oid(B)), ("+", "".into(), oid(C)), ("+", "acme".into(), oid(B))]);
    rig.answer_all(&sent, ResponseError::NoError);
    let expected = [("", A), ("acme", B), ("", C)];
    assert_eq!(
        rig.registrations(),
        expected.map(|(context, base)| (context.to_owned(), base.to_owned(), Progress::Registered))
    );
}

#[test]
fn new_values_and_new_views_of_the_same_regions_tell_the_master_nothing() {
    let mut rig = Rig::serving(&exports([small("", A), small("", B)]));
    rig.session.handle(Input::Exports(exports([small("", B), small("", A)])), rig.now);
    assert_eq!(rig.sent(), []);
}

#[test]
fn what_is_no_longer_wanted_while_it_is_being_registered_is_taken_back_once_it_is_there() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    assert_eq!(rig.sent(), [], "the master has not said yet that it is there");
    rig.answer(&sent[0], ResponseError::NoError);
    let taken_back = rig.sent();
    assert!(matches!(&taken_back[..], [Pdu { body: Body::Unregister(gone), .. }] if gone.subtree == oid(A)));
    rig.answer(&taken_back[0], ResponseError::NoError);
    assert_eq!(rig.registrations(), []);
}

#[test]
fn what_is_wanted_again_while_it_is_being_taken_back_is_registered_again() {
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
fn what_stands_by_or_was_refused_and_is_no_longer_wanted_is_forgotten() {
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
fn an_unregister_that_the_master_refuses_is_over_all_the_same() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    let sent = rig.sent();
    rig.answer(&sent[0], ResponseError::UnknownRegistration);
    assert_eq!(rig.registrations(), []);
    assert!(matches!(rig.session.state(), State::Open { .. }));
}

#[test]
fn capabilities_are_told_first_and_their_failure_harms_nothing() {
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
fn capabilities_that_a_master_denies_are_told_again_once_it_takes_their_subtree() {
    let (mut rig, sent) = Rig::opened(&exports([described(small("acme", A), "The A MIB")]));
    rig.answer_all(&sent, ResponseError::UnsupportedContext);
    rig.pass(Duration::from_secs(1));
    let again = rig.sent();
    assert_eq!((registered(&again).len(), again.len()), (1, 1), "only the region is asked for: {again:?}");
    rig.answer(&again[0], ResponseError::NoError);
    let told = rig.sent();
    let caps = AddAgentCaps { id: oid(A), description: b"The A MIB".to_vec() };
    assert_eq!(
        told.iter().map(|pdu| (pdu.context.clone(), pdu.body.clone())).collect::<Vec<_>>(),
        [("acme".into(), Body::AddAgentCaps(caps))]
    );
    rig.answer_all(&told, ResponseError::NoError);
    rig.pass(Duration::from_secs(4));
    assert_eq!(rig.sent(), []);
}

#[test]
fn capabilities_go_with_their_subtree() {
    let mut rig = Rig::serving(&exports([described(small("", A), "The A MIB")]));
    rig.session.handle(Input::Exports(exports([])), rig.now);
    let sent = rig.sent();
    assert_eq!(sent[0].body, Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) }));
    rig.answer(&sent[0], ResponseError::UnknownAgentCaps);
    rig.answer(&sent[1], ResponseError::NoError);
    assert_eq!(rig.registrations(), []);
}

#[test]
fn an_answer_that_does_not_decode_is_a_refusal() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    let mut octets = Vec::new();
    agentx::encode(&Pdu { body: Body::Response(refusal()), ..sent[0].clone() }, &mut octets).unwrap();
    // A varbind of a type that there is not.
    octets.extend([0, 3, 0, 0, 0, 0, 0, 0]);
    octets[19] += 8;
    rig.give_octets(&octets);
    assert_eq!(rig.progress(A), Some(Progress::Refused(ResponseError::ParseError)));
    assert_eq!(rig.counts().decode_errors, 1);
}

fn refusal() -> agentx::Response {
    agentx::Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: Vec::new() }
}
