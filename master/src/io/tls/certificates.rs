//! The certificate of AgentX over TLS, reloaded when its files change.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{parse_x509_certificate, prelude::X509Certificate};

/// Longest certificate or key file that is read, in octets.
const MAX_OCTETS: u64 = 1 << 20;

/// Why the certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificate file has no certificate.
    #[error("tls.crt contains no certificate in PEM format")]
    Certificate,
    /// The key file has no key.
    #[error("tls.key contains no private key in PEM format")]
    Key,
    /// The certificate and the key do not match, or the key is not supported.
    #[error("tls.crt and tls.key: {0}")]
    Pair(rustls::Error),
}

/// Watches the certificate file and the key file.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    /// Fingerprint of the files that were reported last.
    reported: Option<u64>,
    /// Fingerprint of invalid files that may be incomplete, because they are being written.
    suspect: Option<u64>,
}

/// The result of a check of the files.
#[derive(Debug, Clone, Copy)]
pub(super) enum CheckResult {
    /// The files have not changed.
    Unchanged,
    /// A new certificate is in use. It expires at this time, in seconds since 1970.
    Loaded(u64),
    /// The files are invalid. This has been logged.
    Invalid,
}

/// The certificate in use.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    current: ArcSwapOption<CertifiedKey>,
    /// Whether the missing certificate has been logged.
    is_missing_logged: AtomicBool,
}

impl Certificate {
    /// Returns whether a certificate is loaded. Logs a warning the first time that there is none.
    pub(super) fn is_loaded(&self) -> bool {
        let is_loaded = self.current.load().is_some();
        if !is_loaded && !self.is_missing_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "AgentX over TLS does not listen until there is a certificate; waiting for tls.crt and tls.key"
            );
        }
        is_loaded
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl Watch {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, reported: None, suspect: None }
    }

    /// Reads the files, and uses their certificate if it changed. Invalid files change nothing. They are reported if
    /// two checks in a row find the same contents.
    pub(super) fn check(&mut self, certificate: &Certificate) -> CheckResult {
        let [certificates, key] = ["tls.crt", "tls.key"].map(|name| read(&self.directory.join(name)));
        let fingerprint = fingerprint(&certificates, &key);
        if self.reported == Some(fingerprint) {
            self.suspect = None;
            return CheckResult::Unchanged;
        }
        let loaded = certificates.and_then(|certificates| load(&certificates, &key?));
        if loaded.is_err() && self.suspect != Some(fingerprint) {
            self.suspect = Some(fingerprint);
            return CheckResult::Unchanged;
        }
        (self.reported, self.suspect) = (Some(fingerprint), None);
        match loaded {
            Ok((key, expires)) => {
                certificate.current.store(Some(Arc::new(key)));
                tracing::info!("loaded a certificate for AgentX over TLS");
                CheckResult::Loaded(expires)
            }
            // Before the first certificate, missing files are no error.
            Err(CertificateError::Io { error, .. })
                if error.kind() == io::ErrorKind::NotFound && certificate.current.load().is_none() =>
            {
                CheckResult::Unchanged
            }
            Err(error) => {
                let consequence =
                    if certificate.current.load().is_some() { "keeping the last valid one" } else { "there is none" };
                tracing::error!("the certificate for AgentX over TLS cannot be used; {consequence}: {error}");
                CheckResult::Invalid
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |error| CertificateError::Io { path: path.to_owned(), error };
    // Checked first, because opening a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("is not a file")));
    }
    let mut contents = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_OCTETS).read_to_end(&mut contents).map_err(failed)?;
    Ok(contents)
}

fn fingerprint(certificates: &Result<Vec<u8>, CertificateError>, key: &Result<Vec<u8>, CertificateError>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in [certificates, key] {
        match file {
            Ok(contents) => contents.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// Returns the certificate chain with its key, and when the certificate expires.
fn load(certificates: &[u8], key: &[u8]) -> Result<(CertifiedKey, u64), CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
    let end = |certificate: X509Certificate<'_>| certificate.validity().not_after.timestamp();
    let leaf = chain.first().and_then(|leaf| parse_x509_certificate(leaf).ok()).ok_or(CertificateError::Certificate)?;
    let expires = u64::try_from(end(leaf.1)).unwrap_or_default();
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(CertificateError::Pair)?;
    Ok((key, expires))
}

/// Returns the cryptography provider.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Files {
        directory: tempfile::TempDir,
        certificate: Certificate,
        watch: Watch,
    }

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (
            CertificateParams::new(["master.test".to_owned()]).unwrap().self_signed(&key).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    impl Files {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let watch = Watch::new(directory.path().to_owned());
            Self { directory, certificate: Certificate::default(), watch }
        }

        fn write(&self, name: &str, contents: &str) {
            fs::write(self.directory.path().join(name), contents).unwrap();
        }

        fn check(&mut self) -> CheckResult {
            self.watch.check(&self.certificate)
        }

        fn leaf(&self) -> Vec<u8> {
            self.certificate.current.load_full().unwrap().cert[0].to_vec()
        }
    }

    #[test]
    fn a_certificate_is_used_once_both_files_exist_and_replaced_when_they_change() {
        let mut files = Files::new();
        for _ in 0..3 {
            assert!(matches!(files.check(), CheckResult::Unchanged), "missing files are no error");
        }
        assert!(!files.certificate.is_loaded());
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        assert!(matches!(files.check(), CheckResult::Unchanged));
        files.write("tls.key", &key);
        assert!(matches!(files.check(), CheckResult::Loaded(expires) if expires > 1_700_000_000));
        assert!(matches!(files.check(), CheckResult::Unchanged) && files.certificate.is_loaded());
        let first = files.leaf();
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        assert!(matches!(files.check(), CheckResult::Unchanged), "the key has not changed yet");
        files.write("tls.key", &key);
        assert!(matches!(files.check(), CheckResult::Loaded(_)));
        assert_ne!(files.leaf(), first);
    }

    #[test]
    fn an_invalid_pair_is_reported_once_and_the_last_valid_one_stays() {
        let mut files = Files::new();
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        files.write("tls.key", &key);
        assert!(matches!(files.check(), CheckResult::Loaded(_)));
        let valid = files.leaf();
        let invalid = [("tls.key", pair().1), ("tls.key", "nothing".to_owned()), ("tls.crt", String::new())];
        for (name, contents) in invalid {
            files.write(name, &contents);
            let reported: Vec<_> = (0..4).map(|_| matches!(files.check(), CheckResult::Invalid)).collect();
            assert_eq!(reported, [false, true, false, false], "{name}");
            assert_eq!(files.leaf(), valid);
        }
        fs::remove_file(files.directory.path().join("tls.crt")).unwrap();
        assert!(matches!((files.check(), files.check()), (CheckResult::Unchanged, CheckResult::Invalid)));
        assert_eq!(files.leaf(), valid);
        files.write("tls.crt", &certificate);
        files.write("tls.key", &key);
        assert!(matches!(files.check(), CheckResult::Loaded(_)), "the recovery is reported");
    }

    #[test]
    fn errors_do_not_contain_the_key() {
        let (certificate, key) = pair();
        for (certificates, key) in [(pair().0, key.clone()), (certificate, key.replace("PRIVATE", "SECRET"))] {
            let error = load(certificates.as_bytes(), key.as_bytes()).unwrap_err();
            let inner = key.lines().nth(1).unwrap();
            assert!(!format!("{error} {error:?}").contains(inner), "{error:?}");
        }
    }
}
