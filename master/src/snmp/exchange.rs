//! A request between its arrival and its response.

use agentx::ResponseError;
use bytes::Bytes;

use super::{datagram::Source, envelope::Envelope, message::Version};
use crate::pdu::Operation;

/// Identifies a request. A second request with the same key is a duplicate while the first is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RequestKey {
    pub(crate) from: Source,
    pub(crate) version: Version,
    /// A hash of the community or user name. It prevents a sender from blocking the requests of another.
    pub(crate) sender: u64,
    /// request-id, or msgID in SNMPv3. An SNMPv3 retransmission with a new msgID is a separate request with
    /// a separate response.
    pub(crate) id: i32,
}

/// A request whose sender is authenticated.
#[derive(Debug)]
pub(super) struct AuthenticatedRequest {
    pub(super) key: RequestKey,
    /// The SNMP context.
    pub(super) context: Vec<u8>,
    /// The operation; or the error, and the index from 1 of the varbind that it concerns, if the request is
    /// invalid or the sender is not authorized.
    pub(super) operation: Result<Operation, (ResponseError, u32)>,
    pub(super) exchange: Exchange,
}

/// Everything that is needed to encode the response to a request.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) from: Source,
    pub(super) request_id: i32,
    /// The varbinds of the request. A response with an error repeats them.
    pub(super) varbinds: Bytes,
    /// The longest message that may be sent, in octets.
    pub(super) limit: usize,
    pub(super) envelope: Envelope,
}
