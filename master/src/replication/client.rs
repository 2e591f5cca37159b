//! A client of the API server, configured by the pod, or by `KUBECONFIG` outside a cluster.

use std::time::Duration;

use kube::{Client, Config, config::InferConfigError};

/// Timeout to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence while a response is awaited. A quiet watch is shorter than this.
const READ_TIMEOUT: Duration = Duration::from_secs(90);
/// Timeout to write a request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no client can be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// There is neither a ServiceAccount of a pod nor a kubeconfig.
    #[error("neither running in a cluster nor is there a kubeconfig: {0}")]
    Config(#[from] Box<InferConfigError>),
    /// The configuration cannot be used.
    #[error("cannot build a client of the API server: {}", super::call::explain(.0))]
    Client(#[from] Box<kube::Error>),
    /// Another crypto provider is installed already.
    #[error(transparent)]
    Crypto(#[from] daemon::crypto::OtherProvider),
}

/// Builds a client of the API server, which connects when it is first used. Needs a Tokio runtime.
///
/// # Errors
/// Returns an error if there is no valid configuration. An unavailable API server is no error here.
pub(crate) async fn connect() -> Result<Client, ClientError> {
    daemon::install_crypto_provider()?;
    let mut config = Config::infer().await.map_err(Box::new)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    config.write_timeout = Some(WRITE_TIMEOUT);
    // The callers retry with their own backoff.
    config.default_retry = false;
    Ok(Client::try_from(config).map_err(Box::new)?)
}
