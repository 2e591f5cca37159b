//! Scoped PDUs (RFC 3412 section 6.8): a PDU and its context.

use bytes::Bytes;

use crate::{pdu::ber::tag, snmp::tlv::Elements};

/// A scoped PDU whose PDU is not decoded.
#[derive(Debug)]
pub(super) struct ScopedPdu {
    /// contextEngineID.
    pub(super) engine_id: Bytes,
    /// contextName.
    pub(super) context: Bytes,
    /// The encoded PDU, including its tag and length.
    pub(super) pdu: Bytes,
}

impl ScopedPdu {
    /// Parses `data`, which may end with up to `padding` octets of padding. Returns `None` if it is malformed.
    pub(super) fn parse(data: &Bytes, padding: usize) -> Option<Self> {
        let mut outer = Elements(data);
        let mut fields = Elements(outer.expect(tag::SEQUENCE)?);
        if outer.0.len() > padding {
            return None;
        }
        let engine_id = data.slice_ref(fields.expect(tag::OCTET_STRING)?);
        let context = data.slice_ref(fields.expect(tag::OCTET_STRING)?);
        let pdu = data.slice_ref(fields.next_whole()?);
        fields.end()?;
        Some(Self { engine_id, context, pdu })
    }
}
