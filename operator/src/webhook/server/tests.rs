//! Tests of the server with requests over TLS, as an API server sends them.

use std::{collections::BTreeMap, sync::mpsc};

use daemon::drain;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use k8s_openapi::ByteString;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use rustls::pki_types::CertificateDer;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::*;
use crate::{plan::Objects, tls_server::testing, webhook::pod::Labels};

const DEADLINE: Duration = Duration::from_secs(30);
const NAME: &str = "snmp-operator-webhook.snmp-system.svc";

/// A cluster in which every pod of acme is selected. Queries for other namespaces panic.
struct AllSelected;

impl Cluster for AllSelected {
    fn selects(&self, namespace: &str, _: Labels<'_>) -> bool {
        assert_eq!(namespace, "acme", "unexpected namespace");
        true
    }

    fn objects(&self) -> Objects {
        Objects::default()
    }
}

struct Server {
    address: SocketAddr,
    certificate: CurrentCertificate,
    trusted: CertificateDer<'static>,
    registry: Registry,
    drain: Option<drain::Trigger>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(AllSelected).await
    }

    async fn start_with<C: Cluster>(cluster: C) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trusted, data) = testing::certificate(NAME);
        let certificate = CurrentCertificate::default();
        certificate.set(&data).unwrap();
        let (trigger, watcher) = drain::channel();
        let webhooks = Webhooks {
            sidecar: sidecar::Settings {
                image: "sidecar".to_owned(),
                image_pull_policy: None,
                master_url: "tls://master:7705".to_owned(),
                operator_url: None,
                version: "1".to_owned(),
                system_namespace: "snmp-system".to_owned(),
            },
            plan: plan::Settings::default(),
        };
        let mut registry = Registry::with_prefix("snmp_operator");
        let service = AdmissionService::new(webhooks, cluster, Metrics::registered(&mut registry));
        let task = tokio::spawn(accept(listener, certificate.clone(), service, watcher));
        Self { address, certificate, trusted, registry, drain: Some(trigger), task }
    }

    async fn tls(&self, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
        testing::connect(self.address, NAME, trusted).await
    }

    async fn client(&self) -> Client {
        let stream = self.tls(&self.trusted).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    fn metrics(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page
    }
}

struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn send(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("host", NAME).body(Full::new(body.into()));
        let exchange = async {
            self.0.ready().await.unwrap();
            let response = self.0.send_request(request.unwrap()).await.unwrap();
            let status = response.status();
            (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        timeout(DEADLINE, exchange).await.expect("no answer")
    }

    async fn review(&mut self, path: &str, body: &Json) -> Json {
        let (status, answer) = self.send(Method::POST, path, body.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }
}

fn review(kind: &str, namespace: &str, object: &Json) -> Json {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "7", "kind": {"kind": kind}, "operation": "CREATE", "namespace": namespace, "object": object},
    })
}

fn pod() -> Json {
    json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "app"}]}})
}

