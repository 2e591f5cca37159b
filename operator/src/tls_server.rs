//! A server for HTTP/1.1 over TLS with limits, whose certificate can change while it runs.

#[cfg(test)]
pub(crate) mod testing;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::{
    acceptor::{self, Connection, Limits},
    drain::Watcher,
};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use rustls::{ServerConfig, crypto::ring, server::ResolvesServerCert};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// The limits for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The maximum number of open connections.
    pub(crate) connections: usize,
    /// The maximum number of open connections of one source.
    pub(crate) per_source: u32,
    /// The timeout of a TLS handshake.
    pub(crate) handshake: Duration,
    /// The timeout of a request's head, which also limits the time between two requests.
    pub(crate) head: Duration,
    /// The maximum size of a request's head, in bytes.
    pub(crate) head_size: usize,
    /// The time limit for open requests during the drain.
    pub(crate) last_requests: Duration,
}

/// Counters of connections. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    handshakes: Counter,
    connections: Gauge,
    turned_away: Counter,
}

impl Traffic {
    /// Registers the counters in `registry`, with names that start with `name`.
    pub(crate) fn register(&self, registry: &mut Registry, name: &str) {
        let Self { handshakes, connections, turned_away } = self.clone();
        registry.register(format!("{name}_failed_handshakes"), "Connections without TLS", handshakes);
        registry.register(format!("{name}_connections"), "Connections that are open", connections);
        let help = "Connections closed at once: their address had as many as it may";
        registry.register(format!("{name}_turned_away"), help, turned_away);
    }
}

/// A service that answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// The name of the server, for the log.
    const NAME: &'static str;
    /// The limits.
    const BOUNDS: Bounds;

    /// Returns the counters.
    fn traffic(&self) -> &Traffic;

    /// Answers a request of a client at `from`.
    fn respond(
        &self,
        request: Request<Incoming>,
        from: SocketAddr,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Serves until the drain, and then completes open requests. `certificate` returns the certificate for each new connection.
pub(crate) async fn serve<S: Service>(
    listener: TcpListener,
    certificate: impl ResolvesServerCert + 'static,
    service: S,
    drain: Watcher,
) {
    let tls = match tls(Arc::new(certificate)) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => {
            // Only another build of rustls could cause this.
            tracing::error!(%error, "{} cannot be served", S::NAME);
            return;
        }
    };
    acceptor::serve(Arc::new(Https { tls, service, drain: drain.clone() }), listener, drain).await;
}

struct Https<S> {
    tls: TlsAcceptor,
    service: S,
    drain: Watcher,
}

impl<S: Service> acceptor::Server for Https<S> {
    fn limits(&self) -> Limits {
        let Bounds { connections, per_source, last_requests, .. } = S::BOUNDS;
        Limits { connections, per_source: Some(per_source), grace: last_requests }
    }

    async fn serve(self: Arc<Self>, connection: Connection) {
        let Connection { stream, address, permit: _permit } = connection;
        let _open = Open::new(self.service.traffic());
        self::connection(stream, address, &self.tls, &self.service, self.drain.clone()).await;
    }

    fn refused(&self) {
        self.service.traffic().turned_away.inc();
    }

    fn failed(&self, error: &io::Error) {
        tracing::warn!(%error, "{} failed to accept a connection", S::NAME);
    }
}

fn tls(certificate: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn connection<S: Service>(
    stream: TcpStream,
    from: SocketAddr,
    tls: &TlsAcceptor,
    service: &S,
    mut drain: Watcher,
) {
    // A response is one small write. With Nagle's algorithm it could wait for the previous one.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(S::BOUNDS.handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // This also happens when a client does not have our CA yet.
            tracing::debug!(%error, "the TLS handshake of a client of {} failed", S::NAME);
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
        // Errors on a connection concern only its client.
        _ = &mut connection => false,
        () = drain.triggered() => true,
    };
    if open {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Counts an open connection until it is dropped.
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
