//! The header of a PDU (RFC 2741 section 6.1).

use crate::{DecodeError, DecodeErrorKind, PduType};

/// Byte order of the numbers in a PDU: the NETWORK_BYTE_ORDER flag (RFC 2741 section 6.1).
///
/// Each PDU has its own byte order. Every peer accepts a Response in the byte order of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Most significant byte first (network byte order).
    Big,
    /// Least significant byte first.
    Little,
}

/// Fields of the header that the sender chooses. A Response repeats those of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Byte order of the numbers in this PDU.
    pub byte_order: ByteOrder,
    /// Session number, which the master assigns in its Response to Open. 0 in an Open.
    pub session_id: u32,
    /// Transaction number: identifies the SNMP request that the PDU belongs to.
    pub transaction_id: u32,
    /// Packet number: matches a Response to its request.
    pub packet_id: u32,
}

/// Bits of `h.flags` (RFC 2741 section 6.1).
pub(crate) mod flag {
    pub(crate) const INSTANCE_REGISTRATION: u8 = 1;
    pub(crate) const NEW_INDEX: u8 = 1 << 1;
    pub(crate) const ANY_INDEX: u8 = 1 << 2;
    pub(crate) const NON_DEFAULT_CONTEXT: u8 = 1 << 3;
    pub(crate) const NETWORK_BYTE_ORDER: u8 = 1 << 4;
}

/// Header of a PDU on the wire. It can be parsed even if the payload is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// Type of the PDU.
    pub pdu_type: PduType,
    /// `h.flags` as received.
    pub flags: u8,
    /// Number of octets after the header.
    pub payload_len: u32,
}

impl FrameHeader {
    /// Octets of a header.
    pub const LEN: usize = 20;
    /// Protocol version.
    pub const VERSION: u8 = 1;
    /// Offset of `h.payload_length`.
    pub(crate) const PAYLOAD_LEN_AT: usize = 16;

    /// Parses the header at the start of `bytes`.
    ///
    /// # Errors
    /// Returns [`DecodeErrorKind::Truncated`], [`DecodeErrorKind::Version`] or [`DecodeErrorKind::UnalignedPayload`]. After one
    /// of the last two, the rest of the stream cannot be trusted. An unknown PDU type is not an error here.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(bytes) = bytes.first_chunk::<{ Self::LEN }>() else {
            return Err(DecodeError { offset: bytes.len(), kind: DecodeErrorKind::Truncated });
        };
        let &[version, pdu_type, flags, _reserved, s0, s1, s2, s3, t0, t1, t2, t3, p0, p1, p2, p3, l0, l1, l2, l3] =
            bytes;
        if version != Self::VERSION {
            return Err(DecodeError { offset: 0, kind: DecodeErrorKind::Version(version) });
        }
        let byte_order = if flags & flag::NETWORK_BYTE_ORDER == 0 { ByteOrder::Little } else { ByteOrder::Big };
        let payload_len = byte_order.u32([l0, l1, l2, l3]);
        if !payload_len.is_multiple_of(4) {
            return Err(DecodeError {
                offset: Self::PAYLOAD_LEN_AT,
                kind: DecodeErrorKind::UnalignedPayload { len: payload_len },
            });
        }
        Ok(Self {
            header: Header {
                byte_order,
                session_id: byte_order.u32([s0, s1, s2, s3]),
                transaction_id: byte_order.u32([t0, t1, t2, t3]),
                packet_id: byte_order.u32([p0, p1, p2, p3]),
            },
            pdu_type: PduType::from_code(pdu_type),
            flags,
            payload_len,
        })
    }
}

impl ByteOrder {
    pub(crate) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    pub(crate) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }

    pub(crate) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Big => u64::from_be_bytes(bytes),
            Self::Little => u64::from_le_bytes(bytes),
        }
    }

    pub(crate) const fn put_u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }

    pub(crate) const fn put_u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }

    pub(crate) const fn put_u64(self, number: u64) -> [u8; 8] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }
}
