//! A TLS master that the test plays: certificates, tokens and the listener.

use std::{
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::BASE64URL_NOPAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    masters::{Running, eventually, start_with},
    peer::{Peer, within},
};
use crate::subagent::{SessionState, TlsFiles};

/// The response with which the master accepts AgentX.
pub(super) const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: agentx\r\n\r\n";

/// A certificate authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The validity of a certificate.
pub(super) enum Valid {
    Now,
    Once,
    Later,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns a TLS acceptor with a certificate for `name`.
    pub(super) fn acceptor(&self, name: &str, valid: &Valid) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        match valid {
            Valid::Now => {}
            Valid::Once => params.not_after = date_time_ymd(2001, 1, 1),
            Valid::Later => params.not_before = date_time_ymd(3001, 1, 1),
        }
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Returns a token with this subject that was issued `ago` seconds ago and expires in `ends_in` seconds.
pub(super) fn token(name: &str, ago: f64, ends_in: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let payload = format!(r#"{{"sub": "{name}", "iat": {}, "exp": {}}}"#, now - ago, now + ends_in);
    format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()))
}

/// A master, and the directory with the sidecar's files for it.
pub(super) struct Master {
    pub(super) listener: TcpListener,
    pub(super) acceptor: TlsAcceptor,
    pub(super) authority: Authority,
    pub(super) folder: TempDir,
    pub(super) token: String,
}

impl Master {
    /// Listens on 127.0.0.1 with valid files and a token of one hour.
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = Authority::new("good");
        let acceptor = authority.acceptor("127.0.0.1", &Valid::Now);
        let folder = tempfile::tempdir().unwrap();
        let mut master = Self { listener, acceptor, authority, folder, token: String::new() };
        master.write("ca.crt", &master.authority.pem());
        master.set_token(token("first", 1.0, 3600.0));
        master
    }

    pub(super) fn write(&self, name: &str, contents: &str) {
        write(self.folder.path(), name, contents);
    }

    /// Writes another token to the file.
    pub(super) fn set_token(&mut self, token: String) {
        self.write("token", &token);
        self.token = token;
    }

    pub(super) fn files(&self) -> TlsFiles {
        TlsFiles { ca: self.folder.path().join("ca.crt"), token: self.folder.path().join("token") }
    }

    pub(super) fn url(&self) -> String {
        format!("tls://{}", self.listener.local_addr().unwrap())
    }

    pub(super) fn sidecar(&self) -> Running {
        start_with(&self.url(), self.files(), None)
    }

    /// Accepts the next connection and reads the request's head, which must request AgentX and contain the token.
    pub(super) async fn request(&self) -> TlsStream<TcpStream> {
        let stream = request_at(&self.listener, &self.acceptor, &self.token).await;
        stream.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Accepts the next connection and its request.
    pub(super) async fn peer(&self) -> Peer<TlsStream<TcpStream>> {
        accepted(self.request().await).await
    }
}

/// Writes a file atomically, as a volume does.
fn write(folder: &Path, name: &str, contents: &str) {
    std::fs::write(folder.join("..new"), contents).unwrap();
    std::fs::rename(folder.join("..new"), folder.join(name)).unwrap();
}

pub(super) async fn accepted(mut stream: TlsStream<TcpStream>) -> Peer<TlsStream<TcpStream>> {
    stream.write_all(ACCEPTED.as_bytes()).await.unwrap();
    Peer::new(stream)
}

/// Accepts the next connection at a listener and reads the request's head.
pub(super) async fn request_at(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    token: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let (stream, _) = within("a connection", listener.accept()).await?;
    let mut stream = within("TLS", acceptor.accept(stream)).await?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(within("a request", stream.read_u8()).await?));
    }
    let mut lines = head.trim_end().split("\r\n");
    assert_eq!(lines.next(), Some("GET /agentx HTTP/1.1"));
    let headers: Vec<(String, &str)> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_lowercase(), value)).collect();
    for (name, expected) in
        [("connection", "Upgrade"), ("upgrade", "agentx"), ("authorization", &format!("Bearer {token}"))]
    {
        let value = headers.iter().find(|(header, _)| header == name).map(|(_, value)| *value);
        assert_eq!(value, Some(expected), "{name}");
    }
    let host = headers.iter().find(|(header, _)| header == "host").unwrap().1;
    assert!(host.ends_with(&format!(":{}", listener.local_addr()?.port())), "{host}");
    Ok(stream)
}

/// Waits for the reason why there is no connection, and returns it.
pub(super) async fn connect_error(running: &Running) -> String {
    let seen = |status: &crate::subagent::MasterStatus| {
        status.sessions().first().is_some_and(|s| s.state == SessionState::Connecting && s.last_error.is_some())
    };
    eventually(&running.status, "no reason is shown", seen).await;
    running.status.sessions()[0].last_error.clone().unwrap()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
