//! Where the document and the SNMP engine are stored: on local disk, or in the Secrets of a cluster.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use crate::{
    cli::RunArgs,
    config::{FileSource, Source},
    observability::status::Status,
    replication::{
        self, ClientError, EngineSecret, Names, Replica, SecretSource, engine_record, engine_store::EngineStore,
    },
    snmp::EngineIdentity,
};

/// How the master is deployed.
pub(crate) enum Deployment {
    /// One process, with the document in a file and the engine in a state directory.
    Standalone(EngineStore, PathBuf),
    /// A replica in a cluster, with the document and the engine in Secrets that all replicas share.
    Cluster(Box<Cluster>),
}

/// A replica in a cluster.
pub(crate) struct Cluster {
    client: Client,
    names: Names,
    /// The name of this replica's pod.
    pod: String,
    engine: EngineSecret,
}

impl Deployment {
    /// Opens the deployment that the flags name. A standalone master stores the engine's next boot. Needs a Tokio
    /// runtime.
    ///
    /// # Errors
    /// Returns an error if no API client can be built, or if the state directory cannot be used.
    pub(crate) async fn open(args: &RunArgs) -> anyhow::Result<Self> {
        match args {
            RunArgs { secret: Some(names), pod_name, .. } => {
                let client = replication::connect().await.context("cannot run with --secret")?;
                let pod = pod_name
                    .clone()
                    .map_or_else(replication::pod_name, Ok)
                    .context("cannot find the name of this pod; set --pod-name")?;
                tracing::info!(secret = %names, replica = pod, "running as a replica in a cluster");
                let engine = EngineSecret::new(&client, names);
                Ok(Self::Cluster(Box::new(Cluster { client, names: names.clone(), pod, engine })))
            }
            RunArgs { config: Some(config), state: Some(state), .. } => {
                let store = EngineStore::open(state).context("cannot open the state of the SNMP engine")?;
                Ok(Self::Standalone(store, config.clone()))
            }
            _ => anyhow::bail!("either --secret, or --config and --state, must be given"),
        }
    }

    /// Returns the engine. A standalone master returns it in its next boot. In a cluster this waits until the engine
    /// can be read or created.
    pub(crate) async fn engine(&mut self, status: &Status) -> EngineIdentity {
        let engine = match self {
            Self::Standalone(store, _) => store.identity().clone(),
            Self::Cluster(cluster) => replication::engine(&mut cluster.engine, false, status).await,
        };
        status.engine(&engine);
        if engine_record::has_exhausted_boots(&engine) {
            tracing::error!(
                "snmpEngineBoots has reached its maximum: SNMPv3 is not served until the engine gets another engine id"
            );
        }
        engine
    }

    /// Returns the source of the document. Needs a Tokio runtime.
    pub(crate) fn source(&self, status: &Status) -> Source {
        match self {
            Self::Standalone(_, config) => Source::File(FileSource::new(config.clone())),
            Self::Cluster(cluster) => {
                Source::Secrets(Box::new(SecretSource::new(&cluster.client, &cluster.names, status.clone())))
            }
        }
    }

    /// Returns the name of this replica: that of its pod, or of its host.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Standalone(..) => replication::pod_name().unwrap_or_default(),
            Self::Cluster(cluster) => cluster.pod.clone(),
        }
    }

    /// Returns a client of the API server. A standalone master takes its address from the environment. Needs a Tokio
    /// runtime.
    ///
    /// # Errors
    /// Returns an error if no API client can be built.
    pub(crate) async fn client(&self) -> Result<Client, ClientError> {
        match self {
            Self::Standalone(..) => replication::connect().await,
            Self::Cluster(cluster) => Ok(cluster.client.clone()),
        }
    }

    /// Starts to take part in the election. Returns `None` for a standalone master, which is always active. Needs a
    /// Tokio runtime.
    pub(crate) fn replica(&self, status: &Status) -> Option<Replica> {
        match self {
            Self::Standalone(..) => None,
            Self::Cluster(cluster) => {
                let Cluster { client, names, pod, engine } = &**cluster;
                Some(Replica::start(client, names, pod, engine.clone(), status))
            }
        }
    }
}
