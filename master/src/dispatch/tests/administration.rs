//! What subagents ask of the master (RFC 2741 section 7.1).

use std::time::Duration;

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, Context, FrameHeader, Header, IndexAllocate, Open, Pdu, Register,
    RemoveAgentCaps, Response, ResponseError, Unregister, Value, VarBind, encode,
};
use rstest::rstest;

use super::rig::{OWN, Rig, Subagent, get, int, oid, region, varbind};

const A: &str = "1.3.6.1.4.1.99999.1";

fn unregister(subtree: &str) -> Body {
    Body::Unregister(Unregister { priority: 127, subtree: oid(subtree), range: None })
}

fn trap(oid_at: usize) -> Vec<VarBind> {
    let mut varbinds = vec![
        varbind("1.3.6.1.2.1.1.3.0", Value::TimeTicks(5)),
        varbind("1.3.6.1.6.3.1.1.4.1.0", Value::ObjectIdentifier(oid(A))),
        int("1.3.6.1.4.1.99999.1.1", 1),
    ];
    varbinds.swap(1, oid_at);
    varbinds
}

#[test]
fn sessions_are_numbered_apart_and_several_share_a_connection() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let first = rig.open_on(connection, ByteOrder::Big, 0);
    let second = rig.open_on(connection, ByteOrder::Little, 0);
    let third = rig.open();
    assert!(first.session != second.session && second.session != third.session && first.session != third.session);
    rig.register(first, A);
    rig.register(second, "1.3.6.1.4.1.99999.2");
    rig.request(get(&["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1"]));
    rig.asked_once(first);
    rig.asked_once(second);
    assert_eq!(rig.master.session_count(), 3);
}

#[test]
fn a_response_bears_the_time_since_the_master_started() {
    let mut rig = Rig::new();
    let a = rig.open();
    rig.pass(Duration::from_millis(12_340));
    let Response { sys_up_time, error, .. } = rig.call(a, "", Body::Ping);
    assert_eq!((sys_up_time, error), (1234, ResponseError::NoError));
    assert_eq!(rig.call(a, "any context", Body::Ping).error, ResponseError::NoError);
}

#[test]
fn a_session_of_another_connection_is_not_open() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open(), rig.open());
    let stranger = Subagent { connection: b.connection, ..a };
    for body in [Body::Ping, Body::Close(CloseReason::Shutdown), Body::Register(region(A)), Body::Notify(trap(1))] {
        assert_eq!(rig.call(stranger, "", body).error, ResponseError::NotOpen);
    }
    assert_eq!(rig.call(Subagent { session: 999, ..a }, "", Body::Ping).error, ResponseError::NotOpen);
    assert_eq!((rig.master.session_count(), rig.master.totals().not_open), (2, 5));
}

#[test]
fn there_are_only_so_many_sessions() {
    let limits = master_config::Limits { sessions: 3, sessions_per_connection: 2, ..Default::default() };
    let mut rig = Rig::with(&limits);
    let connection = rig.connect();
    let open = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![] });
    let first = rig.open_on(connection, ByteOrder::Big, 0);
    rig.open_on(connection, ByteOrder::Big, 0);
    let nobody = Subagent { session: 0, ..first };
    assert_eq!(rig.call(nobody, "", open.clone()).error, ResponseError::OpenFailed);
    let other = rig.open();
    let nobody = Subagent { session: 0, ..other };
    assert_eq!(rig.call(nobody, "", open.clone()).error, ResponseError::OpenFailed);
    assert_eq!(rig.master.totals().opens_refused, 2);
    rig.call(first, "", Body::Close(CloseReason::Shutdown));
    rig.open_on(other.connection, ByteOrder::Big, 0);
}

