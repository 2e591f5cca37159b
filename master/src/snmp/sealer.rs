//! Encryption and authentication of SNMPv3 messages (RFC 3414 sections 3.1, 6 and 8).

use std::convert::Infallible;

use async_snmp::{
    DesSaltState, PersistedDesSaltState,
    v3::{DesSaltStateError, PrivKey, PrivacyError, PrivacyResult, SaltCounter, auth::authenticate_message},
};
use bytes::Bytes;

use super::{
    engine_identity::EngineError,
    envelope::{Authority, UserEnvelope},
    message::Pdu,
};
use crate::pdu::ber::{push_octets, tag};

/// Encrypts and authenticates messages.
pub(crate) struct Sealer {
    /// Salts of AES. All users share the counter, so that no salt is used twice with a key.
    salts: SaltCounter,
    /// Salts of DES, shared likewise.
    des_salts: DesSaltState,
    /// A reused buffer for the plaintext to encrypt.
    plaintext: Vec<u8>,
}

impl Sealer {
    /// Creates a sealer of this boot of the engine.
    ///
    /// # Errors
    /// Returns an error if snmpEngineBoots is invalid, or if the system provides no random octets.
    pub(crate) fn new(boots: u32) -> Result<Self, EngineError> {
        let des_salts = des_salts(boots).map_err(|_| EngineError::Boots(boots))?;
        let salts = SaltCounter::new().map_err(EngineError::Random)?;
        Ok(Self { salts, des_salts, plaintext: Vec::new() })
    }

    /// Encodes a message with this PDU, encrypted and authenticated as its envelope requires. Returns `None` if that
    /// fails.
    pub(crate) fn seal(&mut self, envelope: &UserEnvelope, authority: Authority<'_>, pdu: &Pdu<'_>) -> Option<Vec<u8>> {
        let Self { salts, des_salts, plaintext } = self;
        let layout = envelope.layout(authority, pdu.len());
        let (mut message, digest_at) = match envelope.privacy() {
            None => layout.message(&[], |out| layout.push_scoped(out, pdu)),
            Some(key) => {
                plaintext.clear();
                layout.push_scoped(plaintext, pdu);
                let encrypted = if key.protocol().is_des_family() {
                    encrypt_des(key, plaintext, des_salts)
                } else {
                    key.encrypt_aes(plaintext, authority.boots, authority.time, salts)
                };
                let (data, salt) = encrypted
                    .inspect_err(|error| tracing::error!(%error, "failed to encrypt an SNMPv3 message; dropping it"))
                    .ok()?;
                layout.message(&salt, |out| push_octets(out, tag::OCTET_STRING, &data))
            }
        };
        if let Some(key) = envelope.auth() {
            authenticate_message(key, &mut message, digest_at, key.mac_len())
                .inspect_err(|error| tracing::error!(%error, "failed to authenticate an SNMPv3 message; dropping it"))
                .ok()?;
        }
        Some(message)
    }
}

/// Encrypts with a salt that was not used since the engine started.
///
/// After 2³² salts, they repeat. The alternative is to send no responses until the next start, and DES is insecure
/// after far fewer messages.
fn encrypt_des(key: &PrivKey, plaintext: &[u8], salts: &mut DesSaltState) -> PrivacyResult<(Bytes, Bytes)> {
    match key.encrypt_des_family(plaintext, salts) {
        Err(PrivacyError::DesSaltExhausted { engine_boots }) => {
            if let Ok(restarted) = des_salts(engine_boots) {
                *salts = restarted;
            }
            key.encrypt_des_family(plaintext, salts)
        }
        encrypted => encrypted,
    }
}

/// Returns the DES salts of this boot. They are unique because snmpEngineBoots is stored before the engine starts.
fn des_salts(boots: u32) -> Result<DesSaltState, DesSaltStateError> {
    let stored = |_: &PersistedDesSaltState| Ok::<_, Infallible>(());
    match boots {
        1 => DesSaltState::install(stored),
        _ => DesSaltState::restart(PersistedDesSaltState::new(boots.saturating_sub(1))?, stored),
    }
}
