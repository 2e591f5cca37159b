//! Requests about the Lease to the API server.

use std::{fmt, time::Duration};

use k8s_openapi::{
    api::coordination::v1::Lease,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    Policy,
    election::{Claim, Record},
};

/// The verb of a request about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Reads the Lease.
    Get,
    /// Creates the Lease.
    Create,
    /// Changes the Lease.
    Patch,
}

impl Verb {
    /// The verb's name in the API, as RBAC and metrics use it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Patch => "patch",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request about the Lease failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There was no response within [`Policy::request_timeout`].
    #[error("the API server did not respond within {0:?}")]
    Timeout(Duration),
    /// The API server refused the request or could not be reached.
    #[error(transparent)]
    Failed(Box<kube::Error>),
}

impl RequestError {
    /// Returns whether the write failed because another client created, changed or deleted the Lease.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Failed(error) => matches!(&**error, kube::Error::Api(status) if matches!(status.code, 404 | 409)),
            Self::Timeout(_) => false,
        }
    }
}

/// The Lease in the API server.
#[derive(Debug, Clone)]
pub(crate) struct LeaseApi {
    pub(crate) leases: Api<Lease>,
    pub(crate) name: String,
    pub(crate) policy: Policy,
}

impl LeaseApi {
    /// Reads the Lease; `None` if it does not exist.
    pub(crate) async fn read(&self) -> Result<Option<Record>, RequestError> {
        Ok(self.bounded(self.leases.get_opt(&self.name)).await?.as_ref().map(record))
    }

    /// Creates or changes the Lease, on the condition that no other client has written it since it was read.
    pub(crate) async fn write(&self, claim: &Claim) -> Result<Record, RequestError> {
        let now = MicroTime(Timestamp::now());
        let mut spec = json!({
            "holderIdentity": claim.holder,
            "leaseDurationSeconds": self.policy.duration.as_secs(),
            "leaseTransitions": claim.transitions,
            "renewTime": now,
        });
        if let (true, Some(spec)) = (claim.is_new, spec.as_object_mut()) {
            spec.insert("acquireTime".to_owned(), json!(now));
        }
        if let Some(version) = &claim.replaces {
            let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
            let params = PatchParams::default();
            return Ok(record(&self.bounded(self.leases.patch(&self.name, &params, &patch)).await?));
        }
        let spec = serde_json::from_value(spec)
            .map_err(|error| RequestError::Failed(Box::new(kube::Error::SerdeError(error))))?;
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let lease = Lease { metadata, spec: Some(spec) };
        Ok(record(&self.bounded(self.leases.create(&PostParams::default(), &lease)).await?))
    }

    async fn bounded<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
        let timeout = self.policy.request_timeout;
        match tokio::time::timeout(timeout, request).await {
            Ok(response) => response.map_err(|error| RequestError::Failed(Box::new(error))),
            Err(_) => Err(RequestError::Timeout(timeout)),
        }
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: seconds.map_or(Duration::ZERO, Duration::from_secs),
        transitions: spec.lease_transitions.and_then(|transitions| u32::try_from(transitions).ok()).unwrap_or(0),
    }
}
