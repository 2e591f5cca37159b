//! The webhooks' server: AdmissionReviews over HTTP/1.1 over TLS.
//!
//! Clients are bounded in number, in time, and in the memory that their requests take together. Whatever fails here
//! allows a pod as it is.

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
    Cluster, certificate,
    certificate::Shown,
    inject::{self, inject},
    metrics::Metrics,
    review::{Malformed, Review, Verdict},
    sidecar,
    validate::{self, validate},
};
use crate::{
    plan,
    tls_server::{self, Bounds, Service, Traffic},
};

/// The Secret with the server's certificate.
pub const CERTIFICATE: &str = "snmp-operator-webhook-tls";

/// Connections at once. An API server has a few, and keeps them.
const CONNECTIONS: usize = 256;
/// Longest time for a TLS handshake, and for a request's head. Longer than what an idle connection is kept for by Go's
/// client (90 s), so that it is the client that closes it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_TIMEOUT: Duration = Duration::from_mins(2);
/// Longest time from a request's head to its answer; the API server waits for 5 s.
const TIMEOUT: Duration = Duration::from_millis(4500);
/// Longest time that open requests have at the drain.
const LAST_REQUESTS: Duration = Duration::from_secs(6);
/// Longest head of a request, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// Longest body, in bytes: an API server takes objects of 3 MiB, and a review may hold one twice.
const BODY_SIZE: usize = 7 << 20;
/// What bodies take together, in KiB.
const BODIES: u32 = 32 << 10;
/// Reviews that are judged at once.
const JUDGED: usize = 4;

/// What the webhooks are set to.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// What sidecars are made of.
    pub sidecar: sidecar::Settings,
    /// What objects are judged by.
    pub plan: plan::Settings,
}

/// What a server needs beside its listener.
pub struct Serving<C> {
    /// Of the API server, for the certificate.
    pub client: Client,
    /// The operator's own namespace, in which the certificate's Secret is.
    pub namespace: String,
    /// The settings.
    pub webhooks: Webhooks,
    /// What is known of the cluster.
    pub cluster: C,
    /// Blocked until there is a certificate.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Metrics,
    /// The certificate, which others may show as well.
    pub shown: Shown,
}

/// Serves the webhooks until the drain, which requests under way outlive.
pub async fn serve<C: Cluster>(listener: TcpListener, serving: Serving<C>, drain: Watcher) {
    let Serving { client, namespace, webhooks, cluster, readiness, metrics, shown } = serving;
    let block = readiness.block(format!("the certificate of the webhooks, Secret {namespace}/{CERTIFICATE}"));
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let follow = certificate::follow(secrets, CERTIFICATE, shown.clone(), block, drain.clone());
    tokio::join!(follow, accept(listener, shown, Reviewer::new(webhooks, cluster, metrics), drain));
}

/// Serves with a certificate that is given.
pub(super) async fn accept<C: Cluster>(listener: TcpListener, shown: Shown, reviewer: Reviewer<C>, drain: Watcher) {
    tls_server::serve(listener, shown, reviewer, drain).await;
}

impl<C: Cluster> Service for Reviewer<C> {
    const NAME: &'static str = "the webhooks' server";
    const BOUNDS: Bounds = Bounds {
        connections: CONNECTIONS,
        // All come from the API server, or from what stands before it.
        per_source: u32::MAX,
        handshake: HANDSHAKE_TIMEOUT,
        head: HEAD_TIMEOUT,
        head_size: HEAD_SIZE,
        last_requests: LAST_REQUESTS,
    };

    fn traffic(&self) -> &Traffic {
        self.metrics.traffic()
    }

    async fn respond(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Full<Bytes>> {
        self.answer(request).await
    }
}

/// Answers reviews.
pub(super) struct Reviewer<C> {
    webhooks: Arc<Webhooks>,
    cluster: Arc<C>,
    metrics: Metrics,
    bodies: Semaphore,
    judged: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
enum Webhook {
    Inject,
    Validate,
}

/// A request that is not answered by a review.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("there are /inject and /validate")]
    Path,
    #[error("reviews are sent by POST")]
    Method,
    #[error("the body is longer than {BODY_SIZE} bytes")]
    TooLong,
    #[error("the body cannot be read")]
    Body,
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("the answer took too long")]
    Late,
}

impl Unanswered {
    fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Late => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// As metrics show it.
    fn name(&self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::TooLong => "too_long",
            Self::Body => "body",
            Self::Malformed(_) => "malformed",
            Self::Late => "late",
        }
    }
}

