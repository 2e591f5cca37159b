//! The SNMP engine's state in a Secret.
//!
//! All replicas share the engine id, which never changes. Each replica that becomes active increments
//! snmpEngineBoots, and stores it before it answers managers.
//!
//! Writes name the resourceVersion that was read, so two replicas never get the same boot. An empty Secret gets a new
//! engine. A Secret with invalid contents is an error that an administrator has to resolve.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};

use super::{
    call::{CallError, bounded},
    names::Names,
};
use crate::{replication::engine_record, snmp::EngineIdentity};

/// The Secret of the engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineSecret {
    secrets: Api<Secret>,
    /// The name of the Secret.
    secret: String,
    /// Namespace and name of the Secret.
    full: String,
    /// The engine as it was last read or stored. It is restored if someone empties the Secret.
    last: Option<EngineIdentity>,
}

/// Why the engine cannot be read or stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineSecretError {
    /// The Secret does not exist.
    #[error("the Secret {0} does not exist; the operator creates it")]
    Missing(String),
    /// The contents are invalid.
    #[error(
        "the Secret {secret}, {}: not a valid engine state: {reason}; restore it, or remove it to get a new engine id, \
         which SNMPv3 managers have to discover again",
        engine_record::NAME
    )]
    Corrupt {
        /// Namespace and name.
        secret: String,
        /// What is wrong.
        reason: String,
    },
    /// The Secret cannot be read or written.
    #[error("the Secret {secret}: {error}")]
    Call {
        /// Namespace and name.
        secret: String,
        /// Why the call failed.
        error: CallError,
    },
    /// The operating system provides no random numbers.
    #[error("cannot generate an engine id: {0}")]
    Random(getrandom::Error),
}

/// The engine, and whether it has to be written.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Stored(EngineIdentity),
    ToStore(EngineIdentity),
}

impl EngineSecret {
    /// Creates a client for the Secret of `names`. Makes no call.
    pub(crate) fn new(client: &Client, names: &Names) -> Self {
        let secret = names.engine();
        let full = names.full(&secret);
        Self { secrets: Api::namespaced(client.clone(), &names.namespace), secret, full, last: None }
    }

    /// Returns the engine in its current boot. Creates an engine if the Secret is empty.
    ///
    /// # Errors
    /// Returns an error if the Secret is missing or invalid, or if a call fails. The caller may try again.
    pub(crate) async fn find(&mut self) -> Result<EngineIdentity, EngineSecretError> {
        self.load(false).await
    }

    /// Returns the engine in its next boot, after storing it.
    ///
    /// # Errors
    /// Returns an error if the Secret is missing or invalid, or if a call fails. No message may be sent then. The
    /// caller may try again.
    pub(crate) async fn boot(&mut self) -> Result<EngineIdentity, EngineSecretError> {
        self.load(true).await
    }

    async fn load(&mut self, is_boot: bool) -> Result<EngineIdentity, EngineSecretError> {
        let secret = match bounded(self.secrets.get(&self.secret)).await {
            Ok(secret) => secret,
            Err(error) if error.is_not_found() => return Err(EngineSecretError::Missing(self.full.clone())),
            Err(error) => return Err(self.failed(error)),
        };
        let contents = secret.data.as_ref().and_then(|data| data.get(engine_record::NAME));
        let engine = match self.decide(contents.map(|contents| &*contents.0), is_boot)? {
            Decision::Stored(engine) => engine,
            Decision::ToStore(engine) => {
                let contents = ByteString(engine_record::serialize(&engine).into_bytes());
                let patch = Patch::Merge(serde_json::json!({
                    // The write fails if the Secret was changed or created anew.
                    "metadata": {"resourceVersion": secret.metadata.resource_version, "uid": secret.metadata.uid},
                    "data": {engine_record::NAME: contents},
                }));
                let stored = bounded(self.secrets.patch(&self.secret, &PatchParams::default(), &patch)).await;
                stored.map_err(|error| self.failed(error))?;
                engine
            }
        };
        self.last = Some(engine.clone());
        Ok(engine)
    }

    /// Decides what to store, given the contents of the Secret.
    fn decide(&self, contents: Option<&[u8]>, is_boot: bool) -> Result<Decision, EngineSecretError> {
        let engine = match contents {
            Some(contents) if !contents.is_empty() => engine_record::parse(contents)
                .map_err(|reason| EngineSecretError::Corrupt { secret: self.full.clone(), reason })?,
            _ => match &self.last {
                Some(last) => return Ok(Decision::ToStore(engine_record::next_boot(last))),
                None => return engine_record::create().map(Decision::ToStore).map_err(EngineSecretError::Random),
            },
        };
        Ok(if is_boot { Decision::ToStore(engine_record::next_boot(&engine)) } else { Decision::Stored(engine) })
    }

    fn failed(&self, error: CallError) -> EngineSecretError {
        EngineSecretError::Call { secret: self.full.clone(), error }
    }
}
