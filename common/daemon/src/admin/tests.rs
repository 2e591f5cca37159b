use std::net::SocketAddr;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::drain::{self, Trigger};

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    trigger: Trigger,
}

async fn start(face: Face) -> Running {
    let readiness = Readiness::new();
    let mut registry = Registry::default();
    let requests = Counter::<u64>::default();
    requests.inc_by(7);
    registry.register("example_requests", "Requests", requests);
    let admin = Admin::new(readiness.clone(), registry)
        .local_route("/status", |_| Reply::json("{}"))
        .local_route("/echo", |query| Reply::text(StatusCode::OK, query.get("context").unwrap_or_default()))
        .async_route("/async", |_| async {
            tokio::task::yield_now().await;
            Reply::json("[]")
        })
        .local_route("/long", |_| {
            let pieces = (0..1000).map(|i| Bytes::from(format!("line {i}\n")));
            Reply::text(StatusCode::OK, Body::Pieces(Box::new(pieces)))
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, watcher) = drain::channel();
    tokio::spawn(Arc::new(admin).serve(listener, face, watcher));
    Running { address, readiness, trigger }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

async fn get(address: SocketAddr, target: &str) -> String {
    exchange(address, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
}

#[rstest]
#[case::alive("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "ok\n")]
#[case::ready("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "ok\n")]
#[case::old_client("GET /livez HTTP/1.0\r\n\r\n", "200 OK", "ok\n")]
#[case::query_is_ignored_in_the_path("GET /livez?verbose HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "ok\n")]
#[case::head("HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "")]
#[case::decoded("GET /echo?a=b&context=a%20b%2Fc HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "a b/c")]
#[case::unknown("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "not found\n")]
#[case::climbing("GET /../livez HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "not found\n")]
#[case::post(
    "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    "405 Method Not Allowed",
    "only GET and HEAD are served here\n"
)]
#[case::not_http("\x16\x03\x01\x02\r\n\r\n", "400 Bad Request", "")]
#[tokio::test]
async fn requests_are_answered(#[case] request: &str, #[case] status: &str, #[case] body: &str) {
    let running = start(Face::Local).await;
    let response = exchange(running.address, request.as_bytes()).await;
    let (head, got) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().next().unwrap().ends_with(status), "{head}");
    assert_eq!(got, body);
}

#[tokio::test]
async fn metrics_are_openmetrics_with_the_end_marker() {
    let running = start(Face::Public).await;
    let response = get(running.address, "/metrics").await;
    assert!(response.contains("content-type: application/openmetrics-text; version=1.0.0"), "{response}");
    assert!(response.contains("example_requests_total 7\n"), "{response}");
    assert!(response.ends_with("# EOF\n"), "{response}");
}

#[tokio::test]
async fn readyz_lists_what_blocks_readiness() {
    let running = start(Face::Public).await;
    let blocks = (running.readiness.block("configuration"), running.readiness.block("session"));
    let response = get(running.address, "/readyz").await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert!(response.ends_with("not ready, awaiting: configuration, session\n"), "{response}");
    drop(blocks);
    assert!(get(running.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn the_public_face_hides_the_routes_of_the_program() {
    let public = start(Face::Public).await;
    assert!(get(public.address, "/status").await.starts_with("HTTP/1.1 404 "));
    let local = start(Face::Local).await;
    assert!(get(local.address, "/status").await.ends_with("\r\n\r\n{}"));
    assert!(get(local.address, "/async").await.ends_with("\r\n\r\n[]"));
}

#[tokio::test]
async fn a_long_body_arrives_complete_in_pieces() {
    let running = start(Face::Local).await;
    let response = exchange(running.address, b"GET /long HTTP/1.0\r\n\r\n").await;
    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.lines().count(), 1000);
    assert!(body.ends_with("line 999\n"));
}

#[rstest]
#[case::a_long_head(b'a', 64 * 1024)]
#[tokio::test]
async fn a_head_beyond_the_limit_is_refused(#[case] octet: u8, #[case] len: usize) {
    let running = start(Face::Public).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = [b"GET /livez HTTP/1.1\r\nX: ".as_slice(), &vec![octet; len]].concat();
    // The server may close the connection during this write.
    let _ = stream.write_all(&request).await;
    let mut response = Vec::new();
    let _ = stream.read_to_end(&mut response).await;
    let response = String::from_utf8_lossy(&response);
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 431 "), "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_disconnected_so_that_others_are_served() {
    let running = start(Face::Public).await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    // This one exceeds the limit. It is answered after the silent ones are disconnected.
    let response = get(running.address, "/livez").await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    for mut stream in silent {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    }
}

#[tokio::test]
async fn a_drain_ends_the_server_although_a_client_stays_connected() {
    let running = start(Face::Public).await;
    let _hanging = TcpStream::connect(running.address).await.unwrap();
    running.trigger.drain(Duration::from_secs(10)).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err(), "the listener is closed");
}
