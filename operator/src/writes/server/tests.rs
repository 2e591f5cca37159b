//! Requests over TLS as sidecars send them, to a server over an API server that is a few lines.

use std::{collections::BTreeMap, convert::Infallible};

use daemon::drain;
use data_encoding::BASE64URL_NOPAD;
use futures::future::BoxFuture;
use hyper::{
    Method,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use identity::{AUDIENCE, Unreachable};
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

/// Knows tokens whose third part says `NAMESPACE/POD`.
struct Fake;

impl Reviewer for Fake {
    fn review<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenReviewStatus, Unreachable>> {
        let said = token.expose().rsplit('.').next().and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
        let said = said.and_then(|octets| String::from_utf8(octets).ok()).unwrap_or_default();
        let (namespace, pod) = said.split_once('/').unwrap_or_default();
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

/// What the API server has and says.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The ConfigMap acme/settings, if it is there.
    map: Option<Json>,
    /// What is answered to each patch in place of it, as long as there is some.
    instead: Vec<(u16, Json)>,
    /// Nothing is ever answered.
    hangs: bool,
    /// Each request: method and path with query.
    asked: Vec<String>,
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
            state.asked.push(format!("{} {}", head.method, head.uri));
            state.hangs
        });
        if hangs {
            std::future::pending::<()>().await;
        }
        let (code, answer) = lock(&self.0, |state| state.answer(&head.method, &body));
        let response = hyper::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
        Ok(response.unwrap())
    }

    fn asked(&self) -> Vec<String> {
        lock(&self.0, |state| state.asked.clone())
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
        if !self.instead.is_empty() {
            return self.instead.remove(0);
        }
        if patch["metadata"]["resourceVersion"] != map["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "the object has been modified");
        }
        json_patch::merge(map, &patch);
        map["metadata"]["resourceVersion"] = "8".into();
        (200, map.clone())
    }
}

/// An index in which acme writes two keys of `settings`.
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
        let shown = Shown::default();
        shown.set(&data).unwrap();
        let (trigger, watcher) = drain::channel();
        let mut registry = Registry::with_prefix("snmp_operator");
        let api = api.clone();
        let serving = Serving {
            client: Client::new(tower::service_fn(move |request| api.clone().serve(request)), "default"),
            reviewer: Box::new(Fake),
            index: index(),
            shown,
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

    /// One request of a pod of acme, on a connection of its own.
    async fn ask(&self, method: Method, name: &str, body: impl Into<Bytes>) -> (u16, Json) {
        let (status, _, answer) = self.client().await.ask(method, name, Some(&token("acme", "web-0")), body).await;
        (status, answer)
    }

    fn counted(&self, sample: &str) -> bool {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page.lines().any(|line| line == sample)
    }
}

struct Peer(SendRequest<Full<Bytes>>);

impl Peer {
    async fn ask(
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
        let asked = async {
            self.0.ready().await.unwrap();
            let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = if body.is_empty() { Json::Null } else { serde_json::from_slice(&body).unwrap() };
            (head.status.as_u16(), head.headers, body)
        };
        timeout(DEADLINE, asked).await.expect("no answer")
    }
}

