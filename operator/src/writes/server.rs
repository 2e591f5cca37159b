//! The HTTPS server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use daemon::{drain::Watcher, keyed_limit::KeyedLimit};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
};
use identity::{Identity, Reviewer, Token, TokenReviews};
use kube::Client;
use serde_json::{Value as Json, json};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::{
    api::ConfigMaps,
    authority,
    metrics::Metrics,
    rate::RateLimits,
    refusal::{Refusal, json_response},
    request::{Change, ConfigMapRequest},
};
use crate::{
    certificates::CurrentCertificate,
    index::{SharedIndex, lock},
    metrics::Metrics as Requests,
    tls_server::{self, Bounds, Service, Traffic},
};

/// The maximum size of a body, in bytes: the maximum size of a ConfigMap.
const BODY_SIZE: usize = 1 << 20;
/// The maximum total size of all bodies, in KiB.
const BODIES: u32 = 32 << 10;
/// The maximum number of concurrent requests of a namespace.
const PER_NAMESPACE: u32 = 4;
/// The timeout of a request, from its head to the response. A sidecar waits for 4 s.
const TIMEOUT: Duration = Duration::from_millis(3_500);

/// What the server needs, besides its listener.
pub(crate) struct Serving {
    /// The client of the API server.
    pub(crate) client: Client,
    /// The reviewer of tokens.
    pub(crate) reviewer: Box<dyn Reviewer>,
    /// The index.
    pub(crate) index: SharedIndex,
    /// The certificate.
    pub(crate) certificate: CurrentCertificate,
    /// The metrics of writes.
    pub(crate) metrics: Metrics,
    /// The metrics of requests to the API server.
    pub(crate) requests: Requests,
}

/// Serves writes until the drain. Open requests are completed.
pub(crate) async fn serve(listener: TcpListener, serving: Serving, drain: Watcher) {
    let Serving { client, reviewer, index, certificate, metrics, requests } = serving;
    let writes = Writes {
        tokens: TokenReviews::new(reviewer, metrics.reviews()),
        maps: ConfigMaps::new(client, requests),
        index,
        rates: Mutex::default(),
        concurrent: KeyedLimit::default(),
        bodies: Semaphore::new(BODIES as usize),
        metrics,
    };
    tls_server::serve(listener, certificate, writes, drain).await;
}

struct Writes {
    tokens: TokenReviews,
    maps: ConfigMaps,
    index: SharedIndex,
    rates: Mutex<RateLimits>,
    concurrent: KeyedLimit<Arc<str>>,
    bodies: Semaphore,
    metrics: Metrics,
}

impl Service for Writes {
    const NAME: &'static str = "the server of writes";
    const BOUNDS: Bounds = Bounds {
        connections: 512,
        per_source: 32,
        handshake: Duration::from_secs(5),
        head: Duration::from_secs(10),
        head_size: 16 * 1024,
        last_requests: Duration::from_secs(6),
    };

    fn traffic(&self) -> &Traffic {
        self.metrics.traffic()
    }

    async fn respond(&self, request: Request<Incoming>, from: SocketAddr) -> Response<Full<Bytes>> {
        let deadline = Instant::now() + TIMEOUT;
        let parsed = ConfigMapRequest::parse(request.method(), request.uri().path());
        let result = match &parsed {
            Ok(parsed) => self.handle(parsed, request, from, deadline).await,
            Err(refusal) => Err(refusal.clone()),
        };
        self.metrics.count(parsed.as_ref().ok(), result.as_ref().err());
        match result {
            Ok(body) => json_response(StatusCode::OK, &body),
            Err(refusal) => refusal.into_response(),
        }
    }
}

