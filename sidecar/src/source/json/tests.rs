//! Tests of the extraction of samples, and of requests to test servers.

use std::{fmt::Write as _, path::Path, time::Duration};

use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::Response;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};
use sidecar_config::JsonMetric;

use super::{
    document::{self, DocumentError},
    extract::{self, Metric},
};
use crate::{
    sample::Sample,
    source::{
        NameFilter, SourceError, SourceSettings, Task,
        collection::Collection,
        http::tests::server::{Server, page},
    },
};

fn metrics(metrics: &Value) -> Vec<Metric> {
    let metrics: Vec<JsonMetric> = serde_json::from_value(metrics.clone()).unwrap();
    metrics.into_iter().map(|metric| Metric::new(metric).unwrap()).collect()
}

fn read(document: &str, of: &Value) -> Result<Collection, SourceError> {
    let document = document::parse(document.as_bytes()).map_err(|error| error.into_source_error("application/json"))?;
    extract::samples(&document, &metrics(of), 1000)
}

/// Formats a sample as `name label=text number`. A text is in quotes.
fn show(sample: Sample<'_>) -> String {
    let mut shown = sample.name.to_owned();
    for (label, text) in sample.labels.iter().filter(|(label, _)| !label.starts_with("__")) {
        write!(shown, " {label}={text}").unwrap();
    }
    match (sample.text(), sample.value.as_integer()) {
        (Some(text), _) => write!(shown, " {text:?}"),
        (None, Some(integer)) => write!(shown, " {integer}"),
        (None, None) => write!(shown, " {:?}", sample.value.as_f64()),
    }
    .unwrap();
    shown
}

fn shown(document: &str, of: &Value) -> Vec<String> {
    read(document, of).unwrap().samples.iter().map(show).collect()
}

#[rstest]
#[case::a_number("7", "m 7")]
#[case::a_decimal("0.25", "m 0.25")]
#[case::an_exponent("1e3", "m 1000.0")]
#[case::the_largest_integer("18446744073709551615", "m 18446744073709551615")]
#[case::the_smallest_integer("-9223372036854775808", "m -9223372036854775808")]
#[case::beyond_64_bits("18446744073709551616", "m 1.8446744073709552e19")]
#[case::truth("true", "m 1")]
#[case::falsehood("false", "m 0")]
#[case::a_text(r#""up""#, r#"m "up""#)]
#[case::a_number_in_a_text(r#""12""#, r#"m "12""#)]
#[case::an_empty_text(r#""""#, r#"m """#)]
fn a_value_is_a_sample(#[case] value: &str, #[case] expected: &str) {
    assert_eq!(shown(&format!("{{\"a\": {value}}}"), &json!([{"name": "m", "path": "$.a"}])), [expected]);
    assert_eq!(shown(value, &json!([{"name": "m", "path": "$"}])), [expected]);
}

#[rstest]
#[case::null(r#"{"a": null}"#, "$.a")]
#[case::a_missing_name("{}", "$.a")]
#[case::a_list_without_items(r#"{"a": []}"#, "$.a[*]")]
#[case::a_name_of_a_number(r#"{"a": 1}"#, "$.a.b")]
fn an_absent_value_makes_no_sample(#[case] document: &str, #[case] path: &str) {
    assert_eq!(shown(document, &json!([{"name": "m", "path": path}])), Vec::<String>::new());
}

const QUEUES: &str = r#"{"queues": [
    {"name": "in", "depth": 5, "state": "up", "at": {"zone": "a", "rack": 7}},
    {"name": "out", "depth": null, "state": "down", "at": {"zone": "b", "rack": null}},
    {"name": "dead", "depth": "9", "state": 3, "at": {}}
]}"#;

