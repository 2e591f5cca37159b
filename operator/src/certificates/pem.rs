//! Certificates and private keys in PEM.

use std::fmt;

use pem::{EncodeConfig, LineEnding, Pem};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{sync::Arc, time::Duration};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// Seconds since 1970.
pub(super) type Seconds = i64;

/// Maximum number of certificates that are read from a text. A bundle has at most three.
const CERTIFICATES: usize = 32;

/// A certificate and its validity.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    pub(super) not_before: Seconds,
    pub(super) not_after: Seconds,
    is_ca: bool,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}..{})", self.not_before, self.not_after)
    }
}

impl Certificate {
    /// Parses a certificate; `None` if it is not one (RFC 5280).
    pub(super) fn read(der: CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let is_ca = parsed.is_ca();
        Some(Self { der, not_before, not_after, is_ca })
    }

    /// Returns all certificates in a text, without duplicates. Everything else is ignored.
    pub(super) fn all(pem: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        for der in CertificateDer::pem_slice_iter(pem).take(CERTIFICATES).filter_map(Result::ok) {
            if let Some(certificate) = Self::read(der)
                && !found.contains(&certificate)
            {
                found.push(certificate);
            }
        }
        found
    }

    /// Returns the CA certificates in a text.
    pub(super) fn authorities(pem: &[u8]) -> Vec<Self> {
        let mut all = Self::all(pem);
        all.retain(|certificate| certificate.is_ca);
        all
    }

    /// Returns a unique name of the certificate.
    pub(super) fn id(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Returns whether it is valid at `now`.
    pub(super) fn holds(&self, now: Seconds) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// Returns the certificate in PEM (RFC 7468).
    pub(super) fn pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE", &*self.der), config)
    }
}

/// A private key in PEM. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PrivateKey(String);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    pub(super) fn new(pem: String) -> Self {
        Self(pem)
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether it is the key of this certificate chain.
    pub(super) fn belongs_to(&self, chain: Vec<CertificateDer<'static>>) -> bool {
        let Ok(key) = PrivateKeyDer::from_pem_slice(self.0.as_bytes()) else { return false };
        let Ok(key) = ring::default_provider().key_provider.load_private_key(key) else { return false };
        CertifiedKey::new(chain, key).keys_match().is_ok()
    }
}

/// Returns whether a client that trusts `authorities` accepts the chain for each of `names`, by the rules of rustls. A name
/// with a star stands for all names that it covers.
pub(super) fn accepts<'a>(
    authorities: impl IntoIterator<Item = &'a Certificate>,
    chain: &[CertificateDer<'static>],
    names: &[String],
    now: Seconds,
) -> bool {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        if roots.add(authority.der.clone()).is_err() {
            return false;
        }
    }
    let provider = Arc::new(ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let Some((leaf, intermediates)) = chain.split_first() else { return false };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    names.iter().all(|name| {
        let name = name.strip_prefix('*').map_or_else(|| name.clone(), |covered| format!("any{covered}"));
        let Ok(name) = ServerName::try_from(name) else { return false };
        verifier.verify_server_cert(leaf, intermediates, &name, &[], now).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_written_as_openssl_writes_them() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = Certificate::read(made.der().clone()).unwrap().pem();
        assert_eq!(pem, made.pem());
        let lines: Vec<_> = pem.split('\n').collect();
        let [first, body @ .., last, ""] = lines.as_slice() else { panic!("{pem}") };
        assert_eq!((*first, *last), ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"));
        let (end, full) = body.split_last().unwrap();
        assert!(full.iter().all(|line| line.len() == 64) && (1..=64).contains(&end.len()), "{pem}");
    }
}
