//! The certificate that the master shows, as its files say: looked at every second.

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

/// The longest file of a certificate or a key, in octets.
const MAX_OCTETS: u64 = 1 << 20;

/// Why the pair of files that there is now is not in use.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The system's reason.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The certificate's file.
    #[error("tls.crt holds no certificate in PEM")]
    Certificate,
    /// The key's file.
    #[error("tls.key holds no private key in PEM")]
    Key,
    /// The two do not go together, or the key is of no use.
    #[error("tls.crt and tls.key: {0}")]
    Pair(rustls::Error),
}

/// Two files, and what they last said.
#[derive(Debug)]
pub(super) struct Watch {
    directory: PathBuf,
    /// What was last told of.
    told: Option<u64>,
    /// What cannot be used, and may be the half of something that is being written.
    suspect: Option<u64>,
}

/// What came of a look at the files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    /// Nothing new.
    Same,
    /// A new certificate is in use, until then in seconds since 1970.
    New(u64),
    /// What is there now cannot be used, which has been logged.
    Broken,
}

/// The certificate in use.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    now: ArcSwapOption<CertifiedKey>,
    is_missed: AtomicBool,
}

impl Certificate {
    /// Whether there is one. That there is none is logged once.
    pub(super) fn is_there(&self) -> bool {
        let is_there = self.now.load().is_some();
        if !is_there && !self.is_missed.swap(true, Ordering::Relaxed) {
            tracing::warn!("there is no certificate yet: AgentX over TLS waits for it");
        }
        is_there
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.now.load_full()
    }
}

impl Watch {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, told: None, suspect: None }
    }

    /// Looks at the files, and puts to use what they say. What cannot be used changes nothing, and is told when it is there
    /// at the second look as well.
    pub(super) fn look(&mut self, certificate: &Certificate) -> Seen {
        let [certificates, key] = ["tls.crt", "tls.key"].map(|name| read(&self.directory.join(name)));
        let fingerprint = fingerprint(&certificates, &key);
        if self.told == Some(fingerprint) {
            self.suspect = None;
            return Seen::Same;
        }
        let loaded = certificates.and_then(|certificates| load(&certificates, &key?));
        if loaded.is_err() && self.suspect != Some(fingerprint) {
            self.suspect = Some(fingerprint);
            return Seen::Same;
        }
        (self.told, self.suspect) = (Some(fingerprint), None);
        match loaded {
            Ok((key, expires)) => {
                certificate.now.store(Some(Arc::new(key)));
                tracing::info!("a certificate is in use for AgentX over TLS");
                Seen::New(expires)
            }
            // Files that are not there yet are no fault where nothing has been there.
            Err(Fault::Io { error, .. })
                if error.kind() == io::ErrorKind::NotFound && certificate.now.load().is_none() =>
            {
                Seen::Same
            }
            Err(fault) => {
                let stays = if certificate.now.load().is_some() { "the last good one stays" } else { "there is none" };
                tracing::error!("the certificate for AgentX over TLS cannot be used, {stays}: {fault}");
                Seen::Broken
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let failed = |error| Fault::Io { path: path.to_owned(), error };
    // Asked first, because opening a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("is not a file")));
    }
    let mut contents = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_OCTETS).read_to_end(&mut contents).map_err(failed)?;
    Ok(contents)
}

fn fingerprint(certificates: &Result<Vec<u8>, Fault>, key: &Result<Vec<u8>, Fault>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in [certificates, key] {
        match file {
            Ok(contents) => contents.hash(&mut hasher),
            Err(fault) => fault.to_string().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// A certificate's chain with its key, and when it ends.
fn load(certificates: &[u8], key: &[u8]) -> Result<(CertifiedKey, u64), Fault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(Fault::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Fault::Key)?;
    let ends = |certificate: X509Certificate<'_>| certificate.validity().not_after.timestamp();
    let leaf = chain.first().and_then(|leaf| parse_x509_certificate(leaf).ok()).ok_or(Fault::Certificate)?;
    let expires = u64::try_from(ends(leaf.1)).unwrap_or_default();
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(Fault::Pair)?;
    Ok((key, expires))
}

/// The one cryptography provider.
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

        fn look(&mut self) -> Seen {
            self.watch.look(&self.certificate)
        }

        fn leaf(&self) -> Vec<u8> {
            self.certificate.now.load_full().unwrap().cert[0].to_vec()
        }
    }

    #[test]
    fn a_certificate_is_in_use_once_both_files_are_there_and_the_next_one_replaces_it() {
        let mut files = Files::new();
        for _ in 0..3 {
            assert!(matches!(files.look(), Seen::Same), "that nothing is there is no fault");
        }
        assert!(!files.certificate.is_there());
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        assert!(matches!(files.look(), Seen::Same));
        files.write("tls.key", &key);
        assert!(matches!(files.look(), Seen::New(expires) if expires > 1_700_000_000));
        assert!(matches!(files.look(), Seen::Same) && files.certificate.is_there());
        let first = files.leaf();
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        assert!(matches!(files.look(), Seen::Same), "it is the half of something");
        files.write("tls.key", &key);
        assert!(matches!(files.look(), Seen::New(_)));
        assert_ne!(files.leaf(), first);
    }

    #[test]
    fn a_broken_pair_keeps_the_last_good_one_and_is_told_once() {
        let mut files = Files::new();
        let (certificate, key) = pair();
        files.write("tls.crt", &certificate);
        files.write("tls.key", &key);
        assert!(matches!(files.look(), Seen::New(_)));
        let good = files.leaf();
        let broken = [("tls.key", pair().1), ("tls.key", "nothing".to_owned()), ("tls.crt", String::new())];
        for (name, contents) in broken {
            files.write(name, &contents);
            let seen: Vec<_> = (0..4).map(|_| matches!(files.look(), Seen::Broken)).collect();
            assert_eq!(seen, [false, true, false, false], "{name}");
            assert_eq!(files.leaf(), good);
        }
        fs::remove_file(files.directory.path().join("tls.crt")).unwrap();
        assert!(matches!((files.look(), files.look()), (Seen::Same, Seen::Broken)));
        assert_eq!(files.leaf(), good);
        files.write("tls.crt", &certificate);
        files.write("tls.key", &key);
        assert!(matches!(files.look(), Seen::New(_)), "it is told that all is well again");
    }

    #[test]
    fn no_fault_shows_the_key() {
        let (certificate, key) = pair();
        for (certificates, key) in [(pair().0, key.clone()), (certificate, key.replace("PRIVATE", "SECRET"))] {
            let fault = load(certificates.as_bytes(), key.as_bytes()).unwrap_err();
            let inner = key.lines().nth(1).unwrap();
            assert!(!format!("{fault} {fault:?}").contains(inner), "{fault:?}");
        }
    }
}
