//! TLS clients for tests.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc};

use k8s_openapi::ByteString;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Returns a self-signed certificate for `name`, and the data of a Secret with it.
pub(crate) fn certificate(name: &str) -> (CertificateDer<'static>, BTreeMap<String, ByteString>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let text = |text: String| ByteString(text.into_bytes());
    let data = [("tls.crt", text(certificate.pem())), ("tls.key", text(key.serialize_pem()))];
    (certificate.der().clone(), data.map(|(key, value)| (key.to_owned(), value)).into())
}

/// Connects to the server `name`, and trusts only this certificate.
pub(crate) async fn connect(
    address: SocketAddr,
    name: &'static str,
    trusted: &CertificateDer<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name).unwrap(), stream).await
}
