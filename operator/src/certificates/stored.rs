//! What the Secrets hold, once read.

use rustls::pki_types::CertificateDer;

use super::pem::{Certificate, PrivateKey, Seconds, accepts};

/// Certificates are made valid from that long before they are made, for clocks that are slow.
pub(super) const BACKDATED: Seconds = 300;

/// A CA that can sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) key: PrivateKey,
}

/// What the CA's Secret holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorities {
    /// The one that signs.
    pub(super) signing: Authority,
    /// The one that will.
    pub(super) next: Option<Authority>,
    /// Those that have, and that are trusted still.
    pub(super) previous: Vec<Certificate>,
}

impl Authorities {
    /// All that are trusted.
    pub(super) fn trusted(&self) -> impl Iterator<Item = &Certificate> {
        let next = self.next.iter().map(|next| &next.certificate);
        std::iter::once(&self.signing.certificate).chain(next).chain(&self.previous)
    }

    /// The same as a text: what is published as `ca.crt`.
    pub(super) fn bundle(&self) -> String {
        self.trusted().map(Certificate::pem).collect()
    }
}

/// A server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) leaf: Certificate,
    pub(super) key: PrivateKey,
    /// The bundle that stands beside it.
    pub(super) bundle: String,
}

impl Served {
    pub(super) fn is_accepted<'a>(
        &self,
        trusted: impl IntoIterator<Item = &'a Certificate>,
        names: &[String],
        now: Seconds,
    ) -> bool {
        accepts(trusted, &self.chain, names, now)
    }
}

/// When a certificate is to be replaced: two thirds into its life, or into the life that it would be given today.
pub(super) fn due(certificate: &Certificate, lifetime: std::time::Duration) -> Seconds {
    let made = certificate.not_before.saturating_add(BACKDATED);
    let own = certificate.not_after.saturating_sub(made).max(0);
    let today = Seconds::try_from(lifetime.as_secs()).unwrap_or(Seconds::MAX);
    made.saturating_add(own.min(today) / 3 * 2)
}
