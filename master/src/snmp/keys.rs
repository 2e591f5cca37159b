//! Keys of users (RFC 3414 section 2.6), and which of them are derived already.

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

/// A user's keys, for this engine alone. They are wiped when the last of their owners is gone, and not shown.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) auth: LocalizedKey,
    pub(crate) privacy: Option<PrivKey>,
}

/// Keys by what they are derived from. It holds no passphrase: only a keyed hash of 128 bits tells whether one is the
/// same as before.
#[derive(Default)]
pub struct KeyCache {
    hashers: [RandomState; 2],
    keys: HashMap<Fingerprint, Arc<Keys>>,
}

type Fingerprint = [u64; 2];

impl KeyCache {
    /// How many different keys it holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Begins a generation of keys: those that it is not asked for are forgotten at its end.
    pub(super) fn renew<'a>(&'a mut self, engine_id: &'a [u8]) -> Renewal<'a> {
        Renewal { before: std::mem::take(&mut self.keys), cache: self, engine_id }
    }
}

/// A generation of keys in the making.
pub(super) struct Renewal<'a> {
    before: HashMap<Fingerprint, Arc<Keys>>,
    cache: &'a mut KeyCache,
    engine_id: &'a [u8],
}

impl Renewal<'_> {
    /// The keys of a user, none for one without authentication.
    ///
    /// # Errors
    /// A passphrase that is too short.
    pub(super) fn of(&mut self, user: &User) -> Result<Option<Arc<Keys>>, CryptoError> {
        let Some(auth) = &user.auth else { return Ok(None) };
        let privacy = user.privacy.as_ref().map(|privacy| (privacy.protocol as u8, &privacy.passphrase));
        let derived_from = (self.engine_id, auth.protocol as u8, &auth.passphrase, privacy);
        let fingerprint = self.cache.hashers.each_ref().map(|hasher| hasher.hash_one(derived_from));
        if let Some(keys) = self.cache.keys.get(&fingerprint) {
            return Ok(Some(keys.clone()));
        }
        let keys = match self.before.remove(&fingerprint) {
            Some(keys) => keys,
            None => Arc::new(derive(auth, user.privacy.as_ref(), self.engine_id)?),
        };
        self.cache.keys.insert(fingerprint, keys.clone());
        Ok(Some(keys))
    }
}

/// Derives a user's keys: a mebibyte of hashing for each passphrase.
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
    /// How many keys there are; no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}
