//! Servers with faulty responses.

use std::{path::Path, time::Duration};

use rstest::rstest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::{
    scrapes::gzip,
    server::{Server, outcome, page, read_head, show, task, task_within},
};
use crate::source::{Phase, SourceError};

const OK: &str = "HTTP/1.1 200 OK\r\n";

fn gzip_response(body: &[u8]) -> Vec<u8> {
    let head = format!("{OK}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[rstest]
#[case::server_error("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nm 1\n", "the server returned status 500")]
#[case::no_content("HTTP/1.1 204 No Content\r\n\r\n", "the server returned status 204")]
#[case::partial_content(
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/8\r\nContent-Length: 4\r\n\r\nm 1\n",
    "the server returned status 206"
)]
#[case::not_modified("HTTP/1.1 304 Not Modified\r\n\r\n", "the server returned status 304")]
#[case::continue_alone("HTTP/1.1 100 Continue\r\n\r\n", "HTTP error: connection closed before message completed")]
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
    "the charset \"utf-16\" is not supported, only UTF-8"
)]
#[case::encoding(
    "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 0\r\n\r\n",
    "the content encoding \"br\" is not supported, only gzip"
)]
#[case::bad_line("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nm 1\nm x\n", "line 2, column 3: \"x\" is not a number")]
#[case::open_metrics_truncated(
    "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text\r\n\r\nm 1\n",
    "line 2, column 1: the body is truncated: # EOF is missing"
)]
#[case::text_truncated(
    "HTTP/1.1 200 OK\r\n\r\nm 1\nm{a=\"b\"} 12",
    "the body is truncated: its length was not announced, and its last line or value is incomplete"
)]
#[case::length_too_long(
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nm 1\n",
    "HTTP error: error reading a body from connection: end of file before message length reached"
)]
#[case::length_too_short(
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nm 123\n",
    "the body is longer than its Content-Length"
)]
#[case::two_lengths(
    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nm 1\n",
    "HTTP error: invalid content-length parsed"
)]
#[case::a_negative_length(
    "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nm 1\n",
    "HTTP error: invalid content-length parsed"
)]
#[case::a_length_above_64_bits(
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nm 1\n",
    "HTTP error: invalid content-length parsed"
)]
#[case::length_over_the_limit(
    "HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\nm 1\n",
    "the body is longer than 1000000 bytes"
)]
#[case::chunks_truncated(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n",
    "HTTP error: error reading a body from connection: unexpected EOF during chunk size line"
)]
#[case::bad_chunk(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP error: error reading a body from connection: Invalid chunk size line: missing size digit"
)]
#[case::a_chunk_of_negative_length(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\nm 1\n\r\n0\r\n\r\n",
    "HTTP error: error reading a body from connection: Invalid chunk size line: missing size digit"
)]
#[case::a_chunk_longer_than_its_length(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nm 1\n\r\n0\r\n\r\n",
    "HTTP error: error reading a body from connection: Invalid chunk body CR"
)]
#[case::a_chunk_shorter_than_its_length(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nm 1\n\r\n0\r\n\r\n",
    "line 2, column 1: expected a metric name, found '\\r'"
)]
#[case::a_chunk_above_64_bits(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nm 1\n\r\n",
    "HTTP error: error reading a body from connection: invalid chunk size: overflow"
)]
#[case::a_transfer_encoding_without_chunks(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nm 1\nm",
    "the body is truncated: its length was not announced, and its last line or value is incomplete"
)]
#[case::other_protocol("SSH-2.0-OpenSSH_9.2\r\n", "HTTP error: invalid HTTP version parsed")]
#[case::nothing("", "HTTP error: connection closed before message completed")]
#[tokio::test]
async fn a_faulty_response_is_an_error_with_its_reason(#[case] response: &'static str, #[case] cause: &str) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    let report = server.task().collect().await;
    assert_eq!(outcome(&report), Err(cause.to_owned()));
    let url = format!("http://127.0.0.1:{}/metrics", server.port);
    assert_eq!(report.outcome.unwrap_err().to_string(), format!("source app, {url}: {cause}"));
    let health = show(&report.health);
    assert_eq!(health[0], "up 0");
    assert_eq!(health.last(), Some(&format!("scrape_error{{error={cause}}} 1")));
    assert!(!health.iter().any(|sample| sample.starts_with("scrape_age_seconds")), "it has never succeeded");
}

