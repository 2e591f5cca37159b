//! SNMPv3 with the User-based Security Model (RFC 3412, 3414, 3826 and 7860). This engine is the authoritative engine
//! of all messages that it receives and sends.

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

use self::{incoming::IncomingHeader, scoped::ScopedPdu};
use super::{
    access::{Access, User},
    datagram::Source,
    engine_identity::{EngineError, EngineIdentity},
    envelope::{Envelope, Sender, UserEnvelope},
    exchange::{AuthenticatedRequest, Exchange, RequestKey},
    message::{Pdu, Version},
    receive_error::{DropReason, ReceiveError},
    report::ReportReason,
    request::{RawPdu, RequestPdu, pdu_tag},
    tlv::Elements,
};
use crate::pdu::ber::{push_octets, tag};

/// The SNMPv3 part of the engine.
pub(super) struct Usm {
    identity: EngineIdentity,
    started: Instant,
    /// Salts of AES. All users share the counter, so that no salt is used twice with a key.
    salts: SaltCounter,
    /// Salts of DES, shared likewise.
    des_salts: DesSaltState,
    /// A reused buffer for the plaintext to encrypt.
    plaintext: Vec<u8>,
}

impl Usm {
    /// Creates the SNMPv3 part of an engine that started at `started`.
    ///
    /// # Errors
    /// Returns an error if the identity is invalid, or if the system provides no random octets.
    pub(super) fn new(identity: EngineIdentity, started: Instant) -> Result<Self, EngineError> {
        validate_engine_id(&identity.engine_id).map_err(|_| EngineError::EngineId(identity.engine_id.clone()))?;
        let boots = identity.boots;
        let des_salts = des_salts(boots).map_err(|_| EngineError::Boots(boots))?;
        let salts = SaltCounter::new().map_err(EngineError::Random)?;
        Ok(Self { identity, started, salts, des_salts, plaintext: Vec::new() })
    }

    /// Decodes, authenticates and authorizes a message, in the order of RFC 3412 section 7.2 and RFC 3414 section 3.2.
    pub(super) fn process(
        &self,
        access: &Access,
        from: Source,
        datagram: &[u8],
        now: Instant,
    ) -> Result<AuthenticatedRequest, ReceiveError> {
        let datagram = Bytes::copy_from_slice(datagram);
        let message = RawV3Message::decode(datagram.clone(), DecodeConfig::STRICT)
            .map_err(|_| ReceiveError::Dropped(drop_reason(&datagram)))?
            .value;
        let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT)
            .map_err(|_| ReceiveError::Dropped(DropReason::Malformed))?
            .value;
        let header = IncomingHeader::new(access, from, &message, &params);
        let user = self.authenticate(access, &datagram, &params, &header, now)?;
        let scoped = decrypt(&message, &params, &header, user)?;
        self.authorize(user, &scoped, header)
    }

    /// Returns the user who sent the message, after checking that the message is for this engine, authentic and timely
    /// (RFC 3414 section 3.2, steps 3 to 7).
    fn authenticate<'a>(
        &self,
        access: &'a Access,
        datagram: &[u8],
        params: &UsmSecurityParams,
        header: &IncomingHeader,
        now: Instant,
    ) -> Result<&'a User, ReceiveError> {
        if *params.engine_id() != self.identity.engine_id {
            return Err(header.error(ReportReason::UnknownEngineId));
        }
        let user = access.user(params.username()).ok_or_else(|| header.error(ReportReason::UnknownUserName))?;
        if user.highest_level() < header.level {
            return Err(header.error(ReportReason::UnsupportedSecurityLevel));
        }
        if header.level == SecurityLevel::NoAuthNoPriv {
            return Ok(user);
        }
        let authentic = user.keys.as_ref().filter(|keys| {
            UsmSecurityParams::find_auth_params_offset(datagram)
                .is_some_and(|(offset, len)| verify_message(&keys.auth, datagram, offset, len).unwrap_or(false))
        });
        let keys = authentic.ok_or_else(|| header.error(ReportReason::WrongDigest))?;
        let (boots, time) = self.identity.boots_and_time(self.started, now);
        if !in_authoritative_time_window(boots, time, params.engine_boots(), params.engine_time()) {
            // The Report is authenticated, so that the manager can trust the time in it.
            let level = SecurityLevel::AuthNoPriv;
            return Err(header.error_at(ReportReason::NotInTimeWindow, level, Some(keys.clone())));
        }
        Ok(user)
    }

    /// Decodes the PDU and checks that the user has access to its context (RFC 3412 section 7.2 step 13, RFC 3413
    /// section 3.2).
    fn authorize(
        &self,
        user: &User,
        scoped: &ScopedPdu,
        header: IncomingHeader,
    ) -> Result<AuthenticatedRequest, ReceiveError> {
        let pdu = RawPdu::parse(&scoped.pdu).ok_or(ReceiveError::Dropped(DropReason::Malformed))?;
        let header = header.with_pdu(&pdu);
        let error = |reason| header.error_at(reason, header.level, user.keys.clone());
        let is_notification = matches!(pdu.tag, pdu_tag::INFORM | pdu_tag::TRAP);
        if is_notification || scoped.engine_id != self.identity.engine_id {
            return Err(error(ReportReason::UnknownPduHandler));
        }
        let access = user.access_to(&scoped.context).ok_or_else(|| error(ReportReason::UnknownContext))?;
        let request = RequestPdu::decode(Version::V3, &pdu).map_err(|error| ReceiveError::Dropped(error.into()))?;
        let operation = if header.level < access.level {
            Err((ResponseError::AuthorizationError, 0))
        } else if pdu.tag == pdu_tag::SET && access.permission == Permission::ReadOnly {
            Err((ResponseError::NoAccess, request.first_index()))
        } else {
            request.operation
        };
        let envelope = header.envelope(header.level, user.keys.clone(), scoped.context.clone());
        Ok(AuthenticatedRequest {
            key: RequestKey { from: header.from, version: Version::V3, sender: user.hash, id: header.msg_id },
            context: scoped.context.to_vec(),
            operation,
            exchange: Exchange {
                from: header.from,
                request_id: pdu.request_id,
                varbinds: request.varbinds,
                limit: header.limit,
                envelope: Envelope::User(envelope),
            },
        })
    }

    /// Returns the length, in octets, of a message with a PDU of `pdu` octets that is sent at `at`.
    pub(super) fn message_len(&self, envelope: &UserEnvelope, pdu: usize, at: Instant) -> usize {
        envelope.layout(sender(&self.identity, self.started, at), pdu).len()
    }

    /// Encodes a message with this PDU, encrypted and authenticated as its envelope requires. Returns `None` if that
    /// fails.
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

