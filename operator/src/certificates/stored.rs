//! The content of the Secrets.

use rustls::pki_types::CertificateDer;

use super::pem::{Certificate, PrivateKey, Seconds, accepts};

/// The time by which the start of a certificate's validity is set back, for slow clocks.
pub(super) const BACKDATED: Seconds = 300;

/// A CA with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) key: PrivateKey,
}

/// The content of the CA's Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorities {
    /// The CA that signs.
    pub(super) signing: Authority,
    /// The CA that will sign next.
    pub(super) next: Option<Authority>,
    /// The previous CAs that are still trusted.
    pub(super) previous: Vec<Certificate>,
}

impl Authorities {
    /// Returns all trusted CAs.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &Certificate> {
        let next = self.next.iter().map(|next| &next.certificate);
        std::iter::once(&self.signing.certificate).chain(next).chain(&self.previous)
    }

    /// Returns the bundle of all trusted CAs, in PEM, which is published as `ca.crt`.
    pub(super) fn bundle(&self) -> String {
        self.trusted().map(Certificate::pem).collect()
    }
}

/// The content of a server's Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) leaf: Certificate,
    pub(super) key: PrivateKey,
    /// The bundle in the same Secret.
    pub(super) bundle: String,
}

impl Served {
    /// Returns whether a client that trusts these CAs accepts the certificate for all of `names`.
    pub(super) fn is_accepted<'a>(
        &self,
        trusted: impl IntoIterator<Item = &'a Certificate>,
        names: &[String],
        now: Seconds,
    ) -> bool {
        accepts(trusted, &self.chain, names, now)
    }
}

/// Returns when a certificate has to be replaced: after two thirds of its lifetime, or of the configured lifetime if that is
/// shorter.
pub(super) fn due(certificate: &Certificate, lifetime: std::time::Duration) -> Seconds {
    let issued = certificate.not_before.saturating_add(BACKDATED);
    let own = certificate.not_after.saturating_sub(issued).max(0);
    let configured = Seconds::try_from(lifetime.as_secs()).unwrap_or(Seconds::MAX);
    issued.saturating_add(own.min(configured) / 3 * 2)
}
