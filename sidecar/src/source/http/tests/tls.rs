//! TLS towards a server, with certificates made for the test.

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
use crate::source::Cause;

/// A certificate authority of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `name`, and its key.
    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate, key)
    }

    /// A server whose certificate is for `name`; it demands one of `clients`, if there is one.
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

/// A folder with the authority's certificate in the file `ca`.
fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca"), authority.0.pem()).unwrap();
    folder
}

async fn scrape(server: &Server, tls: Value, folder: &Path) -> Result<Vec<String>, Cause> {
    let report = task(server.port, json!({"scheme": "https", "tls": tls}), folder).scrape().await;
    outcome(&report).map_err(|_| report.outcome.unwrap_err().cause)
}

fn is_tls(result: &Result<Vec<String>, Cause>, reason: &str) {
    assert!(matches!(result, Err(Cause::Tls(said) | Cause::Http(said)) if said.contains(reason)), "{result:?}");
}

#[tokio::test]
async fn a_server_is_trusted_by_the_authority_that_the_source_names() {
    let (good, other) = (Authority::new("good"), Authority::new("other"));
    let server = good.serve("127.0.0.1", None).await;
    let expected = Ok(vec!["m 1".to_owned()]);
    assert_eq!(scrape(&server, json!({"caFile": "ca"}), folder(&good).path()).await, expected);
    is_tls(&scrape(&server, json!({"caFile": "ca"}), folder(&other).path()).await, "UnknownIssuer");
    assert_eq!(scrape(&server, json!({"insecureSkipVerify": true}), Path::new("/")).await, expected);
    let plain = task(server.port, json!({}), Path::new("/")).scrape().await;
    assert!(plain.outcome.is_err(), "HTTP to a TLS server");
    let no_tls = Server::start(None, |_| page("text/plain", "m 1\n")).await;
    is_tls(&scrape(&no_tls, json!({"insecureSkipVerify": true}), Path::new("/")).await, "");
}

#[tokio::test]
async fn the_name_in_the_certificate_is_checked_and_can_be_given() {
    let authority = Authority::new("any");
    let server = authority.serve("metrics.example", None).await;
    let folder = folder(&authority);
    is_tls(&scrape(&server, json!({"caFile": "ca"}), folder.path()).await, "not valid for");
    let named = |name: &str| json!({"caFile": "ca", "serverName": name});
    assert!(scrape(&server, named("metrics.example"), folder.path()).await.is_ok());
    is_tls(&scrape(&server, named("other.example"), folder.path()).await, "not valid for");
    let bad = scrape(&server, named("no name"), folder.path()).await;
    assert!(matches!(bad, Err(Cause::TlsSettings(_))), "{bad:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_a_new_one_takes_effect() {
    let (servers, clients, strangers) =
        (Authority::new("servers"), Authority::new("clients"), Authority::new("strangers"));
    let server = servers.serve("127.0.0.1", Some(&clients)).await;
    let folder = folder(&servers);
    let write = |authority: &Authority| {
        let (certificate, key) = authority.issue("client.example");
        std::fs::write(folder.path().join("cert"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key"), key.serialize_pem()).unwrap();
    };
    is_tls(&scrape(&server, json!({"caFile": "ca"}), folder.path()).await, "");
    write(&strangers);
    let tls = json!({"caFile": "ca", "certFile": "cert", "keyFile": "key"});
    let mut task = task(server.port, json!({"scheme": "https", "tls": tls}), folder.path());
    assert!(task.scrape().await.outcome.is_err());
    write(&clients);
    for _ in 0..2 {
        task.scrape().await.outcome.unwrap();
    }
    let connections = server.connections();
    write(&clients);
    task.scrape().await.outcome.unwrap();
    assert_eq!(server.connections(), connections + 1, "a new certificate needs a new connection");
    write(&strangers);
    assert!(task.scrape().await.outcome.is_err());
}

#[tokio::test]
async fn files_that_are_no_certificates_are_refused_by_name() {
    let folder = folder(&Authority::new("any"));
    std::fs::write(folder.path().join("junk"), "s3cret").unwrap();
    let server = Authority::new("any").serve("127.0.0.1", None).await;
    let cases = [
        (json!({"caFile": "junk"}), "the file \"junk\" holds no certificate in PEM"),
        (json!({"caFile": "none"}), "cannot read the file \"none\": entity not found"),
        (json!({"caFile": "ca", "certFile": "ca"}), "TLS settings: certFile and keyFile are for use together"),
        (json!({"caFile": "ca", "certFile": "ca", "keyFile": "junk"}), "the file \"junk\" holds no private key in PEM"),
    ];
    for (tls, expected) in cases {
        assert_eq!(scrape(&server, tls, folder.path()).await.unwrap_err().to_string(), expected);
    }
}
