//! Asks masters over TLS, each replica at each of the name's addresses.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, ETAG, HOST, HeaderValue, IF_NONE_MATCH},
};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{Answer, Registration};

/// The longest time that one replica may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most replicas that are asked.
const REPLICAS: usize = 16;
/// The longest answer, in octets: 200,000 registrations and some.
const MAX_ANSWER: usize = 64 << 20;
/// The longest token, in octets.
const MAX_TOKEN: usize = 64 << 10;

/// Where masters are: `tls://host` with a port, 7705 if none is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterUrl {
    host: String,
    port: u16,
}

/// The text is no such URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a URL as tls://snmp-master-agentx.snmp-system.svc:7705")]
pub struct BadUrl(String);

impl FromStr for MasterUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl(text.to_owned());
        let url = Url::parse(text).map_err(|_| bad())?;
        let plain = url.scheme() == "tls" && url.username().is_empty() && url.password().is_none();
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && plain && bare).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(7705) })
    }
}

/// Why no active master answered. Holds nothing of the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// There are no certificates to know masters by.
    #[error("there is no CA bundle yet")]
    NoCa,
    /// The certificates cannot be used.
    #[error("the CA bundle cannot be used: {0}")]
    BadCa(String),
    /// The token cannot be read.
    #[error("{}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The name has no address.
    #[error("{host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// No replica is active; what the last that failed said.
    #[error("none of {replicas} masters is active{}", last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    NoneActive {
        /// How many addresses there are.
        replicas: usize,
        /// What one of them said.
        last: Option<String>,
    },
}

/// One replica.
#[derive(Default)]
struct Peer {
    connection: Option<SendRequest<Empty<Bytes>>>,
    etag: Option<HeaderValue>,
    answer: Option<Arc<Answer>>,
}

/// Asks masters.
pub(super) struct Client {
    url: MasterUrl,
    token: PathBuf,
    ca: watch::Receiver<Option<String>>,
    connector: Option<TlsConnector>,
    peers: BTreeMap<SocketAddr, Peer>,
}

impl Client {
    pub(super) fn new(url: MasterUrl, token: PathBuf, ca: watch::Receiver<Option<String>>) -> Self {
        Self { url, token, ca, connector: None, peers: BTreeMap::new() }
    }

    /// The registrations of the active master.
    ///
    /// # Errors
    /// [`AskError`].
    pub(super) async fn ask(&mut self) -> Result<Vec<Registration>, AskError> {
        let connector = self.connector()?;
        let token = self.token().await?;
        let MasterUrl { host, port } = &self.url;
        let resolve = |source| AskError::Resolve { host: host.clone(), source };
        let resolved = timeout(PATIENCE, lookup_host((host.as_str(), *port))).await;
        let resolved = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(resolve)?;
        let mut addresses: Vec<_> = resolved.take(REPLICAS).collect();
        addresses.sort_unstable();
        addresses.dedup();
        self.peers.retain(|address, _| addresses.contains(address));
        let mut last = None;
        for address in &addresses {
            let peer = self.peers.entry(*address).or_default();
            let asked = timeout(PATIENCE, peer.ask(*address, &self.url, &connector, &token)).await;
            match asked.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(answer) if answer.active => return Ok(answer.registrations.clone()),
                Ok(_) => {}
                Err(error) => {
                    peer.connection = None;
                    last = Some(format!("{address}: {error}"));
                }
            }
        }
        Err(AskError::NoneActive { replicas: addresses.len(), last })
    }

    /// By the certificates of now: connections made by others are not used any more.
    fn connector(&mut self) -> Result<TlsConnector, AskError> {
        if self.ca.has_changed().unwrap_or(false) {
            self.connector = None;
        }
        if let Some(connector) = &self.connector {
            return Ok(connector.clone());
        }
        let bundle = self.ca.borrow_and_update().clone().ok_or(AskError::NoCa)?;
        let bad = |error: &dyn std::fmt::Display| AskError::BadCa(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|error| bad(&error))?;
            roots.add(certificate).map_err(|error| bad(&error))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        self.connector = Some(connector.clone());
        self.peers.clear();
        Ok(connector)
    }

    async fn token(&self) -> Result<HeaderValue, AskError> {
        let failed = |source| AskError::Token { path: self.token.clone(), source };
        let path = self.token.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            io::Read::read_to_string(&mut io::Read::take(file, MAX_TOKEN as u64), &mut text)?;
            Ok(text)
        });
        let text = read.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(failed)?;
        let unusable = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "holds no token"));
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(unusable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Peer {
    async fn ask(
        &mut self,
        address: SocketAddr,
        url: &MasterUrl,
        connector: &TlsConnector,
        token: &HeaderValue,
    ) -> Result<Arc<Answer>, String> {
        let connected = match &mut self.connection {
            Some(connection) => connection.ready().await.is_ok(),
            None => false,
        };
        if !connected {
            self.connection = Some(connect(address, url, connector).await?);
        }
        let connection = self.connection.as_mut().ok_or("no connection")?;
        let mut request = Request::get("/registrations").header(HOST, &url.host).header(AUTHORIZATION, token.clone());
        if let (Some(etag), Some(_)) = (&self.etag, &self.answer) {
            request = request.header(IF_NONE_MATCH, etag.clone());
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let response = connection.send_request(request).await.map_err(|error| error.to_string())?;
        let (status, etag) = (response.status(), response.headers().get(ETAG).cloned());
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        match (status, &self.answer) {
            (StatusCode::NOT_MODIFIED, Some(answer)) => Ok(Arc::clone(answer)),
            (StatusCode::OK, _) => {
                let answer = serde_json::from_slice::<Answer>(&body.to_bytes()).map_err(|error| error.to_string())?;
                let answer = Arc::new(answer);
                (self.etag, self.answer) = (etag, Some(Arc::clone(&answer)));
                Ok(answer)
            }
            (status, _) => Err(format!("answered {status}")),
        }
    }
}

async fn connect(
    address: SocketAddr,
    url: &MasterUrl,
    connector: &TlsConnector,
) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let name = ServerName::try_from(url.host.clone()).map_err(|error| error.to_string())?;
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It ends with the sender, or with the master.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masters_url_is_tls_with_a_host_and_perhaps_a_port() {
        let of = |text: &str| text.parse::<MasterUrl>();
        let host = |host: &str, port| Ok(MasterUrl { host: host.to_owned(), port });
        assert_eq!(of("tls://snmp-master-agentx.snmp-system.svc"), host("snmp-master-agentx.snmp-system.svc", 7705));
        assert_eq!(of("tls://127.0.0.1:99"), host("127.0.0.1", 99));
        assert_eq!(of("tls://[::1]:99"), host("::1", 99));
        for bad in ["https://host", "tls://", "tls://u:p@host", "tls://host/path", "host", ""] {
            assert_eq!(of(bad), Err(BadUrl(bad.to_owned())), "{bad}");
        }
    }
}