#[rstest]
#[case::labels_and_values(json!({"labels": {"queue": "$.name"}, "value": "$.depth"}), &["m queue=in 5", "m queue=dead \"9\""])]
#[case::absent_labels(
    json!({"labels": {"zone": "$.at.zone", "rack": "$.at.rack"}, "value": "$.at.zone"}),
    &["m rack=7 zone=a \"a\"", "m zone=b \"b\""],
)]
#[case::mapped_texts(
    json!({"labels": {"queue": "$.name"}, "value": "$.state", "valueMap": {"up": 1, "down": 2.5, "3": 33}}),
    &["m queue=in 1", "m queue=out 2.5", "m queue=dead 33"],
)]
#[case::an_unmapped_text(
    json!({"labels": {"queue": "$.name"}, "value": "$.state", "valueMap": {"up": 1}}),
    &["m queue=in 1", "m queue=out \"down\"", "m queue=dead 3"],
)]
fn each_node_is_a_sample(#[case] fields: Value, #[case] expected: &[&str]) {
    let mut metric = json!({"name": "m", "path": "$.queues[*]"});
    metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    assert_eq!(shown(QUEUES, &json!([metric])), expected);
}

#[test]
fn a_filter_in_a_path_selects_nodes() {
    let metric = json!([{"name": "m", "path": "$.queues[?@.depth > 1 && @.state == 'up'].depth"}]);
    assert_eq!(shown(QUEUES, &metric), ["m 5"]);
    assert_eq!(shown(QUEUES, &json!([{"name": "m", "path": "$..rack"}])), ["m 7"]);
}

#[test]
fn the_first_of_duplicate_samples_is_used() {
    let collection = read("[1, 2, 3]", &json!([{"name": "m", "path": "$[*]"}, {"name": "n", "path": "$[2]"}])).unwrap();
    assert_eq!(collection.samples.iter().map(show).collect::<Vec<_>>(), ["m 1", "n 3"]);
    assert_eq!(collection.duplicates, 2);
}

#[rstest]
#[case::a_list(json!({"path": "$.queues"}), "the metric m: a value is an array, not a number or a text")]
#[case::an_object(json!({"value": "$.at"}), "the metric m: a value is an object, not a number or a text")]
#[case::two_values(json!({"value": "$['name', 'depth']"}), "the metric m: $['name','depth'] finds 2 nodes for the value, but must find one")]
#[case::a_label_of_two(
    json!({"labels": {"l": "$.*"}, "value": "$.depth"}), "the metric m: $.* finds 4 nodes for l, but must find one"
)]
#[case::a_label_of_a_list(
    json!({"labels": {"l": "$.at"}, "value": "$.depth"}), "the metric m: the label l is an object"
)]
fn an_unsuitable_value_is_an_error_with_the_metric(#[case] fields: Value, #[case] expected: &str) {
    let mut metric = json!({"name": "m", "path": "$.queues[0]"});
    metric.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let error = read(QUEUES, &json!([metric])).unwrap_err().to_string();
    assert_eq!(error.replace(['"', '\''], "'"), expected.replace(['"', '\''], "'"));
}

#[test]
fn too_many_samples_are_an_error() {
    let list = format!("[{}0]", "0,".repeat(1000));
    let metric = json!([{"name": "m", "path": "$.i[*]", "value": "$.v", "labels": {"l": "$.l"}}]);
    let items: Vec<_> = (0..1001).map(|l| json!({"l": l, "v": 1})).collect();
    let error = read(&json!({"i": items}).to_string(), &metric).unwrap_err();
    assert_eq!(error, SourceError::TooManySamples { limit: 1000 });
    assert_eq!(read(&list, &json!([{"name": "m", "path": "$[*]"}])).unwrap().duplicates, 1000);
}

