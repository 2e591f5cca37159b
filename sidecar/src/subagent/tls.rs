//! Connections to our master's TLS listener: its certificate checked, and AgentX asked for with a token.

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
    link::CONNECT,
    token::Token,
    upgrade::{UpgradeError, printable, upgrade},
    url::Authority,
};
use crate::config::folder::{ReadError, read_file};

/// How long TLS and HTTP may take until the first octet of AgentX.
const READY: Duration = Duration::from_secs(10);
/// The longest bundle of certificates, in octets: a ConfigMap's size.
const CA_SIZE: u64 = 1 << 20;
/// The longest token, in octets. No server takes a longer header.
const TOKEN_SIZE: u64 = 16 << 10;

/// The files that a TLS master is trusted by, and shown who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of authorities, in PEM: the master's must be signed by one of them. No others count.
    pub ca: PathBuf,
    /// The ServiceAccount token.
    pub token: PathBuf,
}

/// A master that is reached by TLS. Its files are read for each connection.
pub(super) struct TlsMaster {
    host: String,
    port: u16,
    files: TlsFiles,
    /// The client that was last made, and of which certificates.
    made: Mutex<Option<(Vec<u8>, Arc<ClientConfig>)>>,
}

/// A connection on which AgentX may begin.
pub(super) struct Connection {
    pub(super) stream: TlsStream<TcpStream>,
    /// What has come of AgentX already.
    pub(super) early: Bytes,
    pub(super) token: Token,
}

/// Why there is no such connection. The same cause gives the same text every time.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("the file {} cannot be used: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("{0:?} is no name that a certificate can have")]
    Name(String),
    #[error(transparent)]
    Connect(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the master took the connection and then did not finish {0} within 10 s")]
    Slow(&'static str),
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
}

impl TlsMaster {
    pub(super) fn new(host: String, port: u16, files: TlsFiles) -> Self {
        Self { host, port, files, made: Mutex::default() }
    }

    /// A new connection to one of the master's addresses, with the token that the file has now.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Connection, TlsError> {
        let token = self.token().await?;
        self.connect_with(address, token).await
    }

    /// The same with this token.
    pub(super) async fn connect_with(&self, address: SocketAddr, token: Token) -> Result<Connection, TlsError> {
        let authorization = token
            .authorization()
            .ok_or_else(|| bad(&self.files.token, "it has a character in it that no HTTP header can have"))?;
        let name = ServerName::try_from(self.host.clone()).map_err(|_| TlsError::Name(self.host.clone()))?;
        let client = self.client().await?;
        let stream = timeout(CONNECT, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // An answer is one write: to hold it back would only make the master wait.
        stream.set_nodelay(true)?;
        let ready = Instant::now() + READY;
        let stream = timeout_at(ready, TlsConnector::from(client).connect(name, stream))
            .await
            .map_err(|_| TlsError::Slow("the TLS handshake"))?
            .map_err(|error| TlsError::Tls(self.describe(&error)))?;
        let authority = Authority { host: &self.host, port: self.port }.to_string();
        let (stream, early) = timeout_at(ready, upgrade(stream, &authority, authorization))
            .await
            .map_err(|_| TlsError::Slow("its HTTP answer"))??;
        Ok(Connection { stream, early, token })
    }

    /// The token that the file has now.
    pub(super) async fn token(&self) -> Result<Token, TlsError> {
        let path = &self.files.token;
        let file = read(path, TOKEN_SIZE).await?;
        Token::of(&file, SystemTime::now()).ok_or_else(|| bad(path, "it is empty"))
    }

    /// The client for the certificates that the file has now.
    async fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let pem = read(&self.files.ca, CA_SIZE).await?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_of, client)) = &*made
            && *made_of == pem
        {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(client(&pem).map_err(|problem| bad(&self.files.ca, problem))?);
        *made = Some((pem, Arc::clone(&client)));
        Ok(client)
    }

    /// What went wrong with TLS, without what differs from one attempt to the next.
    fn describe(&self, error: &io::Error) -> String {
        use CertificateError as Bad;
        let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let Some(rustls::Error::InvalidCertificate(bad)) = rustls else { return printable(&error.to_string()) };
        let what = match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "has expired".to_owned(),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => "is not valid yet".to_owned(),
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => format!("is not for {:?}", self.host),
            Bad::UnknownIssuer => format!("is of no authority in {}", self.files.ca.display()),
            other => format!("is not good: {}", printable(&other.to_string())),
        };
        format!("the master's certificate {what}")
    }
}

/// A file's contents. Reading may take its time, and no session waits for it.
async fn read(path: &Path, limit: u64) -> Result<Vec<u8>, TlsError> {
    let owned = path.to_owned();
    let contents = timeout(CONNECT, spawn_blocking(move || read_file(&owned, limit))).await;
    match contents {
        Ok(Ok(Ok(contents))) => Ok(contents),
        Ok(Ok(Err(ReadError::TooLong))) => Err(bad(path, "it is too long")),
        Ok(Ok(Err(error))) => Err(bad(path, error.to_string())),
        Ok(Err(_)) | Err(_) => Err(bad(path, "reading it takes too long")),
    }
}

fn bad(path: &Path, problem: impl Into<String>) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.into() }
}

/// A client that trusts these authorities and no others.
fn client(pem: &[u8]) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "it is not PEM")?;
        roots.add(certificate).map_err(|_| "a certificate in it cannot be trusted")?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in PEM in it".to_owned());
    }
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A certificate is looked at for each connection, and connections are rare.
    client.resumption = Resumption::disabled();
    Ok(client)
}
