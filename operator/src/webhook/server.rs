//! The server of the webhooks: AdmissionReviews over HTTPS (HTTP/1.1).
//!
//! The number of clients, the time of each request and the total memory of requests are bounded. If a decision fails, the
//! object is allowed without changes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::{drain::Watcher, readiness::Readiness};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::Value as Json;
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};

use super::{
    cluster::Cluster,
    inject::{self, inject},
    metrics::Metrics,
    review::{AdmissionRequest, AdmissionResponse, MalformedReviewError},
    sidecar,
    validate::{self, validate},
};
use crate::{
    certificates::{self, CurrentCertificate, WEBHOOK_SECRET},
    plan,
    tls_server::{self, Bounds, Service, Traffic},
};

/// The maximum number of connections. An API server opens only a few, and reuses them.
const CONNECTIONS: usize = 256;
/// The timeout of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a request's head, which also limits the time between two requests. Go's client closes idle connections
/// after 90 s; this timeout is longer, so that the client is the one that closes.
const HEAD_TIMEOUT: Duration = Duration::from_mins(2);
/// The timeout of a request, from its head to the response. The API server waits for 5 s.
const TIMEOUT: Duration = Duration::from_millis(4500);
/// The time limit for open requests during the drain.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);
/// The maximum size of a request's head, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// The maximum size of a body, in bytes. An API server accepts objects of 3 MiB, and a review can contain an object twice.
const BODY_SIZE: usize = 7 << 20;
/// The maximum total size of all bodies, in KiB.
const BODIES: u32 = 32 << 10;
/// The maximum number of concurrent decisions.
const CONCURRENT_DECISIONS: usize = 4;

/// The settings of the webhooks.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    /// The settings of injected sidecars.
    pub(crate) sidecar: sidecar::Settings,
    /// The settings of plans.
    pub(crate) plan: plan::Settings,
}

/// What the server needs, besides its listener.
pub(crate) struct Serving<C> {
    /// The client of the API server, for the certificate.
    pub(crate) client: Client,
    /// The operator's own namespace, which has the Secret of the certificate.
    pub(crate) namespace: String,
    /// The settings of the webhooks.
    pub(crate) webhooks: Webhooks,
    /// The cluster.
    pub(crate) cluster: C,
    /// Blocked until the first certificate is loaded.
    pub(crate) readiness: Readiness,
    /// The metrics.
    pub(crate) metrics: Metrics,
    /// The certificate, which other servers share.
    pub(crate) certificate: CurrentCertificate,
}

/// Serves the webhooks until the drain. Open requests are completed.
pub(crate) async fn serve<C: Cluster>(listener: TcpListener, serving: Serving<C>, drain: Watcher) {
    let Serving { client, namespace, webhooks, cluster, readiness, metrics, certificate } = serving;
    let block = readiness.block(format!("the certificate of the webhooks, Secret {namespace}/{WEBHOOK_SECRET}"));
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let follow = certificates::follow(secrets, WEBHOOK_SECRET, certificate.clone(), block, drain.clone());
    tokio::join!(follow, accept(listener, certificate, AdmissionService::new(webhooks, cluster, metrics), drain));
}

/// Serves with a certificate that the caller keeps up to date.
pub(super) async fn accept<C: Cluster>(
    listener: TcpListener,
    certificate: CurrentCertificate,
    service: AdmissionService<C>,
    drain: Watcher,
) {
    tls_server::serve(listener, certificate, service, drain).await;
}

impl<C: Cluster> Service for AdmissionService<C> {
    const NAME: &'static str = "the webhooks' server";
    const BOUNDS: Bounds = Bounds {
        connections: CONNECTIONS,
        // All requests come from the API server, or from a proxy in front of it.
        per_source: u32::MAX,
        handshake: HANDSHAKE_TIMEOUT,
        head: HEAD_TIMEOUT,
        head_size: HEAD_SIZE,
        last_requests: DRAIN_TIMEOUT,
    };

    fn traffic(&self) -> &Traffic {
        self.metrics.traffic()
    }

    async fn respond(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Full<Bytes>> {
        self.answer(request).await
    }
}

/// The service that answers AdmissionReviews.
pub(super) struct AdmissionService<C> {
    webhooks: Arc<Webhooks>,
    cluster: Arc<C>,
    metrics: Metrics,
    bodies: Semaphore,
    decisions: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
enum Webhook {
    Inject,
    Validate,
}

/// The request is answered with an HTTP error instead of an AdmissionReview.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("not found: use /inject or /validate")]
    Path,
    #[error("method not allowed: use POST")]
    Method,
    #[error("the body is longer than {BODY_SIZE} bytes")]
    TooLong,
    #[error("the body cannot be read")]
    Body,
    #[error("{0}")]
    MalformedReviewError(#[from] MalformedReviewError),
    #[error("the request took too long")]
    Timeout,
}

impl RequestError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body | Self::MalformedReviewError(_) => StatusCode::BAD_REQUEST,
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the name of the error in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::TooLong => "too_long",
            Self::Body => "body",
            Self::MalformedReviewError(_) => "malformed",
            Self::Timeout => "late",
        }
    }
}

