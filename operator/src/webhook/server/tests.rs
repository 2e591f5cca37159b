//! Requests over TLS as an API server sends them, within the process.

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
use crate::{plan::Objects, tls_server::testing, webhook::Labels};

const DEADLINE: Duration = Duration::from_secs(30);
const NAME: &str = "snmp-operator-webhook.snmp-system.svc";

/// A cluster in which every pod of acme is selected; asking for another namespace's fails.
struct Everything;

impl Cluster for Everything {
    fn selects(&self, namespace: &str, _: Labels<'_>) -> bool {
        assert_eq!(namespace, "acme", "only acme has subtrees");
        true
    }

    fn objects(&self) -> Objects {
        Objects::default()
    }
}

struct Server {
    address: SocketAddr,
    shown: Shown,
    trusted: CertificateDer<'static>,
    registry: Registry,
    drain: Option<drain::Trigger>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(Everything).await
    }

    async fn start_with<C: Cluster>(cluster: C) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trusted, data) = testing::certificate(NAME);
        let shown = Shown::default();
        shown.set(&data).unwrap();
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
        let reviewer = Reviewer::new(webhooks, cluster, Metrics::registered(&mut registry));
        let task = tokio::spawn(accept(listener, shown.clone(), reviewer, watcher));
        Self { address, shown, trusted, registry, drain: Some(trigger), task }
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
    async fn ask(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("host", NAME).body(Full::new(body.into()));
        let asked = async {
            self.0.ready().await.unwrap();
            let response = self.0.send_request(request.unwrap()).await.unwrap();
            let status = response.status();
            (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        timeout(DEADLINE, asked).await.expect("no answer")
    }

    async fn review(&mut self, path: &str, body: &Json) -> Json {
        let (status, answer) = self.ask(Method::POST, path, body.to_string()).await;
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
async fn a_pod_and_a_subtree_are_reviewed_on_one_connection() {
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
async fn a_certificate_is_changed_under_connections_that_stay() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.review("/inject", &review("Pod", "acme", &pod())).await;
    let (other, data) = testing::certificate(NAME);
    server.shown.set(&data).unwrap();
    let answer = client.review("/inject", &review("Pod", "acme", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true, "the connection goes on");
    assert!(server.tls(&server.trusted).await.is_err(), "the former certificate is shown no more");
    server.tls(&other).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_shown_leaves_the_certificate_as_it_is() {
    let server = Server::start().await;
    let (_, good) = testing::certificate(NAME);
    let with = |key: &str, value: &[u8]| {
        let mut data = good.clone();
        data.insert(key.to_owned(), ByteString(value.to_vec()));
        data
    };
    let cases = [
        (BTreeMap::new(), "it has no tls.crt"),
        (with("tls.crt", b"garbage"), "tls.crt holds no PEM certificates"),
        (
            with("tls.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "tls.crt holds no PEM certificates",
        ),
        (with("tls.key", b"\xff"), "tls.key holds no PEM private key of a known kind"),
        (with("tls.key", &testing::certificate(NAME).1["tls.key"].0), "tls.key does not belong to tls.crt"),
    ];
    for (data, message) in cases {
        assert_eq!(server.shown.set(&data).unwrap_err().to_string(), message);
    }
    server.tls(&server.trusted).await.unwrap();
}

#[tokio::test]
async fn what_is_no_review_is_answered_with_a_status_and_counted() {
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
        let (answered, text) = client.ask(method, path, body).await;
        assert_eq!(answered, status, "{text}");
        assert!(server.metrics().contains(&format!("snmp_operator_webhook_unanswered_total{{cause=\"{cause}\"}}")));
    }
}

#[tokio::test]
async fn a_body_as_large_as_a_cluster_takes_is_reviewed_and_a_larger_one_refused() {
    let server = Server::start().await;
    let mut large = pod();
    large["metadata"]["annotations"] = json!({"large": "x".repeat(6 << 20)});
    let answer = server.client().await.review("/inject", &review("Pod", "acme", &large)).await;
    assert_eq!(answer["response"]["patchType"], "JSONPatch");
    // It is answered before it was sent whole, so the connection may end in either way.
    let mut stream = server.tls(&server.trusted).await.unwrap();
    stream.write_all(b"POST /inject HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    timeout(DEADLINE, stream.read_exact(&mut head)).await.expect("no answer").unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_failure_of_ours_allows_the_pod_and_says_so() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let answer = client.review("/inject", &review("Pod", "other", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["warnings"][0], "the pod got no SNMP sidecar: deciding about it failed");
    assert!(server.metrics().contains(r#"snmp_operator_webhook_injections_total{outcome="failed"} 1"#));
    client.review("/inject", &review("Pod", "acme", &pod())).await;
}

/// A cluster that answers when it is told to.
struct Slow(std::sync::Mutex<mpsc::Receiver<()>>, tokio::sync::mpsc::UnboundedSender<()>);

impl Cluster for Slow {
    fn selects(&self, _: &str, _: Labels<'_>) -> bool {
        self.1.send(()).unwrap();
        // Whoever told it may have gone: then it answers too.
        let _ = self.0.lock().unwrap().recv();
        true
    }

    fn objects(&self) -> Objects {
        Objects::default()
    }
}

fn slow() -> (Slow, mpsc::Sender<()>, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let (go, told) = mpsc::channel();
    let (asked, awaited) = tokio::sync::mpsc::unbounded_channel();
    (Slow(told.into(), asked), go, awaited)
}

#[tokio::test]
async fn what_takes_too_long_is_allowed_in_time() {
    let (cluster, go, _awaited) = slow();
    let server = Server::start_with(cluster).await;
    let answer = server.client().await.review("/inject", &review("Pod", "acme", &pod())).await;
    assert_eq!(answer["response"]["allowed"], true);
    assert_eq!(answer["response"]["warnings"][0], "the pod got no SNMP sidecar: deciding about it took too long");
    drop(go);
}

#[tokio::test]
async fn a_request_under_way_is_answered_in_spite_of_the_drain() {
    let (cluster, go, mut awaited) = slow();
    let mut server = Server::start_with(cluster).await;
    let mut client = server.client().await;
    let _idle = server.client().await;
    let asked = tokio::spawn(async move { client.review("/inject", &review("Pod", "acme", &pod())).await });
    timeout(DEADLINE, awaited.recv()).await.expect("never asked").unwrap();
    let drained = tokio::spawn(server.drain.take().unwrap().drain(DEADLINE));
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert_eq!(asked.await.unwrap()["response"]["patchType"], "JSONPatch");
    assert_eq!(drained.await.unwrap(), Ok(()));
    timeout(DEADLINE, server.task).await.expect("the server does not end").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn octets_that_are_no_tls_end_their_own_connection_alone(octets in proptest::collection::vec(any::<u8>(), 1..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let mut raw = TcpStream::connect(server.address).await.unwrap();
            raw.write_all(&octets).await.unwrap();
            raw.shutdown().await.unwrap();
            // It may be reset while there is something unread.
            let _ = timeout(DEADLINE, raw.read_to_end(&mut Vec::new())).await.expect("the connection stays open");
            let answer = server.client().await.review("/inject", &review("Pod", "acme", &pod())).await;
            assert_eq!(answer["response"]["allowed"], true);
        });
    }
}
