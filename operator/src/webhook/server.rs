//! The webhooks' server: AdmissionReviews over HTTP/1.1 over TLS.
//!
//! Clients are bounded in number, in time, and in the memory that their requests take together. Whatever fails here
//! allows a pod as it is.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use daemon::{drain::Watcher, readiness::Readiness};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::{ServerConfig, crypto::ring};
use serde_json::Value as Json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Cluster, certificate,
    certificate::Shown,
    inject::{self, inject},
    metrics::Metrics,
    review::{Malformed, Review, Verdict},
    sidecar,
    validate::{self, validate},
};
use crate::plan;

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
/// Pause after an accept that failed, as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
}

/// Serves the webhooks until the drain, which requests under way outlive.
pub async fn serve<C: Cluster>(listener: TcpListener, serving: Serving<C>, drain: Watcher) {
    let Serving { client, namespace, webhooks, cluster, readiness, metrics } = serving;
    let shown = Shown::default();
    let block = readiness.block(format!("the certificate of the webhooks, Secret {namespace}/{CERTIFICATE}"));
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let follow = certificate::follow(secrets, CERTIFICATE, shown.clone(), block, drain.clone());
    tokio::join!(follow, accept(listener, shown, Reviewer::new(webhooks, cluster, metrics), drain));
}

/// Serves with a certificate that is given.
pub(super) async fn accept<C: Cluster>(listener: TcpListener, shown: Shown, reviewer: Reviewer<C>, mut drain: Watcher) {
    let acceptor = match tls(shown) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => {
            // Only another build of rustls could bring that about.
            tracing::error!(%error, "the webhooks cannot be served");
            return;
        }
    };
    let reviewer = Arc::new(reviewer);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
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
                Ok((stream, _)) => {
                    let (acceptor, reviewer, drain) = (acceptor.clone(), Arc::clone(&reviewer), drain.clone());
                    connections.spawn(async move {
                        let _slot = slot;
                        let _open = reviewer.metrics.opened();
                        connection(stream, &acceptor, &reviewer, drain).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the webhooks' server cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is still open after that is cut off.
    let _ = timeout(LAST_REQUESTS, async { while connections.join_next().await.is_some() {} }).await;
}

fn tls(shown: Shown) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn connection<C: Cluster>(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    reviewer: &Arc<Reviewer<C>>,
    mut drain: Watcher,
) {
    // An answer is one small write; without this it may wait for the one before it.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // Also what an API server does that has no CA of ours yet.
            tracing::debug!(%error, "a connection to the webhooks failed");
            return reviewer.metrics.handshake_failed();
        }
        Err(_) => return reviewer.metrics.handshake_failed(),
    };
    let service = service_fn(|request| async { Ok::<_, Infallible>(reviewer.respond(request).await) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service);
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

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
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
