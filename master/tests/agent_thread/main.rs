//! Tests of the agent thread over real sockets: a manager over UDP, subagents over a Unix socket and TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod master;
mod subagent;

use std::{net::Shutdown, os::unix::fs::PermissionsExt};

use agentx::{Body, CloseReason, ResponseError};
use async_snmp::Value;
use master::Master;
use subagent::Subagent;

const A: &str = "1.3.6.1.4.1.9999.1";
const B: &str = "1.3.6.1.4.1.9999.2";
/// More requests than the socket buffer of a subagent holds. All of them may be in progress at once.
const REQUESTS: i32 = 4_000;

#[tokio::test]
async fn a_manager_reads_objects_of_subagents_over_unix_socket_and_tcp() {
    let master = Master::start();
    let unix = Subagent::over_unix(&master).serving(A, b"of a");
    let tcp = Subagent::over_tcp(&master).serving(B, b"of b");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    drop((unix, tcp));
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
}

#[tokio::test]
async fn the_unix_socket_has_the_configured_mode_and_is_removed_at_shutdown() {
    let master = Master::start();
    let permissions = std::fs::metadata(&master.path).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let path = master.path.clone();
    master.stop();
    assert!(!path.exists());
}

#[tokio::test]
async fn sessions_are_closed_at_shutdown() {
    let master = Master::start();
    let mut subagents = [Subagent::over_unix(&master), Subagent::over_tcp(&master)];
    for subagent in &mut subagents {
        subagent.open();
    }
    master.stop();
    for subagent in &mut subagents {
        assert_eq!(subagent.receive().expect("a PDU").body, Body::Close(CloseReason::Shutdown));
        assert_eq!(subagent.receive(), None);
    }
}

#[tokio::test]
async fn a_frame_may_arrive_octet_by_octet() {
    let master = Master::start();
    let mut slow = Subagent::over_tcp(&master);
    slow.sends_single_octets = true;
    slow.open();
    assert_eq!(slow.register(A), ResponseError::NoError);
}

#[tokio::test]
async fn only_a_peer_that_does_not_speak_agentx_is_disconnected() {
    let master = Master::start();
    let other = Subagent::over_unix(&master).serving(B, b"of b");
    let mut garbage = Subagent::over_unix(&master);
    garbage.open();
    garbage.send_octets(&[0xFF; 64]);
    assert_eq!(garbage.receive().expect("a PDU").body, Body::Close(CloseReason::ParseError));
    assert_eq!(garbage.receive(), None);
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    drop(other);
}

#[tokio::test]
async fn a_subagent_that_does_not_read_does_not_delay_others() {
    let master = Master::start();
    let mut stalled = Subagent::over_unix(&master);
    stalled.open();
    assert_eq!(stalled.register(A), ResponseError::NoError);
    let other = Subagent::over_unix(&master).serving(B, b"of b");
    // Far more than the socket buffer holds.
    master.send_requests(A, REQUESTS);
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    // Once it reads, it gets everything in order.
    stalled.read_requests(REQUESTS);
    drop(other);
}

#[tokio::test]
async fn a_subagent_that_closes_its_sending_side_is_disconnected() {
    let master = Master::start();
    let mut half = Subagent::over_tcp(&master);
    half.open();
    assert_eq!(half.register(A), ResponseError::NoError);
    half.shut_down(Shutdown::Write);
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let master = Master::with_limit_of_sessions(2);
    let first = Subagent::over_unix(&master).serving(A, b"of a");
    let mut second = Subagent::over_tcp(&master);
    second.open();
    let mut third = Subagent::over_unix(&master);
    assert_eq!(third.receive(), None);
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    drop(first);
}

#[tokio::test]
async fn a_thousand_connections_open_and_close() {
    let master = Master::start();
    let subagents: Vec<_> = (0..1_000)
        .map(|number| {
            let mut subagent = Subagent::over_unix(&master);
            subagent.open();
            assert_eq!(subagent.register(&format!("{A}.{number}")), ResponseError::NoError);
            subagent
        })
        .collect();
    let snapshot = master.snapshot_until(|snapshot| snapshot.sessions == 1_000);
    assert_eq!((snapshot.connections, snapshot.registrations), (1_000, 1_000));
    drop(subagents);
    let empty = master.snapshot_until(|snapshot| snapshot.connections == 0);
    assert_eq!((empty.sessions, empty.registrations, empty.contexts), (0, 0, 0));
}

#[tokio::test]
async fn changed_access_applies_at_once_and_keeps_sessions() {
    let master = Master::start();
    let subagent = Subagent::over_unix(&master).serving(A, b"of a");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    master.set_community("other");
    assert_eq!(master.get_as("other", A).await, Value::OctetString("of a".into()));
    drop(subagent);
}

#[tokio::test]
async fn a_standby_master_keeps_its_sessions_and_drops_requests_of_managers() {
    let master = Master::start();
    let subagent = Subagent::over_unix(&master).serving(A, b"of a");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    master.deactivate().await;
    master.send_requests(A, 3);
    assert_eq!(master.dropped_until(3), 3);
    let mut late = Subagent::over_tcp(&master);
    late.open();
    assert_eq!(late.register(B), ResponseError::NoError);
    let snapshot = master.snapshot_until(|snapshot| snapshot.registrations == 2);
    assert_eq!((snapshot.sessions, snapshot.requests), (2, 0));

    master.activate(2).await;
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    // snmpEngineBoots and snmpEngineTime: a new boot, which has just started.
    assert_eq!(master.get_instance("1.3.6.1.6.3.10.2.1.2.0").await, Value::Integer(2));
    let Value::Integer(time) = master.get_instance("1.3.6.1.6.3.10.2.1.3.0").await else { panic!("no snmpEngineTime") };
    assert!((0..30).contains(&time), "{time}");
    drop((subagent, late));
}

#[tokio::test]
async fn requests_to_the_previous_engine_get_no_response_from_the_next() {
    let master = Master::start();
    let mut slow = Subagent::over_unix(&master);
    slow.open();
    assert_eq!(slow.register(A), ResponseError::NoError);
    master.send_requests(A, 1);
    let snapshot = master.snapshot_until(|snapshot| snapshot.outstanding == 1);
    assert_eq!(snapshot.outstanding, 1);
    master.deactivate().await;
    master.activate(2).await;
    let other = Subagent::over_tcp(&master).serving(B, b"of b");
    for _ in 0..3 {
        assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    }
    // The subagent gets the request, but its response would go nowhere.
    slow.read_requests(1);
    slow.shut_down(Shutdown::Both);
    assert_eq!(master.snapshot_until(|snapshot| snapshot.requests == 0).requests, 0);
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    drop(other);
}
