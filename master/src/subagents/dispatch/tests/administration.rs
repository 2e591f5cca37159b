//! Requests of subagents to the master (RFC 2741 section 7.1).

use std::time::Duration;

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, Context, FrameHeader, Header, IndexAllocate, Open, Pdu, Register,
    RemoveAgentCaps, Response, ResponseError, Unregister, Value, VarBind, encode,
};
use rstest::rstest;

use super::dispatcher_harness::{DispatcherHarness, OWN, Subagent, get, int, oid, region, varbind};

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
fn sessions_have_unique_ids_and_can_share_a_connection() {
    let mut harness = DispatcherHarness::new();
    let connection = harness.connect();
    let first = harness.open_on(connection, ByteOrder::Big, 0);
    let second = harness.open_on(connection, ByteOrder::Little, 0);
    let third = harness.open();
    assert!(first.session != second.session && second.session != third.session && first.session != third.session);
    harness.register(first, A);
    harness.register(second, "1.3.6.1.4.1.99999.2");
    harness.request(get(&["1.3.6.1.4.1.99999.1.1", "1.3.6.1.4.1.99999.2.1"]));
    harness.sent_once(first);
    harness.sent_once(second);
    assert_eq!(harness.master.session_count(), 3);
}

#[test]
fn a_response_contains_sys_up_time() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    harness.pass(Duration::from_millis(12_340));
    let Response { sys_up_time, error, .. } = harness.call(a, "", Body::Ping);
    assert_eq!((sys_up_time, error), (1234, ResponseError::NoError));
    assert_eq!(harness.call(a, "any context", Body::Ping).error, ResponseError::NoError);
}

#[test]
fn a_session_of_another_connection_is_not_open() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.open(), harness.open());
    let stranger = Subagent { connection: b.connection, ..a };
    for body in [Body::Ping, Body::Close(CloseReason::Shutdown), Body::Register(region(A)), Body::Notify(trap(1))] {
        assert_eq!(harness.call(stranger, "", body).error, ResponseError::NotOpen);
    }
    assert_eq!(harness.call(Subagent { session: 999, ..a }, "", Body::Ping).error, ResponseError::NotOpen);
    assert_eq!((harness.master.session_count(), harness.master.totals().not_open), (2, 5));
}

#[test]
fn the_number_of_sessions_is_limited() {
    let limits = master_config::Limits { sessions: 3, sessions_per_connection: 2, ..Default::default() };
    let mut harness = DispatcherHarness::with(&limits);
    let connection = harness.connect();
    let open = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![] });
    let first = harness.open_on(connection, ByteOrder::Big, 0);
    harness.open_on(connection, ByteOrder::Big, 0);
    let no_session = Subagent { session: 0, ..first };
    assert_eq!(harness.call(no_session, "", open.clone()).error, ResponseError::OpenFailed);
    let other = harness.open();
    let no_session = Subagent { session: 0, ..other };
    assert_eq!(harness.call(no_session, "", open.clone()).error, ResponseError::OpenFailed);
    assert_eq!(harness.master.totals().opens_refused, 2);
    harness.call(first, "", Body::Close(CloseReason::Shutdown));
    harness.open_on(other.connection, ByteOrder::Big, 0);
}

#[test]
fn long_descriptions_are_truncated() {
    let mut harness = DispatcherHarness::new();
    let connection = harness.connect();
    let no_session = Subagent { connection, session: 0, byte_order: ByteOrder::Big };
    let open = Body::Open(Open { timeout_s: 0, id: oid(""), description: vec![b'x'; 60_000] });
    assert_eq!(harness.call(no_session, "", open).error, ResponseError::NoError);
    let kept: Vec<_> = harness.master.sessions().map(|session| session.description).collect();
    assert_eq!(kept, ["x".repeat(255)]);
}

#[test]
fn a_closed_session_leaves_nothing_behind() {
    let mut harness = DispatcherHarness::new();
    let a = harness.serving(&[A]);
    let token = harness.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    harness.sent_once(a);
    assert_eq!(harness.call(a, "", Body::Close(CloseReason::Shutdown)).error, ResponseError::NoError);
    assert_eq!(harness.result(token), Ok(vec![varbind("1.3.6.1.4.1.99999.1.1", Value::NoSuchObject)]));
    assert_eq!(harness.call(a, "", Body::Ping).error, ResponseError::NotOpen);
    let master = &harness.master;
    assert_eq!((master.session_count(), master.registration_count(), master.outstanding()), (0, 0, 0));
    assert_eq!((master.totals().sessions_opened, master.totals().sessions_closed), (1, 1));
}

#[test]
fn a_session_cannot_unregister_regions_of_another() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.serving(&[A]), harness.open());
    assert_eq!(harness.try_register(b, "", region(A)), ResponseError::DuplicateRegistration);
    assert_eq!(harness.call(b, "", unregister(A)).error, ResponseError::UnknownRegistration);
    assert_eq!(harness.call(a, "other", unregister(A)).error, ResponseError::UnknownRegistration);
    assert_eq!(harness.call(a, "", unregister(A)).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "", unregister(A)).error, ResponseError::UnknownRegistration);
    harness.register(b, A);
}

