//! Servers that hang, drip, reset, lie and babble.

use std::{path::Path, time::Duration};

use rstest::rstest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{
    scrapes::gzip,
    server::{Server, outcome, read_head, show, task},
};
use crate::source::{Cause, Phase};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn gzip_response(body: &[u8]) -> Vec<u8> {
    let head = format!("{OK}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[rstest]
#[case::server_error("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nm 1\n", "the server answers with status 500")]
#[case::no_content("HTTP/1.1 204 No Content\r\n\r\n", "the server answers with status 204")]
#[case::redirect(
    "HTTP/1.1 302 Found\r\nLocation: https://user:s3cret@other.example/login?token=s3cret\r\nContent-Length: 0\r\n\r\n",
    "the server redirects to https://other.example/login (status 302); redirects are not followed"
)]
#[case::redirect_loop(
    "HTTP/1.1 301 Moved\r\nLocation: /metrics\r\nContent-Length: 0\r\n\r\n",
    "the server redirects to /metrics (status 301); redirects are not followed"
)]
#[case::html(
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
    "the content type \"text/html\" is neither text/plain nor application/openmetrics-text"
)]
#[case::html_as_text(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n<html>",
    "line 1, column 1: expected a metric name, found '<'"
)]
#[case::charset(
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-16\r\nContent-Length: 0\r\n\r\n",
    "the charset \"utf-16\" is not UTF-8"
)]
#[case::encoding(
    "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 0\r\n\r\n",
    "the content encoding \"br\" is not gzip"
)]
#[case::bad_line("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nm 1\nm x\n", "line 2, column 3: \"x\" is not a number")]
#[case::open_metrics_cut_off(
    "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text\r\n\r\nm 1\n",
    "line 2, column 1: the body ends without # EOF: it was cut off"
)]
#[case::text_cut_off(
    "HTTP/1.1 200 OK\r\n\r\nm 1\nm{a=\"b\"} 12",
    "the body was cut off: its last line does not end, and its length was not announced"
)]
#[case::length_too_long(
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nm 1\n",
    "HTTP: error reading a body from connection: end of file before message length reached"
)]
#[case::length_too_short(
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nm 123\n",
    "the body is longer than its Content-Length"
)]
#[case::two_lengths(
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nm 1\n",
    "HTTP: invalid content-length parsed"
)]
#[case::length_over_the_limit(
    "HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\nm 1\n",
    "the body is longer than 1000000 bytes"
)]
#[case::chunks_cut_off(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n",
    "HTTP: error reading a body from connection: unexpected EOF during chunk size line"
)]
#[case::bad_chunk(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP: error reading a body from connection: Invalid chunk size line: missing size digit"
)]
#[case::other_protocol("SSH-2.0-OpenSSH_9.2\r\n", "HTTP: invalid HTTP version parsed")]
#[case::nothing("", "HTTP: connection closed before message completed")]
#[tokio::test]
async fn a_bad_response_fails_the_scrape_and_says_why(#[case] response: &'static str, #[case] cause: &str) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let report = server.task().scrape().await;
    assert_eq!(outcome(&report), Err(cause.to_owned()));
    let url = format!("http://127.0.0.1:{}/metrics", server.port);
    assert_eq!(report.outcome.unwrap_err().to_string(), format!("source app, {url}: {cause}"));
    let health = show(&report.health);
    assert_eq!(health[0], "up 0");
    assert_eq!(health.last(), Some(&format!("scrape_error{{error={cause}}} 1")));
    assert!(!health.iter().any(|sample| sample.starts_with("scrape_age_seconds")), "it never succeeded");
}