#[test]
fn of_a_description_no_more_is_kept_than_it_may_have() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let nobody = Subagent { connection, session: 0, byte_order: ByteOrder::Big };
    let open = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![b'x'; 60_000] });
    assert_eq!(rig.call(nobody, "", open).error, ResponseError::NoError);
    let kept: Vec<_> = rig.master.sessions().map(|session| session.description).collect();
    assert_eq!(kept, ["x".repeat(255)]);
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let a = rig.serving(&[A]);
    let token = rig.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    rig.asked_once(a);
    assert_eq!(rig.call(a, "", Body::Close(CloseReason::Shutdown)).error, ResponseError::NoError);
    assert_eq!(rig.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999.1.1", Value::NoSuchObject)]));
    assert_eq!(rig.call(a, "", Body::Ping).error, ResponseError::NotOpen);
    let master = &rig.master;
    assert_eq!((master.session_count(), master.registration_count(), master.outstanding()), (0, 0, 0));
    assert_eq!((master.totals().sessions_opened, master.totals().sessions_closed), (1, 1));
}

#[test]
fn what_one_session_registered_no_other_can_take_away() {
    let mut rig = Rig::new();
    let (a, b) = (rig.serving(&[A]), rig.open());
    assert_eq!(rig.try_register(b, "", region(A)), ResponseError::DuplicateRegistration);
    assert_eq!(rig.call(b, "", unregister(A)).error, ResponseError::UnknownRegistration);
    assert_eq!(rig.call(a, "other", unregister(A)).error, ResponseError::UnknownRegistration);
    assert_eq!(rig.call(a, "", unregister(A)).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "", unregister(A)).error, ResponseError::UnknownRegistration);
    rig.register(b, A);
}

#[test]
fn the_masters_own_subtrees_are_denied() {
    let mut rig = Rig::new();
    let a = rig.open();
    for subtree in [OWN, "1.3.6.1.2.1.1.9", "1.3.6.1.2.1.1.9.1.2"] {
        assert_eq!(rig.try_register(a, "", region(subtree)), ResponseError::RequestDenied, "{subtree}");
    }
    rig.register(a, "1.3.6.1.2.1");
    assert_eq!(rig.master.totals().denied_reserved, 3);
}

#[rstest]
#[case::time_and_trap(trap(1), ResponseError::NoError)]
#[case::trap_alone(trap(1)[1..].to_vec(), ResponseError::NoError)]
#[case::trap_third(trap(2), ResponseError::ProcessingError)]
#[case::time_second(trap(0), ResponseError::NoError)]
#[case::no_trap(vec![int(A, 1)], ResponseError::ProcessingError)]
#[case::time_alone(trap(1)[..1].to_vec(), ResponseError::ProcessingError)]
#[case::nothing(vec![], ResponseError::ProcessingError)]
#[case::a_trap_that_is_no_oid(vec![int("1.3.6.1.6.3.1.1.4.1.0", 1)], ResponseError::ProcessingError)]
fn a_notification_says_what_it_is(#[case] varbinds: Vec<VarBind>, #[case] due: ResponseError) {
    let mut rig = Rig::new();
    let a = rig.open();
    assert_eq!(rig.call(a, "acme", Body::Notify(varbinds)).error, due);
    let totals = rig.master.totals();
    let accepted = u64::from(due == ResponseError::NoError);
    assert_eq!((totals.notifications, totals.notifications_refused), (accepted, 1 - accepted));
}

