//! Tests of AgentX over TLS over real sockets, with a CA of the test and a fake reviewer of tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod master;
mod program;
mod tokens;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use agentx::{Body, CloseReason, ResponseError};
use async_snmp::Value;
use client::{Client, Subagent};
use master::{Master, document};
use serde_json::json;
use tokens::Claims;

const A: &str = "1.3.6.1.4.1.99999.1";
const B: &str = "1.3.6.1.4.1.99999.2";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: agentx\r\n";

fn granted() -> serde_json::Value {
    json!([{"namespace": "acme", "subtrees": [A]}, {"namespace": "globex", "subtrees": [B]}])
}

/// Returns the status of a refused upgrade with this header. Asserts that no AgentX follows the response.
fn refusal(master: &Master, authorization: &str) -> u16 {
    let mut client = Client::connect(master);
    client.send(format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{UPGRADE}{authorization}\r\n").as_bytes());
    let (status, head, _) = client.response();
    let body = client.rest();
    assert!(body.len() < 200 && body.ends_with(b"\n") && !body[..body.len() - 1].contains(&b'\n'), "{head} {body:?}");
    assert!(!head.to_ascii_lowercase().contains("upgrade: agentx") || status == 426, "{head}");
    status
}

#[tokio::test]
async fn a_subagent_with_a_token_serves_what_its_namespace_is_granted() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::connect(&master, &Claims::of("acme", "web-0"));
    subagent.open();
    assert_eq!(subagent.register("", B), ResponseError::UnsupportedContext);
    assert_eq!(subagent.register("acme", B), ResponseError::RequestDenied);
    assert_eq!(subagent.register("acme", A), ResponseError::NoError);
    let serving = subagent.serving(b"of acme");
    assert_eq!(master.get(A).await, Value::OctetString("of acme".into()));
    assert_eq!(master.get(B).await, Value::NoSuchObject);
    drop(serving);
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
}

#[test]
fn without_a_valid_token_the_response_is_an_http_error() {
    let master = Master::start(&granted());
    let good = Claims::of("acme", "web-0");
    let bearer = |token: String| format!("Authorization: Bearer {token}\r\n");
    for (authorization, status) in [
        (String::new(), 401),
        ("Authorization: Basic YWJj\r\n".to_owned(), 401),
        (bearer("nonsense".to_owned()), 401),
        (bearer(Claims { expires_in: -1, ..good.clone() }.signed("good")), 401),
        (bearer(Claims { audience: "https://kubernetes.default.svc", ..good.clone() }.signed("good")), 401),
        (bearer(good.signed("forged")), 401),
        (bearer(good.signed("other-audience")), 401),
        (bearer(good.signed("a-person")), 403),
        (bearer(good.signed("unreachable")), 503),
    ] {
        assert_eq!(refusal(&master, &authorization), status, "{authorization}");
    }
    assert_eq!(master.snapshot_until(|_| true).connections, 0);
}

