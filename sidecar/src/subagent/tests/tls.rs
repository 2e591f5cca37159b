//! Masters that are reached over TLS, valid and invalid.

use std::time::Duration;

use agentx::{Body, Pdu, ResponseError, encode};
use rstest::rstest;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    masters::{Names, Running, eventually, start_with},
    peer::{A, Peer, value, within},
    tls_master::{ACCEPTED, Authority, Master, Valid, accepted, connect_error, ip, request_at},
};
use crate::subagent::{MasterStatus, SessionState};

/// Accepts connections whose TLS handshake must fail, until the test ends.
fn refuse_handshakes(listener: TcpListener, acceptor: TlsAcceptor) {
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "the certificate was accepted");
        }
    });
}

async fn wait_for_error(running: &Running, part: &str) {
    let holds = |status: &MasterStatus| {
        status.sessions().first().and_then(|s| s.last_error.clone()).is_some_and(|error| error.contains(part))
    };
    eventually(&running.status, part, holds).await;
}

#[tokio::test]
async fn tls_master_is_served() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    assert_eq!(running.status.sessions()[0].last_error, None);
    tokio::join!(running.stop(), peer.expect_close());
}

#[tokio::test]
async fn octets_after_the_response_head_are_agentx() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.request().await;
    let mut octets = ACCEPTED.as_bytes().to_vec();
    // A Ping before the session is open. It is invalid, but the response shows that the octets arrived.
    let header = Peer::new(tokio::io::empty()).request();
    encode(&Pdu { header, context: "".into(), body: Body::Ping }, &mut octets).unwrap();
    stream.write_all(&octets).await.unwrap();
    let mut peer = Peer::new(stream);
    let open = peer.receive().await.unwrap();
    assert!(matches!(open.body, Body::Open(_)), "{open:?}");
    let answer = peer.receive().await.unwrap();
    assert_eq!(answer.header, header);
    assert!(matches!(answer.body, Body::Response(response) if response.error == ResponseError::NotOpen));
    running.stop().await;
}

#[tokio::test]
async fn token_is_not_sent_to_a_master_with_an_invalid_certificate() {
    for (authority, name, valid, reason) in [
        (Some("other"), "127.0.0.1", Valid::Now, "is not signed by an authority in"),
        (None, "127.0.0.2", Valid::Now, "is not for \"127.0.0.1\""),
        (None, "master.test", Valid::Now, "is not for \"127.0.0.1\""),
        (None, "127.0.0.1", Valid::Once, "the master's certificate has expired"),
        (None, "127.0.0.1", Valid::Later, "the master's certificate is not valid yet"),
    ] {
        let master = Master::new().await;
        let other = authority.map(Authority::new);
        let acceptor = other.as_ref().unwrap_or(&master.authority).acceptor(name, &valid);
        let running = master.sidecar();
        refuse_handshakes(master.listener, acceptor);
        let error = connect_error(&running).await;
        assert!(error.contains(reason), "{reason}: {error}");
        running.stop().await;
    }
}

#[tokio::test]
async fn changed_authorities_apply_to_the_next_connection() {
    let mut master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    // First both authorities, then the new one alone, as in a rotation.
    let new = Authority::new("new");
    master.write("ca.crt", &(master.authority.pem() + &new.pem()));
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"), "the existing session stays");
    drop(peer);
    let mut peer = master.peer().await;
    peer.grant(A).await;
    master.acceptor = new.acceptor("127.0.0.1", &Valid::Now);
    drop(peer);
    let mut peer = master.peer().await;
    peer.grant(A).await;
    master.write("ca.crt", &new.pem());
    drop(peer);
    master.peer().await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn invalid_file_is_named_until_it_is_fixed() {
    let mut master = Master::new().await;
    let (ca, token) = (master.authority.pem(), master.token.clone());
    std::fs::remove_file(master.files().ca).unwrap();
    std::fs::remove_file(master.files().token).unwrap();
    let running = master.sidecar();
    wait_for_error(&running, "token: the file cannot be read: No such file").await;
    master.write("token", "\n");
    wait_for_error(&running, "token: it is empty").await;
    master.write("token", &"x".repeat(20_000));
    wait_for_error(&running, "token: it is too large").await;
    master.write("token", "s3\ncret");
    wait_for_error(&running, "token: it contains a character that is not allowed").await;
    master.set_token(token);
    wait_for_error(&running, "ca.crt: the file cannot be read: No such file").await;
    master.write("ca.crt", "hello");
    wait_for_error(&running, "ca.crt: it contains no certificate").await;
    master.write("ca.crt", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    wait_for_error(&running, "ca.crt: it is not PEM").await;
    master.write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    wait_for_error(&running, "ca.crt: it contains a certificate that cannot be a trust anchor").await;
    master.write("ca.crt", &ca);
    master.peer().await.grant(A).await;
    running.stop().await;
}

#[rstest]
#[case(
    "401 Unauthorized",
    "the token has expired\nmore",
    "the master responded with 401 Unauthorized: the token has expired"
)]
#[case("403 Forbidden", "", "the master responded with 403 Forbidden")]
#[case("404 Not Found", "no", "the master responded with 404 Not Found: no")]
#[case("405 Method Not Allowed", "no", "the master responded with 405 Method Not Allowed: no")]
#[case("426 Upgrade Required", "no", "the master responded with 426 Upgrade Required: no")]
#[case("429 Too Many Requests", "later", "the master responded with 429 Too Many Requests: later")]
#[case("503 Service Unavailable", "a\x1b[2Jb", "the master responded with 503 Service Unavailable: a\\u{1b}[2Jb")]
#[case("200 OK", "hello", "the master responded with 200 OK: hello")]
#[tokio::test]
async fn refused_upgrade_is_retried(#[case] status: &str, #[case] body: &str, #[case] shown: &str) {
    let master = Master::new().await;
    let running = master.sidecar();
    for _ in 0..2 {
        let mut stream = master.request().await;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(connect_error(&running).await, shown);
    }
    master.peer().await.grant(A).await;
    let session = &running.status.sessions()[0];
    assert!(session.counts.failed_connects >= 2, "{session:?}");
    running.stop().await;
}

