//! Servers that answer otherwise, lie and babble.

use std::{path::Path, time::Duration};

use rstest::rstest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{
    scrapes::gzip,
    server::{Server, outcome, page, read_head, show, task, task_within},
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
#[case::partial_content(
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/8\r\nContent-Length: 4\r\n\r\nm 1\n",
    "the server answers with status 206"
)]
#[case::not_modified("HTTP/1.1 304 Not Modified\r\n\r\n", "the server answers with status 304")]
#[case::continue_alone("HTTP/1.1 100 Continue\r\n\r\n", "HTTP: connection closed before message completed")]
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
#[case::a_length_below_zero(
    "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nm 1\n",
    "HTTP: invalid content-length parsed"
)]
#[case::a_length_beyond_64_bits(
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nm 1\n",
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
#[case::a_chunk_below_zero(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nm 1\n\r\n0\r\n\r\n",
    "HTTP: error reading a body from connection: Invalid chunk size line: missing size digit"
)]
#[case::a_chunk_longer_than_its_length(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nm 1\n\r\n0\r\n\r\n",
    "HTTP: error reading a body from connection: Invalid chunk body CR"
)]
#[case::a_chunk_shorter_than_its_length(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nm 1\n\r\n0\r\n\r\n",
    "line 2, column 1: expected a metric name, found '\\r'"
)]
#[case::a_chunk_beyond_64_bits(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nm 1\n\r\n",
    "HTTP: error reading a body from connection: invalid chunk size: overflow"
)]
#[case::a_transfer_encoding_that_is_none(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nm 1\nm",
    "the body was cut off: its last line does not end, and its length was not announced"
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
#[case::utf_16("text/plain", b"\xff\xfem\0 \x001\0\n\0".to_vec(), "line 1, column 1: not UTF-8")]
#[case::latin_1("text/plain", b"m 1\nn{a=\"caf\xe9\"} 1\n".to_vec(), "line 2, column 9: not UTF-8")]
#[case::a_byte_order_mark("text/plain", b"\xef\xbb\xbfm 1\n".to_vec(), "line 1, column 1: expected a metric name, found '\\u{feff}'")]
#[case::zeros("text/plain", vec![0; 100], "line 1, column 1: expected a metric name, found '\\0'")]
#[case::gzip_that_is_not_announced("text/plain", gzip(b"m 1\n"), "line 1, column 2: not UTF-8")]
#[case::protocol_buffers("application/vnd.google.protobuf", vec![8, 1],
    "the content type \"application/vnd.google.protobuf\" is neither text/plain nor application/openmetrics-text")]
#[tokio::test]
async fn a_body_that_is_no_text_fails_the_scrape(
    #[case] content_type: &'static str,
    #[case] body: Vec<u8>,
    #[case] cause: &str,
) {
    let server = Server::start(None, move |_| page(content_type, body.clone())).await;
    assert_eq!(outcome(&server.task().scrape().await), Err(cause.to_owned()));
}

#[tokio::test]
async fn gzip_within_gzip_is_unpacked_once() {
    let twice = gzip(&gzip(b"m 1\n"));
    let server = Server::raw(move |mut stream| {
        let response = gzip_response(&twice);
        async move {
            read_head(&mut stream).await;
            stream.write_all(&response).await.unwrap();
        }
    })
    .await;
    assert_eq!(outcome(&server.task().scrape().await), Err("line 1, column 2: not UTF-8".to_owned()));
}

#[rstest]
#[case::chunks("Transfer-Encoding: chunked\r\n\r\n", "a\r\n# nothing\n\r\n", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::until_the_end("\r\n", "# nothing\n", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::one_line("\r\n", "mmmmmmmmmmmmmmmmmm", Cause::BodyTooLong { limit: 1_000_000 })]
#[case::a_chunks_extension(
    "Transfer-Encoding: chunked\r\n\r\n1;",
    "xxxxxxxxxxxxxxxxxx",
    Cause::Http("error reading a body from connection: chunk extensions over limit".to_owned())
)]
#[case::trailers(
    "Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n0\r\n",
    "X: y\r\n",
    Cause::Http("error reading a body from connection: chunk trailers count overflow".to_owned())
)]
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

#[tokio::test]
async fn interim_responses_without_end_cost_no_more_than_the_timeout_and_others_have_their_turn() {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
        while stream.write_all(flood.as_bytes()).await.is_ok() {}
    })
    .await;
    let good = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    let timeout = Duration::from_millis(500);
    let mut flooded = task_within(timeout, server.port, json!({}), Path::new("/"));
    let mut others = good.task();
    let meanwhile = async {
        for _ in 0..10 {
            assert_eq!(outcome(&others.scrape().await), Ok(vec!["m 1".to_owned()]));
        }
    };
    let (report, ()) = tokio::join!(flooded.scrape(), meanwhile);
    assert_eq!(report.outcome.unwrap_err().cause, Cause::Timeout { timeout, phase: Phase::AwaitingResponse });
}