impl Writes {
    /// Authenticates the sidecar and handles its request.
    async fn handle(
        &self,
        parsed: &ConfigMapRequest,
        request: Request<Incoming>,
        from: SocketAddr,
        deadline: Instant,
    ) -> Result<Json, Refusal> {
        let late = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the request took too long");
        let token = Token::from_headers(request.headers())?;
        let reviewed = self.tokens.identify(&token, from.ip(), SystemTime::now());
        let verified = timeout_at(deadline, reviewed).await.map_err(late)?.inspect_err(|rejected| {
            tracing::debug!(%from, %rejected, "refused a request without a valid token");
        })?;
        let identity = verified.identity;
        let result = timeout_at(deadline, self.handle_authenticated(parsed, request, &identity, deadline)).await;
        let result = result.unwrap_or_else(|elapsed| Err(late(elapsed)));
        if let Err(refusal) = &result {
            let (name, status) = (parsed.name(), refusal.status.as_u16());
            tracing::info!(namespace = %identity.namespace, pod = %identity.pod, name, status, %refusal, "refused a request for a ConfigMap");
        }
        result
    }

    /// Authorizes the request of a namespace and carries it out.
    async fn handle_authenticated(
        &self,
        parsed: &ConfigMapRequest,
        request: Request<Incoming>,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Json, Refusal> {
        let (namespace, name) = (&identity.namespace, parsed.name());
        if identity.pod.is_empty() {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the token belongs to no pod"));
        }
        let too_many =
            || Refusal::new(StatusCode::TOO_MANY_REQUESTS, format!("too many requests of the namespace {namespace}"));
        let _permit = self.concurrent.acquire(namespace, PER_NAMESPACE).ok_or_else(too_many)?;
        if !lock(&self.rates, |limits| limits.acquire(namespace, Instant::now())) {
            return Err(too_many());
        }
        let keys = lock(&self.index, |index| authority::keys(index, namespace, name));
        let not_written = |what: &str| {
            Refusal::new(StatusCode::FORBIDDEN, format!("no accepted SnmpSubtree of {namespace} writes {what}"))
        };
        if keys.is_empty() {
            return Err(not_written(&format!("ConfigMap {name}")));
        }
        match parsed {
            ConfigMapRequest::Read(name) => {
                let mut map = self.maps.read(namespace, name).await?;
                map.data.retain(|key, _| keys.contains(key));
                Ok(json!({"resourceVersion": map.version, "data": map.data}))
            }
            ConfigMapRequest::Change(name) => {
                let change = self.body(request.into_body(), deadline).await?;
                if let Some(key) = change.data.keys().find(|key| !keys.contains(*key)) {
                    // The message contains the name of the key, which is not secret, but no value.
                    let key: String = key.chars().filter(|c| !c.is_control()).take(253).collect();
                    return Err(not_written(&format!("the key {key} of ConfigMap {name}")));
                }
                let version = self.maps.change(namespace, name, &change).await?;
                let keys: Vec<_> = change.data.keys().map(String::as_str).collect();
                let keys = keys.join(" ");
                tracing::info!(%namespace, pod = %identity.pod, name, keys, version, "wrote a ConfigMap");
                Ok(json!({"resourceVersion": version}))
            }
        }
    }

    async fn body(&self, body: Incoming, deadline: Instant) -> Result<Change, Refusal> {
        let too_long =
            || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY_SIZE} bytes"));
        let size = body.size_hint().upper().map_or(BODY_SIZE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > BODY_SIZE {
            return Err(too_long());
        }
        let kibibytes = u32::try_from(size.div_ceil(1024)).unwrap_or(BODIES);
        let read = async {
            // The semaphore is never closed.
            let closed = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down");
            let permit = self.bodies.acquire_many(kibibytes).await.map_err(closed)?;
            let body = Limited::new(body, BODY_SIZE).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { too_long() } else { Refusal::malformed("the body cannot be read") }
            })?;
            Ok::<_, Refusal>((permit, body.to_bytes()))
        };
        // Half of the remaining time is for the body, the other half for the API server. Nothing is written before.
        let body_deadline = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let read = timeout_at(body_deadline, read).await;
        let (_permit, body) = read.map_err(|_| Refusal::malformed("the body was not received in time"))??;
        Change::parse(&body)
    }
}

#[cfg(test)]
mod tests;
