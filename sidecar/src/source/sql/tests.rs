//! Tests of the conversion of rows, and of faulty PostgreSQL servers.

mod server;

use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;
use sidecar_config::SqlQuery;

use super::{
    postgresql::MAX_RECEIVED,
    rows::{Cell, RowConverter},
};
use crate::{
    sample::Number,
    source::{
        collection_builder::MAX_TEXTS,
        error::{Phase, SourceError},
    },
};
use server::{Server, begun, data, described, message, prepared, ready, started, task, task_within};

/// A timeout that a slow machine needs to reach a limit.
const PATIENT: Duration = Duration::from_mins(1);

fn query() -> SqlQuery {
    SqlQuery {
        name: "q".to_owned(),
        query: "select".to_owned(),
        values: vec!["a".to_owned(), "b".to_owned()],
        labels: vec!["l".to_owned()],
    }
}

fn label(text: &str) -> Vec<Option<String>> {
    vec![Some(text.to_owned())]
}

fn rows_of(limit: u64) -> RowConverter {
    RowConverter::new(limit)
}

fn one() -> Cell {
    Cell::Number(Number::Signed(1))
}

#[test]
fn each_value_of_a_row_except_null_is_a_sample() {
    let mut rows = rows_of(100);
    rows.add(&query(), &label("x"), &[one(), Cell::Text("t".to_owned())]).unwrap();
    rows.add(&query(), &label("x"), &[one(), one()]).unwrap();
    rows.add(&query(), &[None], &[Cell::Null, Cell::Null]).unwrap();
    rows.add(&query(), &[None], &[Cell::Null, Cell::Number(Number::Signed(3))]).unwrap();
    let collection = rows.build();
    let shown: Vec<_> = collection.samples.iter().collect();
    let shown: Vec<_> = shown.iter().map(|s| (s.name, s.labels.get("l"), s.text(), s.value.as_integer())).collect();
    let expected =
        [("q_a", Some("x"), None, Some(1)), ("q_b", Some("x"), Some("t"), None), ("q_b", None, None, Some(3))];
    assert_eq!(shown, expected);
    assert_eq!(collection.duplicates, 2, "the two samples of the second row");
}

#[test]
fn too_many_samples_are_an_error() {
    assert_eq!(rows_of(1).add(&query(), &[None], &[one(), one()]), Err(SourceError::TooManySamples { limit: 1 }));
    assert_eq!(rows_of(2).add(&query(), &[None], &[one(), one()]), Ok(()));
}

#[test]
fn the_text_of_a_label_counts_for_each_value_of_its_row() {
    let mut rows = rows_of(100);
    let text = "x".repeat(MAX_TEXTS / 4 + 1);
    rows.add(&query(), &label(&text), &[one(), Cell::Null]).unwrap();
    rows.add(&query(), &[None], &[Cell::Text(text.clone()), Cell::Null]).unwrap();
    let added = rows.add(&query(), &label(&text.replacen('x', "y", 1)), &[one(), one()]);
    assert_eq!(added, Err(SourceError::TextsTooLong { limit: MAX_TEXTS }));
}

#[tokio::test]
async fn a_query_is_run_and_the_connection_is_kept() {
    let again = [begun(), [message(b'2', b""), data(&[Some(b"8")]), ready()].concat(), begun()];
    let first =
        [started(), begun(), prepared(25), [message(b'2', b""), data(&[Some(b"7")]), ready()].concat(), begun()];
    let server = Server::new(first.into_iter().chain(again).collect(), b"").await;
    let mut task = task(&server);
    for expected in [7, 8] {
        let samples = task.collect().await.outcome.unwrap();
        assert_eq!(samples.get(0).and_then(|sample| sample.value.as_integer()), Some(expected));
    }
}