#[test]
fn own_subtrees_cannot_be_registered() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    for subtree in [OWN, "1.3.6.1.2.1.1.9", "1.3.6.1.2.1.1.9.1.2"] {
        assert_eq!(harness.try_register(a, "", region(subtree)), ResponseError::RequestDenied, "{subtree}");
    }
    harness.register(a, "1.3.6.1.2.1");
    assert_eq!(harness.master.totals().denied_reserved, 3);
}

#[rstest]
#[case::time_and_trap(trap(1), ResponseError::NoError)]
#[case::only_trap(trap(1)[1..].to_vec(), ResponseError::NoError)]
#[case::trap_third(trap(2), ResponseError::ProcessingError)]
#[case::time_second(trap(0), ResponseError::NoError)]
#[case::no_trap(vec![int(A, 1)], ResponseError::ProcessingError)]
#[case::only_time(trap(1)[..1].to_vec(), ResponseError::ProcessingError)]
#[case::empty(vec![], ResponseError::ProcessingError)]
#[case::trap_that_is_not_an_oid(vec![int("1.3.6.1.6.3.1.1.4.1.0", 1)], ResponseError::ProcessingError)]
fn a_notification_must_contain_its_trap_oid(#[case] varbinds: Vec<VarBind>, #[case] expected: ResponseError) {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    assert_eq!(harness.call(a, "acme", Body::Notify(varbinds)).error, expected);
    let totals = harness.master.totals();
    let accepted = u64::from(expected == ResponseError::NoError);
    assert_eq!((totals.notifications, totals.notifications_refused), (accepted, 1 - accepted));
}

#[test]
fn indexes_are_allocated_and_deallocated() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.open(), harness.open());
    let varbinds = |value| vec![int("1.3.6.1.2.1.2.2.1.1", value)];
    let exact = |value| Body::IndexAllocate(IndexAllocate { new: false, any: false, varbinds: varbinds(value) });
    let any = Body::IndexAllocate(IndexAllocate { new: false, any: true, varbinds: varbinds(0) });
    let response = harness.call(a, "", exact(1));
    assert_eq!((response.error, response.varbinds), (ResponseError::NoError, varbinds(1)));
    let response = harness.call(b, "", exact(1));
    assert_eq!((response.error, response.index), (ResponseError::IndexAlreadyAllocated, 1));
    let response = harness.call(b, "", any);
    assert_eq!(response.error, ResponseError::NoError);
    assert_ne!(response.varbinds, varbinds(1));
    let response = harness.call(b, "", Body::IndexDeallocate(varbinds(1)));
    assert_eq!((response.error, response.index), (ResponseError::IndexNotAllocated, 1));
    let response = harness.call(a, "", Body::IndexDeallocate(varbinds(1)));
    assert_eq!((response.error, response.varbinds), (ResponseError::NoError, varbinds(1)));
    harness.register(a, A);
    harness.disconnect(b);
    assert_eq!(harness.master.totals().indexes_refused, 2);
    let own = IndexAllocate { new: false, any: true, varbinds: vec![int("1.3.6.1.2.1.1.9.1.1", 0)] };
    assert_eq!(harness.call(a, "", Body::IndexAllocate(own)).error, ResponseError::RequestDenied);
}

#[test]
fn capabilities_end_with_their_session() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.open(), harness.open());
    let add = Body::AddAgentCaps(AddAgentCaps { id: oid(A), description: b"TEST-MIB".to_vec() });
    let remove = Body::RemoveAgentCaps(RemoveAgentCaps { id: oid(A) });
    assert_eq!(harness.call(a, "acme", add.clone()).error, ResponseError::NoError);
    assert_eq!(harness.call(b, "acme", remove.clone()).error, ResponseError::UnknownAgentCaps);
    assert_eq!(harness.master.capabilities.of(b"acme").len(), 1);
    assert_eq!(harness.call(a, "acme", remove).error, ResponseError::NoError);
    assert_eq!(harness.call(a, "acme", add).error, ResponseError::NoError);
    harness.disconnect(a);
    assert_eq!(harness.master.capabilities.of(b"acme").len(), 0);
}

#[test]
fn a_malformed_pdu_is_responded_to_with_its_header() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    let (session_id, transaction_id, packet_id) = (a.session, 5, 6);
    for byte_order in [ByteOrder::Big, ByteOrder::Little] {
        let header = Header { byte_order, session_id, transaction_id, packet_id };
        let mut frame = Vec::new();
        encode(&Pdu { header, context: Context::default(), body: Body::Ping }, &mut frame).unwrap();
        frame[1] = 3;
        harness.master.receive(a.connection, &frame, harness.now);
        frame[1] = 99;
        harness.master.receive(a.connection, &frame, harness.now);
        for pdu in harness.sent(a.connection) {
            assert_eq!(pdu.header, header);
            assert!(matches!(pdu.body, Body::Response(Response { error: ResponseError::ParseError, .. })), "{pdu:?}");
        }
    }
    assert_eq!(harness.master.totals().pdus_refused, 4);
    assert_eq!(harness.call(a, "", Body::Ping).error, ResponseError::NoError);
}

