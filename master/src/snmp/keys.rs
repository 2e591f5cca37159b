//! Keys of SNMPv3 users (RFC 3414 section 2.6), and a cache of derived keys.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use async_snmp::{
    AuthProtocol, LocalizedKey, MasterKeys, PrivProtocol,
    v3::{CryptoError, PrivKey},
};
use master_config::{Auth, AuthProtocol as ConfiguredAuth, PrivProtocol as ConfiguredPriv, Privacy, User};

/// A user's keys, localized to this engine. They are erased from memory when they are dropped, and `Debug` hides them.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) auth: LocalizedKey,
    pub(crate) privacy: Option<PrivKey>,
}

/// A cache of derived keys. It holds no passphrases: a keyed 128-bit hash of a user's passphrases and protocols finds
/// the keys.
#[derive(Default)]
pub struct KeyCache {
    hashers: [RandomState; 2],
    keys: HashMap<Fingerprint, Arc<Keys>>,
}

type Fingerprint = [u64; 2];

impl KeyCache {
    /// Returns the number of cached keys.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether the cache is empty.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Starts a new generation of keys. Keys that are not requested from it are removed from the cache.
    pub(super) fn start_generation<'a>(&'a mut self, engine_id: &'a [u8]) -> KeyGeneration<'a> {
        KeyGeneration { previous: std::mem::take(&mut self.keys), cache: self, engine_id }
    }
}

/// A generation of keys that is being filled.
pub(super) struct KeyGeneration<'a> {
    previous: HashMap<Fingerprint, Arc<Keys>>,
    cache: &'a mut KeyCache,
    engine_id: &'a [u8],
}

impl KeyGeneration<'_> {
    /// Returns the keys of a user, from the cache if it holds them. Returns `None` for a user without authentication.
    ///
    /// # Errors
    /// Returns an error if a passphrase is too short.
    pub(super) fn derive_for(&mut self, user: &User) -> Result<Option<Arc<Keys>>, CryptoError> {
        let Some(auth) = &user.auth else { return Ok(None) };
        let privacy = user.privacy.as_ref().map(|privacy| (privacy.protocol as u8, &privacy.passphrase));
        let derived_from = (self.engine_id, auth.protocol as u8, &auth.passphrase, privacy);
        let fingerprint = self.cache.hashers.each_ref().map(|hasher| hasher.hash_one(derived_from));
        if let Some(keys) = self.cache.keys.get(&fingerprint) {
            return Ok(Some(keys.clone()));
        }
        let keys = match self.previous.remove(&fingerprint) {
            Some(keys) => keys,
            None => Arc::new(derive(auth, user.privacy.as_ref(), self.engine_id)?),
        };
        self.cache.keys.insert(fingerprint, keys.clone());
        Ok(Some(keys))
    }
}

/// Derives a user's keys. This hashes one mebibyte for each passphrase.
fn derive(auth: &Auth, privacy: Option<&Privacy>, engine_id: &[u8]) -> Result<Keys, CryptoError> {
    let mut keys = MasterKeys::new(auth_protocol(auth.protocol), auth.passphrase.expose().as_bytes())?;
    if let Some(privacy) = privacy {
        let protocol = priv_protocol(privacy.protocol);
        keys = if privacy.passphrase == auth.passphrase {
            keys.with_privacy_same_password(protocol)?
        } else {
            keys.with_privacy(protocol, privacy.passphrase.expose().as_bytes())?
        };
    }
    let (auth, privacy) = keys.localize(engine_id)?;
    Ok(Keys { auth, privacy })
}

fn auth_protocol(protocol: ConfiguredAuth) -> AuthProtocol {
    match protocol {
        ConfiguredAuth::Md5 => AuthProtocol::Md5,
        ConfiguredAuth::Sha1 => AuthProtocol::Sha1,
        ConfiguredAuth::Sha224 => AuthProtocol::Sha224,
        ConfiguredAuth::Sha256 => AuthProtocol::Sha256,
        ConfiguredAuth::Sha384 => AuthProtocol::Sha384,
        ConfiguredAuth::Sha512 => AuthProtocol::Sha512,
    }
}

fn priv_protocol(protocol: ConfiguredPriv) -> PrivProtocol {
    match protocol {
        ConfiguredPriv::Des => PrivProtocol::Des,
        ConfiguredPriv::Aes128 => PrivProtocol::Aes128,
        ConfiguredPriv::Aes192 => PrivProtocol::Aes192Blumenthal,
        ConfiguredPriv::Aes256 => PrivProtocol::Aes256Blumenthal,
        ConfiguredPriv::Aes192Cisco => PrivProtocol::Aes192Reeder,
        ConfiguredPriv::Aes256Cisco => PrivProtocol::Aes256Reeder,
    }
}

impl fmt::Debug for KeyCache {
    /// Shows the number of keys only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
