//! Limits for the PDUs that a peer sends.

use crate::{DecodeError, DecodeErrorKind, FrameHeader};

/// Limits for the PDUs that a peer sends. RFC 2741 defines none, but a reader needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum length of a PDU's payload, in octets.
    pub payload: u32,
    /// Maximum number of varbinds or search ranges in one PDU.
    pub varbinds: usize,
    /// Maximum length of an octet string (a value, a context or a description), in octets.
    pub octets: usize,
}

impl Default for Limits {
    /// Returns limits of 4 MiB of payload, 16,384 varbinds and 65,535 octets per string (the maximum of RFC 2578 section
    /// 7.1.2).
    fn default() -> Self {
        Self { payload: 4 << 20, varbinds: 16_384, octets: 65_535 }
    }
}

impl Limits {
    pub(crate) fn check_payload(&self, len: u32) -> Result<(), DecodeError> {
        if len <= self.payload {
            return Ok(());
        }
        let kind = DecodeErrorKind::PayloadOverLimit { len, limit: self.payload };
        Err(DecodeError { offset: FrameHeader::PAYLOAD_LEN_AT, kind })
    }
}