#[rstest]
#[case::nothing("", "EOF while parsing a value at line 1 column 0")]
#[case::truncated(r#"{"a": 1"#, "EOF while parsing an object at line 1 column 7")]
#[case::a_page("<html>", "expected value at line 1 column 1")]
#[case::trailing_characters("{} {}", "trailing characters at line 1 column 4")]
#[case::nan("{\"a\":\n NaN}", "expected value at line 2 column 2")]
#[case::out_of_range("1e999", "number out of range at line 1 column 5")]
fn invalid_json_is_an_error_with_its_position(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(document::parse(text.as_bytes()), Err(DocumentError::Malformed(expected.to_owned())));
}

#[test]
fn invalid_utf_8_and_unlimited_depth_are_errors() {
    let Err(DocumentError::Malformed(error)) = document::parse(b"\"\xff\"") else { panic!("it was parsed") };
    assert!(error.contains("invalid unicode"), "{error}");
    let Err(DocumentError::Malformed(error)) = document::parse("[".repeat(1 << 20).as_bytes()) else {
        panic!("it was parsed")
    };
    assert!(error.contains("recursion limit exceeded"), "{error}");
}

#[test]
fn the_memory_of_a_document_is_limited() {
    for item in ["[],", "{},", "0,", "{\"a\":0},"] {
        let items = usize::try_from(document::MEMORY).unwrap() / 16;
        let text = format!("[{}0]", item.repeat(items));
        assert_eq!(document::parse(text.as_bytes()), Err(DocumentError::TooLarge), "{item}");
    }
    let text = format!("[\"{}\"]", "a".repeat(usize::try_from(document::MEMORY).unwrap()));
    assert_eq!(document::parse(text.as_bytes()), Err(DocumentError::TooLarge));
}

#[test]
fn the_last_of_entries_with_the_same_name_is_used() {
    assert_eq!(document::parse(br#"{"a": 1, "a": 2}"#).unwrap(), json!({"a": 2}));
}

proptest! {
    #[test]
    fn any_text_is_parsed_as_by_serde_json(text in "[\\[\\]{}\",:0-9a-z.eE+\\- \\\\]{0,60}") {
        let ours = document::parse(text.as_bytes()).ok();
        prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).ok());
    }

    #[test]
    fn any_document_gives_samples_or_an_error(document in any_json(), path in "\\$(\\.\\.a|\\.b|\\[\\*\\]|\\[0\\]|\\.\\*){0,3}") {
        let metric = JsonMetric {
            name: "m".to_owned(), path, labels: [("l".to_owned(), "$.a".to_owned())].into(), value: None, value_map: [].into(),
        };
        if let Ok(metric) = Metric::new(metric)
            && let Ok(collection) = extract::samples(&document, &[metric], 10)
        {
            prop_assert!(collection.samples.len() <= 10);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3).prop_map(Value::from_iter),
        ]
    })
}

/// Returns a task that reads from `port`, with additional fields of the source.
fn task(port: u16, fields: &Value, directory: &Path) -> Task {
    let mut source = json!({
        "scheme": "http", "port": port, "path": "/stats?key=s3cret", "bodySizeLimit": 100_000, "sampleLimit": 1000,
        "metrics": [{"name": "users", "path": "$.users"}, {"name": "unmapped", "path": "$.users"}],
    });
    source.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let source =
        json!({"name": "api", "intervalMs": 10_000, "timeoutMs": 5000, "staleAfterMs": 60_000, "json": source});
    let settings = SourceSettings { directory: directory.to_owned(), ..SourceSettings::default() };
    Task::new(serde_json::from_value(source).unwrap(), NameFilter::new(["users".to_owned()]), settings)
}