#[tokio::test]
async fn status_is_reported_although_the_body_is_incomplete() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.request().await;
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999999\r\n\r\nno").await.unwrap();
    assert_eq!(connect_error(&running).await, "the master responded with 403 Forbidden: no");
    running.stop().await;
}

/// Writes these octets repeatedly, as long as the other side reads.
async fn write_all(mut stream: TlsStream<TcpStream>, octets: &[u8], times: usize) {
    for _ in 0..times {
        if stream.write_all(octets).await.is_err() {
            return;
        }
    }
    _ = stream.flush().await;
    // The other side must detect the end by itself.
    let mut rest = [0];
    _ = tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await;
}

#[rstest]
#[case::garbage(b"\x01\x02\x03 no HTTP at all\r\n\r\n", 1, "no HTTP response: ")]
#[case::agentx(
    b"\x01\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    1,
    "no HTTP response: "
)]
#[case::endless_line(
    b"HTTP/1.1 101 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    1,
    "did not finish the HTTP response within 10 s"
)]
#[case::many_headers(b"A: b\r\n", 1_000_000, "no HTTP response: ")]
#[case::endless_head(b"x", 1_000_000, "no HTTP response: ")]
#[case::another_protocol(
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    1,
    "101 without"
)]
#[case::no_protocol(b"HTTP/1.1 101 Switching\r\n\r\n", 1, "101 without")]
#[tokio::test]
async fn invalid_response_is_reported(#[case] octets: &[u8], #[case] times: usize, #[case] shown: &str) {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.request().await;
    if times > 1 {
        stream.write_all(b"HTTP/1.1 101 Switching\r\nX: ").await.unwrap();
    }
    let written = write_all(stream, octets, times);
    let (error, ()) = tokio::join!(connect_error(&running), within("the end of the connection", written));
    assert!(error.contains(shown), "{error}");
    assert!(!error.contains(&master.token), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn server_without_tls_is_reported() {
    let master = Master::new().await;
    let running = master.sidecar();
    let (mut stream, _) = within("a connection", master.listener.accept()).await.unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    let error = connect_error(&running).await;
    assert!(error.starts_with("TLS: "), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn silent_master_times_out() {
    let master = Master::new().await;
    let running = master.sidecar();
    let (_stream, _) = within("a connection", master.listener.accept()).await.unwrap();
    let error = connect_error(&running).await;
    assert_eq!(error, "the master accepted the connection but did not finish the TLS handshake within 10 s");
    running.stop().await;
}

#[tokio::test]
async fn end_of_file_without_close_notify_ends_the_connection() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    drop(peer.stream.into_inner().0);
    assert_eq!(connect_error(&running).await, "the master closed the connection");
    master.peer().await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn garbage_after_the_handshake_ends_the_connection() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    peer.stream.get_mut().0.write_all(&[0xff; 4096]).await.unwrap();
    let error = connect_error(&running).await;
    assert!(error.starts_with("the connection failed: "), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn slow_master_gets_complete_responses() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    let mut requests = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..20_000 {
        let header = peer.request();
        ids.push(header.packet_id);
        let range = agentx::SearchRange { start: super::peer::oid(A), include: true, end: agentx::Oid::default() };
        encode(&Pdu { header, context: "".into(), body: Body::GetNext(vec![range]) }, &mut requests).unwrap();
    }
    // More than the buffers of both sides hold, written and read concurrently, and read slowly.
    let (mut read, mut write) = tokio::io::split(peer.stream);
    let reading = async {
        let mut reader = Peer::new(tokio::io::join(&mut read, tokio::io::sink()));
        for id in ids {
            assert_eq!(reader.receive().await.unwrap().header.packet_id, id);
        }
    };
    let (written, ()) = tokio::join!(within("the requests to be accepted", write.write_all(&requests)), reading);
    written.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn every_address_of_a_name_has_a_session() {
    let master = Master::new().await;
    let port = master.listener.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let acceptor = master.authority.acceptor("master.test", &Valid::Now);
    let (names, watched) = watch::channel(Err("unused".to_owned()));
    let running = start_with(&format!("tls://master.test:{port}"), master.files(), Some(Names(watched)));
    _ = names.send_replace(Ok([ip("127.0.0.1"), ip("127.0.0.2")].into()));
    for listener in [&master.listener, &second] {
        let mut peer = accepted(request_at(listener, &acceptor, &master.token).await.unwrap()).await;
        peer.grant(A).await;
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
        tokio::spawn(async move { while peer.receive().await.is_some() {} });
    }
    let open = |status: &MasterStatus| status.sessions().iter().filter(|s| s.state == SessionState::Open).count() == 2;
    eventually(&running.status, "two sessions", open).await;
    within("the shutdown", tokio::time::timeout(Duration::from_secs(2), running.stop())).await.unwrap();
}
