//! Where the master's document and engine are: with this process alone, or in a cluster, with other replicas.

use anyhow::Context as _;
use kube::Client;

use crate::{
    cli::RunArgs,
    cluster::{self, ClientError, EngineSecret, Names, Replica, SecretSource},
    config::{FileSource, Source},
    engine_record,
    engine_store::EngineStore,
    snmp::EngineIdentity,
    status::Status,
};

/// Where they are.
pub enum Home {
    /// In a file and a folder of this process's own.
    Alone(EngineStore, std::path::PathBuf),
    /// In Secrets, which replicas share.
    Cluster(Box<Cluster>),
}

/// A cluster, and this replica's place in it.
pub struct Cluster {
    client: Client,
    names: Names,
    me: String,
    engine: EngineSecret,
}

impl Home {
    /// The one that the flags name. Alone, the engine's next boot is stored. Runs inside a runtime.
    ///
    /// # Errors
    /// What keeps the master from having it.
    pub async fn open(args: &RunArgs) -> anyhow::Result<Self> {
        match args {
            RunArgs { secret: Some(names), pod_name, .. } => {
                let client = cluster::connect().await.context("cannot run with --secret")?;
                let me = pod_name.clone().map_or_else(cluster::pod_name, Ok).context("this pod has no name")?;
                tracing::info!(secret = %names, replica = me, "in a cluster");
                let engine = EngineSecret::new(&client, names);
                Ok(Self::Cluster(Box::new(Cluster { client, names: names.clone(), me, engine })))
            }
            RunArgs { config: Some(config), state: Some(state), .. } => {
                let store = EngineStore::open(state).context("cannot keep the SNMP engine's identity")?;
                Ok(Self::Alone(store, config.clone()))
            }
            _ => anyhow::bail!("neither --secret nor --config and --state are given"),
        }
    }

    /// The engine as it is, and for this process alone in its next boot. Waits until it can be had.
    pub async fn engine(&mut self, status: &Status) -> EngineIdentity {
        let engine = match self {
            Self::Alone(store, _) => store.identity().clone(),
            Self::Cluster(cluster) => cluster::engine(&mut cluster.engine, false, status).await,
        };
        status.engine(&engine);
        if engine_record::is_worn_out(&engine) {
            tracing::error!("the engine has no boots left: without another engine id SNMPv3 cannot be served");
        }
        engine
    }

    /// The document's source. Runs inside a runtime.
    #[must_use]
    pub fn source(&self, status: &Status) -> Source {
        match self {
            Self::Alone(_, config) => Source::File(FileSource::new(config.clone())),
            Self::Cluster(cluster) => {
                Source::Secrets(Box::new(SecretSource::new(&cluster.client, &cluster.names, status.clone())))
            }
        }
    }

    /// What this master is called: its pod's name, else its host's.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Alone(..) => cluster::pod_name().unwrap_or_default(),
            Self::Cluster(cluster) => cluster.me.clone(),
        }
    }

    /// A client of the API server, which alone is that of the environment. Runs inside a runtime.
    ///
    /// # Errors
    /// There is none.
    pub async fn client(&self) -> Result<Client, ClientError> {
        match self {
            Self::Alone(..) => cluster::connect().await,
            Self::Cluster(cluster) => Ok(cluster.client.clone()),
        }
    }

    /// Takes part in the election, if there are replicas: alone, a master is active from the start. Runs inside a
    /// runtime.
    #[must_use]
    pub fn replica(&self, status: &Status) -> Option<Replica> {
        match self {
            Self::Alone(..) => None,
            Self::Cluster(cluster) => {
                let Cluster { client, names, me, engine } = &**cluster;
                Some(Replica::start(client, names, me, engine.clone(), status))
            }
        }
    }
}
