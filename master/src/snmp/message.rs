//! Encoding of messages. The length of a message is computed first, so that it is written once and in order.

use crate::pdu::ber::{header_len, push_header, push_integer, push_octets, tag};

/// An SNMP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// SNMPv1 (RFC 1157).
    V1,
    /// SNMPv2c (RFC 1901).
    V2c,
    /// SNMPv3 (RFC 3411 to 3418).
    V3,
}

impl Version {
    /// Returns the version with this number on the wire.
    pub(crate) fn from_wire(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::V1),
            1 => Some(Self::V2c),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    /// Returns the number on the wire.
    pub(crate) fn to_wire(self) -> i32 {
        match self {
            Self::V1 => 0,
            Self::V2c => 1,
            Self::V3 => 3,
        }
    }
}

/// A PDU to send (RFC 3416 section 3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pdu<'a> {
    /// The tag of Response or Report.
    pub(crate) tag: u8,
    pub(crate) request_id: i32,
    pub(crate) error_status: i32,
    pub(crate) error_index: i32,
    /// The encoded varbinds, concatenated.
    pub(crate) varbinds: &'a [u8],
}

impl Pdu<'_> {
    /// Returns the length of the PDU, in octets, with varbinds of `varbinds` octets.
    pub(crate) fn len_with(&self, varbinds: usize) -> usize {
        element_len(self.content_len(varbinds))
    }

    fn content_len(&self, varbinds: usize) -> usize {
        integer_len(self.request_id)
            + integer_len(self.error_status)
            + integer_len(self.error_index)
            + element_len(varbinds)
    }

    /// Returns the length of the PDU, in octets.
    pub(crate) fn len(&self) -> usize {
        self.len_with(self.varbinds.len())
    }

    /// Appends the PDU to `out`.
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        push_header(out, self.tag, self.content_len(self.varbinds.len()));
        push_integer(out, self.request_id);
        push_integer(out, self.error_status);
        push_integer(out, self.error_index);
        push_octets(out, tag::SEQUENCE, self.varbinds);
    }
}

/// Returns the length, in octets, of a message of SNMPv1 or SNMPv2c with a PDU of `pdu` octets.
pub(crate) fn community_message_len(community: &[u8], pdu: usize) -> usize {
    element_len(community_content_len(community, pdu))
}

fn community_content_len(community: &[u8], pdu: usize) -> usize {
    integer_len(0) + element_len(community.len()) + pdu
}

/// Encodes a message of SNMPv1 or SNMPv2c.
pub(crate) fn community_message(version: Version, community: &[u8], pdu: &Pdu<'_>) -> Vec<u8> {
    let content = community_content_len(community, pdu.len());
    let mut out = Vec::with_capacity(element_len(content));
    push_header(&mut out, tag::SEQUENCE, content);
    push_integer(&mut out, version.to_wire());
    push_octets(&mut out, tag::OCTET_STRING, community);
    pdu.push(&mut out);
    out
}

/// Returns how many octets of varbinds fit into a message of at most `limit` octets.
///
/// `message_len` returns the length of the message for a number of octets of varbinds; it must be monotonic.
pub(crate) fn room(limit: usize, message_len: impl Fn(usize) -> usize) -> usize {
    // A first estimate. The lengths of length fields, and padding, change the result by a few octets.
    let mut room = limit.saturating_sub(message_len(limit).saturating_sub(limit));
    while room > 0 && message_len(room) > limit {
        room -= 1;
    }
    while room < limit && message_len(room + 1) <= limit {
        room += 1;
    }
    room
}

/// Returns the length, in octets, of an element with a content of `len` octets.
pub(crate) fn element_len(len: usize) -> usize {
    header_len(len) + len
}

/// Returns the length, in octets, of an INTEGER.
pub(crate) fn integer_len(value: i32) -> usize {
    let magnitude = if value < 0 { !value } else { value };
    2 + (33 - magnitude.leading_zeros() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn computed_lengths_match_encoded_lengths(
            numbers: [i32; 3],
            community in proptest::collection::vec(any::<u8>(), 0..300),
            varbinds in proptest::collection::vec(any::<u8>(), 0..70_000),
        ) {
            let [request_id, error_status, error_index] = numbers;
            let pdu = Pdu { tag: tag::RESPONSE, request_id, error_status, error_index, varbinds: &varbinds };
            let message = community_message(Version::V2c, &community, &pdu);
            prop_assert_eq!(message.len(), community_message_len(&community, pdu.len()));
            let mut integer = Vec::new();
            push_integer(&mut integer, request_id);
            prop_assert_eq!(integer.len(), integer_len(request_id));
        }

        #[test]
        fn room_is_the_largest_that_fits(limit in 0_usize..70_000, community in proptest::collection::vec(any::<u8>(), 0..300)) {
            let pdu = Pdu { tag: tag::RESPONSE, request_id: 1, error_status: 0, error_index: 0, varbinds: &[] };
            let len = |varbinds| community_message_len(&community, pdu.len_with(varbinds));
            let room = room(limit, len);
            prop_assert!(len(room) <= limit || room == 0);
            prop_assert!(len(room + 1) > limit);
        }
    }
}
