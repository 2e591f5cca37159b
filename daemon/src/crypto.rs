//! The one cryptography provider of the process.
//!
//! Where two of rustls' providers are compiled in, as different dependencies' defaults bring about, rustls cannot
//! choose and panics at the first use. So each program installs ring before anything else.

use std::sync::OnceLock;

/// Something else had installed another provider before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cryptography provider other than ring is installed already")]
pub struct OtherProvider;

/// Makes ring the process's default provider of rustls. Further calls change nothing.
///
/// # Errors
/// [`OtherProvider`] where one was installed not by this function.
pub fn install_crypto_provider() -> Result<(), OtherProvider> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    let installed = *INSTALLED.get_or_init(|| rustls::crypto::ring::default_provider().install_default().is_ok());
    if installed { Ok(()) } else { Err(OtherProvider) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_is_installed_once_and_rustls_finds_it() {
        assert_eq!(install_crypto_provider(), Ok(()));
        assert_eq!(install_crypto_provider(), Ok(()), "a second call is harmless");
        let installed = rustls::crypto::CryptoProvider::get_default().expect("a default provider");
        let ring = rustls::crypto::ring::default_provider();
        assert_eq!(installed.cipher_suites, ring.cipher_suites);
        let _config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    }
}
