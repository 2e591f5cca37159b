//! SNMPv3 with the User-based Security Model (RFC 3412, 3414, 3826 and 7860): this engine is the authoritative one of
//! every message that it takes or sends.

mod envelope;
mod incoming;
mod scoped;

use std::{convert::Infallible, fmt, time::Instant};

use agentx::ResponseError;
use async_snmp::{
    DecodeConfig, DesSaltState, PersistedDesSaltState,
    message::{RawMsgData, RawV3Message},
    v3::{
        DesSaltStateError, PrivKey, PrivacyError, PrivacyResult, SaltCounter, UsmSecurityParams,
        auth::{authenticate_message, verify_message},
        in_authoritative_time_window, validate_engine_id,
    },
};
use bytes::Bytes;
use master_config::{Access as Permission, SecurityLevel};

pub(super) use self::envelope::UserEnvelope;
use self::{envelope::Sender, incoming::Incoming, scoped::Scoped};
use super::{
    access::{Access, User},
    engine::{EngineError, EngineIdentity, Source},
    exchange::{Dropped, Envelope, Exchange, Known, Refusal},
    fault::Fault,
    message::{Pdu, Version},
    pending::Identity,
    request::{Asked, Head, pdu_tag},
    tlv::Elements,
};
use crate::ber::{push_octets, tag};

/// The engine's part in SNMPv3.
pub(super) struct Usm {
    identity: EngineIdentity,
    started: Instant,
    /// Of AES: one for all users, so that none is ever used twice with a key.
    salts: SaltCounter,
    /// Of DES, likewise.
    des_salts: DesSaltState,
    /// A plaintext on its way to be encrypted.
    plaintext: Vec<u8>,
}

impl Usm {
    pub(super) fn new(identity: EngineIdentity, started: Instant) -> Result<Self, EngineError> {
        validate_engine_id(&identity.engine_id).map_err(|_| EngineError::EngineId(identity.engine_id.clone()))?;
        let boots = identity.boots;
        let des_salts = des_salts(boots).map_err(|_| EngineError::Boots(boots))?;
        let salts = SaltCounter::new().map_err(EngineError::Random)?;
        Ok(Self { identity, started, salts, des_salts, plaintext: Vec::new() })
    }

    /// Reads a message, which is all of `datagram`: RFC 3412 section 7.2 and RFC 3414 section 3.2, in their order.
    pub(super) fn read(&self, access: &Access, from: Source, datagram: &[u8], now: Instant) -> Result<Known, Refusal> {
        let datagram = Bytes::copy_from_slice(datagram);
        let message = RawV3Message::decode(datagram.clone(), DecodeConfig::STRICT)
            .map_err(|_| Refusal::Dropped(what_is_wrong(&datagram)))?
            .value;
        let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT)
            .map_err(|_| Refusal::Dropped(Dropped::Malformed))?
            .value;
        let incoming = Incoming::new(access, from, &message, &params);
        let user = self.authenticate(access, &datagram, &params, &incoming, now)?;
        let scoped = decrypt(&message, &params, &incoming, user)?;
        self.authorize(user, &scoped, incoming)
    }

    /// Finds who sent it, and whether now and to this engine (RFC 3414 section 3.2, steps 3 to 7).
    fn authenticate<'a>(
        &self,
        access: &'a Access,
        datagram: &[u8],
        params: &UsmSecurityParams,
        incoming: &Incoming,
        now: Instant,
    ) -> Result<&'a User, Refusal> {
        if *params.engine_id() != self.identity.engine_id {
            return Err(incoming.fault(Fault::UnknownEngineId));
        }
        let user = access.user(params.username()).ok_or_else(|| incoming.fault(Fault::UnknownUserName))?;
        if user.highest_level() < incoming.level {
            return Err(incoming.fault(Fault::UnsupportedSecurityLevel));
        }
        if incoming.level == SecurityLevel::NoAuthNoPriv {
            return Ok(user);
        }
        let authentic = user.keys.as_ref().filter(|keys| {
            UsmSecurityParams::find_auth_params_offset(datagram)
                .is_some_and(|(offset, len)| verify_message(&keys.auth, datagram, offset, len).unwrap_or(false))
        });
        let keys = authentic.ok_or_else(|| incoming.fault(Fault::WrongDigest))?;
        let (boots, time) = self.identity.boots_and_time(self.started, now);
        if !in_authoritative_time_window(boots, time, params.engine_boots(), params.engine_time()) {
            // It is told what the time is in a way that it can trust.
            let level = SecurityLevel::AuthNoPriv;
            return Err(incoming.fault_at(Fault::NotInTimeWindow, level, Some(keys.clone())));
        }
        Ok(user)
    }

    /// Finds what is asked for, and whether this user may (RFC 3412 section 7.2 step 13, RFC 3413 section 3.2).
    fn authorize(&self, user: &User, scoped: &Scoped, incoming: Incoming) -> Result<Known, Refusal> {
        let head = Head::read(&scoped.pdu).ok_or(Refusal::Dropped(Dropped::Malformed))?;
        let incoming = incoming.asking(&head);
        let refuse = |fault| incoming.fault_at(fault, incoming.level, user.keys.clone());
        let is_notification = matches!(head.tag, pdu_tag::INFORM | pdu_tag::TRAP);
        if is_notification || scoped.engine_id != self.identity.engine_id {
            return Err(refuse(Fault::UnknownPduHandler));
        }
        let grant = user.grant(&scoped.context).ok_or_else(|| refuse(Fault::UnknownContext))?;
        let asked = Asked::read(Version::V3, &head).map_err(|not_asked| Refusal::Dropped(not_asked.into()))?;
        let operation = if incoming.level < grant.level {
            Err((ResponseError::AuthorizationError, 0))
        } else if head.tag == pdu_tag::SET && grant.permission == Permission::ReadOnly {
            Err((ResponseError::NoAccess, asked.first_index()))
        } else {
            asked.operation
        };
        let envelope = incoming.envelope(incoming.level, user.keys.clone(), scoped.context.clone());
        Ok(Known {
            identity: Identity { from: incoming.from, version: Version::V3, asker: user.hash, id: incoming.msg_id },
            context: scoped.context.to_vec(),
            operation,
            exchange: Exchange {
                from: incoming.from,
                request_id: head.request_id,
                varbinds: asked.varbinds,
                limit: incoming.limit,
                envelope: Envelope::User(envelope),
            },
        })
    }

    /// How long the message is with a PDU of so many octets, sent at `at`.
    pub(super) fn message_len(&self, envelope: &UserEnvelope, pdu: usize, at: Instant) -> usize {
        envelope.layout(sender(&self.identity, self.started, at), pdu).len()
    }

    /// The message with this PDU in it, encrypted and authenticated as its envelope asks for. `None` where it cannot be.
    pub(super) fn seal(&mut self, envelope: &UserEnvelope, pdu: &Pdu<'_>, now: Instant) -> Option<Vec<u8>> {
        let Self { identity, started, salts, des_salts, plaintext } = self;
        let sender = sender(identity, *started, now);
        let layout = envelope.layout(sender, pdu.len());
        let (mut message, digest_at) = match envelope.privacy() {
            None => layout.message(&[], |out| layout.push_scoped(out, pdu)),
            Some(key) => {
                plaintext.clear();
                layout.push_scoped(plaintext, pdu);
                let encrypted = if key.protocol().is_des_family() {
                    encrypt_des(key, plaintext, des_salts)
                } else {
                    key.encrypt_aes(plaintext, sender.boots, sender.time, salts)
                };
                let (data, salt) = encrypted.inspect_err(|error| tracing::error!(%error, "no encryption")).ok()?;
                layout.message(&salt, |out| push_octets(out, tag::OCTET_STRING, &data))
            }
        };
        if let Some(key) = envelope.auth() {
            authenticate_message(key, &mut message, digest_at, key.mac_len())
                .inspect_err(|error| tracing::error!(%error, "no authentication"))
                .ok()?;
        }
        Some(message)
    }
}

