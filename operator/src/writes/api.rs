//! ConfigMaps, read and patched at the API server.

use std::{collections::BTreeMap, time::Duration};

use hyper::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::timeout;

use super::{FIELD_MANAGER, WRITABLE, refusal::Refusal, request::Change};
use crate::metrics::Metrics;

/// The longest time that the API server may take. A sidecar waits for four seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often a change that names no version is tried where another comes between.
const ATTEMPTS: usize = 4;

/// A ConfigMap that may be written.
pub(super) struct Writable {
    pub(super) version: String,
    pub(super) data: BTreeMap<String, String>,
}

/// ConfigMaps of all namespaces.
#[derive(Clone)]
pub(super) struct ConfigMaps {
    client: Client,
    metrics: Metrics,
}

impl ConfigMaps {
    pub(super) fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
    }

    /// The ConfigMap, if its label says that it may be written.
    ///
    /// # Errors
    /// It is not there, or not to be written, or the API server is away.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Writable, Refusal> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = self.call("get", api.get(name)).await.map_err(|status| match status.code {
            404 => Refusal::new(StatusCode::NOT_FOUND, format!("there is no ConfigMap {namespace}/{name}")),
            _ => refusal(&status),
        })?;
        if map.labels().get(WRITABLE).map(String::as_str) != Some("true") {
            let message = format!(
                "nobody has said that ConfigMap {namespace}/{name} may be written: \
                 kubectl label configmap {name} -n {namespace} {WRITABLE}=true"
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        }
        Ok(Writable { version: map.resource_version().unwrap_or_default(), data: map.data.unwrap_or_default() })
    }

    /// Changes the ConfigMap, if its label says that it may be written, and gives its new version.
    ///
    /// # Errors
    /// As [`Self::read`]; or it has another version, or would become what no ConfigMap can be.
    pub(super) async fn change(&self, namespace: &str, name: &str, change: &Change) -> Result<String, Refusal> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        for _ in 0..ATTEMPTS {
            // The patch holds for the very state in which the label was seen.
            let Writable { version, .. } = self.read(namespace, name).await?;
            if change.resource_version.as_ref().is_some_and(|wanted| *wanted != version) {
                return Err(another_version(namespace, name));
            }
            let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "data": change.data}));
            match self.call("patch", api.patch_metadata(name, &params, &patch)).await {
                Ok(changed) => return Ok(changed.resource_version().unwrap_or_default()),
                Err(status) if status.code == 409 && change.resource_version.is_none() => {}
                Err(status) if status.code == 409 => break,
                Err(status) => return Err(refusal(&status)),
            }
        }
        Err(another_version(namespace, name))
    }

    /// The answer to a request; an API server that cannot be reached is one of 503.
    async fn call<T>(&self, verb: &'static str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Answer> {
        let answer = timeout(PATIENCE, request).await;
        let answer = answer.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
        self.metrics.requested("ConfigMap of a tenant", verb, answer.as_ref().err());
        answer.map_err(|error| match error {
            kube::Error::Api(status) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let fields = causes.map(|cause| cause.field.clone()).filter(|field| !field.is_empty()).collect();
                // Other messages may quote what was sent.
                let message = if status.code == 403 { status.message } else { String::new() };
                Answer { code: status.code, reason: status.reason, message, fields }
            }
            error => {
                tracing::debug!(%error, "the API server cannot be reached");
                Answer { code: 503, reason: String::new(), message: String::new(), fields: Vec::new() }
            }
        })
    }
}

/// What the API server says in place of an object, without values.
struct Answer {
    code: u16,
    reason: String,
    message: String,
    fields: Vec<String>,
}

fn another_version(namespace: &str, name: &str) -> Refusal {
    let message = format!("ConfigMap {namespace}/{name} has changed meanwhile: read it again");
    Refusal::new(StatusCode::CONFLICT, message)
}

/// What is answered for what the API server says.
fn refusal(Answer { code, reason, message, fields }: &Answer) -> Refusal {
    let fields = fields.join(", ");
    let said = [message.as_str(), reason, &fields].into_iter().filter(|text| !text.is_empty());
    let said = said.collect::<Vec<_>>().join(": ");
    match code {
        404 => Refusal::new(StatusCode::NOT_FOUND, "the ConfigMap has gone"),
        413 => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the ConfigMap would be too large"),
        429 => Refusal::new(StatusCode::TOO_MANY_REQUESTS, "the API server has too much to do"),
        400..=499 => {
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("the API server refuses it with {code} {said}"))
        }
        _ => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer"),
    }
}
