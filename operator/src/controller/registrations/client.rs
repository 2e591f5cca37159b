//! A client for the masters' registrations, over TLS. It queries every address of the host name to find the active master.

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
use serde::Deserialize;
use tokio::{
    net::{TcpStream, lookup_host},
    sync::watch,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

/// The timeout for resolving the host name, and for the answer of one replica.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of replicas that are queried.
const REPLICAS: usize = 16;
/// The maximum size of an answer, in octets. It has room for more than 200,000 registrations.
const MAX_ANSWER: usize = 64 << 20;
/// The maximum size of a token, in octets.
const MAX_TOKEN: usize = 64 << 10;

/// The URL of the masters: `tls://host` with an optional port, 7705 by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MasterUrl {
    host: String,
    port: u16,
}

/// The text is not a URL of masters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a URL such as tls://snmp-master-agentx.snmp-system.svc:7705")]
pub(crate) struct MasterUrlError(String);

impl FromStr for MasterUrl {
    type Err = MasterUrlError;

    fn from_str(text: &str) -> Result<Self, MasterUrlError> {
        let bad = || MasterUrlError(text.to_owned());
        let url = Url::parse(text).map_err(|_| bad())?;
        let plain = url.scheme() == "tls" && url.username().is_empty() && url.password().is_none();
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && plain && bare).ok_or_else(bad)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: url.port().unwrap_or(7705) })
    }
}

/// No active master answered. No message contains the token.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    /// There is no CA bundle yet.
    #[error("there is no CA bundle yet")]
    NoCa,
    /// The CA bundle is invalid.
    #[error("the CA bundle is invalid: {0}")]
    InvalidCa(String),
    /// The token cannot be read.
    #[error("cannot read the token {}: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The host name cannot be resolved.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The host name.
        host: String,
        /// The cause.
        source: io::Error,
    },
    /// No replica is active.
    #[error("none of the {replicas} masters is active{}", last.as_ref().map(|last| format!(": {last}")).unwrap_or_default())]
    NoneActive {
        /// The number of addresses.
        replicas: usize,
        /// The last error of a replica.
        last: Option<String>,
    },
}

/// The answer of a master.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    /// Whether this master is the active one.
    pub(super) active: bool,
    /// The registrations of subagents.
    #[serde(default)]
    pub(super) registrations: Vec<Registration>,
}

/// A registration of a pod.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Registration {
    /// The pod's namespace.
    pub(super) namespace: String,
    /// The SNMP context.
    pub(super) context: String,
    /// The OID of the region.
    pub(super) subtree: String,
    /// Whether this registration is used for requests. If not, it waits behind another one of the same region.
    pub(super) serving: bool,
}

/// A replica of the master.
#[derive(Default)]
struct Peer {
    connection: Option<SendRequest<Empty<Bytes>>>,
    etag: Option<HeaderValue>,
    answer: Option<Arc<Answer>>,
}

/// The client.
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

    /// Returns the registrations at the active master.
    ///
    /// # Errors
    /// Returns an error if no active master answers.
    pub(super) async fn query(&mut self) -> Result<Vec<Registration>, QueryError> {
        let connector = self.connector()?;
        let token = self.token().await?;
        let MasterUrl { host, port } = &self.url;
        let resolve = |source| QueryError::Resolve { host: host.clone(), source };
        let resolved = timeout(REQUEST_TIMEOUT, lookup_host((host.as_str(), *port))).await;
        let resolved = resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(resolve)?;
        let mut addresses: Vec<_> = resolved.take(REPLICAS).collect();
        addresses.sort_unstable();
        addresses.dedup();
        self.peers.retain(|address, _| addresses.contains(address));
        let mut last = None;
        for address in &addresses {
            let peer = self.peers.entry(*address).or_default();
            let response = timeout(REQUEST_TIMEOUT, peer.query(*address, &self.url, &connector, &token)).await;
            match response.unwrap_or_else(|_| Err("no answer within 5 s".to_owned())) {
                Ok(answer) if answer.active => return Ok(answer.registrations.clone()),
                Ok(_) => {}
                Err(error) => {
                    peer.connection = None;
                    last = Some(format!("{address}: {error}"));
                }
            }
        }
        Err(QueryError::NoneActive { replicas: addresses.len(), last })
    }

    /// Returns a connector that trusts the current CA bundle. Connections made with an earlier bundle are dropped.
    fn connector(&mut self) -> Result<TlsConnector, QueryError> {
        if self.ca.has_changed().unwrap_or(false) {
            self.connector = None;
        }
        if let Some(connector) = &self.connector {
            return Ok(connector.clone());
        }
        let bundle = self.ca.borrow_and_update().clone().ok_or(QueryError::NoCa)?;
        let invalid = |error: &dyn std::fmt::Display| QueryError::InvalidCa(error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|error| invalid(&error))?;
            roots.add(certificate).map_err(|error| invalid(&error))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        self.connector = Some(connector.clone());
        self.peers.clear();
        Ok(connector)
    }

    async fn token(&self) -> Result<HeaderValue, QueryError> {
        let failed = |source| QueryError::Token { path: self.token.clone(), source };
        let path = self.token.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let file = std::fs::File::open(path)?;
            io::Read::read_to_string(&mut io::Read::take(file, MAX_TOKEN as u64), &mut text)?;
            Ok(text)
        });
        let text = read.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(failed)?;
        let unusable = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "the file contains no valid token"));
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(unusable)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Peer {
    async fn query(
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
        let connection = self.connection.as_mut().ok_or("not connected")?;
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
            (status, _) => Err(format!("the response has the status {status}")),
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
    // The task ends when the sender is dropped or the master closes the connection.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_masters_are_parsed() {
        let of = |text: &str| text.parse::<MasterUrl>();
        let host = |host: &str, port| Ok(MasterUrl { host: host.to_owned(), port });
        assert_eq!(of("tls://snmp-master-agentx.snmp-system.svc"), host("snmp-master-agentx.snmp-system.svc", 7705));
        assert_eq!(of("tls://127.0.0.1:99"), host("127.0.0.1", 99));
        assert_eq!(of("tls://[::1]:99"), host("::1", 99));
        for bad in ["https://host", "tls://", "tls://u:p@host", "tls://host/path", "host", ""] {
            assert_eq!(of(bad), Err(MasterUrlError(bad.to_owned())), "{bad}");
        }
    }
}
