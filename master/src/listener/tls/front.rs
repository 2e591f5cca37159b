//! The door itself: who comes, shakes hands, says whose token it has, and goes on to the agent thread.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use daemon::drain::Watcher;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use master_config::Limits;
use rustls::{ServerConfig, server::NoServerSessionStorage};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{interval, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    BoundTls, TlsTraffic,
    certificates::{Certificate, Seen, Watch, provider},
    http::{Answer, Asked, Refusal, asked, switching},
    registrations::Page,
};
use crate::{
    agent::Command,
    authority::{Peer, Transport},
    identity::{Desk, Reviewer, Token, Vouched, source_of},
    listener::{Arrival, tcp::prepare},
    places::{Place, Places},
    traffic::Traffic,
    wire::Wire,
};

/// How long a connection has from its first octet to the 101.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at once that have not come so far.
const UNKNOWN: usize = 512;
/// The same of one address.
const UNKNOWN_PER_SOURCE: u32 = 64;
/// The longest head of a request, in octets.
const MAX_HEAD: usize = 8 << 10;
/// How many headers it may have.
const MAX_HEADERS: usize = 32;
/// How often the certificate is looked at.
const PERIOD: Duration = Duration::from_secs(1);
/// Pause after an accept that failed, as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that may wait for the agent thread.
const ARRIVALS: usize = 64;
/// How long the agent thread has to say what is published.
const ANSWER: Duration = Duration::from_secs(3);
/// The longest life of a connection: what is no time at all to a token may be too long for a clock.
const LONGEST: Duration = Duration::from_hours(24 * 366);

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
        let (namespace, name) = parts.ok_or("is not a namespace and a name as snmp-system/snmp-operator")?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// How the door is set up.
#[derive(Debug)]
pub struct Settings {
    /// Where tls.crt and tls.key are.
    pub directory: PathBuf,
    /// Who may see what is published.
    pub operator: ServiceAccount,
    /// What this replica of the master is called.
    pub replica: String,
    /// Whether it is the one that answers managers.
    pub active: Arc<AtomicBool>,
}

/// Whom the door needs.
pub struct Outward {
    /// Knows whose a token is.
    pub reviewer: Box<dyn Reviewer>,
    /// Asks the agent thread.
    pub commander: mpsc::Sender<Command>,
    /// Counted here.
    pub traffic: Arc<Traffic>,
}

/// The door, as it is being served.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

struct Shared {
    settings: Settings,
    desk: Desk,
    acceptor: TlsAcceptor,
    commander: mpsc::Sender<Command>,
    arrivals: mpsc::Sender<Arrival>,
    traffic: Arc<Traffic>,
    /// Connections of which nobody knows yet whose they are, by address.
    unknown: Places<IpAddr>,
    /// Connections of namespaces.
    namespaces: Places<Arc<str>>,
    per_namespace: AtomicU32,
    /// What the operator was told last. Who holds it asks the agent thread: one at a time.
    page: AsyncMutex<Option<Page>>,
}

/// What a request for AgentX comes to.
struct Entry {
    upgrade: OnUpgrade,
    vouched: Vouched,
    place: Place<Arc<str>>,
}

type Io = TokioIo<TlsStream<TcpStream>>;

impl Front {
    /// Serves the door until the drain, on the runtime inside which this runs. What comes through is to be given to the agent
    /// thread.
    pub fn start(
        bound: BoundTls,
        settings: Settings,
        limits: &Limits,
        outward: Outward,
        drain: Watcher,
    ) -> (Self, mpsc::Receiver<Arrival>) {
        let certificate = Arc::new(Certificate::default());
        let watch = Watch::new(settings.directory.clone());
        let Outward { reviewer, commander, traffic } = outward;
        let (arrivals, receiver) = mpsc::channel(ARRIVALS);
        let front = Self(Arc::new(Shared {
            settings,
            desk: Desk::new(reviewer, Arc::clone(&traffic.tls.reviews)),
            acceptor: TlsAcceptor::from(Arc::new(config(&certificate))),
            commander,
            arrivals,
            traffic,
            unknown: Places::default(),
            namespaces: Places::default(),
            per_namespace: AtomicU32::new(limits.sessions_per_namespace),
            page: AsyncMutex::default(),
        }));
        tokio::spawn(front.clone().serve(bound, watch, certificate, drain));
        (front, receiver)
    }

    /// Other limits from now on. Who is in stays in.
    pub fn limit(&self, limits: &Limits) {
        self.0.per_namespace.store(limits.sessions_per_namespace, Ordering::Relaxed);
    }