impl<C: Cluster> Reviewer<C> {
    pub(super) fn new(webhooks: Webhooks, cluster: C, metrics: Metrics) -> Self {
        let (webhooks, cluster) = (Arc::new(webhooks), Arc::new(cluster));
        let bodies = Semaphore::new(BODIES as usize);
        Self { webhooks, cluster, metrics, bodies, judged: Arc::new(Semaphore::new(JUDGED)) }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let began = Instant::now();
        let webhook = match request.uri().path() {
            "/inject" => Some((Webhook::Inject, "inject")),
            "/validate" => Some((Webhook::Validate, "validate")),
            _ => None,
        };
        let answered = match webhook {
            None => Err(Unanswered::Path),
            Some(_) if request.method() != Method::POST => Err(Unanswered::Method),
            Some((webhook, _)) => self.review(webhook, request.into_body(), began + TIMEOUT).await,
        };
        if let Some((_, name)) = webhook {
            self.metrics.took(name, began.elapsed());
        }
        match answered {
            Ok(answer) => response(StatusCode::OK, "application/json", answer),
            Err(unanswered) => {
                self.metrics.unanswered(unanswered.name());
                response(unanswered.status(), "text/plain; charset=utf-8", format!("{unanswered}\n"))
            }
        }
    }

    async fn review(&self, webhook: Webhook, body: Incoming, deadline: Instant) -> Result<String, Unanswered> {
        let size = body.size_hint().upper().map_or(BODY_SIZE, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if size > BODY_SIZE {
            return Err(Unanswered::TooLong);
        }
        let kibibytes = u32::try_from(size.div_ceil(1024)).unwrap_or(BODIES);
        let read = async {
            // The semaphore is never closed.
            let room = self.bodies.acquire_many(kibibytes).await.map_err(|_| Unanswered::Late)?;
            let body = Limited::new(body, BODY_SIZE)
                .collect()
                .await
                .map_err(|error| if error.is::<LengthLimitError>() { Unanswered::TooLong } else { Unanswered::Body })?;
            Ok::<_, Unanswered>((room, body.to_bytes()))
        };
        let (_room, body) = tokio::time::timeout_at(deadline, read).await.map_err(|_| Unanswered::Late)??;
        let body: Json = serde_json::from_slice(&body).map_err(|error| Malformed::Json(error.to_string()))?;
        let uid = Review::read(&body)?.uid.to_owned();
        let verdict = match tokio::time::timeout_at(deadline, self.judge(webhook, body)).await {
            Ok(Some(verdict)) => verdict,
            Ok(None) => self.failed(webhook, "failed"),
            Err(_) => self.failed(webhook, "took too long"),
        };
        Ok(verdict.answer(&uid).to_string())
    }

    /// The verdict on a body that holds a review; `None` if judging it failed. Off the runtime's threads: a plan of a
    /// large cluster takes its time.
    async fn judge(&self, webhook: Webhook, body: Json) -> Option<Verdict> {
        let turn = Arc::clone(&self.judged).acquire_owned().await.ok()?;
        let (webhooks, cluster, metrics) =
            (Arc::clone(&self.webhooks), Arc::clone(&self.cluster), self.metrics.clone());
        let judge = move || {
            // Held to the end also where nobody waits for it any more.
            let _turn = turn;
            let review = Review::read(&body).ok()?;
            Some(match webhook {
                Webhook::Inject => {
                    let (outcome, verdict) =
                        inject(&review, &webhooks.sidecar, |namespace, labels| cluster.selects(namespace, labels));
                    metrics.injected(outcome);
                    verdict
                }
                Webhook::Validate => {
                    let (outcome, verdict) = validate(&review, || cluster.objects(), &webhooks.plan);
                    metrics.validated(outcome);
                    verdict
                }
            })
        };
        tokio::task::spawn_blocking(judge).await.ok().flatten()
    }

    /// Nothing that fails here refuses anything: controllers and masters judge once more what they read.
    fn failed(&self, webhook: Webhook, what: &str) -> Verdict {
        let warning = match webhook {
            Webhook::Inject => {
                self.metrics.injected(inject::Outcome::Failed);
                format!("the pod got no SNMP sidecar: deciding about it {what}")
            }
            Webhook::Validate => {
                self.metrics.validated(validate::Outcome::Failed);
                format!("the object was not checked, because that {what}; its conditions will tell")
            }
        };
        tracing::warn!("{warning}");
        Verdict { warnings: vec![warning], ..Verdict::default() }
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
