//! TLS towards a source.

use std::{path::Path, sync::Arc};

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
};
use sidecar_config::Tls;

use crate::source::{Cause, error::in_full, file};

/// The contents of the files that a client is made of. No `Debug`: one is a private key.
#[derive(PartialEq, Eq)]
struct Material {
    ca: Option<Vec<u8>>,
    certificate: Option<(Vec<u8>, Vec<u8>)>,
}

/// TLS clients of one source, made anew when a file of theirs changes.
pub(in crate::source) struct Clients {
    settings: Tls,
    made: Option<(Material, Arc<ClientConfig>)>,
}

impl Clients {
    pub(in crate::source) fn new(settings: Tls) -> Self {
        Self { settings, made: None }
    }

    /// The client for the files as they are now, and whether it is another than the last time.
    pub(in crate::source) fn current(&mut self, folder: &Path) -> Result<(Arc<ClientConfig>, bool), Cause> {
        let material = self.read(folder)?;
        if let Some((made_of, client)) = &self.made
            && *made_of == material
        {
            return Ok((Arc::clone(client), false));
        }
        let client = Arc::new(self.make(&material)?);
        self.made = Some((material, Arc::clone(&client)));
        Ok((client, true))
    }

    fn read(&self, folder: &Path) -> Result<Material, Cause> {
        let read = |name: &Option<String>| name.as_ref().map(|name| file::read(folder, name)).transpose();
        let certificate = match (read(&self.settings.cert_file)?, read(&self.settings.key_file)?) {
            (Some(chain), Some(key)) => Some((chain, key)),
            (None, None) => None,
            _ => return Err(Cause::TlsSettings("certFile and keyFile are for use together".to_owned())),
        };
        Ok(Material { ca: read(&self.settings.ca_file)?, certificate })
    }

    fn make(&self, material: &Material) -> Result<ClientConfig, Cause> {
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
            .map_err(|_| bad_file(self.settings.key_file.as_deref(), "holds no private key in PEM"))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| settings_error(&error))
    }

    fn roots(&self, ca: &[u8]) -> Result<RootCertStore, Cause> {
        let name = self.settings.ca_file.as_deref();
        let mut roots = RootCertStore::empty();
        for certificate in Self::certificates(name, ca)? {
            roots.add(certificate).map_err(|_| bad_file(name, "holds a certificate that cannot be trusted"))?;
        }
        Ok(roots)
    }

    fn certificates(name: Option<&str>, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Cause> {
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| bad_file(name, "is not PEM"))?;
        if certificates.is_empty() { Err(bad_file(name, "holds no certificate in PEM")) } else { Ok(certificates) }
    }
}

fn bad_file(name: Option<&str>, problem: &'static str) -> Cause {
    Cause::BadFile { name: name.unwrap_or_default().to_owned(), problem }
}

fn settings_error(error: &(dyn std::error::Error + 'static)) -> Cause {
    Cause::TlsSettings(in_full(error))
}

/// Takes any certificate, as `insecureSkipVerify` asks. That the server holds its key is still checked.
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
