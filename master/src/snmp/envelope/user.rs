//! Encoding of SNMPv3 messages (RFC 3412 section 6, RFC 3414 section 2.4).

use std::sync::Arc;

use async_snmp::{LocalizedKey, PrivProtocol, v3::PrivKey};
use bytes::Bytes;
use master_config::SecurityLevel;

use crate::{
    pdu::ber::{push_header, push_integer, push_octets, tag},
    snmp::{
        keys::Keys,
        message::{Pdu, Version, element_len, integer_len},
    },
};

/// The length of msgPrivacyParameters in all privacy protocols, in octets (RFC 3414 section 8.1.1.1, RFC 3826 section
/// 3.1.1.1).
const SALT_OCTETS: usize = 8;
/// The msgSecurityModel of USM.
const USM: i32 = 3;

/// The envelope of an SNMPv3 message, without the fields of [`Sender`].
#[derive(Debug)]
pub(in crate::snmp) struct UserEnvelope {
    pub(in crate::snmp) msg_id: i32,
    /// msgMaxSize: the longest message that this engine accepts, in octets.
    pub(in crate::snmp) max_size: usize,
    pub(in crate::snmp) level: SecurityLevel,
    pub(in crate::snmp) user_name: Bytes,
    pub(in crate::snmp) keys: Option<Arc<Keys>>,
    pub(in crate::snmp) context: Bytes,
}

/// The identity and time of the engine that sends a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::snmp) struct Sender<'a> {
    pub(in crate::snmp) engine_id: &'a [u8],
    pub(in crate::snmp) boots: u32,
    pub(in crate::snmp) time: u32,
}

impl UserEnvelope {
    /// Returns the key that authenticates the message, if its level requires one.
    pub(in crate::snmp) fn auth(&self) -> Option<&LocalizedKey> {
        self.keys.as_ref().filter(|_| self.level >= SecurityLevel::AuthNoPriv).map(|keys| &keys.auth)
    }

    /// Returns the key that encrypts the message, if its level requires one.
    pub(in crate::snmp) fn privacy(&self) -> Option<&PrivKey> {
        self.keys.as_ref().filter(|_| self.level == SecurityLevel::AuthPriv)?.privacy.as_ref()
    }

    /// Computes the lengths of all parts of the message with a PDU of `pdu` octets.
    pub(in crate::snmp) fn layout<'a>(&'a self, sender: Sender<'a>, pdu: usize) -> Layout<'a> {
        let global =
            integer_len(self.msg_id) + integer_len(clamp_to_i32(self.max_size)) + element_len(1) + integer_len(USM);
        let params = element_len(sender.engine_id.len())
            + integer_len(clamp_to_i32(sender.boots))
            + integer_len(clamp_to_i32(sender.time))
            + element_len(self.user_name.len())
            + element_len(self.auth().map_or(0, LocalizedKey::mac_len))
            + element_len(self.privacy().map_or(0, |_| SALT_OCTETS));
        let scoped = element_len(sender.engine_id.len()) + element_len(self.context.len()) + pdu;
        let data = match self.privacy().map(PrivKey::protocol) {
            None => element_len(scoped),
            Some(PrivProtocol::Des) => element_len(element_len(scoped).next_multiple_of(8)),
            Some(_) => element_len(element_len(scoped)),
        };
        let content =
            integer_len(Version::V3.to_wire()) + element_len(global) + element_len(element_len(params)) + data;
        Layout { envelope: self, sender, global, params, scoped, content }
    }
}

/// The lengths of the parts of a message, in octets without their tag and length.
#[derive(Debug)]
pub(in crate::snmp) struct Layout<'a> {
    envelope: &'a UserEnvelope,
    sender: Sender<'a>,
    global: usize,
    params: usize,
    scoped: usize,
    content: usize,
}

impl Layout<'_> {
    /// Returns the length of the message, in octets.
    pub(in crate::snmp) fn len(&self) -> usize {
        element_len(self.content)
    }

    /// Appends the scoped PDU to `out`.
    pub(in crate::snmp) fn push_scoped(&self, out: &mut Vec<u8>, pdu: &Pdu<'_>) {
        push_header(out, tag::SEQUENCE, self.scoped);
        push_octets(out, tag::OCTET_STRING, self.sender.engine_id);
        push_octets(out, tag::OCTET_STRING, &self.envelope.context);
        pdu.push(out);
    }

    /// Encodes the message. `push_data` appends msgData. Returns the message and the offset of the digest, whose octets
    /// are still zero.
    pub(in crate::snmp) fn message(&self, salt: &[u8], push_data: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, usize) {
        let envelope = self.envelope;
        let mut out = Vec::with_capacity(self.len());
        push_header(&mut out, tag::SEQUENCE, self.content);
        push_integer(&mut out, Version::V3.to_wire());
        push_header(&mut out, tag::SEQUENCE, self.global);
        push_integer(&mut out, envelope.msg_id);
        push_integer(&mut out, clamp_to_i32(envelope.max_size));
        // The reportable flag is never set: responses and reports expect no reply.
        let flags = match envelope.level {
            SecurityLevel::NoAuthNoPriv => 0,
            SecurityLevel::AuthNoPriv => 1,
            SecurityLevel::AuthPriv => 3,
        };
        push_octets(&mut out, tag::OCTET_STRING, &[flags]);
        push_integer(&mut out, USM);
        push_header(&mut out, tag::OCTET_STRING, element_len(self.params));
        push_header(&mut out, tag::SEQUENCE, self.params);
        push_octets(&mut out, tag::OCTET_STRING, self.sender.engine_id);
        push_integer(&mut out, clamp_to_i32(self.sender.boots));
        push_integer(&mut out, clamp_to_i32(self.sender.time));
        push_octets(&mut out, tag::OCTET_STRING, &envelope.user_name);
        let digest = envelope.auth().map_or(0, LocalizedKey::mac_len);
        push_header(&mut out, tag::OCTET_STRING, digest);
        let digest_at = out.len();
        out.resize(digest_at + digest, 0);
        push_octets(&mut out, tag::OCTET_STRING, salt);
        push_data(&mut out);
        (out, digest_at)
    }
}

/// Limits a value to INTEGER (0..2147483647).
fn clamp_to_i32(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}
