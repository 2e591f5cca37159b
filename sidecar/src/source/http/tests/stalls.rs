//! Servers that hang, send slowly or reset the connection, in each phase of a scrape.

use std::{path::Path, sync::Arc, time::Duration};

use rstest::rstest;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, sync::Notify};

use super::server::{Server, outcome, read_head, task};
use crate::source::{Phase, SourceError};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\n";

fn timeout(phase: Phase) -> SourceError {
    SourceError::Timeout { timeout: Duration::from_secs(5), phase }
}

#[rstest]
#[case::before_the_response("", Phase::AwaitingResponse)]
#[case::in_the_status_line("HTTP/1.1 2", Phase::AwaitingResponse)]
#[case::in_the_headers("HTTP/1.1 200 OK\r\nContent-Le", Phase::AwaitingResponse)]
#[case::after_an_interim_response("HTTP/1.1 100 Continue\r\n\r\n", Phase::AwaitingResponse)]
#[case::before_the_body("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", Phase::ReadingBody { received: 0 })]
#[case::in_the_body("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nm 1\n", Phase::ReadingBody { received: 4 })]
#[case::in_a_body_of_unknown_length("HTTP/1.1 200 OK\r\n\r\nm 1\n", Phase::ReadingBody { received: 4 })]
#[case::in_the_length_of_a_chunk("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n4", Phase::ReadingBody { received: 4 })]
#[case::before_the_last_chunk("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n", Phase::ReadingBody { received: 4 })]
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_takes_no_longer_than_the_timeout(#[case] before: &'static str, #[case] phase: Phase) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(before.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let report = server.task().collect().await;
    assert_eq!(report.duration, Duration::from_secs(5));
    let error = report.outcome.unwrap_err();
    assert_eq!(error.cause, timeout(phase));
    assert!(error.to_string().ends_with(&format!("/metrics: timed out after 5s while {phase}")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_tls_handshake_takes_no_longer_than_the_timeout() {
    let server = Server::raw(async |stream| {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let report = task(server.port, json!({"scheme": "https"}), Path::new("/")).collect().await;
    assert_eq!(report.duration, Duration::from_secs(5));
    assert_eq!(report.outcome.unwrap_err().cause, timeout(Phase::Connecting));
}

#[rstest]
#[case::in_the_headers("HTTP/1.1 200 OK\r\nX: ", Phase::AwaitingResponse)]
#[case::in_the_body("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Phase::ReadingBody { received: 6 })]
#[tokio::test(start_paused = true)]
async fn a_server_that_sends_slowly_takes_no_longer_than_the_timeout(#[case] head: &'static str, #[case] phase: Phase) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut second = tokio::time::interval(Duration::from_millis(999));
        loop {
            second.tick().await;
            if stream.write_all(b"#").await.is_err() {
                return;
            }
        }
    })
    .await;
    let report = server.task().collect().await;
    assert_eq!(report.duration, Duration::from_secs(5));
    assert_eq!(report.outcome.unwrap_err().cause, timeout(phase));
}

#[rstest]
#[case::before_the_response("")]
#[case::in_the_headers("HTTP/1.1 200 OK\r\nContent-Le")]
#[case::in_the_body("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nm 1\n")]
#[case::in_a_body_of_unknown_length("HTTP/1.1 200 OK\r\n\r\nm 1\n")]
#[case::in_a_chunk("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nm 1")]
#[tokio::test]
async fn a_connection_that_is_reset_fails_the_scrape(#[case] before: &'static str) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(before.as_bytes()).await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = outcome(&server.task().collect().await).unwrap_err();
    assert!(error.contains("Connection reset"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_reset_between_scrapes_is_replaced_without_a_failure() {
    let scraped = Arc::new(Notify::new());
    let reset = Arc::clone(&scraped);
    let server = Server::raw(move |mut stream| {
        let reset = Arc::clone(&reset);
        async move {
            read_head(&mut stream).await;
            stream.write_all(PAGE.as_bytes()).await.unwrap();
            reset.notified().await;
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let mut task = server.task();
    for _ in 0..5 {
        assert_eq!(outcome(&task.collect().await), Ok(vec!["m 1".to_owned()]));
        scraped.notify_one();
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_hangs_is_closed_with_the_scrape() {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(PAGE.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let mut task = server.task();
    for _ in 0..3 {
        assert_eq!(outcome(&task.collect().await), Ok(vec!["m 1".to_owned()]));
        assert_eq!(task.collect().await.outcome.unwrap_err().cause, timeout(Phase::AwaitingResponse));
    }
    assert_eq!(server.connections(), 3);
}
