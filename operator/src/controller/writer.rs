//! Writing to the API server: as the leader alone, bounded in time, counted, and put into the index at once.

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

/// The longest time that a request may take: a leader that leads no more has ended all it began when the next begins.
const PATIENCE: Duration = Duration::from_secs(4);

/// Why something was not written. The message holds nothing of what was to be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Another replica leads.
    #[error("another replica leads")]
    NotLeader,
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// The API server refused.
    #[error("the API server answered {code} {reason}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// Its word for it, and for 403 what was not allowed.
        reason: String,
    },
    /// The API server cannot be reached, or what it said not understood.
    #[error("the API server cannot be reached")]
    Unreachable,
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                // Other messages may quote what was sent.
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
    /// Whether the object is there already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }

    /// Whether the object is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }
}

/// A kind that the operator writes.
pub trait Written: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned {
    /// Its name in metrics.
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

/// Writes. Clones share all.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leadership: Leadership,
    metrics: Metrics,
}

impl Writer {
    /// Writes through `client`, while `leadership` holds.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership, metrics: Metrics) -> Self {
        Self { client, leadership, metrics }
    }

    /// The API server's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Server-side apply, by force: what others changed of it is put right.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn apply<K: Written>(&self, api: &Api<K>, name: &str, object: &Json) -> Result<K, WriteError> {
        let params = PatchParams::apply(OPERATOR).force();
        self.request(K::KIND, "apply", api.patch(name, &params, &Patch::Apply(object))).await
    }

    /// A JSON merge patch (RFC 7386).
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn merge<K: Written>(&self, api: &Api<K>, name: &str, patch: &Json) -> Result<K, WriteError> {
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        self.request(K::KIND, "patch", api.patch(name, &params, &Patch::Merge(patch))).await
    }

    /// A JSON merge patch of the status.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn merge_status<K: Written>(&self, api: &Api<K>, name: &str, patch: &Json) -> Result<K, WriteError> {
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        self.request(K::KIND, "patch status", api.patch_status(name, &params, &Patch::Merge(patch))).await
    }

    /// Makes an object that is not there.
    ///
    /// # Errors
    /// [`WriteError`]; that it is there already is one.
    pub async fn create<K: Written>(&self, api: &Api<K>, object: &K) -> Result<K, WriteError> {
        let params = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        self.request(K::KIND, "create", api.create(&params, object)).await
    }

    /// Deletes the object in this very state.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn delete<K: Written>(&self, api: &Api<K>, name: &str, version: &Version) -> Result<(), WriteError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(version.uid.clone()),
            resource_version: Some(version.resource.clone()),
        });
        self.request(K::KIND, "delete", api.delete(name, &params)).await.map(drop)
    }

    /// Any request, if this replica leads.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn request<T>(
        &self,
        kind: &'static str,
        verb: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leadership.holds() {
            return Err(WriteError::NotLeader);
        }
        let Ok(answer) = tokio::time::timeout(PATIENCE, request).await else {
            self.metrics.requested(kind, verb, Some(&kube::Error::Service("no answer in time".into())));
            return Err(WriteError::Late);
        };
        self.metrics.requested(kind, verb, answer.as_ref().err());
        answer.map_err(WriteError::from)
    }
}