#[rstest]
#[case::not_gzip(gzip_response(b"# not compressed\n"), "invalid gzip header")]
#[case::cut_off_in_the_header(gzip_response(&gzip(b"m 1\n")[..7]), "the body was cut off")]
#[case::cut_off_in_the_data(gzip_response(&gzip(b"m 1\n")[..13]), "the body was cut off")]
#[case::cut_off_in_the_trailer(gzip_response(&gzip(b"m 1\n")[..20]), "checksum")]
#[case::empty(gzip_response(b""), "the body was cut off")]
#[case::wrong_checksum(gzip_response(&{ let mut body = gzip(b"m 1\n"); body[20] ^= 1; body }), "corrupt")]
#[case::garbage_behind(gzip_response(&[gzip(b"m 1\n"), b"garbage behind it".to_vec()].concat()), "invalid gzip header")]
#[tokio::test]
async fn a_bad_gzip_body_fails_the_scrape(#[case] response: Vec<u8>, #[case] cause: &str) {
    let server = Server::raw(move |mut stream| {
        let response = response.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(&response).await.unwrap();
        }
    })
    .await;
    let error = outcome(&server.task().scrape().await).unwrap_err();
    assert!(error.starts_with("gzip: ") && error.contains(cause), "{error}");
}

#[rstest]
#[case::chunks("Transfer-Encoding: chunked\r\n\r\n", "a\r\n# nothing\n\r\n", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::until_the_end("\r\n", "# nothing\n", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::one_line("\r\n", "mmmmmmmmmmmmmmmmmm", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::one_header("X: ", "xxxxxxxxxxxxxxxxxx", Cause::Http("message head is too large".to_owned()))]
#[case::headers("", "X: y\r\n", Cause::Http("message head is too large".to_owned()))]
#[tokio::test]
async fn a_response_without_end_is_broken_off(
    #[case] head: &'static str,
    #[case] piece: &'static str,
    #[case] cause: Cause,
) {
    let server = Server::raw(move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(format!("{OK}{head}").as_bytes()).await.unwrap();
        let pieces = piece.repeat(1000);
        while stream.write_all(pieces.as_bytes()).await.is_ok() {}
    })
    .await;
    assert_eq!(server.task().scrape().await.outcome.unwrap_err().cause, cause);
}

#[rstest]
#[case::before_the_response("")]
#[case::in_the_body("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nm 1\n")]
#[case::in_a_body_of_unknown_length("HTTP/1.1 200 OK\r\n\r\nm 1\n")]
#[tokio::test]
async fn a_connection_that_is_reset_fails_the_scrape(#[case] before: &'static str) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(before.as_bytes()).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = outcome(&server.task().scrape().await).unwrap_err();
    assert!(error.contains("Connection reset"), "{error}");
}

#[tokio::test]
async fn a_port_without_a_server_says_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = outcome(&task(port, json!({}), Path::new("/")).scrape().await).unwrap_err();
    assert!(error.starts_with("cannot connect: ") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn what_makes_no_url_is_refused() {
    for (field, value) in [("host", "evil.example/x@y"), ("host", "a b"), ("path", "metrics"), ("path", "/a b")] {
        let report = task(1, json!({ field: value }), Path::new("/")).scrape().await;
        assert!(matches!(report.outcome.unwrap_err().cause, Cause::Url(_)), "{field} {value}");
    }
}

fn timeout(phase: Phase) -> Cause {
    Cause::Timeout { timeout: Duration::from_secs(5), phase }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_no_more_than_the_timeout() {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let report = server.task().scrape().await;
    assert_eq!(report.duration, Duration::from_secs(5));
    let error = report.outcome.unwrap_err();
    assert_eq!(error.cause, timeout(Phase::AwaitingResponse));
    assert!(error.to_string().ends_with("/metrics: not done within 5s, while waiting for the response"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drips_costs_no_more_than_the_timeout() {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(format!("{OK}Content-Length: 1000\r\n\r\n").as_bytes()).await.unwrap();
        let mut second = tokio::time::interval(Duration::from_millis(999));
        loop {
            second.tick().await;
            if stream.write_all(b"#").await.is_err() {
                return;
            }
        }
    })
    .await;
    let report = server.task().scrape().await;
    assert_eq!(report.duration, Duration::from_secs(5));
    assert_eq!(report.outcome.unwrap_err().cause, timeout(Phase::ReadingBody { received: 6 }));
}