impl<C: Cluster> AdmissionService<C> {
    pub(super) fn new(webhooks: Webhooks, cluster: C, metrics: Metrics) -> Self {
        let (webhooks, cluster) = (Arc::new(webhooks), Arc::new(cluster));
        let bodies = Semaphore::new(BODIES as usize);
        Self { webhooks, cluster, metrics, bodies, decisions: Arc::new(Semaphore::new(CONCURRENT_DECISIONS)) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let start = Instant::now();
        let webhook = match request.uri().path() {
            "/inject" => Some((Webhook::Inject, "inject")),
            "/validate" => Some((Webhook::Validate, "validate")),
            _ => None,
        };
        let result = match webhook {
            None => Err(RequestError::Path),
            Some(_) if request.method() != Method::POST => Err(RequestError::Method),
            Some((webhook, _)) => self.review(webhook, request.into_body(), start + TIMEOUT).await,
        };
        if let Some((_, name)) = webhook {
            self.metrics.record_duration(name, start.elapsed());
        }
        match result {
            Ok(answer) => response(StatusCode::OK, "application/json", answer),
            Err(error) => {
                self.metrics.record_error(error.name());
                response(error.status(), "text/plain; charset=utf-8", format!("{error}\n"))
            }
        }
    }

    async fn review(&self, webhook: Webhook, body: Incoming, deadline: Instant) -> Result<String, RequestError> {
        let size = body.size_hint().upper().map_or(BODY_SIZE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > BODY_SIZE {
            return Err(RequestError::TooLong);
        }
        let kibibytes = u32::try_from(size.div_ceil(1024)).unwrap_or(BODIES);
        let read = async {
            // The semaphore is never closed.
            let permit = self.bodies.acquire_many(kibibytes).await.map_err(|_| RequestError::Timeout)?;
            let body = Limited::new(body, BODY_SIZE).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { RequestError::TooLong } else { RequestError::Body }
            })?;
            Ok::<_, RequestError>((permit, body.to_bytes()))
        };
        let (_permit, body) = tokio::time::timeout_at(deadline, read).await.map_err(|_| RequestError::Timeout)??;
        let body: Json =
            serde_json::from_slice(&body).map_err(|error| MalformedReviewError::Json(error.to_string()))?;
        let uid = AdmissionRequest::read(&body)?.uid.to_owned();
        let response = match tokio::time::timeout_at(deadline, self.decide(webhook, body)).await {
            Ok(Some(response)) => response,
            Ok(None) => self.failed(webhook, "failed"),
            Err(_) => self.failed(webhook, "took too long"),
        };
        Ok(response.to_review(&uid).to_string())
    }

    /// Decides about the request in the body. `None` if the decision panics. It runs on a blocking thread, because a plan of a
    /// large cluster takes long.
    async fn decide(&self, webhook: Webhook, body: Json) -> Option<AdmissionResponse> {
        let permit = Arc::clone(&self.decisions).acquire_owned().await.ok()?;
        let (webhooks, cluster, metrics) =
            (Arc::clone(&self.webhooks), Arc::clone(&self.cluster), self.metrics.clone());
        let decide = move || {
            // Held until the end, even if the request has timed out.
            let _permit = permit;
            let review = AdmissionRequest::read(&body).ok()?;
            Some(match webhook {
                Webhook::Inject => {
                    let (outcome, response) =
                        inject(&review, &webhooks.sidecar, |namespace, labels| cluster.selects(namespace, labels));
                    metrics.record_injection(outcome);
                    response
                }
                Webhook::Validate => {
                    let (outcome, response) = validate(&review, || cluster.objects(), &webhooks.plan);
                    metrics.record_validation(outcome);
                    response
                }
            })
        };
        tokio::task::spawn_blocking(decide).await.ok().flatten()
    }

    /// Returns the response for a failed decision. It allows the object, because controllers and masters validate it again.
    fn failed(&self, webhook: Webhook, what: &str) -> AdmissionResponse {
        let warning = match webhook {
            Webhook::Inject => {
                self.metrics.record_injection(inject::Outcome::Failed);
                format!("the pod got no SNMP sidecar: the decision {what}")
            }
            Webhook::Validate => {
                self.metrics.record_validation(validate::Outcome::Failed);
                format!("the object was not validated, because this {what}: see its conditions")
            }
        };
        tracing::warn!("{warning}");
        AdmissionResponse { warnings: vec![warning], ..AdmissionResponse::default() }
    }
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
