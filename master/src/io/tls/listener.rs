//! The listener of AgentX over TLS. It performs the TLS handshake, authenticates the peer by its token, upgrades the
//! connection to AgentX, and passes it to the agent thread.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use daemon::{
    acceptor::{self, Connection},
    drain::Watcher,
    keyed_limit::{KeyedLimit, Permit},
};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{self, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use identity::{Reviewer, Token, TokenReviews, VerifiedToken};
use master_config::Limits;
use rustls::{ServerConfig, server::NoServerSessionStorage};
use tokio::{
    net::TcpStream,
    sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot},
    time::{interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    BoundTls, TlsTraffic,
    certificates::{Certificate, CheckResult, Watch, provider},
    http::{Answer, Refusal, RequestKind, parse_request, switching_protocols},
    registrations::Page,
};
use crate::{
    agent::command::Command,
    io::{Arrival, tcp::prepare, traffic::Traffic, wire::Wire},
    subagents::authority::{Peer, Transport},
};

/// The longest time from the accept to the upgrade to AgentX.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at once that are not upgraded yet.
const PENDING: usize = 512;
/// Connections at once of one source that are not upgraded yet.
const PENDING_PER_SOURCE: u32 = 64;
/// The longest head of a request, in octets.
const MAX_HEAD: usize = 8 << 10;
/// Maximum number of header fields of a request.
const MAX_HEADERS: usize = 32;
/// Time between two checks of the certificate's files.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(1);
/// Upgraded connections that may wait for the agent thread.
const QUEUE: usize = 64;
/// Timeout of the agent thread's reply with the registrations.
const AGENT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest lifetime of a connection. A token may be valid for longer than a clock can represent.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 366);

/// A ServiceAccount, as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceAccount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        let (namespace, name) =
            parts.ok_or("is not of the form NAMESPACE/NAME, for example snmp-system/snmp-operator")?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// The settings of the listener.
#[derive(Debug)]
pub struct Settings {
    /// The directory of tls.crt and tls.key.
    pub directory: PathBuf,
    /// The ServiceAccount that may read registrations.
    pub operator: ServiceAccount,
    /// The name of this replica.
    pub replica: String,
    /// Whether this replica is active.
    pub active: Arc<AtomicBool>,
}

/// The dependencies of the listener.
pub struct Dependencies {
    /// Reviews tokens.
    pub reviewer: Box<dyn Reviewer>,
    /// Sends requests to the agent thread.
    pub commander: mpsc::Sender<Command>,
    /// The counters.
    pub traffic: Arc<Traffic>,
}

/// The running listener. Clones share it.
#[derive(Clone)]
pub struct TlsListener(Arc<Shared>);

struct Shared {
    settings: Settings,
    tokens: TokenReviews,
    acceptor: TlsAcceptor,
    commander: mpsc::Sender<Command>,
    arrivals: mpsc::Sender<Arrival>,
    traffic: Arc<Traffic>,
    /// Limits upgraded connections of each namespace.
    namespaces: KeyedLimit<Arc<str>>,
    per_namespace: AtomicU32,
    /// The last list of registrations. Its lock makes sure that only one request at a time goes to the agent thread.
    page: AsyncMutex<Option<Page>>,
}

/// An accepted request for AgentX.
struct Upgrade {
    switched: OnUpgrade,
    token: VerifiedToken,
    permit: Permit<Arc<str>>,
}

type Io = TokioIo<TlsStream<TcpStream>>;

impl TlsListener {
    /// Accepts connections until the drain. The receiver yields upgraded connections for the agent thread. Needs a
    /// Tokio runtime.
    pub fn start(
        bound: BoundTls,
        settings: Settings,
        limits: &Limits,
        dependencies: Dependencies,
        drain: Watcher,
    ) -> (Self, mpsc::Receiver<Arrival>) {
        let certificate = Arc::new(Certificate::default());
        let watch = Watch::new(settings.directory.clone());
        let Dependencies { reviewer, commander, traffic } = dependencies;
        let (arrivals, receiver) = mpsc::channel(QUEUE);
        let listener = Self(Arc::new(Shared {
            settings,
            tokens: TokenReviews::new(reviewer, Arc::clone(&traffic.tls.reviews)),
            acceptor: TlsAcceptor::from(Arc::new(config(&certificate))),
            commander,
            arrivals,
            traffic,
            namespaces: KeyedLimit::default(),
            per_namespace: AtomicU32::new(limits.sessions_per_namespace),
            page: AsyncMutex::default(),
        }));
        tokio::spawn(listener.clone().serve(bound, watch, certificate, drain));
        (listener, receiver)
    }