#[test]
fn pdus_for_subagents_are_refused() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    for body in [Body::Get(vec![]), Body::TestSet(vec![]), Body::CommitSet, Body::UndoSet] {
        assert_eq!(harness.call(a, "", body).error, ResponseError::ProcessingError);
    }
    let header = Header { byte_order: ByteOrder::Big, session_id: a.session, transaction_id: 1, packet_id: 1 };
    harness.receive(a.connection, &Pdu { header, context: Context::default(), body: Body::CleanupSet });
    assert!(harness.sent(a.connection).is_empty());
}

#[test]
fn data_that_is_not_agentx_ends_the_connection() {
    let mut harness = DispatcherHarness::new();
    let connection = harness.connect();
    let (a, b) = (harness.open_on(connection, ByteOrder::Big, 0), harness.open_on(connection, ByteOrder::Little, 0));
    harness.register(a, A);
    harness.master.receive(connection, &[7; FrameHeader::LEN], harness.now);
    assert_eq!(
        (harness.close_reason(a), harness.close_reason(b)),
        (Some(CloseReason::ParseError), Some(CloseReason::ParseError))
    );
    assert!(harness.master.output(connection).unwrap().closes());
    assert_eq!((harness.master.session_count(), harness.master.registration_count()), (0, 0));
    let header = Header { byte_order: ByteOrder::Big, session_id: a.session, transaction_id: 1, packet_id: 1 };
    harness.receive(connection, &Pdu { header, context: Context::default(), body: Body::Ping });
    assert!(harness.sent(connection).is_empty(), "later PDUs must be ignored");
}

#[test]
fn the_status_shows_contexts_registrations_and_sessions() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    harness.register_as(a, "acme", region(A));
    harness.register_as(a, "", Register { priority: 5, ..region(A) });
    harness.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    let sessions: Vec<_> = harness.master.sessions().collect();
    let [session] = &sessions[..] else { panic!("{sessions:?}") };
    assert_eq!((session.id.0, session.connection, session.opened), (a.session, a.connection, harness.now));
    assert_eq!((session.description.as_str(), &session.oid), ("test", &oid("1.3.6.1.4.1.99999")));
    assert_eq!((session.registrations, session.outstanding, session.counts.requests), (2, 1, 1));
    assert_eq!((harness.master.context_count(), harness.master.request_count()), (2, 1));
}

#[test]
fn a_connection_is_ready_once_until_it_has_more_output() {
    let mut harness = DispatcherHarness::new();
    let (a, b) = (harness.open(), harness.open());
    while harness.master.next_ready().is_some() {}
    for _ in 0..3 {
        harness.call(a, "", Body::Ping);
    }
    harness.call(b, "", Body::Ping);
    let ready =
        |harness: &mut DispatcherHarness| std::iter::from_fn(|| harness.master.next_ready()).collect::<Vec<_>>();
    assert_eq!(ready(&mut harness), [a.connection, b.connection]);
    assert_eq!(ready(&mut harness), []);
    harness.call(a, "", Body::Ping);
    harness.disconnect(b);
    assert_eq!(ready(&mut harness), [a.connection]);
    assert!(harness.master.output(b.connection).is_none());
}

#[test]
fn output_can_be_sent_in_any_pieces() {
    let mut harness = DispatcherHarness::new();
    let a = harness.open();
    let header = Header { byte_order: ByteOrder::Little, session_id: a.session, transaction_id: 1, packet_id: 1 };
    let ping = Pdu { header, context: Context::default(), body: Body::Ping };
    let (mut sent, mut framer) = (Vec::new(), agentx::Framer::new(agentx::Limits::default()));
    for packet_id in 0..200 {
        harness.receive(a.connection, &Pdu { header: Header { packet_id, ..header }, ..ping.clone() });
        let output = harness.master.output(a.connection).unwrap();
        let len = output.pending().len().min(23);
        framer.feed(&output.pending()[..len]);
        output.advance(len);
    }
    let output = harness.master.output(a.connection).unwrap();
    framer.feed(output.pending());
    output.advance(usize::MAX);
    assert!(output.is_empty() && !output.closes());
    while let Some(frame) = framer.next_frame().unwrap() {
        sent.push(FrameHeader::parse(frame).unwrap().header.packet_id);
    }
    assert_eq!(sent, (0..200).collect::<Vec<_>>());
}

#[test]
fn changed_limits_apply_to_later_pdus() {
    let mut harness =
        DispatcherHarness::with(&master_config::Limits { sessions: 1, registrations: 1, ..Default::default() });
    let a = harness.open();
    harness.register(a, A);
    assert_eq!(harness.try_register(a, "other", region(A)), ResponseError::RequestDenied);
    harness.master.set_limits(&master_config::Limits {
        registrations: 2,
        subagent_timeout_ms: 900,
        ..Default::default()
    });
    harness.register_as(a, "other", region(A));
    harness.open();
    harness.request(get(&["1.3.6.1.4.1.99999.1.1"]));
    assert_eq!(harness.master.deadline(), Some(harness.now + Duration::from_millis(900)));
}
