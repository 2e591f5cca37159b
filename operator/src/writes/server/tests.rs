//! Tests of the server with requests over TLS, as sidecars send them, and with a fake API server.

use std::{collections::BTreeMap, convert::Infallible};

use daemon::drain;
use data_encoding::BASE64URL_NOPAD;
use futures::future::BoxFuture;
use hyper::{
    Method,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use identity::{AUDIENCE, ReviewError};
use k8s_openapi::api::authentication::v1::TokenReviewStatus;
use kube::client::Body;
use prometheus_client::registry::Registry;
use rstest::rstest;
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::*;
use crate::{
    index::{Index, key, version},
    tls_server::testing,
};

const DEADLINE: Duration = Duration::from_secs(30);
const NAME: &str = "snmp-operator-writes.snmp-system.svc";

/// A reviewer that accepts tokens whose third part is `NAMESPACE/POD`.
struct FakeReviewer;

impl Reviewer for FakeReviewer {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, ReviewError>> {
        let claim = token.expose().rsplit('.').next().and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
        let claim = claim.and_then(|octets| String::from_utf8(octets).ok()).unwrap_or_default();
        let (namespace, pod) = claim.split_once('/').unwrap_or_default();
        let status = json!({
            "authenticated": !namespace.is_empty(),
            "audiences": [AUDIENCE],
            "user": {
                "username": format!("system:serviceaccount:{namespace}:default"),
                "extra": {"authentication.kubernetes.io/pod-name": [pod]},
            },
        });
        Box::pin(async move { Ok(serde_json::from_value(status).unwrap()) })
    }
}

fn token(namespace: &str, pod: &str) -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = json!({"aud": AUDIENCE, "exp": 4_000_000_000_u64}).to_string();
    format!("Bearer {}.{}.{}", part("{}"), part(&claims), part(&format!("{namespace}/{pod}")))
}

/// A fake API server.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The ConfigMap acme/settings, if it exists.
    map: Option<Json>,
    /// The responses to the next patches, instead of the real ones.
    failures: Vec<(u16, Json)>,
    /// Whether no request is answered.
    hangs: bool,
    /// All requests: method, path and query.
    requests: Vec<String>,
    patches: Vec<Json>,
}

impl Api {
    fn new(labels: &Json, data: &Json) -> Self {
        let api = Self::default();
        lock(&api.0, |state| {
            state.map = Some(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"namespace": "acme", "name": "settings", "resourceVersion": "7", "labels": labels},
                "data": data,
            }));
        });
        api
    }

    fn writable() -> Self {
        Self::new(
            &json!({"snmp-operator.dev/writable": "true"}),
            &json!({"log_level": "info", "password": "tell-no-one"}),
        )
    }

    async fn serve(self, request: hyper::Request<Body>) -> Result<hyper::Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let hangs = lock(&self.0, |state| {
            state.requests.push(format!("{} {}", head.method, head.uri));
            state.hangs
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        let (code, answer) = lock(&self.0, |state| state.answer(&head.method, &body));
        let response = hyper::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        Ok(response.unwrap())
    }

    fn requests(&self) -> Vec<String> {
        lock(&self.0, |state| state.requests.clone())
    }

    fn value(&self, key: &str) -> Json {
        lock(&self.0, |state| state.map.as_ref().unwrap()["data"][key].clone())
    }
}

fn failure(code: u16, reason: &str, message: &str) -> (u16, Json) {
    let causes = json!({"causes": [{"field": "data[motd]", "message": message}]});
    (
        code,
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": causes}),
    )
}

impl State {
    fn answer(&mut self, method: &Method, body: &[u8]) -> (u16, Json) {
        let Some(map) = &mut self.map else { return failure(404, "NotFound", "configmaps \"settings\" not found") };
        if method != Method::PATCH {
            return (200, map.clone());
        }
        let patch: Json = serde_json::from_slice(body).unwrap();
        self.patches.push(patch.clone());
        if !self.failures.is_empty() {
            return self.failures.remove(0);
        }
        if patch["metadata"]["resourceVersion"] != map["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "the object has been modified");
        }
        json_patch::merge(map, &patch);
        map["metadata"]["resourceVersion"] = "8".into();
        (200, map.clone())
    }
}

