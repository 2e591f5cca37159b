//! Creation of keys and certificates. The keys are ECDSA P-256, which all TLS implementations support.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::{
    pem::{Certificate, PrivateKey, Seconds},
    stored::{Authority, BACKDATED, Served},
};

/// The latest time in a certificate: the end of the year 9999.
const LAST: Seconds = 253_402_300_799;

/// A certificate cannot be created.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error("cannot create a certificate: {0}")]
    Rcgen(#[from] rcgen::Error),
    #[error("cannot read the created certificate, which is a bug")]
    Unreadable,
}

/// Creates a self-signed CA.
pub(super) fn authority(now: Seconds, lifetime: Duration) -> Result<Authority, IssueError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("snmp-operator CA {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, now.saturating_add(seconds(lifetime)));
    let der = params.self_signed(&key)?.der().clone();
    let certificate = Certificate::read(der).ok_or(IssueError::Unreadable)?;
    Ok(Authority { certificate, key: PrivateKey::new(key.serialize_pem()) })
}

/// Creates a server's certificate with these names. It does not outlive the CA's.
pub(super) fn served(
    authority: &Authority,
    bundle: String,
    names: &[String],
    now: Seconds,
    lifetime: Duration,
) -> Result<Served, IssueError> {
    let issuer = Issuer::from_ca_cert_der(authority.certificate.der(), KeyPair::from_pem(authority.key.expose())?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    // The common name is not used for verification. It has at most 64 characters, and a Service's name can be longer.
    params.distinguished_name = common_name("snmp-operator");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, now.saturating_add(seconds(lifetime)).min(authority.certificate.not_after));
    let der = params.signed_by(&key, &issuer)?.der().clone();
    let leaf = Certificate::read(der.clone()).ok_or(IssueError::Unreadable)?;
    Ok(Served { chain: vec![der], leaf, key: PrivateKey::new(key.serialize_pem()), bundle })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn set_validity(params: &mut CertificateParams, now: Seconds, until: Seconds) {
    params.not_before = time(now.saturating_sub(BACKDATED)).into();
    params.not_after = time(until).into();
}

fn time(moment: Seconds) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(moment.clamp(0, LAST)).unwrap_or(0))
}

fn seconds(time: Duration) -> Seconds {
    Seconds::try_from(time.as_secs()).unwrap_or(Seconds::MAX)
}
