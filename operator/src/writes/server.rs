//! The server: from a request to its answer.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use daemon::{drain::Watcher, places::Places};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
};
use identity::{Desk, Identity, Reviewer, Token};
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
    rate::Rates,
    refusal::{Refusal, answer},
    request::{Asked, Change},
};
use crate::{
    controller::lock,
    metrics::Metrics as Requests,
    tls_server::{self, Bounds, Service, Traffic},
    watches::SharedIndex,
    webhook::Shown,
};

/// Longest body, in bytes: what a ConfigMap holds.
const BODY_SIZE: usize = 1 << 20;
/// What bodies take together, in KiB.
const BODIES: u32 = 32 << 10;
/// Requests of one namespace at once.
const PER_NAMESPACE: u32 = 4;
/// Longest time from a request's head to its answer. A sidecar waits for four seconds.
const TIMEOUT: Duration = Duration::from_millis(3_500);

/// What the server needs beside its listener.
pub struct Serving {
    /// Of the API server.
    pub client: Client,
    /// Who says whose a token is.
    pub reviewer: Box<dyn Reviewer>,
    /// What is known of the cluster.
    pub index: SharedIndex,
    /// The certificate.
    pub shown: Shown,
    /// What is counted.
    pub metrics: Metrics,
    /// What is counted of requests to the API server.
    pub requests: Requests,
}

/// Serves writes until the drain, which requests under way outlive.
pub async fn serve(listener: TcpListener, serving: Serving, drain: Watcher) {
    let Serving { client, reviewer, index, shown, metrics, requests } = serving;
    let writes = Writes {
        desk: Desk::new(reviewer, metrics.reviews()),
        maps: ConfigMaps::new(client, requests),
        index,
        rates: Mutex::default(),
        at_once: Places::default(),
        bodies: Semaphore::new(BODIES as usize),
        metrics,
    };
    tls_server::serve(listener, shown, writes, drain).await;
}

struct Writes {
    desk: Desk,
    maps: ConfigMaps,
    index: SharedIndex,
    rates: Mutex<Rates>,
    at_once: Places<Arc<str>>,
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
        let asked = Asked::of(request.method(), request.uri().path());
        let answered = match &asked {
            Ok(asked) => self.answer(asked, request, from, deadline).await,
            Err(refusal) => Err(refusal.clone()),
        };
        self.metrics.count(asked.as_ref().ok(), answered.as_ref().err());
        match answered {
            Ok(body) => answer(StatusCode::OK, &body),
            Err(refusal) => refusal.into_answer(),
        }
    }
}

impl Writes {
    async fn answer(
        &self,
        asked: &Asked,
        request: Request<Incoming>,
        from: SocketAddr,
        deadline: Instant,
    ) -> Result<Json, Refusal> {
        let late = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took too long");
        let token = Token::from_headers(request.headers())?;
        let reviewed = self.desk.identify(&token, from.ip(), SystemTime::now());
        let vouched = timeout_at(deadline, reviewed).await.map_err(late)?.inspect_err(|rejected| {
            tracing::debug!(%from, %rejected, "a request to write is refused");
        })?;
        let identity = vouched.identity;
        let answered = timeout_at(deadline, self.of_tenant(asked, request, &identity, deadline)).await;
        let answered = answered.unwrap_or_else(|elapsed| Err(late(elapsed)));
        if let Err(refusal) = &answered {
            let (name, status) = (asked.name(), refusal.status.as_u16());
            tracing::info!(namespace = %identity.namespace, pod = %identity.pod, name, status, %refusal, "a ConfigMap is not written");
        }
        answered
    }

    async fn of_tenant(
        &self,
        asked: &Asked,
        request: Request<Incoming>,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<Json, Refusal> {
        let (namespace, name) = (&identity.namespace, asked.name());
        if identity.pod.is_empty() {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "the token belongs to no pod"));
        }
        let too_many =
            || Refusal::new(StatusCode::TOO_MANY_REQUESTS, format!("the namespace {namespace} asks too often"));
        let _place = self.at_once.take(namespace, PER_NAMESPACE).ok_or_else(too_many)?;
        if !lock(&self.rates, |rates| rates.take(namespace, Instant::now())) {
            return Err(too_many());
        }
        let keys = lock(&self.index, |index| authority::keys(index, namespace, name));
        let not_written = |what: &str| {
            Refusal::new(StatusCode::FORBIDDEN, format!("no accepted SnmpSubtree of {namespace} writes {what}"))
        };
        if keys.is_empty() {
            return Err(not_written(&format!("ConfigMap {name}")));
        }
        match asked {
            Asked::Read(name) => {
                let mut map = self.maps.read(namespace, name).await?;
                map.data.retain(|key, _| keys.contains(key));
                Ok(json!({"resourceVersion": map.version, "data": map.data}))
            }
            Asked::Change(name) => {
                let change = self.body(request.into_body(), deadline).await?;
                if let Some(key) = change.data.keys().find(|key| !keys.contains(*key)) {
                    // Of what was sent, nothing is repeated but what stands in an API object anyway.
                    let key: String = key.chars().filter(|c| !c.is_control()).take(253).collect();
                    return Err(not_written(&format!("the key {key} of ConfigMap {name}")));
                }
                let version = self.maps.change(namespace, name, &change).await?;
                let keys: Vec<_> = change.data.keys().map(String::as_str).collect();
                let keys = keys.join(" ");
                tracing::info!(%namespace, pod = %identity.pod, name, keys, version, "a ConfigMap is written");
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
            let busy = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many bodies are being read");
            let room = self.bodies.acquire_many(kibibytes).await.map_err(busy)?;
            let body = Limited::new(body, BODY_SIZE).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { too_long() } else { Refusal::malformed("the body cannot be read") }
            })?;
            Ok::<_, Refusal>((room, body.to_bytes()))
        };
        // Half of the time, so that one half is left for the API server. Nothing was written until then.
        let soon = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        let read = timeout_at(soon, read).await;
        let (_room, body) = read.map_err(|_| Refusal::malformed("the body did not come in time"))??;
        Change::of(&body)
    }
}

#[cfg(test)]
mod tests;
