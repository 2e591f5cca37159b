//! Decoding of what receivers answer to informs. Receivers are not trusted.

use async_snmp::{
    DecodeConfig,
    message::{RawMsgData, RawV3Message, SecurityLevel as WireLevel},
    v3::{UsmSecurityParams, auth::verify_message, validate_engine_id},
};
use bytes::Bytes;
use master_config::SecurityLevel;

use crate::{
    pdu::ber::tag,
    snmp::{Elements, Keys, RawPdu, ScopedPdu, Version},
};

/// An answer of a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A Response.
    Acknowledged {
        /// The request-id of the inform.
        request_id: i32,
        /// snmpEngineBoots and snmpEngineTime of an authentic message.
        times: Option<Times>,
    },
    /// A Report.
    Report {
        /// The msgID of the message that it is about.
        id: i32,
        /// What it reports.
        kind: ReportKind,
        /// The snmpEngineID of the receiver.
        engine_id: Vec<u8>,
        /// snmpEngineBoots and snmpEngineTime of the receiver.
        times: Times,
        /// Whether its digest was verified.
        is_authentic: bool,
    },
}

/// snmpEngineBoots and snmpEngineTime of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) boots: u32,
    pub(crate) time: u32,
}

/// The counters that Reports contain (RFC 3414 section 5, RFC 3412 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportKind {
    UnsupportedSecurityLevel,
    NotInTimeWindow,
    UnknownUserName,
    UnknownEngineId,
    WrongDigest,
    DecryptionError,
    UnknownContext,
    UnknownPduHandler,
}

impl ReportKind {
    /// Returns what a person has to know about it.
    pub(crate) fn explanation(self) -> &'static str {
        match self {
            Self::UnsupportedSecurityLevel => "the receiver does not support the security level for this user",
            Self::NotInTimeWindow => "the receiver does not accept the time of the messages",
            Self::UnknownUserName => "the receiver does not know the user",
            Self::UnknownEngineId => "the receiver does not accept its own engine id",
            Self::WrongDigest => "the receiver has another authentication passphrase or protocol",
            Self::DecryptionError => "the receiver has another privacy passphrase or protocol",
            Self::UnknownContext => "the receiver does not accept the context",
            Self::UnknownPduHandler => "the receiver does not accept informs",
        }
    }

    /// Returns the counter with this OID, encoded in BER.
    fn from_encoded(oid: &[u8]) -> Option<Self> {
        const USM_STATS: [u8; 8] = [0x2B, 6, 1, 6, 3, 15, 1, 1];
        Some(match oid {
            [prefix @ .., arc, 0] if *prefix == USM_STATS => match arc {
                1 => Self::UnsupportedSecurityLevel,
                2 => Self::NotInTimeWindow,
                3 => Self::UnknownUserName,
                4 => Self::UnknownEngineId,
                5 => Self::WrongDigest,
                6 => Self::DecryptionError,
                _ => return None,
            },
            [0x2B, 6, 1, 6, 3, 12, 1, 4 | 5, 0] => Self::UnknownContext,
            [0x2B, 6, 1, 6, 3, 11, 2, 1, 3, 0] => Self::UnknownPduHandler,
            _ => return None,
        })
    }
}

/// Reads an answer of SNMPv2c. Returns `None` if it is none, or if it has another community.
pub(crate) fn read_community_answer(datagram: &[u8], community: &[u8]) -> Option<Answer> {
    let mut outer = Elements(datagram);
    let mut message = Elements(outer.expect(tag::SEQUENCE)?);
    outer.end()?;
    let is_v2c = message.integer()? == Version::V2c.to_wire();
    let is_same = message.expect(tag::OCTET_STRING)? == community;
    let pdu = RawPdu::parse(message.0).filter(|pdu| pdu.tag == tag::RESPONSE)?;
    (is_v2c && is_same).then_some(Answer::Acknowledged { request_id: pdu.request_id, times: None })
}

/// Reads an answer of SNMPv3. A Response must come from the engine `engine_id`, name the user, and be as secure as the
/// inform; otherwise `None` is returned.
pub(crate) fn read_user_answer(
    datagram: &[u8],
    user_name: &[u8],
    level: SecurityLevel,
    engine_id: &[u8],
    keys: Option<&Keys>,
) -> Option<Answer> {
    let datagram = Bytes::copy_from_slice(datagram);
    let message = RawV3Message::decode(datagram.clone(), DecodeConfig::STRICT).ok()?.value;
    let params = UsmSecurityParams::decode(message.security_params().clone(), DecodeConfig::STRICT).ok()?.value;
    let header = message.global_data();
    let is_of_engine = **params.engine_id() == *engine_id;
    let secured = match header.msg_flags().security_level {
        WireLevel::NoAuthNoPriv => SecurityLevel::NoAuthNoPriv,
        WireLevel::AuthNoPriv => SecurityLevel::AuthNoPriv,
        WireLevel::AuthPriv => SecurityLevel::AuthPriv,
    };
    let is_authentic = secured >= SecurityLevel::AuthNoPriv;
    if is_authentic {
        let (offset, len) = UsmSecurityParams::find_auth_params_offset(&datagram)?;
        let holds = is_of_engine && verify_message(&keys?.auth, &datagram, offset, len).unwrap_or(false);
        if !holds {
            return None;
        }
    }
    let scoped = match message.msg_data() {
        RawMsgData::Plaintext { data, .. } => ScopedPdu::parse(data, 0)?,
        RawMsgData::Encrypted(data) => {
            let key = keys?.privacy.as_ref()?;
            let (boots, time) = (params.engine_boots(), params.engine_time());
            let plaintext = key.decrypt(data, boots, time, params.priv_params()).ok()?;
            ScopedPdu::parse(&plaintext, 16)?
        }
    };
    let pdu = RawPdu::parse(&scoped.pdu)?;
    let times = Times { boots: params.engine_boots(), time: params.engine_time() };
    match pdu.tag {
        tag::RESPONSE => {
            let holds = is_of_engine && secured >= level && **params.username() == *user_name;
            let times = is_authentic.then_some(times);
            holds.then_some(Answer::Acknowledged { request_id: pdu.request_id, times })
        }
        tag::REPORT => {
            validate_engine_id(params.engine_id()).ok()?;
            let kind = ReportKind::from_encoded(first_name(&scoped.pdu)?)?;
            let engine_id = params.engine_id().to_vec();
            Some(Answer::Report { id: header.msg_id(), kind, engine_id, times, is_authentic })
        }
        _ => None,
    }
}

/// Returns the encoded name of the first varbind.
fn first_name(pdu: &[u8]) -> Option<&[u8]> {
    let (_, content) = Elements(pdu).next()?;
    let mut fields = Elements(content);
    for _ in 0..3 {
        fields.integer()?;
    }
    let mut varbinds = Elements(fields.expect(tag::SEQUENCE)?);
    Elements(varbinds.expect(tag::SEQUENCE)?).expect(tag::OBJECT_IDENTIFIER)
}
