//! The way to the API server: that of the pod, or of `KUBECONFIG` outside a cluster.

use std::time::Duration;

use kube::{Client, Config, config::InferConfigError};

/// The longest that a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest that nothing may come while something is waited for: longer than a watch is quiet.
const READ: Duration = Duration::from_secs(90);
/// The longest that a request may wait to be taken.
const WRITE: Duration = Duration::from_secs(10);

/// Why there is no way to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a pod's ServiceAccount nor a kubeconfig.
    #[error("neither in a cluster, nor is there a kubeconfig: {0}")]
    Config(#[from] Box<InferConfigError>),
    /// What there is cannot be used.
    #[error("the API server cannot be called: {}", super::call::explain(.0))]
    Client(#[from] Box<kube::Error>),
    /// See the cause.
    #[error(transparent)]
    Crypto(#[from] daemon::crypto::OtherProvider),
}

/// A client of the API server. It connects when it is used. Runs inside a runtime.
///
/// # Errors
/// [`ClientError`]: not that the API server is not there now.
pub async fn connect() -> Result<Client, ClientError> {
    daemon::install_crypto_provider()?;
    let mut config = Config::infer().await.map_err(Box::new)?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(WRITE);
    // Who calls knows better when to call again.
    config.default_retry = false;
    Ok(Client::try_from(config).map_err(Box::new)?)
}
