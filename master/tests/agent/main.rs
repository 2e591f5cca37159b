//! The whole agent thread over real sockets: a manager on UDP, subagents on a Unix socket and on TCP.

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
/// As many as may be answered at once.
const REQUESTS: i32 = 4_000;

#[tokio::test]
async fn a_manager_reads_what_subagents_serve_over_either_transport() {
    let master = Master::start();
    let unix = Subagent::over_unix(&master).serving(A, b"of a");
    let tcp = Subagent::over_tcp(&master).serving(B, b"of b");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    drop((unix, tcp));
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
}

#[tokio::test]
async fn the_socket_has_the_documents_permissions_and_its_file_goes_with_the_master() {
    let master = Master::start();
    let permissions = std::fs::metadata(&master.path).unwrap().permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let path = master.path.clone();
    master.stop();
    assert!(!path.exists());
}

#[tokio::test]
async fn sessions_are_told_that_the_master_ends() {
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
async fn a_frame_may_come_octet_by_octet() {
    let master = Master::start();
    let mut slow = Subagent::over_tcp(&master);
    slow.dribble = true;
    slow.open();
    assert_eq!(slow.register(A), ResponseError::NoError);
}

#[tokio::test]
async fn who_sends_no_agentx_is_left_and_no_one_else_is() {
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
async fn a_subagent_that_does_not_read_holds_up_no_one() {
    let master = Master::start();
    let mut deaf = Subagent::over_unix(&master);
    deaf.open();
    assert_eq!(deaf.register(A), ResponseError::NoError);
    let other = Subagent::over_unix(&master).serving(B, b"of b");
    // Far more than the socket takes.
    master.ask_and_go(A, REQUESTS);
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    // What it did not take is there once it reads, whole and in order.
    deaf.read_requests(REQUESTS);
    drop(other);
}

#[tokio::test]
async fn a_subagent_that_sends_no_more_is_gone() {
    let master = Master::start();
    let mut half = Subagent::over_tcp(&master);
    half.open();
    assert_eq!(half.register(A), ResponseError::NoError);
    half.shut_down(Shutdown::Write);
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_the_others_are_served() {
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
async fn a_thousand_connections_come_and_go() {
    let master = Master::start();
    let subagents: Vec<_> = (0..1_000)
        .map(|number| {
            let mut subagent = Subagent::over_unix(&master);
            subagent.open();
            assert_eq!(subagent.register(&format!("{A}.{number}")), ResponseError::NoError);
            subagent
        })
        .collect();
    let there = master.standing_until(|standing| standing.sessions == 1_000);
    assert_eq!((there.connections, there.registrations), (1_000, 1_000));
    drop(subagents);
    let gone = master.standing_until(|standing| standing.connections == 0);
    assert_eq!((gone.sessions, gone.registrations, gone.contexts), (0, 0, 0));
}

#[tokio::test]
async fn other_access_is_in_force_at_once_and_no_session_is_lost() {
    let master = Master::start();
    let subagent = Subagent::over_unix(&master).serving(A, b"of a");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    master.set_community("other");
    assert_eq!(master.get_as("other", A).await, Value::OctetString("of a".into()));
    drop(subagent);
}

#[tokio::test]
async fn who_stands_by_keeps_its_sessions_and_leaves_managers_to_another() {
    let master = Master::start();
    let subagent = Subagent::over_unix(&master).serving(A, b"of a");
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    master.deactivate().await;
    master.ask_and_go(A, 3);
    assert_eq!(master.dropped_until(3), 3);
    let mut late = Subagent::over_tcp(&master);
    late.open();
    assert_eq!(late.register(B), ResponseError::NoError);
    let there = master.standing_until(|standing| standing.registrations == 2);
    assert_eq!((there.sessions, there.requests), (2, 0));

    master.activate(2).await;
    assert_eq!(master.get(A).await, Value::OctetString("of a".into()));
    // snmpEngineBoots and snmpEngineTime: another boot, which has just begun.
    assert_eq!(master.get_instance("1.3.6.1.6.3.10.2.1.2.0").await, Value::Integer(2));
    let Value::Integer(time) = master.get_instance("1.3.6.1.6.3.10.2.1.3.0").await else { panic!("no snmpEngineTime") };
    assert!((0..30).contains(&time), "{time}");
    drop((subagent, late));
}

#[tokio::test]
async fn what_was_asked_of_the_engine_before_is_no_answer_of_the_next() {
    let master = Master::start();
    let mut slow = Subagent::over_unix(&master);
    slow.open();
    assert_eq!(slow.register(A), ResponseError::NoError);
    master.ask_and_go(A, 1);
    let there = master.standing_until(|standing| standing.outstanding == 1);
    assert_eq!(there.outstanding, 1);
    master.deactivate().await;
    master.activate(2).await;
    let other = Subagent::over_tcp(&master).serving(B, b"of b");
    for _ in 0..3 {
        assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    }
    // It is asked, and what it would say goes nowhere.
    slow.read_requests(1);
    slow.shut_down(Shutdown::Both);
    assert_eq!(master.standing_until(|standing| standing.requests == 0).requests, 0);
    assert_eq!(master.get(B).await, Value::OctetString("of b".into()));
    drop(other);
}
