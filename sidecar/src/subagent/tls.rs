//! Connections to the TLS listener of snmp-master: its certificate is verified, and a token authenticates the sidecar.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    token::Token,
    upgrade::{UpgradeError, printable, upgrade},
    url::Authority,
};
use crate::config::directory::{ReadError, read_file};

/// The timeout for connecting a socket.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of the TLS handshake and the HTTP upgrade together.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest bundle of CA certificates, in octets: the size limit of a ConfigMap.
const CA_SIZE: u64 = 1 << 20;
/// The longest token, in octets. No server accepts a longer header.
const TOKEN_SIZE: u64 = 16 << 10;

/// The files that authenticate a TLS master and this sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// CA certificates in PEM. Only these verify the master's certificate.
    pub(crate) ca: PathBuf,
    /// The ServiceAccount token.
    pub(crate) token: PathBuf,
}

/// A master that is reached over TLS. The files are read for each connection.
pub(super) struct TlsMaster {
    host: String,
    port: u16,
    files: TlsFiles,
    /// The last client configuration and the certificates it was made from.
    cached: Mutex<Option<(Vec<u8>, Arc<ClientConfig>)>>,
}

/// A connection that is ready for AgentX.
pub(super) struct Connection {
    pub(super) stream: TlsStream<TcpStream>,
    /// The octets of AgentX that were received already.
    pub(super) early: Bytes,
    pub(super) token: Token,
}

/// Why a connection failed. Equal causes have equal texts, so that a repeated error can be recognised.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("cannot use the file {}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{0:?} is not a valid name in a certificate")]
    Name(String),
    #[error(transparent)]
    Connect(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the master accepted the connection but did not finish {0} within 10 s")]
    Slow(&'static str),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

impl TlsMaster {
    pub(super) fn new(host: String, port: u16, files: TlsFiles) -> Self {
        Self { host, port, files, cached: Mutex::default() }
    }

    /// Connects to one of the master's addresses with the token in the file.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Connection, TlsError> {
        let token = self.token().await?;
        self.connect_with(address, token).await
    }

    /// Connects with this token.
    pub(super) async fn connect_with(&self, address: SocketAddr, token: Token) -> Result<Connection, TlsError> {
        let authorization = token
            .authorization()
            .ok_or_else(|| bad(&self.files.token, "it contains a character that is not allowed in an HTTP header"))?;
        let name = ServerName::try_from(self.host.clone()).map_err(|_| TlsError::Name(self.host.clone()))?;
        let client = self.client().await?;
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // Each response is one write, and delaying it would only make the master wait.
        stream.set_nodelay(true)?;
        let ready = Instant::now() + READY_TIMEOUT;
        let stream = timeout_at(ready, TlsConnector::from(client).connect(name, stream))
            .await
            .map_err(|_| TlsError::Slow("the TLS handshake"))?
            .map_err(|error| TlsError::Tls(self.describe(&error)))?;
        let authority = Authority { host: &self.host, port: self.port }.to_string();
        let (stream, early) = timeout_at(ready, upgrade(stream, &authority, authorization))
            .await
            .map_err(|_| TlsError::Slow("the HTTP response"))??;
        Ok(Connection { stream, early, token })
    }

    /// Reads the token from the file.
    pub(super) async fn token(&self) -> Result<Token, TlsError> {
        let path = &self.files.token;
        let file = read(path, TOKEN_SIZE).await?;
        Token::parse(&file, SystemTime::now()).ok_or_else(|| bad(path, "it is empty"))
    }

    /// Returns the client configuration for the certificates in the file.
    async fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let pem = read(&self.files.ca, CA_SIZE).await?;
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((cached_pem, client)) = &*cached
            && *cached_pem == pem
        {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(client(&pem).map_err(|problem| bad(&self.files.ca, problem))?);
        *cached = Some((pem, Arc::clone(&client)));
        Ok(client)
    }

    /// Describes a TLS error without the details that differ from attempt to attempt.
    fn describe(&self, error: &io::Error) -> String {
        use CertificateError as Invalid;
        let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(invalid)) = rustls else { return printable(&error.to_string()) };
        let what = match invalid {
            Invalid::Expired | Invalid::ExpiredContext { .. } => "has expired".to_owned(),
            Invalid::NotValidYet | Invalid::NotValidYetContext { .. } => "is not valid yet".to_owned(),
            Invalid::NotValidForName | Invalid::NotValidForNameContext { .. } => format!("is not for {:?}", self.host),
            Invalid::UnknownIssuer => format!("is not signed by an authority in {}", self.files.ca.display()),
            other => format!("is invalid: {}", printable(&other.to_string())),
        };
        format!("the master's certificate {what}")
    }
}

/// Reads a file on another thread, so that a slow file system delays no session.
async fn read(path: &Path, limit: u64) -> Result<Vec<u8>, TlsError> {
    let owned = path.to_owned();
    let contents = timeout(CONNECT_TIMEOUT, spawn_blocking(move || read_file(&owned, limit))).await;
    match contents {
        Ok(Ok(Ok(contents))) => Ok(contents),
        Ok(Ok(Err(ReadError::TooLong))) => Err(bad(path, "it is too large")),
        Ok(Ok(Err(error))) => Err(bad(path, error.to_string())),
        Ok(Err(_)) | Err(_) => Err(bad(path, "timed out while reading it")),
    }
}

fn bad(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.into() }
}

/// Makes a client configuration that trusts only these authorities.
fn client(pem: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "it is not PEM")?;
        roots.add(certificate).map_err(|_| "it contains a certificate that cannot be a trust anchor")?;
    }
    if roots.is_empty() {
        return Err("it contains no certificate in PEM".to_owned());
    }
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each connection verifies the certificate anew. Connections are rare.
    client.resumption = Resumption::disabled();
    Ok(client)
}