impl fmt::Debug for Usm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usm").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Returns the scoped PDU, decrypted if necessary (RFC 3414 section 3.2, step 8).
fn decrypt(
    message: &RawV3Message,
    params: &UsmSecurityParams,
    header: &IncomingHeader,
    user: &User,
) -> Result<ScopedPdu, ReceiveError> {
    match message.msg_data() {
        RawMsgData::Plaintext { data, .. } => {
            ScopedPdu::parse(data, 0).ok_or(ReceiveError::Dropped(DropReason::Malformed))
        }
        RawMsgData::Encrypted(data) => {
            let key = user.keys.as_ref().and_then(|keys| keys.privacy.as_ref());
            let plaintext = key.and_then(|key| {
                let plaintext =
                    key.decrypt(data, params.engine_boots(), params.engine_time(), params.priv_params()).ok()?;
                // DES pads the last block with arbitrary octets (RFC 3414 section 8.1.1.2). pysnmp also pads for AES,
                // and adds a whole block if the plaintext already fills its last one.
                ScopedPdu::parse(&plaintext, if key.protocol().is_des_family() { 8 } else { 16 })
            });
            // The message is authentic. A plaintext that cannot be parsed was therefore encrypted with another key,
            // which the sender should learn.
            plaintext.ok_or_else(|| header.error(ReportReason::DecryptionError))
        }
    }
}

fn sender(identity: &EngineIdentity, started: Instant, at: Instant) -> Sender<'_> {
    let (boots, time) = identity.boots_and_time(started, at);
    Sender { engine_id: &identity.engine_id, boots, time }
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

/// Returns the reason why async-snmp cannot decode a message (RFC 3412 section 7.2, steps 2 to 5).
fn drop_reason(datagram: &[u8]) -> DropReason {
    let header = || {
        let mut message = Elements(Elements(datagram).expect(tag::SEQUENCE)?);
        message.integer()?;
        let mut global = Elements(message.expect(tag::SEQUENCE)?);
        let (_msg_id, _max_size) = (global.integer()?, global.integer()?);
        Some((global.expect(tag::OCTET_STRING)?, global.integer()?))
    };
    match header() {
        Some((_, model)) if model > 0 && model != 3 => DropReason::UnknownSecurityModel,
        // Privacy without authentication.
        Some(([flags], _)) if flags & 3 == 2 => DropReason::InvalidFlags,
        _ => DropReason::Malformed,
    }
}
