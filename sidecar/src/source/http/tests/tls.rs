//! TLS with certificates that are generated for the test.

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, outcome, page, task};
use crate::source::SourceError;

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Issues a certificate for `name`. Returns it and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate, key)
    }

    /// Starts a server with a certificate for `name`. If `clients` is given, it requires a client certificate of that
    /// authority.
    async fn serve(&self, name: &str, clients: Option<&Authority>) -> Server {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = match clients {
            None => builder.unwrap().with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.unwrap().with_client_cert_verifier(verifier)
            }
        };
        let (certificate, key) = self.issue(name);
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        Server::start(Some(TlsAcceptor::from(Arc::new(config))), |_| page("text/plain", "m 1\n")).await
    }
}

/// Returns a directory with the certificate of the authority in the file `ca`.
fn directory(authority: &Authority) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca"), authority.0.pem()).unwrap();
    directory
}

async fn scrape(server: &Server, tls: Value, directory: &Path) -> Result<Vec<String>, SourceError> {
    let report = task(server.port, json!({"scheme": "https", "tls": tls}), directory).collect().await;
    outcome(&report).map_err(|_| report.outcome.unwrap_err().cause)
}

fn is_tls(result: &Result<Vec<String>, SourceError>, reason: &str) {
    assert!(
        matches!(result, Err(SourceError::Tls(error) | SourceError::Http(error)) if error.contains(reason)),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_server_is_verified_with_the_authority_of_the_source() {
    let (good, other) = (Authority::new("good"), Authority::new("other"));
    let server = good.serve("127.0.0.1", None).await;
    let expected = Ok(vec!["m 1".to_owned()]);
    assert_eq!(scrape(&server, json!({"caFile": "ca"}), directory(&good).path()).await, expected);
    is_tls(&scrape(&server, json!({"caFile": "ca"}), directory(&other).path()).await, "UnknownIssuer");
    assert_eq!(scrape(&server, json!({"insecureSkipVerify": true}), Path::new("/")).await, expected);
    let plain = task(server.port, json!({}), Path::new("/")).collect().await;
    assert!(plain.outcome.is_err(), "HTTP to a TLS server");
    let no_tls = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    is_tls(&scrape(&no_tls, json!({"insecureSkipVerify": true}), Path::new("/")).await, "");
}

#[tokio::test]
async fn the_name_in_the_certificate_is_verified_and_configurable() {
    let authority = Authority::new("any");
    let server = authority.serve("metrics.example", None).await;
    let directory = directory(&authority);
    is_tls(&scrape(&server, json!({"caFile": "ca"}), directory.path()).await, "not valid for");
    let named = |name: &str| json!({"caFile": "ca", "serverName": name});
    assert!(scrape(&server, named("metrics.example"), directory.path()).await.is_ok());
    is_tls(&scrape(&server, named("other.example"), directory.path()).await, "not valid for");
    let bad = scrape(&server, named("no name"), directory.path()).await;
    assert!(matches!(bad, Err(SourceError::TlsSettings(_))), "{bad:?}");
}

#[tokio::test]
async fn a_client_certificate_is_sent_and_reloaded() {
    let (servers, clients, strangers) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("strangers"));
    let server = servers.serve("127.0.0.1", Some(&clients)).await;
    let directory = directory(&servers);
    let write = |authority: &Authority| {
        let (certificate, key) = authority.issue("client.example");
        std::fs::write(directory.path().join("cert"), certificate.pem()).unwrap();
        std::fs::write(directory.path().join("key"), key.serialize_pem()).unwrap();
    };
    is_tls(&scrape(&server, json!({"caFile": "ca"}), directory.path()).await, "");
    write(&strangers);
    let tls = json!({"caFile": "ca", "certFile": "cert", "keyFile": "key"});
    let mut task = task(server.port, json!({"scheme": "https", "tls": tls}), directory.path());
    assert!(task.collect().await.outcome.is_err());
    write(&clients);
    for _ in 0..2 {
        task.collect().await.outcome.unwrap();
    }
    let connections = server.connections();
    write(&clients);
    task.collect().await.outcome.unwrap();
    assert_eq!(server.connections(), connections + 1, "a new certificate needs a new connection");
    write(&strangers);
    assert!(task.collect().await.outcome.is_err());
}

#[tokio::test]
async fn invalid_certificate_files_are_errors_with_the_file_name() {
    let directory = directory(&Authority::new("any"));
    std::fs::write(directory.path().join("junk"), "s3cret").unwrap();
    let server = Authority::new("any").serve("127.0.0.1", None).await;
    let cases = [
        (json!({"caFile": "junk"}), "the file \"junk\" does not contain a certificate in PEM format"),
        (json!({"caFile": "none"}), "cannot read the file \"none\": entity not found"),
        (
            json!({"caFile": "ca", "certFile": "ca"}),
            "the TLS settings are invalid: certFile and keyFile must be set together",
        ),
        (
            json!({"caFile": "ca", "certFile": "ca", "keyFile": "junk"}),
            "the file \"junk\" does not contain a private key in PEM format",
        ),
    ];
    for (tls, expected) in cases {
        assert_eq!(scrape(&server, tls, directory.path()).await.unwrap_err().to_string(), expected);
    }
}
