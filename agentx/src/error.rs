//! Why bytes are not a PDU, and why a PDU cannot be written.

use crate::PduType;

/// Why a frame does not decode, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at octet {offset}: {kind}")]
pub struct DecodeError {
    /// Where in the frame the field begins that is wrong, from 0; at most the frame's length.
    pub offset: usize,
    /// What is wrong.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// A field goes on past the end of the frame.
    #[error("the frame ends too early")]
    Truncated,
    /// Octets follow the end of the PDU.
    #[error("{0} octets after the end of the PDU")]
    Trailing(usize),
    /// Not version 1.
    #[error("version {0}, not 1")]
    Version(u8),
    /// A `h.type` that the RFC does not name.
    #[error("unknown PDU type {0}")]
    UnknownPduType(u8),
    /// The PDU is well known, but not one that the caller reads here.
    #[error("unexpected PDU type {0:?}")]
    UnexpectedPduType(PduType),
    /// `h.payload_length` is no multiple of four (RFC 2741 section 6.1).
    #[error("payload length {len} is not a multiple of 4")]
    UnalignedPayload {
        /// The length announced.
        len: u32,
    },
    /// `h.payload_length` is more than the limit.
    #[error("payload length {len} is over the limit of {limit}")]
    PayloadOverLimit {
        /// The length announced.
        len: u32,
        /// [`crate::Limits::payload`].
        limit: u32,
    },
    /// The frame is not as long as its header says.
    #[error("payload length {announced}, but {actual} octets follow the header")]
    PayloadMismatch {
        /// The length announced.
        announced: u32,
        /// The octets there are.
        actual: usize,
    },
    /// An octet string is longer than the limit.
    #[error("octet string of {len} octets is over the limit of {limit}")]
    OctetsOverLimit {
        /// Its length.
        len: u32,
        /// [`crate::Limits::octets`].
        limit: usize,
    },
    /// More varbinds or search ranges than the limit.
    #[error("more than {limit} varbinds or search ranges")]
    TooManyVarBinds {
        /// [`crate::Limits::varbinds`].
        limit: usize,
    },
    /// An OID of more than 128 sub-identifiers once its prefix is expanded (RFC 2578 section 3.5).
    #[error("object identifier of {len} sub-identifiers")]
    OidTooLong {
        /// Its sub-identifiers, prefix included.
        len: usize,
    },
    /// A `v.type` that the RFC does not name.
    #[error("unknown value type {0}")]
    UnknownValueType(u16),
    /// An IpAddress that is not four octets long.
    #[error("IpAddress of {len} octets")]
    IpAddressLength {
        /// Its length.
        len: usize,
    },
    /// `r.range_subid` points past the end of the subtree (RFC 2741 section 6.2.3).
    #[error("range at sub-identifier {position} of a subtree of {len}")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// The subtree's sub-identifiers.
        len: usize,
    },
}

/// Why a PDU cannot be written. The buffer is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// An OID of more than 128 sub-identifiers.
    #[error("object identifier of {len} sub-identifiers, but at most 128 can be")]
    OidTooLong {
        /// Its sub-identifiers.
        len: usize,
    },
    /// An octet string that cannot announce its length in 32 bits.
    #[error("octet string of {len} octets")]
    OctetsTooLong {
        /// Its length.
        len: usize,
    },
    /// The payload would be longer than allowed, or cannot announce its length in 32 bits.
    #[error("payload of {len} octets is over the limit of {limit}")]
    PayloadOverLimit {
        /// The length it would have.
        len: usize,
        /// The longest allowed.
        limit: u32,
    },
    /// A context for a PDU that has no context field (RFC 2741 section 6.1.1).
    #[error("{0:?} has no context field")]
    NoContextField(PduType),
    /// A range whose position is 0 or past the end of the subtree (RFC 2741 section 6.2.3).
    #[error("range at sub-identifier {position} of a subtree of {len}")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// The subtree's sub-identifiers.
        len: usize,
    },
}