#[rstest]
#[case::not_gzip(gzip_response(b"# not compressed\n"), "invalid gzip header")]
#[case::truncated_in_the_header(gzip_response(&gzip(b"m 1\n")[..7]), "the body is truncated")]
#[case::truncated_in_the_data(gzip_response(&gzip(b"m 1\n")[..13]), "the body is truncated")]
#[case::truncated_in_the_trailer(gzip_response(&gzip(b"m 1\n")[..20]), "checksum")]
#[case::empty(gzip_response(b""), "the body is truncated")]
#[case::wrong_checksum(gzip_response(&{ let mut body = gzip(b"m 1\n"); body[20] ^= 1; body }), "corrupt")]
#[case::garbage_after_the_body(gzip_response(&[gzip(b"m 1\n"), b"garbage behind it".to_vec()].concat()), "invalid gzip header")]
#[tokio::test]
async fn an_invalid_gzip_body_is_an_error(#[case] response: Vec<u8>, #[case] cause: &str) {
    let server = Server::raw(move |mut stream| {
        let response = response.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(&response).await.unwrap();
        }
    })
    .await;
    let error = outcome(&server.task().collect().await).unwrap_err();
    assert!(error.starts_with("cannot decompress the body: ") && error.contains(cause), "{error}");
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
async fn a_body_that_is_not_text_is_an_error(
    #[case] content_type: &'static str,
    #[case] body: Vec<u8>,
    #[case] cause: &str,
) {
    let server = Server::start(None, move |_| page(content_type, body.clone())).await;
    assert_eq!(outcome(&server.task().collect().await), Err(cause.to_owned()));
}

#[tokio::test]
async fn gzip_within_gzip_is_decompressed_once() {
    let twice = gzip(&gzip(b"m 1\n"));
    let server = Server::raw(move |mut stream| {
        let response = gzip_response(&twice);
        async move {
            read_head(&mut stream).await;
            stream.write_all(&response).await.unwrap();
        }
    })
    .await;
    assert_eq!(outcome(&server.task().collect().await), Err("line 1, column 2: not UTF-8".to_owned()));
}

#[rstest]
#[case::chunks("Transfer-Encoding: chunked\r\n\r\n", "a\r\n# nothing\n\r\n", SourceError::BodyTooLong { limit: 1_000_000 })]
#[case::until_the_end("\r\n", "# nothing\n", SourceError::BodyTooLong { limit: 1_000_000 })]
#[case::one_line("\r\n", "mmmmmmmmmmmmmmmmmm", SourceError::BodyTooLong { limit: 1_000_000 })]
#[case::an_extension_of_a_chunk(
    "Transfer-Encoding: chunked\r\n\r\n1;",
    "xxxxxxxxxxxxxxxxxx",
    SourceError::Http("error reading a body from connection: chunk extensions over limit".to_owned())
)]
#[case::trailers(
    "Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n0\r\n",
    "X: y\r\n",
    SourceError::Http("error reading a body from connection: chunk trailers count overflow".to_owned())
)]
#[case::one_header("X: ", "xxxxxxxxxxxxxxxxxx", SourceError::Http("message head is too large".to_owned()))]
#[case::headers("", "X: y\r\n", SourceError::Http("message head is too large".to_owned()))]
#[tokio::test]
async fn an_endless_response_is_aborted(
    #[case] head: &'static str,
    #[case] piece: &'static str,
    #[case] cause: SourceError,
) {
    let server = Server::raw(move |mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(format!("{OK}{head}").as_bytes()).await.unwrap();
        let pieces = piece.repeat(1000);
        while stream.write_all(pieces.as_bytes()).await.is_ok() {}
    })
    .await;
    // The limit is reached within seconds, also on a slow machine.
    let mut task = task_within(Duration::from_mins(1), server.port, json!({}), Path::new("/nonexistent"));
    assert_eq!(task.collect().await.outcome.unwrap_err().cause, cause);
}

#[tokio::test]
async fn a_port_without_a_server_is_a_connection_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = outcome(&task(port, json!({}), Path::new("/")).collect().await).unwrap_err();
    assert!(error.starts_with("cannot connect: ") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn an_invalid_url_is_an_error() {
    for (field, value) in [("host", "evil.example/x@y"), ("host", "a b"), ("path", "metrics"), ("path", "/a b")] {
        let report = task(1, json!({ field: value }), Path::new("/")).collect().await;
        assert!(matches!(report.outcome.unwrap_err().cause, SourceError::Url(_)), "{field} {value}");
    }
}

#[tokio::test]
async fn endless_interim_responses_take_no_longer_than_the_timeout_and_do_not_block_other_tasks() {
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
            assert_eq!(outcome(&others.collect().await), Ok(vec!["m 1".to_owned()]));
        }
    };
    let (report, ()) = tokio::join!(flooded.collect(), meanwhile);
    assert_eq!(report.outcome.unwrap_err().cause, SourceError::Timeout { timeout, phase: Phase::AwaitingResponse });
}
