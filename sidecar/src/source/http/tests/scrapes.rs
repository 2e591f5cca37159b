//! Successful scrapes, and their times.

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::Response;
use rstest::rstest;
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

use super::server::{Server, outcome, page, read_head, show, task};
use crate::source::{NameFilter, NamedPorts, SourceError, SourceSettings, Task};
use sidecar_config::health::HEALTH_METRICS;

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn gzip_page(content_type: &str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = page(content_type, body);
    response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    response
}

#[tokio::test]
async fn a_page_is_scraped_with_the_expected_request_headers() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = Server::start(None, move |request| {
        let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        log.lock().unwrap().push((request.uri().to_string(), header("host"), header("accept-encoding")));
        assert!(header("accept").unwrap().starts_with("application/openmetrics-text;version=1.0.0"));
        assert!(header("user-agent").unwrap().starts_with("snmp-sidecar/"));
        assert_eq!(header("x-prometheus-scrape-timeout-seconds").unwrap(), "5");
        assert_eq!(header("authorization"), None);
        page("text/plain; version=0.0.4", "# TYPE m gauge\nm{a=\"b\"} 1.5\nm{a=\"b\"} 2\nn 2")
    })
    .await;
    let report = server.task().collect().await;
    assert_eq!(outcome(&report), Ok(vec!["m{a=b} 1.5".to_owned(), "n 2".to_owned()]));
    let host = format!("127.0.0.1:{}", server.port);
    let expected = ("/metrics?token=s3cret".to_owned(), Some(host), Some("gzip".to_owned()));
    assert_eq!(*seen.lock().unwrap(), [expected]);
    let health = show(&report.health);
    assert_eq!(health[0], "up 1");
    assert_eq!(health[2..4], ["scrape_samples_scraped 2", "scrape_samples_duplicate 1"]);
    assert!(report.health.iter().all(|sample| HEALTH_METRICS.contains(&sample.name)));
    assert!(!health.iter().any(|sample| sample.starts_with("scrape_error")));
}

#[rstest]
#[case::text("text/plain", gzip(b"m 1\n"), 1)]
#[case::open_metrics("application/openmetrics-text; version=1.0.0; charset=utf-8", gzip(b"m 1\n# EOF\n"), 1)]
#[case::several_members("text/plain", [gzip(b"m 1\nn"), gzip(b""), gzip(b" 2\n")].concat(), 2)]
#[case::no_samples("text/plain", gzip(b""), 0)]
#[tokio::test]
async fn a_compressed_page_is_scraped(
    #[case] content_type: &'static str,
    #[case] body: Vec<u8>,
    #[case] samples: usize,
) {
    let server = Server::start(None, move |_| gzip_page(content_type, body.clone())).await;
    assert_eq!(server.task().collect().await.outcome.unwrap().len(), samples);
}

#[tokio::test]
async fn a_gzip_bomb_is_not_decompressed() {
    let bomb = gzip(&b"# nothing\n".repeat(2_000_000));
    assert!(bomb.len() < 100_000);
    let server = Server::start(None, move |_| gzip_page("text/plain", bomb.clone())).await;
    let error = server.task().collect().await.outcome.unwrap_err();
    assert_eq!(error.cause, SourceError::BodyTooLong { limit: 1_000_000 });
}

#[tokio::test]
async fn a_connection_is_kept_between_scrapes() {
    let server = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    let mut task = server.task();
    for _ in 0..3 {
        task.collect().await.outcome.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_replaced_without_a_failure() {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        // The server closes the connection without announcing it.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\n").await.unwrap();
    })
    .await;
    let mut task = server.task();
    for _ in 0..5 {
        assert_eq!(outcome(&task.collect().await), Ok(vec!["m 1".to_owned()]));
    }
    assert_eq!(server.connections(), 5);
}

