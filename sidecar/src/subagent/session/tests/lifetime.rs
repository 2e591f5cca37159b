//! How sessions open, stay open and end.

use std::time::Duration;

use agentx::{Body, CloseReason, Pdu, ResponseError};

use super::rig::{Rig, exports, range, registered, small};
use crate::subagent::session::{Counts, End, Input, Progress, State};

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";

#[test]
fn open_is_sent_first() {
    let mut rig = Rig::new(&exports([small("", A)]));
    let sent = rig.sent();
    let [Pdu { header, body: Body::Open(open), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((header.session_id, open.description.as_slice()), (0, b"test".as_slice()));
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.sent(), []);
    rig.answer(&sent[0], ResponseError::NoError);
    assert!(matches!(rig.session.state(), State::Open { .. }));
    let sent = rig.sent();
    assert_eq!(registered(&sent).len(), 1);
    assert_eq!(sent[0].header.session_id, super::rig::SESSION);
}

#[test]
fn session_ends_if_the_master_refuses_open() {
    let mut rig = Rig::new(&exports([]));
    let open = rig.sent();
    rig.answer(&open[0], ResponseError::OpenFailed);
    assert_eq!(rig.session.state(), State::Ended(End::Refused(ResponseError::OpenFailed)));
    assert_eq!(rig.session.wakeup(), None);
}

#[test]
fn session_ends_in_time_if_open_is_unanswered() {
    let mut rig = Rig::new(&exports([]));
    rig.sent();
    rig.pass(Duration::from_secs(7));
    assert_eq!(rig.session.state(), State::Opening);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.session.state(), State::Ended(End::Silent));
}

#[test]
fn request_before_the_session_is_open_is_not_open() {
    let mut rig = Rig::new(&exports([small("", A)]));
    rig.sent();
    let answers = rig.ask("", Body::Get(vec![range(A, false, "")]));
    assert_eq!(answers[0].error, ResponseError::NotOpen);
}

#[test]
fn idle_master_is_pinged() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    for _ in 0..100 {
        rig.pass(Duration::from_millis(4900));
        assert_eq!(rig.sent(), []);
        rig.pass(Duration::from_millis(200));
        let sent = rig.sent();
        assert!(matches!(&sent[..], [Pdu { body: Body::Ping, .. }]), "{sent:?}");
        rig.answer(&sent[0], ResponseError::NoError);
    }
    assert!(matches!(rig.session.state(), State::Open { .. }));
}

#[test]
fn half_open_connection_is_detected_within_15_seconds() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.pass(Duration::from_secs(6));
    assert_eq!(rig.sent().len(), 1);
    assert!(matches!(rig.session.state(), State::Open { .. }));
    rig.pass(Duration::from_secs(9));
    assert_eq!(rig.session.state(), State::Ended(End::Silent));
}

#[test]
fn busy_master_is_not_pinged() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    for _ in 0..20 {
        rig.pass(Duration::from_secs(4));
        assert_eq!(rig.ask("", Body::Get(vec![range(A, false, "")])).len(), 1);
    }
}

#[test]
fn session_ends_if_the_master_sends_requests_but_never_responds() {
    let (mut rig, _) = Rig::opened(&exports([small("", A)]));
    for _ in 0..14 {
        rig.pass(Duration::from_secs(4));
        assert_eq!(rig.ask("", Body::Get(vec![range(A, false, "")])).len(), 1);
    }
    rig.pass(Duration::from_secs(4));
    assert_eq!(rig.session.state(), State::Ended(End::Silent));
}

#[test]
fn close_from_the_master_ends_the_session() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    assert_eq!(rig.ask("", Body::Close(CloseReason::Timeouts)), []);
    assert_eq!(rig.session.state(), State::Ended(End::Closed(CloseReason::Timeouts)));
}

#[test]
fn close_of_another_session_is_ignored() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    let mut close = rig.request("", Body::Close(CloseReason::Shutdown));
    close.header.session_id += 1;
    rig.give(&close);
    assert_eq!(rig.sent(), []);
    assert!(matches!(rig.session.state(), State::Open { .. }));
}

#[test]
fn session_ends_if_the_master_no_longer_knows_it() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A), small("", B)]));
    rig.answer(&sent[0], ResponseError::NotOpen);
    assert_eq!(rig.session.state(), State::Ended(End::Unknown));

    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.pass(Duration::from_secs(6));
    let ping = rig.sent();
    rig.answer(&ping[0], ResponseError::NotOpen);
    assert_eq!(rig.session.state(), State::Ended(End::Unknown));
}

#[test]
fn unexpected_response_is_counted_and_ignored() {
    let (mut rig, sent) = Rig::opened(&exports([small("", A)]));
    let mut stray = sent[0].clone();
    stray.header.packet_id += 77;
    rig.answer(&stray, ResponseError::NotOpen);
    assert_eq!(rig.progress(A), Some(Progress::Registering));
    assert_eq!(rig.counts(), Counts { unexpected: 1, ..Counts::default() });
}

#[test]
fn shutdown_sends_close_and_ends_with_the_response() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.session.handle(Input::Shutdown, rig.now);
    let sent = rig.sent();
    assert!(matches!(&sent[..], [Pdu { body: Body::Close(CloseReason::Shutdown), .. }]), "{sent:?}");
    assert_eq!(rig.ask("", Body::Get(vec![range(A, false, "")])), [], "the master waits for no response");
    rig.answer(&sent[0], ResponseError::NoError);
    assert_eq!(rig.session.state(), State::Ended(End::Shutdown));
}

#[test]
fn shutdown_without_a_response_ends_within_a_second() {
    let mut rig = Rig::serving(&exports([small("", A)]));
    rig.session.handle(Input::Shutdown, rig.now);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.session.state(), State::Ended(End::Shutdown));
}

#[test]
fn shutdown_before_the_session_is_open_ends_at_once() {
    let mut rig = Rig::new(&exports([small("", A)]));
    rig.session.handle(Input::Shutdown, rig.now);
    assert_eq!(rig.session.state(), State::Ended(End::Shutdown));
}
