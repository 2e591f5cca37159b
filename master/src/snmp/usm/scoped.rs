//! Scoped PDUs (RFC 3412 section 6.8): a PDU and the context that it is about.

use bytes::Bytes;

use crate::{ber::tag, snmp::tlv::Elements};

/// A scoped PDU whose PDU is not read yet.
#[derive(Debug)]
pub(super) struct Scoped {
    /// contextEngineID.
    pub(super) engine_id: Bytes,
    /// contextName.
    pub(super) context: Bytes,
    /// The PDU, its header and all.
    pub(super) pdu: Bytes,
}

impl Scoped {
    /// Reads `data`, after which there may be so many octets of padding.
    pub(super) fn read(data: &Bytes, padding: usize) -> Option<Self> {
        let mut outer = Elements(data);
        let mut fields = Elements(outer.expect(tag::SEQUENCE)?);
        if outer.0.len() > padding {
            return None;
        }
        let engine_id = data.slice_ref(fields.expect(tag::OCTET_STRING)?);
        let context = data.slice_ref(fields.expect(tag::OCTET_STRING)?);
        let pdu = data.slice_ref(fields.whole()?);
        fields.end()?;
        Some(Self { engine_id, context, pdu })
    }
}
