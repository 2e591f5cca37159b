//! Masters behind TLS, good and bad.

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
    tls_master::{AGREED, Authority, Master, Valid, agreed, asked_at, ip, unconnected},
};
use crate::subagent::{MasterStatus, SessionState};

/// Takes connections and fails with them until the test ends.
fn refuse_handshakes(listener: TcpListener, acceptor: TlsAcceptor) {
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(stream).await.is_err(), "the certificate was taken");
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
async fn a_master_behind_tls_is_served() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
    assert_eq!(running.status.sessions()[0].last_error, None);
    tokio::join!(running.stop(), peer.expect_close());
}

#[tokio::test]
async fn octets_behind_the_head_of_the_answer_are_agentx() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.asked().await;
    let mut octets = AGREED.as_bytes().to_vec();
    // Asked before there is a session, which the master may not, but the answer shows that it came through.
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
async fn a_master_whose_certificate_is_of_another_authority_or_name_or_time_is_not_told_the_token() {
    for (authority, name, valid, reason) in [
        (Some("other"), "127.0.0.1", Valid::Now, "is of no authority in"),
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
        let error = unconnected(&running).await;
        assert!(error.contains(reason), "{reason}: {error}");
        running.stop().await;
    }
}

#[tokio::test]
async fn another_authority_in_the_file_counts_from_the_next_connection_on() {
    let mut master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    // Both, then the new one alone: as an authority is replaced.
    let new = Authority::new("new");
    master.write("ca.crt", &(master.authority.pem() + &new.pem()));
    assert_eq!(peer.get_next(A).await, value(A, b"xxx"), "the session that there is stays");
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
async fn files_that_are_missing_or_wrong_are_named_and_waited_for() {
    let mut master = Master::new().await;
    let (ca, token) = (master.authority.pem(), master.token.clone());
    std::fs::remove_file(master.files().ca).unwrap();
    std::fs::remove_file(master.files().token).unwrap();
    let running = master.sidecar();
    wait_for_error(&running, "token cannot be used: the file cannot be read: No such file").await;
    master.write("token", "\n");
    wait_for_error(&running, "token cannot be used: it is empty").await;
    master.write("token", &"x".repeat(20_000));
    wait_for_error(&running, "token cannot be used: it is too long").await;
    master.write("token", "s3\ncret");
    wait_for_error(&running, "token cannot be used: it has a character in it").await;
    master.show(token);
    wait_for_error(&running, "ca.crt cannot be used: the file cannot be read: No such file").await;
    master.write("ca.crt", "hello");
    wait_for_error(&running, "ca.crt cannot be used: there is no certificate").await;
    master.write("ca.crt", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    wait_for_error(&running, "ca.crt cannot be used: it is not PEM").await;
    master.write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    wait_for_error(&running, "ca.crt cannot be used: a certificate in it cannot be trusted").await;
    master.write("ca.crt", &ca);
    master.peer().await.grant(A).await;
    running.stop().await;
}

#[rstest]
#[case(
    "401 Unauthorized",
    "the token has expired\nmore",
    "the master answered 401 Unauthorized: the token has expired"
)]
#[case("403 Forbidden", "", "the master answered 403 Forbidden")]
#[case("404 Not Found", "no", "the master answered 404 Not Found: no")]
#[case("405 Method Not Allowed", "no", "the master answered 405 Method Not Allowed: no")]
#[case("426 Upgrade Required", "no", "the master answered 426 Upgrade Required: no")]
#[case("429 Too Many Requests", "later", "the master answered 429 Too Many Requests: later")]
#[case("503 Service Unavailable", "a\x1b[2Jb", "the master answered 503 Service Unavailable: a\\u{1b}[2Jb")]
#[case("200 OK", "hello", "the master answered 200 OK: hello")]
#[tokio::test]
async fn a_master_that_refuses_is_asked_again(#[case] status: &str, #[case] body: &str, #[case] shown: &str) {
    let master = Master::new().await;
    let running = master.sidecar();
    for _ in 0..2 {
        let mut stream = master.asked().await;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        assert_eq!(unconnected(&running).await, shown);
    }
    master.peer().await.grant(A).await;
    let session = &running.status.sessions()[0];
    assert!(session.counts.failed_connects >= 2, "{session:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_never_comes_does_not_keep_the_status_from_being_seen() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.asked().await;
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999999\r\n\r\nno").await.unwrap();
    assert_eq!(unconnected(&running).await, "the master answered 403 Forbidden: no");
    running.stop().await;
}

/// Writes these octets again and again, as long as someone reads.
async fn write_all(mut stream: TlsStream<TcpStream>, octets: &[u8], times: usize) {
    for _ in 0..times {
        if stream.write_all(octets).await.is_err() {
            return;
        }
    }
    _ = stream.flush().await;
    // The other side has to see that it is enough.
    let mut rest = [0];
    _ = tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await;
}

#[rstest]
#[case::garbage(b"\x01\x02\x03 no HTTP at all\r\n\r\n", 1, "no HTTP answer: ")]
#[case::agentx(
    b"\x01\x12\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    1,
    "no HTTP answer: "
)]
#[case::endless_line(
    b"HTTP/1.1 101 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    1,
    "did not finish its HTTP answer within 10 s"
)]
#[case::many_headers(b"A: b\r\n", 1_000_000, "no HTTP answer: ")]
#[case::endless_head(b"x", 1_000_000, "no HTTP answer: ")]
#[case::another_protocol(
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    1,
    "101 without"
)]
#[case::no_protocol(b"HTTP/1.1 101 Switching\r\n\r\n", 1, "101 without")]
#[tokio::test]
async fn an_answer_that_is_not_the_one_is_named(#[case] octets: &[u8], #[case] times: usize, #[case] shown: &str) {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut stream = master.asked().await;
    if times > 1 {
        stream.write_all(b"HTTP/1.1 101 Switching\r\nX: ").await.unwrap();
    }
    let written = write_all(stream, octets, times);
    let (error, ()) = tokio::join!(unconnected(&running), within("the connection's end", written));
    assert!(error.contains(shown), "{error}");
    assert!(!error.contains(&master.token), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_no_tls_is_named() {
    let master = Master::new().await;
    let running = master.sidecar();
    let (mut stream, _) = within("a connection", master.listener.accept()).await.unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    let error = unconnected(&running).await;
    assert!(error.starts_with("TLS: "), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_master_that_takes_the_connection_and_says_nothing_is_given_up() {
    let master = Master::new().await;
    let running = master.sidecar();
    let (_stream, _) = within("a connection", master.listener.accept()).await.unwrap();
    let error = unconnected(&running).await;
    assert_eq!(error, "the master took the connection and then did not finish the TLS handshake within 10 s");
    running.stop().await;
}

#[tokio::test]
async fn an_end_without_a_word_of_tls_is_an_end() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    drop(peer.stream.into_inner().0);
    assert_eq!(unconnected(&running).await, "the master closed the connection");
    master.peer().await.grant(A).await;
    running.stop().await;
}

#[tokio::test]
async fn garbage_behind_the_handshake_ends_the_connection() {
    let master = Master::new().await;
    let running = master.sidecar();
    let mut peer = master.peer().await;
    peer.grant(A).await;
    peer.stream.get_mut().0.write_all(&[0xff; 4096]).await.unwrap();
    let error = unconnected(&running).await;
    assert!(error.starts_with("the connection failed: "), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_master_that_reads_late_gets_long_answers_whole() {
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
    // More than the buffers of both sides hold: written and read at the same time, and read more slowly.
    let (mut read, mut write) = tokio::io::split(peer.stream);
    let reading = async {
        let mut reader = Peer::new(tokio::io::join(&mut read, tokio::io::sink()));
        for id in ids {
            assert_eq!(reader.receive().await.unwrap().header.packet_id, id);
        }
    };
    let (written, ()) = tokio::join!(within("all to be taken", write.write_all(&requests)), reading);
    written.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn every_address_of_a_name_has_a_session_and_each_shows_a_certificate_for_the_name() {
    let master = Master::new().await;
    let port = master.listener.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let acceptor = master.authority.acceptor("master.test", &Valid::Now);
    let (names, watched) = watch::channel(Err("unused".to_owned()));
    let running = start_with(&format!("tls://master.test:{port}"), master.files(), Some(Names(watched)));
    _ = names.send_replace(Ok([ip("127.0.0.1"), ip("127.0.0.2")].into()));
    for listener in [&master.listener, &second] {
        let mut peer = agreed(asked_at(listener, &acceptor, &master.token).await.unwrap()).await;
        peer.grant(A).await;
        assert_eq!(peer.get_next(A).await, value(A, b"xxx"));
        tokio::spawn(async move { while peer.receive().await.is_some() {} });
    }
    let open = |status: &MasterStatus| status.sessions().iter().filter(|s| s.state == SessionState::Open).count() == 2;
    eventually(&running.status, "two sessions", open).await;
    within("the end", tokio::time::timeout(Duration::from_secs(2), running.stop())).await.unwrap();
}
