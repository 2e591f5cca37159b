//! Errors of decoding and encoding.

use crate::PduType;

/// An error in a frame, with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at octet {offset}: {kind}")]
pub struct DecodeError {
    /// Offset of the wrong field in the frame, from 0. At most the frame's length.
    pub offset: usize,
    /// Kind of error.
    pub kind: DecodeErrorKind,
}

/// Kind of error in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeErrorKind {
    /// A field extends past the end of the frame.
    #[error("the frame ends too early")]
    Truncated,
    /// Octets follow the end of the PDU.
    #[error("{0} octets after the end of the PDU")]
    Trailing(usize),
    /// The version is not 1.
    #[error("version {0} instead of 1")]
    Version(u8),
    /// The RFC does not define this `h.type`.
    #[error("unknown PDU type {0}")]
    UnknownPduType(u8),
    /// The RFC defines the PDU type, but the caller does not accept it here.
    #[error("unexpected PDU type {0:?}")]
    UnexpectedPduType(PduType),
    /// `h.payload_length` is not a multiple of four (RFC 2741 section 6.1).
    #[error("payload length {len} is not a multiple of 4")]
    UnalignedPayload {
        /// The length in the header.
        len: u32,
    },
    /// `h.payload_length` exceeds the limit.
    #[error("payload length {len} exceeds the limit of {limit}")]
    PayloadOverLimit {
        /// The length in the header.
        len: u32,
        /// [`crate::Limits::payload`].
        limit: u32,
    },
    /// The length of the frame differs from its header.
    #[error("payload length {announced}, but {actual} octets follow the header")]
    PayloadMismatch {
        /// The length in the header.
        announced: u32,
        /// The number of octets after the header.
        actual: usize,
    },
    /// An octet string exceeds the limit.
    #[error("octet string of {len} octets exceeds the limit of {limit}")]
    OctetsOverLimit {
        /// Length of the string.
        len: u32,
        /// [`crate::Limits::octets`].
        limit: usize,
    },
    /// The number of varbinds or search ranges exceeds the limit.
    #[error("more than {limit} varbinds or search ranges")]
    TooManyVarBinds {
        /// [`crate::Limits::varbinds`].
        limit: usize,
    },
    /// An OID has more than 128 sub-identifiers, including its prefix (RFC 2578 section 3.5).
    #[error("object identifier with {len} sub-identifiers exceeds the limit of 128")]
    OidTooLong {
        /// Number of sub-identifiers, including the prefix.
        len: usize,
    },
    /// The RFC does not define this `v.type`.
    #[error("unknown value type {0}")]
    UnknownValueType(u16),
    /// An IpAddress is not four octets long.
    #[error("IpAddress of {len} octets instead of 4")]
    IpAddressLength {
        /// Length of the address.
        len: usize,
    },
    /// `r.range_subid` points past the end of the subtree (RFC 2741 section 6.2.3).
    #[error("range at sub-identifier {position} of a subtree with {len} sub-identifiers")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// Number of sub-identifiers of the subtree.
        len: usize,
    },
}

/// An error in a PDU that is encoded. The buffer is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// An OID has more than 128 sub-identifiers.
    #[error("object identifier with {len} sub-identifiers exceeds the limit of 128")]
    OidTooLong {
        /// Number of sub-identifiers.
        len: usize,
    },
    /// The length of an octet string does not fit into 32 bits.
    #[error("octet string of {len} octets is too long")]
    OctetsTooLong {
        /// Length of the string.
        len: usize,
    },
    /// The length of the payload exceeds the limit, or does not fit into 32 bits.
    #[error("payload of {len} octets exceeds the limit of {limit}")]
    PayloadOverLimit {
        /// Length of the payload.
        len: usize,
        /// Maximum length.
        limit: u32,
    },
    /// The PDU has a context, but its type has no context field (RFC 2741 section 6.1.1).
    #[error("{0:?} has no context field")]
    NoContextField(PduType),
    /// The position of a range is 0 or past the end of the subtree (RFC 2741 section 6.2.3).
    #[error("range at sub-identifier {position} of a subtree with {len} sub-identifiers")]
    RangePosition {
        /// The position, from 1.
        position: u8,
        /// Number of sub-identifiers of the subtree.
        len: usize,
    },
}