    async fn serve(self, bound: BoundTls, mut watch: Watch, certificate: Arc<Certificate>, mut drain: Watcher) {
        let mut ticks = interval(PERIOD);
        let mut waiting = Some(bound);
        let mut listener = None;
        let unknown = Arc::new(Semaphore::new(UNKNOWN));
        loop {
            tokio::select! {
                () = drain.triggered() => return,
                _ = ticks.tick() => {
                    self.0.note(watch.look(&certificate));
                    if let Some(bound) = waiting.take_if(|_| certificate.is_there()) {
                        match bound.listen() {
                            Ok(listening) => listener = Some(listening),
                            Err(error) => return tracing::error!(%error, "cannot listen for AgentX over TLS"),
                        }
                    }
                }
                accepted = accept(listener.as_ref(), &unknown) => match accepted {
                    Ok((stream, address, permit)) => self.0.welcome(stream, address, permit),
                    Err(error) => {
                        self.0.traffic.accept_failures.increment();
                        tracing::debug!(%error, "a connection by TLS cannot be accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

/// TLS 1.2 and 1.3 with this certificate, HTTP/1.1 alone, and nothing remembered of anyone.
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

/// The next connection, once there is room for one more that is unknown. Cancel safe.
async fn accept(
    listener: Option<&TcpListener>,
    unknown: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let Some(listener) = listener else { return std::future::pending().await };
    let permit = Arc::clone(unknown).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}

impl Shared {
    fn counts(&self) -> &TlsTraffic {
        &self.traffic.tls
    }

    fn note(&self, seen: Seen) {
        match seen {
            Seen::Same => {}
            Seen::New(expires) => {
                self.counts().certificates.increment();
                self.counts().certificate_expires.store(expires, Ordering::Relaxed);
            }
            Seen::Broken => self.counts().certificate_errors.increment(),
        }
    }

    /// Sees to a connection, in a task of its own.
    fn welcome(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, permit: OwnedSemaphorePermit) {
        self.counts().connections.increment();
        let Some(place) = self.unknown.take(&source_of(address.ip()), UNKNOWN_PER_SOURCE) else {
            return self.counts().too_many.increment();
        };
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let arrival = timeout(PATIENCE, Arc::clone(&shared).receive(stream, address)).await;
            drop((permit, place));
            match arrival {
                // The agent thread is gone only when the process ends.
                Ok(Some(arrival)) => _ = shared.arrivals.send(arrival).await,
                Ok(None) => {}
                Err(_) => shared.counts().timeouts.increment(),
            }
        });
    }

    /// Shakes hands, answers the one request, and gives what is to be AgentX from then on.
    async fn receive(self: Arc<Self>, stream: TcpStream, address: SocketAddr) -> Option<Arrival> {
        prepare(&stream).ok()?;
        let stream = match self.acceptor.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                self.counts().handshake_failures.increment();
                tracing::debug!(%address, %error, "no handshake");
                return None;
            }
        };
        let entry = Arc::new(Mutex::new(None));
        let service = service_fn(|request| Arc::clone(&self).answer(request, address, Arc::clone(&entry)));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).max_headers(MAX_HEADERS);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
            self.counts().http_failures.increment();
            tracing::debug!(%address, %error, "no request");
            return None;
        }
        let Entry { upgrade, vouched, place } = entry.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let parts = upgrade.await.ok()?.downcast::<Io>().ok()?;
        let (stream, session) = parts.io.into_inner().into_inner();
        let socket = stream.into_std().ok()?.into();
        let Vouched { identity, expires } = vouched;
        let life = expires.duration_since(SystemTime::now()).unwrap_or_default();
        let expires = Instant::now() + life.min(LONGEST);
        let peer = Peer { transport: Transport::Tls { address, identity, expires } };
        self.counts().upgrades.increment();
        Some(Arrival { socket, peer, wire: Wire::tls(session, parts.read_buf), place: Some(place) })
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        address: SocketAddr,
        entry: Arc<Mutex<Option<Entry>>>,
    ) -> Result<Answer, Infallible> {
        let answer = match self.judge(request, address).await {
            Ok((answer, there)) => {
                *entry.lock().unwrap_or_else(PoisonError::into_inner) = there;
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
                tracing::debug!(%address, ?refusal, "refused");
                refusal.into_answer()
            }
        };
        Ok(answer)
    }

    async fn judge(
        &self,
        mut request: Request<Incoming>,
        address: SocketAddr,
    ) -> Result<(Answer, Option<Entry>), Refusal> {
        let asked = asked(&request)?;
        let token = Token::from_headers(request.headers())?;
        let vouched = self.desk.identify(&token, address.ip(), SystemTime::now()).await?;
        match asked {
            Asked::Agentx => {
                let limit = self.per_namespace.load(Ordering::Relaxed);
                let place = self.namespaces.take(&vouched.identity.namespace, limit).ok_or_else(|| {
                    Refusal::new(StatusCode::FORBIDDEN, "the namespace has as many connections as it may")
                })?;
                Ok((switching(), Some(Entry { upgrade: upgrade::on(&mut request), vouched, place })))
            }
            Asked::Registrations => {
                let ServiceAccount { namespace, name } = &self.settings.operator;
                let identity = &vouched.identity;
                if *identity.namespace != **namespace || *identity.service_account != **name {
                    return Err(Refusal::new(StatusCode::FORBIDDEN, "this is for the operator"));
                }
                let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
                Ok((self.registrations(known).await?, None))
            }
        }
    }

    async fn registrations(&self, known: Option<&str>) -> Result<Answer, Refusal> {
        let active = self.settings.active.load(Ordering::Relaxed);
        let mut page = self.page.lock().await;
        let last = page.as_ref().filter(|page| page.active == active).map(|page| page.revision);
        let (reply, answer) = oneshot::channel();
        let unavailable = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the master is not ready to say");
        let published = async {
            self.commander.send(Command::Published { known: last, reply }).await.ok()?;
            answer.await.ok()
        };
        let (revision, published) = timeout(ANSWER, published).await.ok().flatten().ok_or_else(unavailable)?;
        if let Some(published) = published {
            *page = Some(Page::new(revision, active, &self.settings.replica, &published));
        }
        let page = page.as_ref().ok_or_else(unavailable)?;
        let mut answer = Response::new(Full::<Bytes>::default());
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        headers.insert(ETAG, HeaderValue::from_str(&page.tag).map_err(|_| unavailable())?);
        if page.is_known(known) {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *answer.body_mut() = Full::new(page.body.clone());
        }
        self.counts().registrations.increment();
        Ok(answer)
    }
}
