//! Errors that end the processing of a received datagram.

use super::{exchange::Exchange, report::ReportReason, request::PduError};

/// The error of a datagram that is not a request for the dispatcher.
#[derive(Debug)]
pub(super) enum ReceiveError {
    /// The datagram is dropped silently.
    Dropped(DropReason),
    /// The error is reported to the sender, if a Report may be sent to it.
    Reported(ReportReason, Option<Box<Exchange>>),
}

/// The reason why a datagram is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// The datagram is longer than the limit.
    TooLong,
    /// The message cannot be decoded.
    Malformed,
    /// The SNMP version is unknown.
    BadVersion,
    /// The community is unknown, or not allowed from this source.
    BadCommunity,
    /// The security model is unknown.
    UnknownSecurityModel,
    /// The combination of msgFlags is invalid.
    InvalidFlags,
    /// An agent does not serve this type of PDU, or not in this version.
    UnexpectedPdu,
    /// The same request is already being answered.
    Duplicate,
    /// Too many requests are being answered.
    OverLimit,
}

impl From<PduError> for DropReason {
    fn from(error: PduError) -> Self {
        match error {
            PduError::Unexpected => Self::UnexpectedPdu,
            PduError::Malformed => Self::Malformed,
        }
    }
}

impl From<DropReason> for ReceiveError {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}