impl fmt::Debug for Usm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usm").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The scoped PDU (RFC 3414 section 3.2, step 8).
fn decrypt(
    message: &RawV3Message,
    params: &UsmSecurityParams,
    incoming: &Incoming,
    user: &User,
) -> Result<Scoped, Refusal> {
    match message.msg_data() {
        RawMsgData::Plaintext { data, .. } => Scoped::read(data, 0).ok_or(Refusal::Dropped(Dropped::Malformed)),
        RawMsgData::Encrypted(data) => {
            let key = user.keys.as_ref().and_then(|keys| keys.privacy.as_ref());
            let plaintext = key.and_then(|key| {
                let plaintext =
                    key.decrypt(data, params.engine_boots(), params.engine_time(), params.priv_params()).ok()?;
                // Blocks of DES are filled up with whatever (RFC 3414 section 8.1.1.2). pysnmp fills up those of AES as
                // well, and appends a whole one where nothing is to be filled.
                Scoped::read(&plaintext, if key.protocol().is_des_family() { 8 } else { 16 })
            });
            // Of an authentic message: what is no plaintext was encrypted with another key, and its sender should
            // know.
            plaintext.ok_or_else(|| incoming.fault(Fault::DecryptionError))
        }
    }
}

fn sender(identity: &EngineIdentity, started: Instant, at: Instant) -> Sender<'_> {
    let (boots, time) = identity.boots_and_time(started, at);
    Sender { engine_id: &identity.engine_id, boots, time }
}

/// Encrypts with a salt that was not used since the engine started. There are 2³² of them, and then they begin anew:
/// better than no answer until the next start, and DES has long been worn out by then.
fn encrypt_des(key: &PrivKey, plaintext: &[u8], salts: &mut DesSaltState) -> PrivacyResult<(Bytes, Bytes)> {
    match key.encrypt_des_family(plaintext, salts) {
        Err(PrivacyError::DesSaltExhausted { engine_boots }) => {
            if let Ok(anew) = des_salts(engine_boots) {
                *salts = anew;
            }
            key.encrypt_des_family(plaintext, salts)
        }
        encrypted => encrypted,
    }
}

/// Salts of DES for this boot. That the boot is on disk before the engine exists is [`EngineIdentity`]'s promise.
fn des_salts(boots: u32) -> Result<DesSaltState, DesSaltStateError> {
    let stored = |_: &PersistedDesSaltState| Ok::<_, Infallible>(());
    match boots {
        1 => DesSaltState::install(stored),
        _ => DesSaltState::restart(PersistedDesSaltState::new(boots.saturating_sub(1))?, stored),
    }
}

/// Why async-snmp does not read a message (RFC 3412 section 7.2, steps 2 to 5).
fn what_is_wrong(datagram: &[u8]) -> Dropped {
    let header = || {
        let mut message = Elements(Elements(datagram).expect(tag::SEQUENCE)?);
        message.integer()?;
        let mut global = Elements(message.expect(tag::SEQUENCE)?);
        let (_msg_id, _max_size) = (global.integer()?, global.integer()?);
        Some((global.expect(tag::OCTET_STRING)?, global.integer()?))
    };
    match header() {
        Some((_, model)) if model > 0 && model != 3 => Dropped::UnknownSecurityModel,
        // Privacy without authentication.
        Some(([flags], _)) if flags & 3 == 2 => Dropped::InvalidFlags,
        _ => Dropped::Malformed,
    }
}