#[tokio::test]
async fn of_a_config_map_what_may_be_written_is_read_and_nothing_else() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let (status, answer) = server.ask(Method::GET, "settings", "").await;
    assert_eq!((status, answer), (200, json!({"resourceVersion": "7", "data": {"log_level": "info"}})));
    assert_eq!(api.asked(), ["GET /api/v1/namespaces/acme/configmaps/settings"]);
    assert!(server.counted(r#"snmp_operator_configmap_reads_total{result="read"} 1"#));
    assert!(server.counted(r#"snmp_operator_write_tokens_total{result="accepted"} 1"#));
}

#[tokio::test]
async fn a_change_holds_for_the_version_that_was_seen() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let change = json!({"resourceVersion": "7", "data": {"log_level": "debug", "motd": "hello"}}).to_string();
    let (status, answer) = server.ask(Method::PATCH, "settings", change.clone()).await;
    assert_eq!((status, answer), (200, json!({"resourceVersion": "8"})));
    assert_eq!(
        (api.value("log_level"), api.value("motd"), api.value("password")),
        ("debug".into(), "hello".into(), "tell-no-one".into())
    );
    let patch = api.asked().pop().unwrap();
    assert_eq!(patch, "PATCH /api/v1/namespaces/acme/configmaps/settings?&fieldManager=snmp-operator-writes");
    assert!(server.counted(r#"snmp_operator_configmap_writes_total{result="written"} 1"#));
    let (status, answer) = server.ask(Method::PATCH, "settings", change).await;
    assert_eq!(status, 409, "{answer}");
    assert!(server.counted(r#"snmp_operator_configmap_writes_total{result="conflict"} 1"#));
    let (status, _) = server.ask(Method::PATCH, "settings", r#"{"data": {"motd": null}}"#).await;
    assert_eq!((status, api.value("motd")), (200, Json::Null), "a key without a text goes");
}

#[tokio::test]
async fn a_change_of_any_version_goes_on_where_another_comes_between() {
    let api = Api::writable();
    let conflict = failure(409, "Conflict", "the object has been modified");
    lock(&api.0, |state| state.instead = vec![conflict.clone(); 2]);
    let server = Server::start(&api).await;
    let (status, _) = server.ask(Method::PATCH, "settings", r#"{"data": {"log_level": "debug"}}"#).await;
    assert_eq!((status, api.value("log_level")), (200, "debug".into()));
    assert_eq!(lock(&api.0, |state| state.patches.len()), 3);
    lock(&api.0, |state| state.instead = vec![conflict; 100]);
    let (status, _) = server.ask(Method::PATCH, "settings", r#"{"data": {"log_level": "warn"}}"#).await;
    assert_eq!((status, lock(&api.0, |state| state.patches.len())), (409, 7), "not without end");
}

#[rstest]
#[case::no_label(Api::new(&json!({}), &json!({"log_level": "info"})), 403, "kubectl label configmap settings -n acme snmp-operator.dev/writable=true")]
#[case::another_label(Api::new(&json!({"snmp-operator.dev/writable": "yes"}), &json!({})), 403, "nobody has said")]
#[case::not_there(Api::default(), 404, "there is no ConfigMap acme/settings")]
#[tokio::test]
async fn what_nobody_opened_is_neither_read_nor_written(#[case] api: Api, #[case] code: u16, #[case] said: &str) {
    let server = Server::start(&api).await;
    for (method, body) in [(Method::GET, ""), (Method::PATCH, r#"{"data": {"log_level": "debug"}}"#)] {
        let (status, answer) = server.ask(method, "settings", body).await;
        assert_eq!(status, code);
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    assert!(lock(&api.0, |state| state.patches.is_empty()));
}

#[tokio::test]
async fn nobody_reaches_what_no_subtree_of_the_namespace_writes() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let change = r#"{"data": {"log_level": "debug"}}"#;
    let mut client = server.client().await;
    for (namespace, pod, name, body, said) in [
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
        let (status, _, answer) = client.ask(Method::PATCH, name, Some(&token(namespace, pod)), body).await;
        assert_eq!(status, 403, "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{answer}");
    }
    assert!(api.asked().is_empty(), "the API server is not even asked");
    assert!(server.counted(r#"snmp_operator_configmap_writes_total{result="forbidden"} 5"#));
}

#[tokio::test]
async fn who_shows_no_token_learns_that_and_nothing_else() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let expired = BASE64URL_NOPAD.encode(json!({"aud": AUDIENCE, "exp": 1}).to_string().as_bytes());
    for token in [None, Some(token("", "")), Some("Basic YTpi".to_owned()), Some(format!("Bearer e30.{expired}.e30"))] {
        let (status, headers, answer) =
            server.client().await.ask(Method::PATCH, "settings", token.as_deref(), "not even read").await;
        assert_eq!((status, &headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
        assert!(answer["message"].as_str().unwrap().contains("token"), "{answer}");
    }
    assert!(api.asked().is_empty());
}

#[rstest]
#[case::invalid(failure(422, "Invalid", "data[motd]: Invalid value: \"tell-no-one\""), 422, "422 Invalid: data[motd]")]
#[case::too_large(failure(413, "RequestEntityTooLarge", "limit is 3145728"), 413, "too large")]
#[case::no_right(failure(403, "Forbidden", "configmaps \"settings\" is forbidden"), 422, "is forbidden")]
#[case::gone(failure(404, "NotFound", "not found"), 404, "gone")]
#[case::busy(failure(429, "TooManyRequests", "later"), 429, "too much to do")]
#[case::broken(failure(500, "InternalError", "tell-no-one"), 503, "does not answer")]
#[case::away((503, json!({})), 503, "does not answer")]
#[tokio::test]
async fn what_the_api_server_refuses_is_told_without_values(
    #[case] instead: (u16, Json),
    #[case] code: u16,
    #[case] said: &str,
) {
    let api = Api::writable();
    lock(&api.0, |state| state.instead = vec![instead]);
    let server = Server::start(&api).await;
    let token = token("acme", "web-0");
    let change = r#"{"data": {"motd": "tell-no-one"}}"#;
    let (status, headers, answer) = server.client().await.ask(Method::PATCH, "settings", Some(&token), change).await;
    let message = answer["message"].as_str().unwrap();
    assert_eq!(status, code, "{message}");
    assert!(message.contains(said) && !message.contains("tell-no-one"), "{message}");
    assert_eq!(headers.contains_key("retry-after"), [429, 503].contains(&code));
}

#[tokio::test]
async fn an_api_server_that_hangs_is_not_waited_for() {
    let api = Api::writable();
    lock(&api.0, |state| state.hangs = true);
    let server = Server::start(&api).await;
    let (status, _) = server.ask(Method::GET, "settings", "").await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let of = |len: usize| json!({"data": {"motd": "a".repeat(len)}}).to_string();
    assert_eq!(server.ask(Method::PATCH, "settings", of(BODY_SIZE)).await.0, 413);
    assert_eq!(server.ask(Method::PATCH, "settings", of(BODY_SIZE - 100)).await.0, 200);
    assert_eq!(server.ask(Method::PATCH, "settings", "{").await.0, 400);
    assert_eq!(server.ask(Method::DELETE, "settings", "").await.0, 405);
    assert_eq!(server.ask(Method::PATCH, "../secrets/x", "").await.0, 404);
    // Chunks without end, which no length announced.
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    let head = format!(
        "PATCH /v1/configmaps/settings HTTP/1.1\r\nhost: {NAME}\r\nauthorization: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        token("acme", "web-0")
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    // The server may close before all is written.
    for _ in 0..17 {
        if raw.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 12];
    timeout(DEADLINE, raw.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_that_drips_and_a_head_that_never_ends_are_given_up() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    let head = format!(
        "PATCH /v1/configmaps/settings HTTP/1.1\r\nhost: {NAME}\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\n{{",
        token("acme", "web-0")
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(DEADLINE, raw.read_exact(&mut answer)).await.expect("no answer").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 400", "nothing was written");
    let mut raw = testing::connect(server.address, NAME, &server.trusted).await.unwrap();
    raw.write_all(b"PATCH /v1/config").await.unwrap();
    let mut rest = Vec::new();
    let closed = timeout(DEADLINE, raw.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open");
}

#[tokio::test]
async fn a_namespace_that_asks_too_often_is_told_so_and_no_other_is_hindered() {
    let api = Api::writable();
    let server = Server::start(&api).await;
    let (acme, globex) = (token("acme", "web-0"), token("globex", "web-0"));
    let mut client = server.client().await;
    let mut seen = BTreeMap::<u16, usize>::new();
    for _ in 0..500 {
        let (status, headers, _) = client.ask(Method::GET, "settings", Some(&acme), "").await;
        *seen.entry(status).or_default() += 1;
        if status == 429 {
            assert_eq!(headers["retry-after"], "1");
            break;
        }
    }
    assert!(seen.contains_key(&429) && seen[&200] >= 40, "{seen:?}");
    let (status, _, _) = client.ask(Method::GET, "settings", Some(&globex), "").await;
    assert_eq!(status, 403, "another namespace is judged");
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
    let most = timeout(DEADLINE, refused).await.expect("no bound");
    assert_eq!(most, Writes::BOUNDS.per_source as usize);
    assert!(server.counted("snmp_operator_write_turned_away_total 1"));
}

#[tokio::test]
async fn the_drain_ends_the_server() {
    let mut server = Server::start(&Api::writable()).await;
    let trigger = server.drain.take().unwrap();
    trigger.drain(DEADLINE).await.unwrap();
    timeout(DEADLINE, server.task).await.expect("still serving").unwrap();
}
