//! TLS client configurations of a source.

use std::{path::Path, sync::Arc};

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use sidecar_config::Tls;

use crate::source::{
    error::{SourceError, in_full},
    file,
};

/// The contents of the files that a configuration is built from. It has no `Debug`, because one is a private key.
#[derive(PartialEq, Eq)]
struct Material {
    ca: Option<Vec<u8>>,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// The TLS client configuration of one source, which is rebuilt when a file changes.
pub(in crate::source) struct TlsClients {
    settings: Tls,
    current: Option<(Material, Arc<ClientConfig>)>,
}

impl TlsClients {
    pub(in crate::source) fn new(settings: Tls) -> Self {
        Self { settings, current: None }
    }

    /// Returns the configuration for the current files, and whether it changed since the last call.
    pub(in crate::source) fn current(&mut self, directory: &Path) -> Result<(Arc<ClientConfig>, bool), SourceError> {
        let material = self.read(directory)?;
        if let Some((built_from, client)) = &self.current
            && *built_from == material
        {
            return Ok((Arc::clone(client), false));
        }
        let client = Arc::new(self.build(&material)?);
        self.current = Some((material, Arc::clone(&client)));
        Ok((client, true))
    }

    fn read(&self, directory: &Path) -> Result<Material, SourceError> {
        let read = |name: &Option<String>| name.as_ref().map(|name| file::read(directory, name)).transpose();
        let certificate = match (read(&self.settings.cert_file)?, read(&self.settings.key_file)?) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            _ => return Err(SourceError::TlsSettings("certFile and keyFile must be set together".to_owned())),
        };
        Ok(Material { ca: read(&self.settings.ca_file)?, certificate })
    }

    fn build(&self, material: &Material) -> Result<ClientConfig, SourceError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| settings_error(&error))?;
        let builder = if self.settings.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else if let Some(ca) = &material.ca {
            builder.with_root_certificates(self.roots(ca)?)
        } else {
            builder.with_native_roots().map_err(|error| settings_error(&error))?
        };
        let Some((chain, key)) = &material.certificate else { return Ok(builder.with_no_client_auth()) };
        let chain = Self::certificates(self.settings.cert_file.as_deref(), chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| bad_file(self.settings.key_file.as_deref(), "does not contain a private key in PEM format"))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| settings_error(&error))
    }

    fn roots(&self, ca: &[u8]) -> Result<RootCertStore, SourceError> {
        let name = self.settings.ca_file.as_deref();
        let mut roots = RootCertStore::empty();
        for certificate in Self::certificates(name, ca)? {
            roots
                .add(certificate)
                .map_err(|_| bad_file(name, "contains a certificate that cannot be a trust anchor"))?;
        }
        Ok(roots)
    }

    fn certificates(name: Option<&str>, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, SourceError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|_| bad_file(name, "is not in PEM format"))?;
        if certificates.is_empty() {
            Err(bad_file(name, "does not contain a certificate in PEM format"))
        } else {
            Ok(certificates)
        }
    }
}

fn bad_file(name: Option<&str>, problem: &'static str) -> SourceError {
    SourceError::BadFile { name: name.unwrap_or_default().to_owned(), problem }
}

fn settings_error(error: &(dyn std::error::Error + 'static)) -> SourceError {
    SourceError::TlsSettings(in_full(error))
}

/// A verifier that accepts any certificate, for `insecureSkipVerify`. The server must still prove that it has the
/// private key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
