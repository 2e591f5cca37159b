//! The cryptography provider of the process.
//!
//! If dependencies enable two providers of rustls, rustls cannot choose one and panics at its first use. So each
//! program installs ring first.

use std::sync::OnceLock;

/// Another provider is already installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cryptography provider other than ring is already installed")]
pub struct OtherProvider;

/// Makes ring the default provider of rustls. Further calls change nothing.
///
/// # Errors
/// Returns an error if other code has already installed a provider.
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