#[test]
fn invalid_requests_get_an_http_error() {
    let master = Master::start(&granted());
    let token = format!("Authorization: Bearer {}\r\n", Claims::of("acme", "web-0").signed("good"));
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nHost: m\r\n{UPGRADE}{token}\r\n"), 404),
        (format!("POST /agentx HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n{UPGRADE}{token}\r\n"), 405),
        (format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{token}\r\n"), 426),
        (format!("GET /agentx HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n{UPGRADE}{token}\r\nabc"), 400),
        (format!("GET /agentx HTTP/1.1\r\nHost: m\r\nX: {}\r\n{UPGRADE}{token}\r\n", "x".repeat(9 << 10)), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
    ] {
        let mut client = Client::connect(&master);
        client.send(request.as_bytes());
        assert_eq!(client.response().0, status, "{request:.60}");
    }
    // The response may be lost, because the master closes the connection with unread octets.
    let long = format!("GET /agentx HTTP/1.1\r\nHost: m\r\nX: {}\r\n{UPGRADE}{token}\r\n", "x".repeat(64 << 10));
    for request in [long.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut client = Client::connect(&master);
        client.send(request);
        let rest = client.rest();
        assert!(!rest.windows(4).any(|octets| octets == b" 101"), "{rest:?}");
    }
    assert_eq!(master.traffic.tls.upgrades.get(), 0);
}

#[test]
fn peers_that_do_not_speak_tls_are_disconnected() {
    let master = Master::start(&granted());
    for garbage in [&b"GET /agentx HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3], &[0xFF; 9_000]] {
        let mut stream = TcpStream::connect(master.tls).unwrap();
        stream.set_read_timeout(Some(client::DEADLINE)).unwrap();
        // The master may close the connection before everything is written.
        _ = stream.write_all(garbage);
        _ = stream.shutdown(std::net::Shutdown::Write);
        let mut response = Vec::new();
        _ = stream.read_to_end(&mut response);
        assert!(response.len() < 64, "at most an alert: {response:?}");
    }
    Subagent::connect(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn a_peer_that_sends_single_octets_is_disconnected_by_the_timeout() {
    let master = Master::start(&granted());
    let start = Instant::now();
    let mut handshaking = TcpStream::connect(master.tls).unwrap();
    let mut client = Client::connect(&master);
    let token = Claims::of("acme", "web-0").signed("good");
    let head = format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{UPGRADE}Authorization: Bearer {token}\r\n");
    let mut octets = head.bytes().cycle();
    let (mut handshake, mut request) = (true, true);
    while handshake || request {
        assert!(start.elapsed() < Duration::from_secs(25), "handshake: {handshake}, request: {request}");
        std::thread::sleep(Duration::from_millis(100));
        handshake = handshake && handshaking.write_all(&[0x16]).is_ok();
        request = request && client.try_send(&[octets.next().unwrap()]).is_ok();
    }
    Subagent::connect(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn agentx_sent_together_with_the_request_is_not_lost() {
    let master = Master::start(&granted());
    let mut client = Client::connect(&master);
    let token = Claims::of("acme", "web-0").signed("good");
    let mut octets =
        format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{UPGRADE}Authorization: Bearer {token}\r\n\r\n").into_bytes();
    let opens = 20;
    for _ in 0..opens {
        octets.extend(Subagent::open_frame());
    }
    client.send(&octets);
    let mut subagent = Subagent::after_request(client);
    let errors: Vec<_> = (0..opens)
        .map(|_| match subagent.receive().expect("a response").body {
            Body::Response(response) => response.error,
            body => panic!("{body:?}"),
        })
        .collect();
    assert_eq!(errors.iter().filter(|error| **error == ResponseError::NoError).count(), 16, "{errors:?}");
}

#[tokio::test]
async fn long_responses_arrive_complete() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::connect(&master, &Claims::of("acme", "web-0"));
    subagent.open();
    assert_eq!(subagent.register("acme", A), ResponseError::NoError);
    let text: &'static [u8] = vec![b'x'; 40_000].leak();
    let serving = subagent.serving(text);
    for _ in 0..50 {
        assert_eq!(master.get(A).await, Value::OctetString(text.into()));
    }
    drop(serving);
}

#[tokio::test]
async fn a_subagent_that_does_not_read_does_not_delay_others_and_later_reads_whole_frames() {
    let master = Master::start(&granted());
    let mut stalled = Subagent::connect(&master, &Claims::of("acme", "web-0"));
    stalled.open();
    assert_eq!(stalled.register("acme", A), ResponseError::NoError);
    let mut other = Subagent::connect(&master, &Claims::of("globex", "web-0"));
    other.open();
    assert_eq!(other.register("acme", B), ResponseError::NoError);
    let other = other.serving(b"of globex");
    // Far more than the socket buffers hold.
    master.send_requests(A, 2_000, 60);
    assert_eq!(master.get(B).await, Value::OctetString("of globex".into()));
    let (mut last, mut frames) = (0, 0);
    stalled.ping();
    loop {
        let pdu = stalled.receive().expect("a PDU");
        match pdu.body {
            Body::Get(ranges) => {
                assert!(ranges.len() == 60 && pdu.header.packet_id > last, "{:?}", pdu.header);
                (last, frames) = (pdu.header.packet_id, frames + 1);
            }
            // The master may have closed the session because of timeouts.
            Body::Response(_) | Body::Close(CloseReason::Timeouts) => break,
            body => panic!("{body:?}"),
        }
    }
    assert!(frames > 100, "{frames}");
    drop(other);
}

#[tokio::test]
async fn a_removed_grant_withdraws_registrations_and_keeps_the_session() {
    let master = Master::start(&json!([{"namespace": "acme", "subtrees": [A, B]}]));
    let mut subagent = Subagent::connect(&master, &Claims::of("acme", "web-0"));
    subagent.open();
    for subtree in [A, B] {
        assert_eq!(subagent.register("acme", subtree), ResponseError::NoError);
    }
    let serving = subagent.serving(b"of acme");
    assert_eq!(master.get(A).await, Value::OctetString("of acme".into()));
    master.grant(&json!([{"namespace": "acme", "subtrees": [B]}])).await;
    assert_eq!(master.get_until(A, |value| *value == Value::NoSuchObject).await, Value::NoSuchObject);
    assert_eq!(master.get(B).await, Value::OctetString("of acme".into()));
    master.grant(&json!([{"namespace": "acme", "subtrees": [A, B]}])).await;
    let value = master.get_until(A, |value| *value != Value::NoSuchObject).await;
    assert_eq!(value, Value::OctetString("of acme".into()));
    drop(serving);
}

#[test]
fn a_session_ends_when_its_token_expires() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::connect(&master, &Claims { expires_in: 3, ..Claims::of("acme", "web-0") });
    subagent.open();
    assert_eq!(subagent.receive().expect("a PDU").body, Body::Close(CloseReason::Other));
    assert_eq!(subagent.receive(), None, "the connection is closed with close_notify");
    assert_eq!(master.snapshot_until(|snapshot| snapshot.connections == 0).totals.sessions_expired, 1);
}

#[tokio::test]
async fn a_standby_pod_takes_over_and_the_operator_sees_which_pod_serves() {
    let master = Master::start(&granted());
    let mut pods: Vec<_> = ["web-0", "web-1"]
        .map(|pod| {
            let mut subagent = Subagent::connect(&master, &Claims::of("acme", pod));
            subagent.open();
            assert_eq!(subagent.register("acme", A), ResponseError::NoError);
            subagent
        })
        .into_iter()
        .collect();
    let serving = |pod: &str| {
        let (status, tag, body) = master.registrations("good", None);
        assert_eq!(status, 200);
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&page["active"], &page["replica"]), (&true.into(), &"snmp-master-0".into()));
        let registrations = page["registrations"].as_array().unwrap();
        let of_pod: Vec<_> = registrations.iter().filter(|registration| registration["pod"] == pod).collect();
        let [registration] = of_pod[..] else { panic!("{page}") };
        assert_eq!((&registration["namespace"], &registration["context"]), (&"acme".into(), &"acme".into()));
        assert_eq!((&registration["subtree"], &registration["podUid"]), (&A.into(), &format!("uid-{pod}").into()));
        (registration["serving"].as_bool().unwrap(), tag)
    };
    assert!(serving("web-0").0);
    let (is_serving, tag) = serving("web-1");
    assert!(!is_serving);
    assert_eq!(master.registrations("good", Some(&tag)).0, 304);
    let second = pods.pop().unwrap().serving(b"of web-1");
    let first = pods.pop().unwrap().serving(b"of web-0");
    assert_eq!(master.get(A).await, Value::OctetString("of web-0".into()));
    drop(first);
    let value = master.get_until(A, |value| *value == Value::OctetString("of web-1".into())).await;
    assert_eq!(value, Value::OctetString("of web-1".into()));
    assert!(serving("web-1").0);
    assert_eq!(master.registrations("good", Some(&tag)).0, 200, "the registrations have changed");
    assert_eq!(master.registrations("forged", None).0, 401);
    drop(second);
}

#[test]
fn only_the_operator_can_read_registrations() {
    let master = Master::start(&granted());
    let token = Claims::of("acme", "web-0").signed("good");
    let mut client = Client::connect(&master);
    client.send(format!("GET /registrations HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes());
    assert_eq!(client.response().0, 403);
}

#[tokio::test]
async fn a_new_certificate_is_used_at_once_and_sessions_continue() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::connect(&master, &Claims::of("acme", "web-0"));
    subagent.open();
    assert_eq!(subagent.register("acme", A), ResponseError::NoError);
    let serving = subagent.serving(b"of acme");
    let first = Client::connect(&master).certificate();
    master.write_certificate();
    let deadline = Instant::now() + client::DEADLINE;
    while Client::connect(&master).certificate() == first {
        assert!(Instant::now() < deadline, "the first certificate is still in use");
        std::thread::sleep(Duration::from_millis(100));
    }
    let second = Client::connect(&master).certificate();
    std::fs::write(master.directory().join("tls.crt"), "broken").unwrap();
    while master.traffic.tls.certificate_errors.get() == 0 {
        assert!(Instant::now() < deadline, "the invalid certificate was not noticed");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(Client::connect(&master).certificate(), second, "the last valid certificate stays");
    assert_eq!(master.get(A).await, Value::OctetString("of acme".into()));
    drop(serving);
}

#[test]
fn the_connections_of_a_namespace_are_limited() {
    let master = Master::with_limits(&granted(), &json!({"sessionsPerNamespace": 2}));
    let mut pods: Vec<_> =
        ["web-0", "web-1"].iter().map(|pod| Subagent::connect(&master, &Claims::of("acme", pod))).collect();
    let third = format!("Authorization: Bearer {}\r\n", Claims::of("acme", "web-2").signed("good"));
    assert_eq!(refusal(&master, &third), 403);
    Subagent::connect(&master, &Claims::of("globex", "web-0")).open();
    drop(pods.pop());
    let deadline = Instant::now() + client::DEADLINE;
    while !Subagent::can_connect(&master, &Claims::of("acme", "web-2")) {
        assert!(Instant::now() < deadline, "the limit is still reached");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn the_port_listens_only_once_there_is_a_certificate() {
    let master = Master::without_certificate(&document(&granted(), &json!({})));
    assert!(TcpStream::connect(master.tls).is_err());
    master.write_certificate();
    let deadline = Instant::now() + client::DEADLINE;
    while TcpStream::connect(master.tls).is_err() {
        assert!(Instant::now() < deadline, "the port still does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Subagent::connect(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn two_hundred_pods_connect_at_once() {
    let master = Master::start(&granted());
    std::thread::scope(|scope| {
        let connect = |number: usize| {
            let master = &master;
            scope.spawn(move || {
                let claims = Claims::of("acme", &format!("web-{number}"));
                let deadline = Instant::now() + client::DEADLINE;
                while !Subagent::can_connect(master, &claims) {
                    assert!(Instant::now() < deadline, "the upgrade was never accepted");
                }
            })
        };
        let threads: Vec<_> = (0..200).map(connect).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let upgrades = master.traffic.tls.upgrades.get();
    assert!(upgrades >= 200, "{upgrades}");
}
