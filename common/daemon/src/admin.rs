//! The admin server: probes, metrics and routes of the program, over HTTP/1.1.
//!
//! The number of connections, their duration and the size of requests are limited.

mod reply;

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{encoding::text, registry::Registry};
use tokio::net::{TcpListener, TcpStream};

pub use reply::{Body, Reply};

use crate::{
    acceptor::{self, Connection, Limits},
    drain::Watcher,
    readiness::Readiness,
};

/// Connections served at once, on each listener.
const CONNECTIONS: usize = 32;
/// Longest time for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest duration of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// Maximum number of header fields of a request.
const HEAD_FIELDS: usize = 64;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who can reach a listener, which decides what it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Everyone on the network. Serves probes and metrics.
    Public,
    /// Processes on the same machine or in the same pod. Serves all routes.
    Local,
}

enum Route<'a> {
    Alive,
    Ready,
    Metrics,
    Own(&'a Handler),
}

type Handler = Box<dyn Fn(&Query<'_>) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// The admin server: `/livez`, `/readyz`, `/metrics` and the routes of the program.
pub struct Admin {
    readiness: Readiness,
    registry: Registry,
    local: Vec<(&'static str, Handler)>,
}

/// The query string of a request.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a>(Option<&'a str>);

impl Query<'_> {
    /// Returns the first parameter `name`, decoded.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let mut parameters = form_urlencoded::parse(self.0.unwrap_or_default().as_bytes());
        parameters.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

impl Admin {
    /// Returns a server with probes and metrics only.
    #[must_use]
    pub fn new(readiness: Readiness, registry: Registry) -> Self {
        Self { readiness, registry, local: Vec::new() }
    }

    /// Adds a route for [`Face::Local`]. The handler runs on the server's task and must not block.
    #[must_use]
    pub fn local_route(
        self,
        path: &'static str,
        handler: impl Fn(&Query<'_>) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.async_route(path, move |query| std::future::ready(handler(query)))
    }

    /// Adds a route for [`Face::Local`] whose handler is asynchronous, for example because it asks another thread.
    #[must_use]
    pub fn async_route<F: Future<Output = Reply> + Send + 'static>(
        mut self,
        path: &'static str,
        handler: impl Fn(&Query<'_>) -> F + Send + Sync + 'static,
    ) -> Self {
        self.local.push((path, Box::new(move |query| Box::pin(handler(query)))));
        self
    }

    /// Serves `listener` until the drain, then closes connections that are still open.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, face: Face, drain: Watcher) {
        acceptor::serve(Arc::new(Listening { admin: self, face }), listener, drain).await;
    }

    async fn connection(&self, stream: TcpStream, face: Face) -> hyper::Result<()> {
        let service = service_fn(async |request: Request<Incoming>| {
            let (method, uri) = (request.method(), request.uri());
            let response = self.respond(face, method, uri.path(), Query(uri.query())).await;
            Ok::<_, std::convert::Infallible>(response)
        });
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_SIZE)
            .max_headers(HEAD_FIELDS)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await
    }

    async fn respond(&self, face: Face, method: &Method, path: &str, query: Query<'_>) -> Response<Body> {
        let Some(route) = self.route(face, path) else {
            return Reply::text(StatusCode::NOT_FOUND, "not found\n").into_response();
        };
        if method != Method::GET && method != Method::HEAD {
            let mut refused =
                Reply::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n").into_response();
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let reply = match route {
            Route::Alive => Reply::text(StatusCode::OK, "ok\n"),
            Route::Ready => self.ready(),
            Route::Metrics => self.metrics(),
            Route::Own(handler) => handler(&query).await,
        };
        reply.into_response()
    }

    fn route(&self, face: Face, path: &str) -> Option<Route<'_>> {
        match path {
            "/livez" => Some(Route::Alive),
            "/readyz" => Some(Route::Ready),
            "/metrics" => Some(Route::Metrics),
            _ if face == Face::Public => None,
            _ => self.local.iter().find(|(own, _)| *own == path).map(|(_, handler)| Route::Own(handler)),
        }
    }

    fn ready(&self) -> Reply {
        let awaited = self.readiness.awaited();
        if awaited.is_empty() {
            Reply::text(StatusCode::OK, "ok\n")
        } else {
            Reply::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready, awaiting: {}\n", awaited.join(", ")))
        }
    }

    fn metrics(&self) -> Reply {
        let mut page = String::new();
        match text::encode(&mut page, &self.registry) {
            Ok(()) => Reply::new(StatusCode::OK, OPEN_METRICS, page),
            Err(error) => {
                Reply::text(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to write the metrics: {error}\n"))
            }
        }
    }
}

/// The server on one listener.
struct Listening {
    admin: Arc<Admin>,
    face: Face,
}

impl acceptor::Server for Listening {
    fn limits(&self) -> Limits {
        Limits { connections: CONNECTIONS, per_source: None, grace: Duration::ZERO }
    }

    async fn serve(self: Arc<Self>, connection: Connection) {
        let Connection { stream, permit: _permit, .. } = connection;
        // Errors on a connection concern only its client.
        let _ = tokio::time::timeout(CONNECTION_TIMEOUT, self.admin.connection(stream, self.face)).await;
    }

    fn failed(&self, error: &io::Error) {
        tracing::warn!(%error, "the admin server failed to accept a connection");
    }
}

impl Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests;
