//! AgentX over TLS: the door and the agent thread over real sockets, a CA of the test's, and a reviewer of tokens that the
//! test plays.

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

/// The status of the answer to a request for AgentX with this header, and that not one octet follows it.
fn refused(master: &Master, authorization: &str) -> u16 {
    let mut client = Client::connect(master);
    client.send(format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{UPGRADE}{authorization}\r\n").as_bytes());
    let (status, head, _) = client.answer();
    let body = client.rest();
    assert!(body.len() < 200 && body.ends_with(b"\n") && !body[..body.len() - 1].contains(&b'\n'), "{head} {body:?}");
    assert!(!head.to_ascii_lowercase().contains("upgrade: agentx") || status == 426, "{head}");
    status
}

#[tokio::test]
async fn a_token_lets_a_subagent_in_and_the_manager_reads_what_its_namespace_is_granted() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::enter(&master, &Claims::of("acme", "web-0"));
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
fn who_has_no_good_token_gets_an_error_of_http_and_not_one_octet_of_agentx() {
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
        assert_eq!(refused(&master, &authorization), status, "{authorization}");
    }
    assert_eq!(master.standing_until(|_| true).connections, 0);
}

#[test]
fn only_a_request_for_agentx_is_one() {
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
        assert_eq!(client.answer().0, status, "{request:.60}");
    }
    // Whether the answer is heard depends on how much was not read before it.
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
fn what_is_no_tls_is_left_and_harms_no_one() {
    let master = Master::start(&granted());
    for garbage in [&b"GET /agentx HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3], &[0xFF; 9_000]] {
        let mut stream = TcpStream::connect(master.tls).unwrap();
        stream.set_read_timeout(Some(client::DEADLINE)).unwrap();
        // It may be closed before all of it is written.
        _ = stream.write_all(garbage);
        _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 64, "an alert at most: {answer:?}");
    }
    Subagent::enter(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn who_drips_octet_by_octet_is_cut_off_in_time() {
    let master = Master::start(&granted());
    let began = Instant::now();
    let mut shaking = TcpStream::connect(master.tls).unwrap();
    let mut client = Client::connect(&master);
    let token = Claims::of("acme", "web-0").signed("good");
    let head = format!("GET /agentx HTTP/1.1\r\nHost: m\r\n{UPGRADE}Authorization: Bearer {token}\r\n");
    let mut octets = head.bytes().cycle();
    let (mut handshake, mut request) = (true, true);
    while handshake || request {
        assert!(began.elapsed() < Duration::from_secs(25), "handshake: {handshake}, request: {request}");
        std::thread::sleep(Duration::from_millis(100));
        handshake = handshake && shaking.write_all(&[0x16]).is_ok();
        request = request && client.try_send(&[octets.next().unwrap()]).is_ok();
    }
    Subagent::enter(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn agentx_right_behind_the_request_is_not_lost() {
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
    let mut subagent = Subagent::behind(client);
    let errors: Vec<_> = (0..opens)
        .map(|_| match subagent.receive().expect("an answer").body {
            Body::Response(response) => response.error,
            body => panic!("{body:?}"),
        })
        .collect();
    assert_eq!(errors.iter().filter(|error| **error == ResponseError::NoError).count(), 16, "{errors:?}");
}

#[tokio::test]
async fn long_answers_and_many_at_once_come_through_whole() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::enter(&master, &Claims::of("acme", "web-0"));
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
async fn who_does_not_read_holds_up_no_one_and_finds_whole_frames_when_it_reads() {
    let master = Master::start(&granted());
    let mut deaf = Subagent::enter(&master, &Claims::of("acme", "web-0"));
    deaf.open();
    assert_eq!(deaf.register("acme", A), ResponseError::NoError);
    let mut other = Subagent::enter(&master, &Claims::of("globex", "web-0"));
    other.open();
    assert_eq!(other.register("acme", B), ResponseError::NoError);
    let other = other.serving(b"of globex");
    // Far more than the sockets take.
    master.ask_and_go(A, 2_000, 60);
    assert_eq!(master.get(B).await, Value::OctetString("of globex".into()));
    let (mut last, mut whole) = (0, 0);
    deaf.ping();
    loop {
        let pdu = deaf.receive().expect("a PDU");
        match pdu.body {
            Body::Get(ranges) => {
                assert!(ranges.len() == 60 && pdu.header.packet_id > last, "{:?}", pdu.header);
                (last, whole) = (pdu.header.packet_id, whole + 1);
            }
            // It may have been too slow.
            Body::Response(_) | Body::Close(CloseReason::Timeouts) => break,
            body => panic!("{body:?}"),
        }
    }
    assert!(whole > 100, "{whole}");
    drop(other);
}

#[tokio::test]
async fn a_grant_withdrawn_ends_what_was_under_it_and_the_session_stays() {
    let master = Master::start(&json!([{"namespace": "acme", "subtrees": [A, B]}]));
    let mut subagent = Subagent::enter(&master, &Claims::of("acme", "web-0"));
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
fn a_session_ends_with_its_token() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::enter(&master, &Claims { expires_in: 3, ..Claims::of("acme", "web-0") });
    subagent.open();
    assert_eq!(subagent.receive().expect("a PDU").body, Body::Close(CloseReason::Other));
    assert_eq!(subagent.receive(), None, "the connection is closed in good order");
    assert_eq!(master.standing_until(|standing| standing.connections == 0).totals.sessions_expired, 1);
}

#[tokio::test]
async fn the_pod_that_stands_by_takes_over_and_the_operator_sees_who_serves() {
    let master = Master::start(&granted());
    let mut pods: Vec<_> = ["web-0", "web-1"]
        .map(|pod| {
            let mut subagent = Subagent::enter(&master, &Claims::of("acme", pod));
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
    assert_eq!(master.registrations("good", Some(&tag)).0, 200, "it has changed");
    assert_eq!(master.registrations("forged", None).0, 401);
    drop(second);
}

#[test]
fn what_is_published_is_the_operators_alone() {
    let master = Master::start(&granted());
    let token = Claims::of("acme", "web-0").signed("good");
    let mut client = Client::connect(&master);
    client.send(format!("GET /registrations HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes());
    assert_eq!(client.answer().0, 403);
}

#[tokio::test]
async fn another_certificate_is_shown_at_once_and_sessions_live_on() {
    let master = Master::start(&granted());
    let mut subagent = Subagent::enter(&master, &Claims::of("acme", "web-0"));
    subagent.open();
    assert_eq!(subagent.register("acme", A), ResponseError::NoError);
    let serving = subagent.serving(b"of acme");
    let first = Client::connect(&master).certificate();
    master.write_certificate();
    let deadline = Instant::now() + client::DEADLINE;
    while Client::connect(&master).certificate() == first {
        assert!(Instant::now() < deadline, "it still shows the first");
        std::thread::sleep(Duration::from_millis(100));
    }
    let second = Client::connect(&master).certificate();
    std::fs::write(master.directory().join("tls.crt"), "broken").unwrap();
    while master.traffic.tls.certificate_errors.get() == 0 {
        assert!(Instant::now() < deadline, "the broken one was not seen");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(Client::connect(&master).certificate(), second, "the last good one stays");
    assert_eq!(master.get(A).await, Value::OctetString("of acme".into()));
    drop(serving);
}

#[test]
fn a_namespace_has_so_many_connections_and_one_that_goes_makes_room() {
    let master = Master::with_limits(&granted(), &json!({"sessionsPerNamespace": 2}));
    let mut pods: Vec<_> =
        ["web-0", "web-1"].iter().map(|pod| Subagent::enter(&master, &Claims::of("acme", pod))).collect();
    let third = format!("Authorization: Bearer {}\r\n", Claims::of("acme", "web-2").signed("good"));
    assert_eq!(refused(&master, &third), 403);
    Subagent::enter(&master, &Claims::of("globex", "web-0")).open();
    drop(pods.pop());
    let deadline = Instant::now() + client::DEADLINE;
    while !Subagent::may_enter(&master, &Claims::of("acme", "web-2")) {
        assert!(Instant::now() < deadline, "there is still no room");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn without_a_certificate_nothing_listens_and_when_it_comes_it_does() {
    let master = Master::without_certificate(&document(&granted(), &json!({})));
    assert!(TcpStream::connect(master.tls).is_err());
    master.write_certificate();
    let deadline = Instant::now() + client::DEADLINE;
    while TcpStream::connect(master.tls).is_err() {
        assert!(Instant::now() < deadline, "it still does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Subagent::enter(&master, &Claims::of("acme", "web-0")).open();
}

#[test]
fn two_hundred_pods_come_at_once() {
    let master = Master::start(&granted());
    std::thread::scope(|scope| {
        let coming = |number: usize| {
            let master = &master;
            scope.spawn(move || {
                let claims = Claims::of("acme", &format!("web-{number}"));
                let deadline = Instant::now() + client::DEADLINE;
                while !Subagent::may_enter(master, &claims) {
                    assert!(Instant::now() < deadline, "it was never let in");
                }
            })
        };
        let threads: Vec<_> = (0..200).map(coming).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let upgrades = master.traffic.tls.upgrades.get();
    assert!(upgrades >= 200, "{upgrades}");
}
