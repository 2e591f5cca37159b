//! Certificates as the decisions see them, read from PEM.

use std::fmt;

use data_encoding::BASE64;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use std::{sync::Arc, time::Duration};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// Seconds since 1970, as certificates have them.
pub(super) type Seconds = i64;

/// Most certificates that are read of a text: a bundle has three at most.
const CERTIFICATES: usize = 32;

/// A certificate and the time for which it holds.
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
    /// Reads one; `None` if that is no certificate (RFC 5280).
    pub(super) fn read(der: CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let is_ca = parsed.is_ca();
        Some(Self { der, not_before, not_after, is_ca })
    }

    /// All certificates in a text, each once; what is anything else is passed by.
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

    /// Those of CAs among them.
    pub(super) fn authorities(pem: &[u8]) -> Vec<Self> {
        let mut all = Self::all(pem);
        all.retain(|certificate| certificate.is_ca);
        all
    }

    /// Names the certificate: no two have the same.
    pub(super) fn id(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether it holds now.
    pub(super) fn holds(&self, now: Seconds) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// The text of it (RFC 7468).
    pub(super) fn pem(&self) -> String {
        let text = BASE64.encode(&self.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, behind) = rest.split_at_checked(64).unwrap_or((rest, ""));
            pem.push_str(line);
            pem.push('\n');
            rest = behind;
        }
        pem + "-----END CERTIFICATE-----\n"
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

    /// Whether it is the certificate's.
    pub(super) fn belongs_to(&self, chain: Vec<CertificateDer<'static>>) -> bool {
        let Ok(key) = PrivateKeyDer::from_pem_slice(self.0.as_bytes()) else { return false };
        let Ok(key) = ring::default_provider().key_provider.load_private_key(key) else { return false };
        CertifiedKey::new(chain, key).keys_match().is_ok()
    }
}

/// Whether a client that trusts `authorities` takes the chain of a server called by each of `names`, as rustls does.
/// A name with a star stands for all names that it covers.
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