#[test]
fn index_values_are_reserved_and_released() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open(), rig.open());
    let wish = |value| vec![int("1.3.6.1.2.1.2.2.1.1", value)];
    let exact = |value| Body::IndexAllocate(IndexAllocate { new: false, any: false, varbinds: wish(value) });
    let any = Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds: wish(0) });
    let response = rig.call(a, "", exact(1));
    assert_eq!((response.error, response.varbinds), (ResponseError::NoError, wish(1)));
    let response = rig.call(b, "", exact(1));
    assert_eq!((response.error, response.index), (ResponseError::IndexAlreadyAllocated, 1));
    let response = rig.call(b, "", any);
    assert_eq!(response.error, ResponseError::NoError);
    assert_ne!(response.varbinds, wish(1));
    let response = rig.call(b, "", Body::IndexDeallocate(wish(1)));
    assert_eq!((response.error, response.index), (ResponseError::IndexNotAllocated, 1));
    let response = rig.call(a, "", Body::IndexDeallocate(wish(1)));
    assert_eq!((response.error, response.varbinds), (ResponseError::NoError, wish(1)));
    rig.register(a, A);
    rig.disconnect(b);
    assert_eq!(rig.master.totals().indexes_refused, 2);
    let own = IndexAllocate { new: false, any: true, varbinds: vec![int("1.3.6.1.2.1.1.9.1.1", 0)] };
    assert_eq!(rig.call(a, "", Body::IndexAllocate(own)).error, ResponseError::RequestDenied);
}

#[test]
fn capabilities_come_and_go_with_their_session() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open(), rig.open());
    let add = Body::AddAgentCaps(AddAgentCaps { id: oid(A), description: b"TEST-MIB".to_vec() });
    let remove = Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) });
    assert_eq!(rig.call(a, "acme", add.clone()).error, ResponseError::NoError);
    assert_eq!(rig.call(b, "acme", remove.clone()).error, ResponseError::UnknownAgentCaps);
    assert_eq!(rig.master.capabilities.of(b"acme").len(), 1);
    assert_eq!(rig.call(a, "acme", remove).error, ResponseError::NoError);
    assert_eq!(rig.call(a, "acme", add).error, ResponseError::NoError);
    rig.disconnect(a);
    assert_eq!(rig.master.capabilities.of(b"acme").len(), 0);
}

#[test]
fn what_does_not_parse_is_answered_with_its_own_header() {
    let mut rig = Rig::new();
    let a = rig.open();
    let (session_id, transaction_id, packet_id) = (a.session, 5, 6);
    for byte_order in [ByteOrder::Big, ByteOrder::Little] {
        let header = Header { byte_order, session_id, transaction_id, packet_id };
        let mut frame = Vec::new();
        encode(&Pdu { header, context: Context::default(), body: Body::Ping }, &mut frame).unwrap();
        frame[1] = 3;
        rig.master.receive(a.connection, &frame, rig.now);
        frame[1] = 99;
        rig.master.receive(a.connection, &frame, rig.now);
        for pdu in rig.sent(a.connection) {
            assert_eq!(pdu.header, header);
            assert!(matches!(pdu.body, Body::Response(Response { error: ResponseError::ParseError, .. })), "{pdu:?}");
        }
    }
    assert_eq!(rig.master.totals().pdus_refused, 4);
    assert_eq!(rig.call(a, "", Body::Ping).error, ResponseError::NoError);
}

#[test]
fn what_only_a_master_asks_is_no_question_to_a_master() {
    let mut rig = Rig::new();
    let a = rig.open();
    for body in [Body::Get(vec![]), Body::TestSet(vec![]), Body::CommitSet, Body::UndoSet] {
        assert_eq!(rig.call(a, "", body).error, ResponseError::ProcessingError);
    }
    let header = Header { byte_order: ByteOrder::Big, session_id: a.session, transaction_id: 1, packet_id: 1 };
    rig.give(a.connection, &Pdu { header, context: Context::default(), body: Body::CleanupSet });
    assert!(rig.sent(a.connection).is_empty());
}

