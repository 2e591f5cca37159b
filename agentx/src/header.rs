//! The header that every PDU begins with (RFC 2741 section 6.1).

use crate::{DecodeError, DecodeErrorKind, code::coded};

/// The order of the bytes of every number in a PDU: its NETWORK_BYTE_ORDER flag (RFC 2741 section 6.1).
///
/// Each PDU chooses its own; a Response in the order of its request suits every peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// The most significant byte first: network byte order.
    Big,
    /// The least significant byte first.
    Little,
}

coded! {
    /// What a PDU is: its `h.type` (RFC 2741 section 6.1).
    pub enum PduType: u8 {
        /// A subagent asks for a session.
        Open = 1,
        /// Either side ends a session.
        Close = 2,
        /// A subagent claims a region.
        Register = 3,
        /// A subagent gives a region up.
        Unregister = 4,
        /// Read these instances.
        Get = 5,
        /// Read what follows.
        GetNext = 6,
        /// Read what follows, several times over.
        GetBulk = 7,
        /// First step of a SET: check and reserve.
        TestSet = 8,
        /// Second step of a SET: write.
        CommitSet = 9,
        /// Put back what a CommitSet wrote.
        UndoSet = 10,
        /// Last step of a SET: release. It has no response.
        CleanupSet = 11,
        /// A subagent raises a notification.
        Notify = 12,
        /// A subagent asks whether the master is there.
        Ping = 13,
        /// A subagent reserves index values.
        IndexAllocate = 14,
        /// A subagent releases index values.
        IndexDeallocate = 15,
        /// A subagent adds a row to sysORTable.
        AddAgentCaps = 16,
        /// A subagent removes its row from sysORTable.
        RemoveAgentCaps = 17,
        /// The answer to any of the others.
        Response = 18,
    }
}

impl PduType {
    /// Whether the RFC gives this PDU a context field (RFC 2741 section 6.1.1).
    #[must_use]
    pub const fn has_context(self) -> bool {
        !matches!(
            self,
            Self::Open
                | Self::Close
                | Self::CommitSet
                | Self::UndoSet
                | Self::CleanupSet
                | Self::Response
                | Self::Unknown(_)
        )
    }
}

/// The part of the header that its sender chooses. A Response repeats that of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The order of the bytes of every number in this PDU.
    pub byte_order: ByteOrder,
    /// The session, as the master numbered it in its Response to Open; 0 in an Open.
    pub session_id: u32,
    /// The transaction: the SNMP request that PDUs belong to.
    pub transaction_id: u32,
    /// Pairs a Response with its request.
    pub packet_id: u32,
}

/// The bits of `h.flags` (RFC 2741 section 6.1).
pub(crate) mod flag {
    pub(crate) const INSTANCE_REGISTRATION: u8 = 1;
    pub(crate) const NEW_INDEX: u8 = 1 << 1;
    pub(crate) const ANY_INDEX: u8 = 1 << 2;
    pub(crate) const NON_DEFAULT_CONTEXT: u8 = 1 << 3;
    pub(crate) const NETWORK_BYTE_ORDER: u8 = 1 << 4;
}

/// A PDU's header as it is on the wire: what can be known of a frame whose contents do not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Byte order, session, transaction and packet.
    pub header: Header,
    /// What the PDU is.
    pub pdu_type: PduType,
    /// `h.flags` as it came.
    pub flags: u8,
    /// How many octets follow the header.
    pub payload_len: u32,
}

impl FrameHeader {
    /// Octets of a header.
    pub const LEN: usize = 20;
    /// The version that this is: 1.
    pub const VERSION: u8 = 1;
    /// Where `h.payload_length` is.
    pub(crate) const PAYLOAD_LEN_AT: usize = 16;

    /// Reads the header that `bytes` begin with.
    ///
    /// # Errors
    /// [`DecodeErrorKind::Truncated`], [`DecodeErrorKind::Version`], and [`DecodeErrorKind::UnalignedPayload`]:
    /// after either of the last two nothing that follows in the stream can be trusted. A type that the RFC does not
    /// name is no error here.
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