/// Returns an index in which acme writes two keys of `settings`.
fn index() -> SharedIndex {
    let scalar = |name: &str, oid: &str, key: &str| {
        json!({
            "name": name, "oid": oid, "syntax": "DisplayString", "value": {"source": "settings", "metric": key},
            "write": {"configMap": {"name": "settings", "key": key}},
        })
    };
    let subtree: crds::SnmpSubtree = serde_json::from_value(json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
        "metadata": {"namespace": "acme", "name": "one", "uid": "one", "generation": 1},
        "spec": {
            "oid": "1.3.6.1.4.1.9.9.9.1", "selector": {},
            "scalars": [scalar("level", "1", "log_level"), scalar("motd", "2", "motd")],
        },
        "status": {"conditions": [{
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    }))
    .unwrap();
    let mut index = Index::default();
    index.subtrees.apply(key(&subtree), version(&subtree), Arc::new(subtree));
    Arc::new(Mutex::new(index))
}

struct Server {
    address: SocketAddr,
    trusted: CertificateDer<'static>,
    registry: Registry,
    drain: Option<drain::Trigger>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(api: &Api) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trusted, data) = testing::certificate(NAME);
        let certificate = CurrentCertificate::default();
        certificate.set(&data).unwrap();
        let (trigger, watcher) = drain::channel();
        let mut registry = Registry::with_prefix("snmp_operator");
        let api = api.clone();
        let serving = Serving {
            client: Client::new(tower::service_fn(move |request| api.clone().serve(request)), "default"),
            reviewer: Box::new(FakeReviewer),
            index: index(),
            certificate,
            metrics: Metrics::registered(&mut registry),
            requests: Requests::default(),
        };
        let task = tokio::spawn(serve(listener, serving, watcher));
        Self { address, trusted, registry, drain: Some(trigger), task }
    }

    async fn client(&self) -> Peer {
        let stream = testing::connect(self.address, NAME, &self.trusted).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Peer(sender)
    }

    /// Sends a request of a pod of acme, on its own connection.
    async fn send(&self, method: Method, name: &str, body: impl Into<Bytes>) -> (u16, Json) {
        let (status, _, answer) = self.client().await.send(method, name, Some(&token("acme", "web-0")), body).await;
        (status, answer)
    }

    fn has_sample(&self, sample: &str) -> bool {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.lines().any(|line| line == sample)
    }
}

struct Peer(SendRequest<Full<Bytes>>);

impl Peer {
    async fn send(
        &mut self,
        method: Method,
        name: &str,
        token: Option<&str>,
        body: impl Into<Bytes>,
    ) -> (u16, hyper::HeaderMap, Json) {
        let path = format!("/v1/configmaps/{name}");
        let mut request = Request::builder().method(method).uri(path).header("host", NAME);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let exchange = async {
            self.0.ready().await.unwrap();
            let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body).unwrap() };
            (head.status.as_u16(), head.headers, body)
        };
        timeout(DEADLINE, exchange).await.expect("no response")
    }
}

