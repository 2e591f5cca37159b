//! Reads and patches of ConfigMaps at the API server.

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

/// The timeout of one request to the API server. A sidecar waits for 4 s.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The maximum number of attempts of a change without a version, if others change the ConfigMap meanwhile.
const ATTEMPTS: usize = 4;

/// A ConfigMap that sidecars can write.
pub(super) struct Writable {
    pub(super) version: String,
    pub(super) data: BTreeMap<String, String>,
}

/// The ConfigMaps of all namespaces.
#[derive(Clone)]
pub(super) struct ConfigMaps {
    client: Client,
    metrics: Metrics,
}

impl ConfigMaps {
    pub(super) fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics }
    }

    /// Reads a ConfigMap that has the label [`WRITABLE`].
    ///
    /// # Errors
    /// Returns an error if the ConfigMap does not exist or lacks the label, or if the API server does not answer.
    pub(super) async fn read(&self, namespace: &str, name: &str) -> Result<Writable, Refusal> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let map = self.call("get", api.get(name)).await.map_err(|status| match status.code {
            404 => Refusal::new(StatusCode::NOT_FOUND, format!("there is no ConfigMap {namespace}/{name}")),
            _ => refusal(&status),
        })?;
        if map.labels().get(WRITABLE).map(String::as_str) != Some("true") {
            let message = format!(
                "ConfigMap {namespace}/{name} lacks the label that allows writes: \
                 kubectl label configmap {name} -n {namespace} {WRITABLE}=true"
            );
            return Err(Refusal::new(StatusCode::FORBIDDEN, message));
        }
        Ok(Writable { version: map.resource_version().unwrap_or_default(), data: map.data.unwrap_or_default() })
    }

    /// Changes a ConfigMap that has the label [`WRITABLE`]. Returns its new version.
    ///
    /// # Errors
    /// Returns an error as [`Self::read`] does, if the ConfigMap has another version than requested, or if the API server
    /// refuses the change.
    pub(super) async fn change(&self, namespace: &str, name: &str, change: &Change) -> Result<String, Refusal> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        for _ in 0..ATTEMPTS {
            // The patch applies only to the version in which the label was read.
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

    /// Sends a request. If the API server cannot be reached, the failure has the code 503.
    async fn call<T>(&self, verb: &'static str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
        let answer = timeout(REQUEST_TIMEOUT, request).await;
        let answer = answer.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())));
        self.metrics.requested("ConfigMap of a tenant", verb, answer.as_ref().err());
        answer.map_err(|error| match error {
            kube::Error::Api(status) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let fields = causes.map(|cause| cause.field.clone()).filter(|field| !field.is_empty()).collect();
                // Other messages can quote what was sent.
                let message = if status.code == 403 { status.message } else { String::new() };
                Failure { code: status.code, reason: status.reason, message, fields }
            }
            error => {
                tracing::debug!(%error, "failed to reach the API server");
                Failure { code: 503, reason: String::new(), message: String::new(), fields: Vec::new() }
            }
        })
    }
}

/// A failure of the API server, without values of the ConfigMap.
struct Failure {
    code: u16,
    reason: String,
    message: String,
    fields: Vec<String>,
}

fn another_version(namespace: &str, name: &str) -> Refusal {
    let message = format!("ConfigMap {namespace}/{name} has another version: read it again");
    Refusal::new(StatusCode::CONFLICT, message)
}

/// Translates a failure of the API server.
fn refusal(Failure { code, reason, message, fields }: &Failure) -> Refusal {
    let fields = fields.join(", ");
    let details = [message.as_str(), reason, &fields].into_iter().filter(|text| !text.is_empty());
    let details = details.collect::<Vec<_>>().join(": ");
    match code {
        404 => Refusal::new(StatusCode::NOT_FOUND, "the ConfigMap was deleted"),
        413 => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the ConfigMap would be too large"),
        429 => Refusal::new(StatusCode::TOO_MANY_REQUESTS, "the API server is overloaded"),
        400..=499 => Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the API server refuses the change with {code} {details}"),
        ),
        _ => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer"),
    }
}
