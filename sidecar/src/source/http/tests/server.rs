//! Test servers, and tasks that scrape them.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    sample::Samples,
    source::{NameFilter, Report, SourceSettings, Task},
};

/// A server on its own port, which runs as long as the runtime of the test.
pub(in crate::source) struct Server {
    pub(in crate::source) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Starts a server that answers every request with the result of `answer`, over TLS if there is an acceptor.
    pub(in crate::source) async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::raw(move |stream| {
            let (tls, answer) = (tls.clone(), Arc::clone(&answer));
            async move {
                let service = service_fn(|request| {
                    let response = answer(&request);
                    async move { Ok::<_, hyper::Error>(response) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                // In some tests the client closes the connection early.
                match tls {
                    None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            drop(http.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                }
            }
        })
        .await
    }

    /// Starts a server that calls `serve` with each connection.
    pub(in crate::source) async fn raw<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream));
            }
        });
        Self { port, connections }
    }

    /// Returns the number of connections so far.
    pub(in crate::source) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns a task that scrapes this server.
    pub(in crate::source) fn task(&self) -> Task {
        task(self.port, json!({}), Path::new("/nonexistent"))
    }
}

/// Returns a task that scrapes `port` on loopback, with additional fields of the source, and files from `directory`.
pub(in crate::source) fn task(port: u16, fields: Value, directory: &Path) -> Task {
    task_within(Duration::from_secs(5), port, fields, directory)
}

/// Returns the same task with this timeout.
pub(in crate::source) fn task_within(timeout: Duration, port: u16, fields: Value, directory: &Path) -> Task {
    let mut prometheus = json!({
        "scheme": "http", "port": port, "path": "/metrics?token=s3cret", "bodySizeLimit": 1_000_000, "sampleLimit": 1000
    });
    let Value::Object(fields) = fields else { panic!("{fields}") };
    prometheus.as_object_mut().unwrap().extend(fields);
    let source = json!({
        "name": "app", "intervalMs": 10_000, "timeoutMs": timeout.as_millis(), "staleAfterMs": 60_000, "prometheus": prometheus
    });
    let settings = SourceSettings { directory: directory.to_owned(), ..SourceSettings::default() };
    Task::new(serde_json::from_value(source).unwrap(), NameFilter::all(), settings)
}

/// Returns a response with this content type and body.
pub(in crate::source) fn page(content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().header("content-type", content_type).body(Full::new(body.into())).unwrap()
}

/// Reads the head of any request.
pub(in crate::source) async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

/// Formats samples as `name value` or `name{label=text} value`.
pub(in crate::source) fn show(samples: &Samples) -> Vec<String> {
    let show_sample = |sample: crate::sample::Sample<'_>| {
        let labels: Vec<_> = sample.labels.iter().map(|(name, text)| format!("{name}={text}")).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        format!("{}{braces} {}", sample.name, sample.value.as_f64())
    };
    samples.iter().map(show_sample).collect()
}

/// Returns the samples of a report, or the text of its error.
pub(in crate::source) fn outcome(report: &Report) -> Result<Vec<String>, String> {
    report.outcome.as_ref().map(show).map_err(|error| error.cause.to_string())
}