#[test]
fn a_stream_that_is_no_agentx_ends_the_connection() {
    let mut rig = Rig::new();
    let connection = rig.connect();
    let (a, b) = (rig.open_on(connection, ByteOrder::Big, 0), rig.open_on(connection, ByteOrder::Little, 0));
    rig.register(a, A);
    rig.master.receive(connection, &[7; FrameHeader::LEN], rig.now);
    assert_eq!((rig.closed(a), rig.closed(b)), (Some(CloseReason::ParseError), Some(CloseReason::ParseError)));
    assert!(rig.master.output(connection).unwrap().closes());
    assert_eq!((rig.master.session_count(), rig.master.registration_count()), (0, 0));
    let header = Header { byte_order: ByteOrder::Big, session_id: a.session, transaction_id: 1, packet_id: 1 };
    rig.give(connection, &Pdu { header, context: Context::default(), body: Body::Ping });
    assert!(rig.sent(connection).is_empty(), "nothing that comes after matters");
}

#[test]
fn contexts_registrations_and_sessions_are_seen_in_the_status() {
    let mut rig = Rig::new();
    let a = rig.open();
    rig.register_as(a, "acme", region(A));
    rig.register_as(a, "", Register { priority: 5, ..region(A) });
    rig.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    let sessions: Vec<_> = rig.master.sessions().collect();
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((session.id.0, session.connection, session.opened), (a.session, a.connection, rig.now));
    assert_eq!((session.description.as_str(), &session.oid), ("test", &oid("1.3.6.1.4.1.99999")));
    assert_eq!((session.registrations, session.outstanding, session.counts.requests), (2, 1, 1));
    assert_eq!((rig.master.context_count(), rig.master.request_count()), (2, 1));
}

#[test]
fn a_connection_is_named_once_until_there_is_more_to_send() {
    let mut rig = Rig::new();
    let (a, b) = (rig.open(), rig.open());
    while rig.master.next_ready().is_some() {}
    for _ in 0..3 {
        rig.call(a, "", Body::Ping);
    }
    rig.call(b, "", Body::Ping);
    let ready = |rig: &mut Rig| std::iter::from_fn(|| rig.master.next_ready()).collect::<Vec<_>>();
    assert_eq!(ready(&mut rig), [a.connection, b.connection]);
    assert_eq!(ready(&mut rig), []);
    rig.call(a, "", Body::Ping);
    rig.disconnect(b);
    assert_eq!(ready(&mut rig), [a.connection]);
    assert!(rig.master.output(b.connection).is_none());
}

#[test]
fn octets_may_be_sent_in_any_pieces() {
    let mut rig = Rig::new();
    let a = rig.open();
    let header = Header { byte_order: ByteOrder::Little, session_id: a.session, transaction_id: 1, packet_id: 1 };
    let ping = Pdu { header, context: Context::default(), body: Body::Ping };
    let (mut sent, mut framer) = (Vec::new(), agentx::Framer::new(agentx::Limits::default()));
    for packet_id in 0..200 {
        rig.give(a.connection, &Pdu { header: Header { packet_id, ..header }, ..ping.clone() });
        let output = rig.master.output(a.connection).unwrap();
        let len = output.pending().len().min(23);
        framer.feed(&output.pending()[..len]);
        output.advance(len);
    }
    let output = rig.master.output(a.connection).unwrap();
    framer.feed(output.pending());
    output.advance(usize::MAX);
    assert!(output.is_empty() && !output.closes());
    while let Some(frame) = framer.next_frame().unwrap() {
        sent.push(FrameHeader::parse(frame).unwrap().header.packet_id);
    }
    assert_eq!(sent, (0..200).collect::<Vec<_>>());
}

#[test]
fn limits_change_for_what_comes_after() {
    let mut rig = Rig::with(&master_config::Limits { sessions: 1, registrations: 1, ..Default::default() });
    let a = rig.open();
    rig.register(a, A);
    assert_eq!(rig.try_register(a, "other", region(A)), ResponseError::RequestDenied);
    rig.master.limit(&master_config::Limits { registrations: 2, subagent_timeout_ms: 900, ..Default::default() });
    rig.register_as(a, "other", region(A));
    rig.open();
    rig.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    assert_eq!(rig.master.deadline(), Some(rig.now + Duration::from_millis(900)));
}
