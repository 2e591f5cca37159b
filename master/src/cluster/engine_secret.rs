//! The SNMP engine in a Secret: its id is the same for all replicas and for good, and each replica that becomes active
//! is one boot of it, which is stored before it answers.
//!
//! Writes are bound to the version that was read: two replicas never have the same boot. A Secret that is empty becomes
//! a new engine's; one that cannot be understood is an error for people to solve.

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};

use super::{
    call::{CallError, bounded},
    names::Names,
};
use crate::{engine_record, snmp::EngineIdentity};

/// The engine's Secret.
#[derive(Debug, Clone)]
pub struct EngineSecret {
    secrets: Api<Secret>,
    secret: String,
    full: String,
    /// The engine as it was last seen. Whoever empties the Secret makes no other of it.
    known: Option<EngineIdentity>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// The operator makes it.
    #[error("the Secret {0} is not there: the operator makes it")]
    Missing(String),
    /// Its contents are not what was written.
    #[error(
        "the Secret {secret}, {}: not the state of an engine: {reason}; restore it, or remove it to become another \
         engine, to which every SNMPv3 manager has to be introduced anew",
        engine_record::NAME
    )]
    Corrupt {
        /// Namespace and name.
        secret: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be read or written now.
    #[error("the Secret {secret}: {error}")]
    Call {
        /// Namespace and name.
        secret: String,
        /// The reason.
        error: CallError,
    },
    /// The system has no random numbers.
    #[error("an engine id cannot be chosen: {0}")]
    Random(getrandom::Error),
}

/// What the engine is, and whether that has to be written.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Stands(EngineIdentity),
    ToStore(EngineIdentity),
}

impl EngineSecret {
    /// The Secret of these names.
    #[must_use]
    pub fn new(client: &Client, names: &Names) -> Self {
        let secret = names.engine();
        let full = names.full(&secret);
        Self { secrets: Api::namespaced(client.clone(), &names.namespace), secret, full, known: None }
    }

    /// The engine, in whatever boot it is now. An empty Secret becomes a new engine's.
    ///
    /// # Errors
    /// [`EngineFault`]: to be tried again.
    pub async fn find(&mut self) -> Result<EngineIdentity, EngineFault> {
        self.store(false).await
    }

    /// The engine, one boot later, which is stored.
    ///
    /// # Errors
    /// [`EngineFault`]: no message may be sent then, and it is to be tried again.
    pub async fn boot(&mut self) -> Result<EngineIdentity, EngineFault> {
        self.store(true).await
    }

    async fn store(&mut self, is_boot: bool) -> Result<EngineIdentity, EngineFault> {
        let secret = match bounded(self.secrets.get(&self.secret)).await {
            Ok(secret) => secret,
            Err(error) if error.is_not_found() => return Err(EngineFault::Missing(self.full.clone())),
            Err(error) => return Err(self.failed(error)),
        };
        let contents = secret.data.as_ref().and_then(|data| data.get(engine_record::NAME));
        let engine = match self.look(contents.map(|contents| &*contents.0), is_boot)? {
            Found::Stands(engine) => engine,
            Found::ToStore(engine) => {
                let contents = ByteString(engine_record::serialize(&engine).into_bytes());
                let patch = Patch::Merge(serde_json::json!({
                    // Bound to this version of this very Secret.
                    "metadata": {"resourceVersion": secret.metadata.resource_version, "uid": secret.metadata.uid},
                    "data": {engine_record::NAME: contents},
                }));
                let stored = bounded(self.secrets.patch(&self.secret, &PatchParams::default(), &patch)).await;
                stored.map_err(|error| self.failed(error))?;
                engine
            }
        };
        self.known = Some(engine.clone());
        Ok(engine)
    }

    /// What becomes of what the Secret says.
    fn look(&self, contents: Option<&[u8]>, is_boot: bool) -> Result<Found, EngineFault> {
        let engine = match contents {
            Some(contents) if !contents.is_empty() => engine_record::parse(contents)
                .map_err(|reason| EngineFault::Corrupt { secret: self.full.clone(), reason })?,
            _ => match &self.known {
                Some(known) => return Ok(Found::ToStore(engine_record::next_boot(known))),
                None => return engine_record::create().map(Found::ToStore).map_err(EngineFault::Random),
            },
        };
        Ok(if is_boot { Found::ToStore(engine_record::next_boot(&engine)) } else { Found::Stands(engine) })
    }

    fn failed(&self, error: CallError) -> EngineFault {
        EngineFault::Call { secret: self.full.clone(), error }
    }
}
