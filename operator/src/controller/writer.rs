//! Writes to the API server: only as the leader, with a timeout, and counted.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    index::{OPERATOR, Version},
    leadership::Leadership,
    metrics::Metrics,
};

/// The timeout of a request. It is short enough that all requests of a former leader have ended when the next leader starts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A write failed. No message contains the content of the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// This replica is not the leader.
    #[error("another replica is the leader")]
    NotLeader,
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout,
    /// The API server refused the request.
    #[error("the API server answered {code} {reason}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The reason of the API server; for 403, its message.
        reason: String,
    },
    /// The API server cannot be reached, or its response cannot be read.
    #[error("the API server cannot be reached")]
    Unreachable,
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                // Other messages can quote what was sent.
                let reason = if status.code == 403 { status.message.clone() } else { status.reason.clone() };
                Self::Refused { code: status.code, reason }
            }
            error => {
                tracing::debug!(%error, "the API server cannot be reached");
                Self::Unreachable
            }
        }
    }
}

impl WriteError {
    /// Returns whether the object already exists, or has another version.
    #[must_use]
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// Returns whether the object does not exist.
    #[must_use]
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

/// A kind that the operator writes.
pub(crate) trait Written: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {
    /// The name of the kind in metrics.
    const KIND: &'static str;
}

macro_rules! written {
    ($($kind:ty => $name:literal),* $(,)?) => {$(
        impl Written for $kind {
            const KIND: &'static str = $name;
        }
    )*};
}

written!(
    ConfigMap => "ConfigMap",
    Secret => "Secret",
    crds::SnmpSubtree => "SnmpSubtree",
    crds::SnmpContext => "SnmpContext",
    crds::SnmpTrapTarget => "SnmpTrapTarget",
);

/// A client that writes only as the leader. Clones share everything.
#[derive(Clone)]
pub(crate) struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
}

impl Writer {
    /// Returns a writer that uses `client` while `leadership` holds.
    #[must_use]
    pub(crate) fn new(client: Client, leadership: Leadership, metrics: Metrics) -> Self {
        Self { client, leadership, metrics }
    }

    /// Returns the client of the API server.
    #[must_use]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Applies an object (server-side apply). Conflicts are forced, so changes of others are overwritten.
    ///
    /// # Errors
    /// Returns an error if the object was not applied.
    pub(crate) async fn apply<K: Written>(&self, api: &Api<K>, name: &str, object: &Json) -> Result<K, WriteError> {
        let params = PatchParams::apply(OPERATOR).force();
        self.request(K::KIND, "apply", api.patch(name, &params, &Patch::Apply(object))).await
    }

    /// Applies a JSON merge patch (RFC 7386).
    ///
    /// # Errors
    /// Returns an error if the object was not patched.
    pub(crate) async fn merge<K: Written>(&self, api: &Api<K>, name: &str, patch: &Json) -> Result<K, WriteError> {
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        self.request(K::KIND, "patch", api.patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Applies a JSON merge patch to the status.
    ///
    /// # Errors
    /// Returns an error if the status was not patched.
    pub(crate) async fn merge_status<K: Written>(
        &self,
        api: &Api<K>,
        name: &str,
        patch: &Json,
    ) -> Result<K, WriteError> {
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        self.request(K::KIND, "patch status", api.patch_status(name, &params, &Patch::Merge(patch))).await
    }

    /// Creates an object.
    ///
    /// # Errors
    /// Returns an error if the object was not created, for example because it already exists.
    pub(crate) async fn create<K: Written>(&self, api: &Api<K>, object: &K) -> Result<K, WriteError> {
        let params = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        self.request(K::KIND, "create", api.create(&params, object)).await
    }

    /// Deletes this version of the object.
    ///
    /// # Errors
    /// Returns an error if the object was not deleted, for example because it has another version.
    pub(crate) async fn delete<K: Written>(
        &self,
        api: &Api<K>,
        name: &str,
        version: &Version,
    ) -> Result<(), WriteError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(version.uid.clone()),
            resource_version: Some(version.resource.clone()),
        });
        self.request(K::KIND, "delete", api.delete(name, &params)).await.map(drop)
    }

    /// Sends a request, if this replica is the leader.
    ///
    /// # Errors
    /// Returns an error if this replica is not the leader, or if the request failed.
    pub(crate) async fn request<T>(
        &self,
        kind: &'static str,
        verb: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leadership.holds() {
            return Err(WriteError::NotLeader);
        }
        let Ok(answer) = tokio::time::timeout(REQUEST_TIMEOUT, request).await else {
            self.metrics.requested(kind, verb, Some(&kube::Error::Service("no answer in time".into())));
            return Err(WriteError::Timeout);
        };
        self.metrics.requested(kind, verb, answer.as_ref().err());
        answer.map_err(WriteError::from)
    }
}
