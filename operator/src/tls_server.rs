//! HTTP/1.1 over TLS for whoever comes: bounded in number and in time, with a certificate that may change.

#[cfg(test)]
pub(crate) mod testing;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::{drain::Watcher, places::Places};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use identity::source_of;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use rustls::{ServerConfig, crypto::ring};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::webhook::Shown;

/// Pause after an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much is taken of clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Connections at once of one address.
    pub(crate) per_source: u32,
    /// Longest time for a TLS handshake.
    pub(crate) handshake: Duration,
    /// Longest time for a request's head, and between two requests.
    pub(crate) head: Duration,
    /// Longest head, in bytes.
    pub(crate) head_size: usize,
    /// Longest time that open requests have at the drain.
    pub(crate) last_requests: Duration,
}

/// What is counted of connections. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    handshakes: Counter,
    connections: Gauge,
    turned_away: Counter,
}

impl Traffic {
    /// Shown by `registry`, with names that begin with `name`.
    pub(crate) fn register(&self, registry: &mut Registry, name: &str) {
        let Self { handshakes, connections, turned_away } = self.clone();
        registry.register(format!("{name}_failed_handshakes"), "Connections without TLS", handshakes);
        registry.register(format!("{name}_connections"), "Connections that are open", connections);
        let help = "Connections closed at once: their address had as many as it may";
        registry.register(format!("{name}_turned_away"), help, turned_away);
    }
}

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// Whose server it is, for the log.
    const NAME: &'static str;
    /// The bounds.
    const BOUNDS: Bounds;

    /// What is counted.
    fn traffic(&self) -> &Traffic;

    /// The answer to a request of a client at `from`.
    fn respond(
        &self,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves until the drain, which requests under way outlive.
pub(crate) async fn serve<S: Service>(listener: TcpListener, shown: Shown, service: S, mut drain: Watcher) {
    let acceptor = match tls(shown) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => {
            // Only another build of rustls could bring that about.
            tracing::error!(%error, "{} cannot be served", S::NAME);
            return;
        }
    };
    let service = Arc::new(service);
    let (slots, places) = (Arc::new(Semaphore::new(S::BOUNDS.connections)), Places::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            () = drain.triggered() => break,
            Some(_) = connections.join_next() => {}
            (slot, accepted) = accepted => match accepted {
                Ok((stream, from)) => {
                    let Some(place) = places.take(&source_of(from.ip()), S::BOUNDS.per_source) else {
                        service.traffic().turned_away.inc();
                        continue;
                    };
                    let (acceptor, service, drain) = (acceptor.clone(), Arc::clone(&service), drain.clone());
                    connections.spawn(async move {
                        let _held = (slot, place, Open::new(service.traffic()));
                        connection(stream, from, &acceptor, &service, drain).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "{} cannot accept a connection", S::NAME);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is still open after that is cut off.
    let _ = timeout(S::BOUNDS.last_requests, async { while connections.join_next().await.is_some() {} }).await;
}

fn tls(shown: Shown) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn connection<S: Service>(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: &TlsAcceptor,
    service: &Arc<S>,
    mut drain: Watcher,
) {
    // An answer is one small write; without this it may wait for the one before it.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(S::BOUNDS.handshake, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // Also what a client does that has no CA of ours yet.
            tracing::debug!(%error, "a connection to {} failed", S::NAME);
            service.traffic().handshakes.inc();
            return;
        }
        Err(_) => {
            service.traffic().handshakes.inc();
            return;
        }
    };
    let answering = service_fn(|request| async { Ok::<_, Infallible>(service.respond(request, from).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(S::BOUNDS.head)
        .max_buf_size(S::BOUNDS.head_size)
        .serve_connection(TokioIo::new(stream), answering);
    tokio::pin!(connection);
    let open = tokio::select! {
        // Whatever goes wrong on a connection is its client's affair.
        _ = &mut connection => false,
        () = drain.triggered() => true,
    };
    if open {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// A connection that is open, until dropped.
struct Open(Gauge);

impl Open {
    fn new(traffic: &Traffic) -> Self {
        traffic.connections.inc();
        Self(traffic.connections.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