#[tokio::test]
async fn only_writable_keys_are_read() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let (status, answer) = server.send(Method::GET, "settings", "").await;
    assert_eq!((status, answer), (200, json!({"resourceVersion": "7", "data": {"log_level": "info"}})));
    assert_eq!(api.requests(), ["GET /api/v1/namespaces/acme/configmaps/settings"]);
    assert!(server.has_sample(r#"snmp_operator_configmap_reads_total{result="read"} 1"#));
    assert!(server.has_sample(r#"snmp_operator_write_tokens_total{result="accepted"} 1"#));
}

#[tokio::test]
async fn a_change_applies_to_the_requested_version() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let change = json!({"resourceVersion": "7", "data": {"log_level": "debug", "motd": "hello"}}).to_string();
    let (status, answer) = server.send(Method::PATCH, "settings", change.clone()).await;
    assert_eq!((status, answer), (200, json!({"resourceVersion": "8"})));
    assert_eq!(
        (api.value("log_level"), api.value("motd"), api.value("password")),
        ("debug".into(), "hello".into(), "tell-no-one".into())
    );
    let patch = api.requests().pop().unwrap();
    assert_eq!(patch, "PATCH /api/v1/namespaces/acme/configmaps/settings?&fieldManager=snmp-operator-writes");
    assert!(server.has_sample(r#"snmp_operator_configmap_writes_total{result="written"} 1"#));
    let (status, answer) = server.send(Method::PATCH, "settings", change).await;
    assert_eq!(status, 409, "{answer}");
    assert!(server.has_sample(r#"snmp_operator_configmap_writes_total{result="conflict"} 1"#));
    let (status, _) = server.send(Method::PATCH, "settings", r#"{"data": {"motd": null}}"#).await;
    assert_eq!((status, api.value("motd")), (200, Json::Null), "the key is not removed");
}

#[tokio::test]
async fn a_change_without_a_version_is_retried_after_a_conflict() {
    let api = Api::writable();
    let conflict = failure(409, "Conflict", "the object has been modified");
    lock(&api.0, |state| state.failures = vec![conflict.clone(); 2]);
    let server = Server::start(&api).await;
    let (status, _) = server.send(Method::PATCH, "settings", r#"{"data": {"log_level": "debug"}}"#).await;
    assert_eq!((status, api.value("log_level")), (200, "debug".into()));
    assert_eq!(lock(&api.0, |state| state.patches.len()), 3);
    lock(&api.0, |state| state.failures = vec![conflict; 100]);
    let (status, _) = server.send(Method::PATCH, "settings", r#"{"data": {"log_level": "warn"}}"#).await;
    assert_eq!((status, lock(&api.0, |state| state.patches.len())), (409, 7), "retries are not bounded");
}

#[rstest]
#[case::no_label(Api::new(&json!({}), &json!({"log_level": "info"})), 403, "kubectl label configmap settings -n acme snmp-operator.dev/writable=true")]
#[case::another_label(Api::new(&json!({"snmp-operator.dev/writable": "yes"}), &json!({})), 403, "lacks the label that allows writes")]
#[case::missing(Api::default(), 404, "there is no ConfigMap acme/settings")]
#[tokio::test]
async fn a_config_map_without_the_label_is_neither_read_nor_written(
    #[case] api: Api,
    #[case] code: u16,
    #[case] expected: &str,
) {
    let server = Server::start(&api).await;
    for (method, body) in [(Method::GET, ""), (Method::PATCH, r#"{"data": {"log_level": "debug"}}"#)] {
        let (status, answer) = server.send(method, "settings", body).await;
        assert_eq!(status, code);
        assert!(answer["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert!(lock(&api.0, |state| state.patches.is_empty()));
}

#[tokio::test]
async fn only_keys_of_the_namespaces_subtrees_can_be_written() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let change = r#"{"data": {"log_level": "debug"}}"#;
    let mut client = server.client().await;
    for (namespace, pod, name, body, expected) in [
        ("globex", "web-0", "settings", change, "no accepted SnmpSubtree of globex writes ConfigMap settings"),
        ("acme", "web-0", "other", change, "no accepted SnmpSubtree of acme writes ConfigMap other"),
        (
            "acme",
            "web-0",
            "settings",
            r#"{"data": {"password": "x"}}"#,
            "writes the key password of ConfigMap settings",
        ),
        ("acme", "web-0", "settings", r#"{"data": {"log_level": "x", "password": "x"}}"#, "the key password"),
        ("acme", "", "settings", change, "the token belongs to no pod"),
    ] {
        let (status, _, answer) = client.send(Method::PATCH, name, Some(&token(namespace, pod)), body).await;
        assert_eq!(status, 403, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert!(api.requests().is_empty(), "the API server got a request");
    assert!(server.has_sample(r#"snmp_operator_configmap_writes_total{result="forbidden"} 5"#));
}

#[tokio::test]
async fn a_request_without_a_valid_token_is_refused() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let expired = BASE64URL_NOPAD.encode(json!({"aud": AUDIENCE, "exp": 1}).to_string().as_bytes());
    for token in [None, Some(token("", "")), Some("Basic YTpi".to_owned()), Some(format!("Bearer e30.{expired}.e30"))] {
        let (status, headers, answer) =
            server.client().await.send(Method::PATCH, "settings", token.as_deref(), "never read").await;
        assert_eq!((status, &headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
        assert!(answer["message"].as_str().unwrap().contains("token"), "{answer}");
    }
    assert!(api.requests().is_empty());
}

#[rstest]
#[case::invalid(failure(422, "Invalid", "data[motd]: Invalid value: \"tell-no-one\""), 422, "422 Invalid: data[motd]")]
#[case::too_large(failure(413, "RequestEntityTooLarge", "limit is 3145728"), 413, "too large")]
#[case::no_right(failure(403, "Forbidden", "configmaps \"settings\" is forbidden"), 422, "is forbidden")]
#[case::gone(failure(404, "NotFound", "not found"), 404, "deleted")]
#[case::busy(failure(429, "TooManyRequests", "later"), 429, "overloaded")]
#[case::broken(failure(500, "InternalError", "tell-no-one"), 503, "does not answer")]
#[case::unavailable((503, json!({})), 503, "does not answer")]
#[tokio::test]
async fn failures_of_the_api_server_are_reported_without_values(
    #[case] failure: (u16, Json),
    #[case] code: u16,
    #[case] expected: &str,
) {
    let api = Api::writable();
    lock(&api.0, |state| state.failures = vec![failure]);
    let server = Server::start(&api).await;
    let token = token("acme", "web-0");
    let change = r#"{"data": {"motd": "tell-no-one"}}"#;
    let (status, headers, answer) = server.client().await.send(Method::PATCH, "settings", Some(&token), change).await;
    let message = answer["message"].as_str().unwrap();
    assert_eq!(status, code, "{message}");
    assert!(message.contains(expected) && !message.contains("tell-no-one"), "{message}");
    assert_eq!(headers.contains_key("retry-after"), [429, 503].contains(&code));
}

#[tokio::test]
async fn a_hanging_api_server_is_a_timeout() {
    let api = Api::writable();
    lock(&api.0, |state| state.hangs = true);
    let server = Server::start(&api).await;
    let (status, _) = server.send(Method::GET, "settings", "").await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let of = |len: usize| json!({"data": {"motd": "a".repeat(len)}}).to_string();
    assert_eq!(server.send(Method::PATCH, "settings", of(BODY_SIZE)).await.0, 413);
    assert_eq!(server.send(Method::PATCH, "settings", of(BODY_SIZE - 100)).await.0, 200);
    assert_eq!(server.send(Method::PATCH, "settings", "{").await.0, 400);
    assert_eq!(server.send(Method::DELETE, "settings", "").await.0, 405);
    assert_eq!(server.send(Method::PATCH, "../secrets/x", "").await.0, 404);
    // Endless chunks, without a content length.
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    let head = format!(
        "PATCH /v1/configmaps/settings HTTP/1.1\r\nhost: {NAME}\r\nauthorization: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        token("acme", "web-0")
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    // The server can close the connection before everything is written.
    for _ in 0..17 {
        if raw.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    timeout(DEADLINE, raw.read_exact(&mut answer)).await.expect("no response").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
}

#[tokio::test]
async fn slow_bodies_and_heads_time_out() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    let head = format!(
        "PATCH /v1/configmaps/settings HTTP/1.1\r\nhost: {NAME}\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\n{{",
        token("acme", "web-0")
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(DEADLINE, raw.read_exact(&mut answer)).await.expect("no response").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 400", "the request does not time out");
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    raw.write_all(b"PATCH /v1/config").await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(DEADLINE, raw.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn the_rate_limit_applies_to_one_namespace() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let (acme, globex) = (token("acme", "web-0"), token("globex", "web-0"));
    let mut client = server.client().await;
    let mut seen = BTreeMap::<u16, usize>::new();
    for _ in 0..500 {
        let (status, headers, _) = client.send(Method::GET, "settings", Some(&acme), "").await;
        *seen.entry(status).or_default() += 1;
        if status == 429 {
            assert_eq!(headers["retry-after"], "1");
            break;
        }
    }
    assert!(seen.contains_key(&429) && seen[&200] >= 40, "{seen:?}");
    let (status, _, _) = client.send(Method::GET, "settings", Some(&globex), "").await;
    assert_eq!(status, 403, "another namespace is limited");
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let server = Server::start(&Api::writable()).await;
    let mut open = Vec::new();
    let refused = async {
        loop {
            match testing::connect(server.address, NAME, &server.trusted).await {
                Ok(stream) => open.push(stream),
                Err(_) => break open.len(),
            }
        }
    };
    let most = timeout(DEADLINE, refused).await.expect("connections are not bounded");
    assert_eq!(most, Writes::BOUNDS.per_source as usize);
    assert!(server.has_sample("snmp_operator_write_turned_away_total 1"));
}

#[tokio::test]
async fn the_drain_ends_the_server() {
    let mut server = Server::start(&Api::writable()).await;
    let trigger = server.drain.take().unwrap();
    trigger.drain(DEADLINE).await.unwrap();
    timeout(DEADLINE, server.task).await.expect("the server does not stop").unwrap();
}
