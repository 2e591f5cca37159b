//! Messages of SNMPv3 as they are sent (RFC 3412 section 6, RFC 3414 section 2.4).

use std::sync::Arc;

use async_snmp::{LocalizedKey, PrivProtocol, v3::PrivKey};
use bytes::Bytes;
use master_config::SecurityLevel;

use crate::{
    ber::{push_header, push_integer, push_octets, tag},
    snmp::{
        keys::Keys,
        message::{Pdu, Version, element_len, integer_len},
    },
};

/// Octets of msgPrivacyParameters, in every protocol (RFC 3414 section 8.1.1.1, RFC 3826 section 3.1.1.1).
const SALT_OCTETS: usize = 8;
/// msgSecurityModel of USM.
const USM: i32 = 3;

/// What goes around a PDU, but for who sends it, and when.
#[derive(Debug)]
pub(in crate::snmp) struct UserEnvelope {
    pub(super) msg_id: i32,
    /// The longest message that this engine takes, in octets.
    pub(super) max_size: usize,
    pub(super) level: SecurityLevel,
    pub(super) user_name: Bytes,
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) context: Bytes,
}

/// Who sends a message, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) engine_id: &'a [u8],
    pub(super) boots: u32,
    pub(super) time: u32,
}

impl UserEnvelope {
    /// The key that it is authenticated with.
    pub(super) fn auth(&self) -> Option<&LocalizedKey> {
        self.keys.as_ref().filter(|_| self.level >= SecurityLevel::AuthNoPriv).map(|keys| &keys.auth)
    }

    /// The key that it is encrypted with.
    pub(super) fn privacy(&self) -> Option<&PrivKey> {
        self.keys.as_ref().filter(|_| self.level == SecurityLevel::AuthPriv)?.privacy.as_ref()
    }

    /// Lays out the message with a PDU of so many octets.
    pub(super) fn layout<'a>(&'a self, sender: Sender<'a>, pdu: usize) -> Layout<'a> {
        let global = integer_len(self.msg_id) + integer_len(wire(self.max_size)) + element_len(1) + integer_len(USM);
        let params = element_len(sender.engine_id.len())
            + integer_len(wire(sender.boots))
            + integer_len(wire(sender.time))
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

/// How long each part of a message is, in octets without its header.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    envelope: &'a UserEnvelope,
    sender: Sender<'a>,
    global: usize,
    params: usize,
    scoped: usize,
    content: usize,
}

impl Layout<'_> {
    /// How long the message is.
    pub(super) fn len(&self) -> usize {
        element_len(self.content)
    }

    /// Writes the scoped PDU.
    pub(super) fn push_scoped(&self, out: &mut Vec<u8>, pdu: &Pdu<'_>) {
        push_header(out, tag::SEQUENCE, self.scoped);
        push_octets(out, tag::OCTET_STRING, self.sender.engine_id);
        push_octets(out, tag::OCTET_STRING, &self.envelope.context);
        pdu.push(out);
    }

    /// The message with what `push_data` writes at its end, and where in it the digest goes, which is zeros yet.
    pub(super) fn message(&self, salt: &[u8], push_data: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, usize) {
        let envelope = self.envelope;
        let mut out = Vec::with_capacity(self.len());
        push_header(&mut out, tag::SEQUENCE, self.content);
        push_integer(&mut out, Version::V3.to_wire());
        push_header(&mut out, tag::SEQUENCE, self.global);
        push_integer(&mut out, envelope.msg_id);
        push_integer(&mut out, wire(envelope.max_size));
        // Never reportable: nothing that an engine sends back asks for an answer.
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
        push_integer(&mut out, wire(self.sender.boots));
        push_integer(&mut out, wire(self.sender.time));
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

/// An INTEGER (0..2147483647).
fn wire(value: impl TryInto<i32>) -> i32 {
    value.try_into().unwrap_or(i32::MAX)
}