#[tokio::test]
async fn one_connection_serves_both_webhooks() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let answer = client.review("/inject?timeout=5s", &review("Pod", "acme", &pod())).await;
    assert_eq!(answer["response"]["uid"], "7");
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    let answer = client.review("/validate?timeout=10s", &review("SnmpTrapTarget", "acme", &json!({}))).await;
    assert_eq!(answer["response"]["allowed"], false);
    let page = server.metrics();
    for line in [
        r#"snmp_operator_webhook_injections_total{outcome="injected"} 1"#,
        r#"snmp_operator_webhook_validations_total{outcome="refused"} 1"#,
        r#"snmp_operator_webhook_duration_seconds_count{webhook="inject"} 1"#,
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

#[tokio::test]
async fn a_new_certificate_does_not_close_connections() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.review("/inject", &review("Pod", "acme", &pod())).await;
    let (other, data) = testing::certificate(NAME);
    server.certificate.set(&data).unwrap();
    let answer = client.review("/inject", &review("Pod", "acme", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true, "the connection is broken");
    assert!(server.tls(&server.trusted).await.is_err(), "the old certificate is still used");
    server.tls(&other).await.unwrap();
}

#[tokio::test]
async fn an_invalid_certificate_does_not_replace_a_valid_one() {
    let server = Server::start().await;
    let (_, good) = testing::certificate(NAME);
    let with = |key: &str, value: &[u8]| {
        let mut data = good.clone();
        data.insert(key.to_owned(), ByteString(value.to_vec()));
        data
    };
    let cases = [
        (BTreeMap::new(), "the key tls.crt is missing"),
        (with("tls.crt", b"garbage"), "tls.crt contains no PEM certificates"),
        (
            with("tls.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "tls.crt contains no PEM certificates",
        ),
        (with("tls.key", b"\xff"), "tls.key contains no PEM private key of a supported type"),
        (with("tls.key", &testing::certificate(NAME).1["tls.key"].0), "tls.key does not belong to tls.crt"),
    ];
    for (data, message) in cases {
        assert_eq!(server.certificate.set(&data).unwrap_err().to_string(), message);
    }
    server.tls(&server.trusted).await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_review_is_refused_and_counted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let deep = "[".repeat(100_000);
    let cases = [
        (Method::POST, "/", "{}".to_owned(), StatusCode::NOT_FOUND, "path"),
        (Method::GET, "/inject", String::new(), StatusCode::METHOD_NOT_ALLOWED, "method"),
        (Method::POST, "/inject", "not json".to_owned(), StatusCode::BAD_REQUEST, "malformed"),
        (Method::POST, "/validate", "{}".to_owned(), StatusCode::BAD_REQUEST, "malformed"),
        (Method::POST, "/inject", deep, StatusCode::BAD_REQUEST, "malformed"),
    ];
    for (method, path, body, status, cause) in cases {
        let (code, text) = client.send(method, path, body).await;
        assert_eq!(code, status, "{text}");
        assert!(server.metrics().contains(&format!("snmp_operator_webhook_unanswered_total{{cause=\"{cause}\"}}")));
    }
}

#[tokio::test]
async fn a_body_of_the_maximum_size_is_reviewed_and_a_larger_one_refused() {
    let server = Server::start().await;
    let mut large = pod();
    large["metadata"]["annotations"] = json!({"large": "x".repeat(6 << 20)});
    let answer = server.client().await.review("/inject", &review("Pod", "acme", &large)).await;
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    // The response comes before the body is complete, so the connection can end in several ways.
    let mut stream = server.tls(&server.trusted).await.unwrap();
    stream.write_all(b"POST /inject HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    timeout(DEADLINE, stream.read_exact(&mut head)).await.expect("no answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_failed_decision_allows_the_pod_with_a_warning() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let answer = client.review("/inject", &review("Pod", "other", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["warnings"][0], "the pod got no SNMP sidecar: the decision failed");
    assert!(server.metrics().contains(r#"snmp_operator_webhook_injections_total{outcome="failed"} 1"#));
    client.review("/inject", &review("Pod", "acme", &pod())).await;
}

/// A cluster whose answer the test triggers.
struct Slow(std::sync::Mutex<mpsc::Receiver<()>>, tokio::sync::mpsc::UnboundedSender<()>);

impl Cluster for Slow {
    fn selects(&self, _: &str, _: Labels<'_>) -> bool {
        self.1.send(()).unwrap();
        // It also answers if the test has dropped the sender.
        let _ = self.0.lock().unwrap().recv();
        true
    }

    fn objects(&self) -> Objects {
        Objects::default()
    }
}

fn slow() -> (Slow, mpsc::Sender<()>, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (go, wait) = mpsc::channel();
    let (queried, awaited) = tokio::sync::mpsc::unbounded_channel();
    (Slow(wait.into(), queried), go, awaited)
}

#[tokio::test]
async fn a_slow_decision_is_answered_in_time() {
    let (cluster, go, _awaited) = slow();
    let server = Server::start_with(cluster).await;
    let answer = server.client().await.review("/inject", &review("Pod", "acme", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["warnings"][0], "the pod got no SNMP sidecar: the decision took too long");
    drop(go);
}

#[tokio::test]
async fn an_open_request_is_completed_during_the_drain() {
    let (cluster, go, mut awaited) = slow();
    let mut server = Server::start_with(cluster).await;
    let mut client = server.client().await;
    let _idle = server.client().await;
    let request = tokio::spawn(async move { client.review("/inject", &review("Pod", "acme", &pod())).await });
    timeout(DEADLINE, awaited.recv()).await.expect("the cluster is not queried").unwrap();
    let drained = tokio::spawn(server.drain.take().unwrap().drain(DEADLINE));
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert_eq!(request.await.unwrap()["response"]["patchType"], "JSONPatch");
    assert_eq!(drained.await.unwrap(), Ok(()));
    timeout(DEADLINE, server.task).await.expect("the server does not stop").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn invalid_tls_affects_only_its_own_connection(octets in proptest::collection::vec(any::<u8>(), 1..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let mut raw = TcpStream::connect(server.address).await.unwrap();
            raw.write_all(&octets).await.unwrap();
            raw.shutdown().await.unwrap();
            // The connection can be reset while data is unread.
            let _ = timeout(DEADLINE, raw.read_to_end(&mut Vec::new())).await.expect("the connection stays open");
            let answer = server.client().await.review("/inject", &review("Pod", "acme", &pod())).await;
            assert_eq!(answer["response"]["allowed"], true);
        });
    }
}