    /// Changes the limits for new connections.
    pub fn limit(&self, limits: &Limits) {
        self.0.per_namespace.store(limits.sessions_per_namespace, Ordering::Relaxed);
    }

    /// Watches the certificate, and accepts connections once a certificate is loaded.
    async fn serve(self, bound: BoundTls, mut watch: Watch, certificate: Arc<Certificate>, mut drain: Watcher) {
        let (available, ending) = (Notify::new(), drain.clone());
        let watching = async {
            let mut ticks = interval(CERTIFICATE_INTERVAL);
            loop {
                ticks.tick().await;
                self.0.record(watch.check(&certificate));
                if certificate.is_loaded() {
                    available.notify_one();
                }
            }
        };
        let accepting = async {
            available.notified().await;
            match bound.listen() {
                Ok(listener) => acceptor::serve(Arc::clone(&self.0), listener, ending).await,
                Err(error) => tracing::error!(%error, "failed to listen for AgentX over TLS"),
            }
        };
        tokio::select! {
            () = drain.triggered() => {}
            () = watching => {}
            () = accepting => {}
        }
    }
}

/// Returns a configuration with TLS 1.2 and 1.3, this certificate and HTTP/1.1 only, without session resumption.
fn config(certificate: &Arc<Certificate>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
    #[expect(clippy::expect_used, reason = "ring has cipher suites of both versions")]
    let builder = builder.with_protocol_versions(rustls::DEFAULT_VERSIONS).expect("the provider serves the versions");
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::<Certificate>::clone(certificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

impl acceptor::Server for Shared {
    fn limits(&self) -> acceptor::Limits {
        let grace = Duration::ZERO;
        acceptor::Limits { connections: PENDING, per_source: Some(PENDING_PER_SOURCE), grace }
    }

    async fn serve(self: Arc<Self>, connection: Connection) {
        let Connection { stream, address, permit } = connection;
        self.counts().connections.increment();
        let arrival = timeout(UPGRADE_TIMEOUT, Arc::clone(&self).receive(stream, address)).await;
        drop(permit);
        match arrival {
            // The agent thread only ends with the process.
            Ok(Some(arrival)) => _ = self.arrivals.send(arrival).await,
            Ok(None) => {}
            Err(_) => self.counts().timeouts.increment(),
        }
    }

    fn refused(&self) {
        self.counts().connections.increment();
        self.counts().too_many.increment();
    }

    fn failed(&self, error: &io::Error) {
        self.traffic.accept_failures.increment();
        tracing::debug!(%error, "failed to accept a connection for AgentX over TLS");
    }
}

impl Shared {
    fn counts(&self) -> &TlsTraffic {
        &self.traffic.tls
    }

    fn record(&self, result: CheckResult) {
        match result {
            CheckResult::Unchanged => {}
            CheckResult::Loaded(expires) => {
                self.counts().certificates.increment();
                self.counts().certificate_expires.store(expires, Ordering::Relaxed);
            }
            CheckResult::Invalid => self.counts().certificate_errors.increment(),
        }
    }

    /// Performs the handshake and answers one request. Returns the connection if it is upgraded to AgentX.
    async fn receive(self: Arc<Self>, stream: TcpStream, address: SocketAddr) -> Option<Arrival> {
        prepare(&stream).ok()?;
        let stream = match self.acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                self.counts().handshake_failures.increment();
                tracing::debug!(%address, %error, "the TLS handshake failed");
                return None;
            }
        };
        let entry = Arc::new(Mutex::new(None));
        let service = service_fn(|request| Arc::clone(&self).answer(request, address, Arc::clone(&entry)));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).max_headers(MAX_HEADERS);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
            self.counts().http_failures.increment();
            tracing::debug!(%address, %error, "the HTTP request failed");
            return None;
        }
        let Upgrade { switched, token, permit } = entry.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let parts = switched.await.ok()?.downcast::<Io>().ok()?;
        let (stream, session) = parts.io.into_inner().into_inner();
        let socket = stream.into_std().ok()?.into();
        let VerifiedToken { identity, expires } = token;
        let life = expires.duration_since(SystemTime::now()).unwrap_or_default();
        let expires = Instant::now() + life.min(MAX_LIFETIME);
        let peer = Peer { transport: Transport::Tls { address, identity, expires } };
        self.counts().upgrades.increment();
        Some(Arrival { socket, peer, wire: Wire::tls(session, parts.read_buf), permit: Some(permit) })
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        address: SocketAddr,
        entry: Arc<Mutex<Option<Upgrade>>>,
    ) -> Result<Answer, Infallible> {
        let answer = match self.authorize(request, address).await {
            Ok((answer, upgrade)) => {
                *entry.lock().unwrap_or_else(PoisonError::into_inner) = upgrade;
                answer
            }
            Err(refusal) => {
                let counts = self.counts();
                match refusal.status {
                    StatusCode::UNAUTHORIZED => &counts.unauthorized,
                    StatusCode::FORBIDDEN => &counts.forbidden,
                    StatusCode::TOO_MANY_REQUESTS => &counts.too_many_requests,
                    StatusCode::SERVICE_UNAVAILABLE => &counts.unavailable,
                    _ => &counts.other_errors,
                }
                .increment();
                tracing::debug!(%address, ?refusal, "refused a request");
                refusal.into_answer()
            }
        };
        Ok(answer)
    }

    async fn authorize(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
    ) -> Result<(Answer, Option<Upgrade>), Refusal> {
        let kind = parse_request(&request)?;
        let token = Token::from_headers(request.headers())?;
        let verified = self.tokens.identify(&token, address.ip(), SystemTime::now()).await?;
        match kind {
            RequestKind::Agentx => {
                let limit = self.per_namespace.load(Ordering::Relaxed);
                let permit = self.namespaces.acquire(&verified.identity.namespace, limit).ok_or_else(|| {
                    Refusal::new(StatusCode::FORBIDDEN, "the namespace has reached its limit of connections")
                })?;
                Ok((
                    switching_protocols(),
                    Some(Upgrade { switched: upgrade::on(&mut request), token: verified, permit }),
                ))
            }
            RequestKind::Registrations => {
                let ServiceAccount { namespace, name } = &self.settings.operator;
                let identity = &verified.identity;
                if *identity.namespace != **namespace || *identity.service_account != **name {
                    return Err(Refusal::new(StatusCode::FORBIDDEN, "only the operator may read registrations"));
                }
                let if_none_match = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
                Ok((self.registrations(if_none_match).await?, None))
            }
        }
    }

    async fn registrations(&self, if_none_match: Option<&str>) -> Result<Answer, Refusal> {
        let active = self.settings.active.load(Ordering::Relaxed);
        let mut page = self.page.lock().await;
        let last = page.as_ref().filter(|page| page.active == active).map(|page| page.revision);
        let (reply, answer) = oneshot::channel();
        let unavailable = || {
            Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the master cannot list registrations at the moment; try again later",
            )
        };
        let published = async {
            self.commander.send(Command::Published { known_revision: last, reply }).await.ok()?;
            answer.await.ok()
        };
        let (revision, published) = timeout(AGENT_TIMEOUT, published).await.ok().flatten().ok_or_else(unavailable)?;
        if let Some(published) = published {
            *page = Some(Page::new(revision, active, &self.settings.replica, &published));
        }
        let page = page.as_ref().ok_or_else(unavailable)?;
        let mut answer = Response::new(Full::<Bytes>::default());
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(ETAG, HeaderValue::from_str(&page.tag).map_err(|_| unavailable())?);
        if page.is_match(if_none_match) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *answer.body_mut() = Full::new(page.body.clone());
        }
        self.counts().registrations.increment();
        Ok(answer)
    }
}