/// Collects once. Returns the samples, or the complete error.
async fn collect(task: &mut Task) -> Result<Vec<String>, String> {
    let report = task.collect().await;
    report.outcome.map(|samples| samples.iter().map(show).collect()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_request_is_built_from_the_source() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), "t0ken\n").unwrap();
    let server = Server::start(None, |request| {
        let header = |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/stats"));
        assert_eq!(header("authorization"), "Bearer t0ken");
        assert_eq!(header("accept"), "application/json");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("x-tenant"), "acme");
        assert_eq!(header("content-length"), "2");
        page("application/json", r#"{"users": 3}"#)
    })
    .await;
    let fields = json!({
        "method": "POST", "body": "{}", "headers": {"X-Tenant": "acme"},
        "authorization": {"bearer": {"credentialsFile": "token"}},
    });
    let mut task = task(server.port, &fields, directory.path());
    assert_eq!(collect(&mut task).await, Ok(vec!["users 3".to_owned()]));
    assert_eq!(collect(&mut task).await, Ok(vec!["users 3".to_owned()]), "a second time");
}

#[tokio::test]
async fn a_connection_is_kept() {
    let server = Server::start(None, |_| page("application/json", r#"{"users": 3}"#)).await;
    let mut task = task(server.port, &json!({}), Path::new("/"));
    for _ in 0..3 {
        assert_eq!(collect(&mut task).await, Ok(vec!["users 3".to_owned()]));
    }
    assert_eq!(server.connections(), 1);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn after_an_error_the_next_collection_succeeds() {
    let answers = [
        (
            page("text/html", "<html>"),
            "the body is not JSON (its content type is \"text/html\"): expected value at line 1 column 1",
        ),
        (page("application/json; charset=latin1", "{}"), "the charset \"latin1\" is not supported, only UTF-8"),
        (page("application/json", " ".repeat(100_001)), "the body is longer than 100000 bytes"),
        (
            page("application/json", r#"{"users": [1]}"#),
            "the metric users: a value is an array, not a number or a text",
        ),
        (
            Response::builder()
                .header("content-encoding", "gzip")
                .body(Full::from(gzip(&vec![b' '; 1 << 20])))
                .unwrap(),
            "the body is longer than 100000 bytes",
        ),
        (Response::builder().status(503).body(Full::from("{\"users\": 1}")).unwrap(), "the server returned status 503"),
        (
            Response::builder().status(302).header("location", "/stats?key=s3cret").body(Full::from("")).unwrap(),
            "the server redirects to /stats (status 302); redirects are not followed",
        ),
    ];
    for (answer, expected) in answers {
        let answer = std::sync::Mutex::new(Some(answer));
        let server = Server::start(None, move |_| {
            answer.lock().unwrap().take().unwrap_or_else(|| page("", r#"{"users": "4"}"#))
        })
        .await;
        let mut task = task(server.port, &json!({}), Path::new("/"));
        let error = collect(&mut task).await.unwrap_err();
        assert_eq!(error, format!("source api, http://127.0.0.1:{}/stats: {expected}", server.port));
        assert_eq!(collect(&mut task).await, Ok(vec!["users \"4\"".to_owned()]), "after {expected}");
    }
}

#[rstest]
#[case::a_whole_object("{\"users\": 5}", Ok(vec!["users 5".to_owned()]))]
#[case::half_an_object("{\"users\": 5", Err("truncated"))]
#[case::half_a_number("12", Err("truncated"))]
#[tokio::test]
async fn a_body_that_ends_with_the_connection_must_be_complete(
    #[case] body: &'static str,
    #[case] expected: Result<Vec<String>, &str>,
) {
    let server = Server::raw(move |mut stream| async move {
        crate::source::http::tests::server::read_head(&mut stream).await;
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
    })
    .await;
    let read = collect(&mut task(server.port, &json!({}), Path::new("/"))).await;
    assert_eq!(read.map_err(|error| if error.contains("truncated") { "truncated" } else { "another error" }), expected);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_takes_no_longer_than_the_timeout() {
    let server = Server::raw(|stream| async move {
        tokio::time::sleep(Duration::from_hours(1)).await;
        drop(stream);
    })
    .await;
    let error = collect(&mut task(server.port, &json!({}), Path::new("/"))).await.unwrap_err();
    assert!(error.contains("timed out after 5s while"), "{error}");
}
