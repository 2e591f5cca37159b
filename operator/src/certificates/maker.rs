//! Keys and certificates: ECDSA P-256, which every TLS there is takes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::{
    pem::{Certificate, PrivateKey, Seconds},
    stored::{Authority, BACKDATED, Served},
};

/// The last moment that a certificate can name: the end of the year 9999.
const LAST: Seconds = 253_402_300_799;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeError {
    #[error("a certificate cannot be made: {0}")]
    Rcgen(#[from] rcgen::Error),
    #[error("a certificate that was made cannot be read")]
    Unreadable,
}

/// A CA of its own.
pub(super) fn authority(now: Seconds, lifetime: Duration) -> Result<Authority, MakeError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("snmp-operator CA {now}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    hold(&mut params, now, now.saturating_add(seconds(lifetime)));
    let der = params.self_signed(&key)?.der().clone();
    let certificate = Certificate::read(der).ok_or(MakeError::Unreadable)?;
    Ok(Authority { certificate, key: PrivateKey::new(key.serialize_pem()) })
}

/// A server's certificate of these names. It ends with the CA's at the latest.
pub(super) fn served(
    authority: &Authority,
    bundle: String,
    names: &[String],
    now: Seconds,
    lifetime: Duration,
) -> Result<Served, MakeError> {
    let issuer = Issuer::from_ca_cert_der(authority.certificate.der(), KeyPair::from_pem(authority.key.expose())?)?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    // A common name has 64 characters at most, which a service's name with its namespace may pass; nobody reads it.
    params.distinguished_name = common_name("snmp-operator");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    hold(&mut params, now, now.saturating_add(seconds(lifetime)).min(authority.certificate.not_after));
    let der = params.signed_by(&key, &issuer)?.der().clone();
    let leaf = Certificate::read(der.clone()).ok_or(MakeError::Unreadable)?;
    Ok(Served { chain: vec![der], leaf, key: PrivateKey::new(key.serialize_pem()), bundle })
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn hold(params: &mut CertificateParams, now: Seconds, until: Seconds) {
    params.not_before = time(now.saturating_sub(BACKDATED)).into();
    params.not_after = time(until).into();
}

fn time(moment: Seconds) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(moment.clamp(0, LAST)).unwrap_or(0))
}

fn seconds(time: Duration) -> Seconds {
    Seconds::try_from(time.as_secs()).unwrap_or(Seconds::MAX)
}