/// Returns the first replies of a correct server: from none to all before the rows.
fn up_to(steps: usize) -> Vec<Vec<u8>> {
    [started(), begun(), prepared(25), message(b'2', b"")].into_iter().take(steps).collect()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_takes_no_longer_than_the_timeout(#[values(0, 1, 2, 3, 4)] steps: usize) {
    let server = Server::new(up_to(steps), b"").await;
    let phase = match steps {
        0 => Phase::Connecting,
        1 | 2 => Phase::AwaitingResponse,
        _ => Phase::Querying { query: 1, of: 1 },
    };
    let report = task(&server).collect().await;
    assert_eq!(report.outcome.unwrap_err().cause, SourceError::Timeout { timeout: Duration::from_secs(5), phase });
}

/// Returns the replies of a server that sends these octets after the first `steps` replies.
fn then(steps: usize, octets: Vec<u8>) -> Vec<Vec<u8>> {
    let mut replies = up_to(steps);
    // The rows are part of the reply that the last step begins.
    let begun = if steps == 4 { replies.pop() } else { None };
    replies.push([begun.unwrap_or_default(), octets].concat());
    replies
}

#[rstest]
#[tokio::test]
async fn an_endless_message_is_an_error(#[values(0, 1, 2, 3, 4)] steps: usize) {
    let header = [b"D".as_slice(), &(1_u32 << 30).to_be_bytes()].concat();
    let server = Server::new(then(steps, header), &[0; 4096]).await;
    let error = task(&server).collect().await.outcome.unwrap_err();
    // The limit for the description of a query is lower.
    let limit = if steps == 2 { 128 << 10 } else { MAX_RECEIVED };
    assert_eq!(error.cause, SourceError::ResponseTooLong { limit });
}

/// The stack has the size of the sidecar's threads that run collections.
#[test]
fn an_endless_chain_of_types_is_an_error() {
    let collect = || {
        let columns = [19, 18, 26, 26, 26, 19, 26];
        let types = (100_001_u32..110_000).map(|base| {
            let (none, base) = (0_u32.to_be_bytes(), base.to_be_bytes());
            let row = data(&[Some(b""), Some(b"d"), Some(&none), None, Some(&base), Some(b""), Some(&none)]);
            [message(b'2', b""), row, ready()].concat()
        });
        let replies = up_to(2).into_iter().chain([prepared(100_000), described(&[26], &columns)]).chain(types);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(replies.collect(), b"").await;
            let error = task_within(PATIENT, &server).collect().await.outcome.unwrap_err();
            assert_eq!(error.cause, SourceError::ResponseTooLong { limit: 128 << 10 });
        });
    };
    std::thread::Builder::new().stack_size(8 << 20).spawn(collect).unwrap().join().unwrap();
}

#[rstest]
#[case::null(&[None])]
#[case::duplicates(&[Some(b"7".as_slice())])]
#[tokio::test]
async fn an_endless_number_of_rows_is_an_error(#[case] row: &[Option<&[u8]>]) {
    let server = Server::new(up_to(4), &data(row)).await;
    let error = task_within(PATIENT, &server).collect().await.outcome.unwrap_err();
    assert_eq!(error.cause, SourceError::ResponseTooLong { limit: MAX_RECEIVED });
    assert_eq!(error.location, format!("postgresql://127.0.0.1:{}/d", server.port));
}

#[tokio::test]
async fn the_error_of_a_server_is_truncated_and_in_one_line() {
    let long = format!("a\nb{}", "x".repeat(100_000));
    let fields = ["SERROR\0C42P01\0M".as_bytes(), long.as_bytes(), b"\0\0"].concat();
    for steps in 0..=4 {
        let replies = then(steps, [message(b'E', &fields), ready()].concat());
        let error = task(&Server::new(replies, b"").await).collect().await.outcome.unwrap_err().to_string();
        assert!(error.contains("a bxxx") && error.ends_with('…') && error.len() < 700, "{error}");
    }
}

#[rstest]
#[case::key_and_value("host=127.0.0.1 password=s3cret nonsense=s3cret", "is not a connection string")]
#[case::url("postgres://u:s3cret@[", "is not a connection string")]
#[case::no_host("user=u password=s3cret", "has no host")]
#[case::two_hosts("postgres://u:s3cret@a,b/d", "has more than one host")]
#[case::verification("postgres://u:s3cret@a/d?sslmode=verify-full", "use the TLS settings")]
#[tokio::test]
async fn an_invalid_connection_string_is_an_error_that_does_not_show_it(#[case] dsn: &str, #[case] expected: &str) {
    let server = Server::new(Vec::new(), b"").await;
    std::fs::write(server.directory.path().join("dsn"), dsn).unwrap();
    let error = task(&server).collect().await.outcome.unwrap_err();
    assert!(matches!(&error.cause, SourceError::BadFile { name, .. } if name == "dsn"), "{error}");
    assert!(error.to_string().contains(expected) && !format!("{error} {error:?}").contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_port_without_a_server_is_a_connection_error() {
    let server = Server::new(Vec::new(), b"").await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    std::fs::write(server.directory.path().join("dsn"), format!("postgres://u:s3cret@127.0.0.1:{unused}/d")).unwrap();
    let error = task(&server).collect().await.outcome.unwrap_err();
    assert!(matches!(&error.cause, SourceError::Connect(error) if error.contains("refused")), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_of_a_server_are_handled(
        steps in 0..5_usize,
        messages in prop::collection::vec((prop::sample::select(b"RSZKECDTt12INnsA3".to_vec()), prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let replies = then(steps, messages.iter().flat_map(|(tag, body)| message(*tag, body)).chain(tail).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = Server::new(replies, b"").await;
            let _ = task(&server).collect().await;
        });
    }
}