#[rstest]
#[case::closed_by_http_1_0("HTTP/1.0 200 OK\r\n\r\nm 1\n")]
#[case::length_announced("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nm 1")]
#[case::chunked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nm \r\n1\r\n1\r\n0\r\n\r\n")]
#[case::interim_response(
    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nm 1\n"
)]
#[tokio::test]
async fn a_body_can_end_in_every_way_of_http(#[case] response: &'static str) {
    let server = Server::raw(async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    assert_eq!(outcome(&server.task().collect().await), Ok(vec!["m 1".to_owned()]));
}

#[tokio::test]
async fn a_host_name_and_a_port_name_are_resolved() {
    let server = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    let source = json!({
        "name": "app", "intervalMs": 10_000, "timeoutMs": 5000, "staleAfterMs": 60_000,
        "prometheus": {"scheme": "http", "host": "localhost", "port": "web", "path": "/", "bodySizeLimit": 1000, "sampleLimit": 10}
    });
    let task = |ports: String| {
        let ports: NamedPorts = ports.parse().unwrap();
        Task::new(
            serde_json::from_value(source.clone()).unwrap(),
            NameFilter::all(),
            SourceSettings { directory: "/".into(), ports, ..SourceSettings::default() },
        )
    };
    assert_eq!(outcome(&task(format!("web={}", server.port)).collect().await), Ok(vec!["m 1".to_owned()]));
    let error = task("api=1".to_owned()).collect().await.outcome.unwrap_err();
    assert_eq!(error.to_string(), "source app, http://localhost:web/: no container port is named \"web\"");
}

#[tokio::test]
async fn the_type_and_labels_of_a_family_can_change_with_each_scrape() {
    const PAGES: [(&str, &[&str]); 6] = [
        ("# TYPE m counter\nm 1\n", &["m 1"]),
        ("# TYPE m gauge\nm{a=\"x\"} 2\nm{a=\"y\"} 3\n", &["m{a=x} 2", "m{a=y} 3"]),
        (
            "# TYPE m histogram\nm_bucket{le=\"+Inf\"} 4\nm_sum 5\nm_count 4\n",
            &["m_bucket{le=+Inf} 4", "m_sum 5", "m_count 4"],
        ),
        ("# TYPE m summary\nm{quantile=\"0.5\"} 6\n", &["m{quantile=0.5} 6"]),
        ("# TYPE n untyped\n", &[]),
        ("m{b=\"\"} 7\n", &["m 7"]),
    ];
    let next = AtomicUsize::new(0);
    let server = Server::start(None, move |_| {
        let (body, _) = PAGES[next.fetch_add(1, Ordering::SeqCst)];
        page("text/plain", body)
    })
    .await;
    let mut task = server.task();
    for (body, samples) in PAGES {
        let samples = samples.iter().map(|sample| (*sample).to_owned()).collect();
        assert_eq!(outcome(&task.collect().await), Ok(samples), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn scrapes_run_at_the_interval_and_less_often_while_they_fail() {
    let healthy = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&healthy);
    let server = Server::start(None, move |_| {
        let content_type = if answers.load(Ordering::SeqCst) { "text/plain" } else { "text/html" };
        page(content_type, "m 1\n")
    })
    .await;
    let start = tokio::time::Instant::now().into_std();
    let (sender, mut reports) = mpsc::channel(1);
    let running = tokio::spawn(task(server.port, json!({}), Path::new("/")).run(sender));
    let mut at = Vec::new();
    for scrape in 0..7 {
        let report = reports.recv().await.unwrap();
        assert_eq!(report.outcome.is_ok(), !(2..6).contains(&scrape), "{scrape}");
        at.push(report.at);
        let ages = report.health.iter().filter(|sample| sample.name == "scrape_age_seconds");
        let age = ages.map(|sample| sample.value.as_f64()).next().unwrap();
        assert_eq!(age > 9.0, (2..6).contains(&scrape), "{scrape}: {age}");
        healthy.store(!(1..5).contains(&scrape), Ordering::SeqCst);
    }
    drop(reports);
    running.await.unwrap();
    assert!(at[0] - start <= Duration::from_secs(1));
    let gaps: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    // The values of scrape 1 are stale after 60 s. The last attempt before that ends in time even if it times out.
    let expected = [9.4..10.6, 9.4..10.6, 9.4..10.6, 18.9..21.1, 12.9..17.1, 37.9..42.1];
    assert!(gaps.iter().zip(expected).all(|(gap, expected)| expected.contains(gap)), "{gaps:?}");
}
