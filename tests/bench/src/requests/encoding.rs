//! Encoding of a Response with 100 varbinds, by our codec and by the `agentx` crate.

use std::hint::black_box;

use agentx::{ByteOrder, Header, ResponseEncoder, ResponseError, SubId, ValueRef};
use agentx_peer::{encodings as peer, pdu::Response as PeerResponse};
use anyhow::{Context, Result};

use crate::peers::objects::Objects;

/// The number of varbinds in the Response.
pub const VARIABLES: u32 = 100;

const HEADER: Header = Header { byte_order: ByteOrder::Little, session_id: 1, transaction_id: 2, packet_id: 3 };

/// Returns the OIDs and values to encode.
#[must_use]
pub fn variables() -> Vec<(Vec<SubId>, u64)> {
    (1..=VARIABLES).map(|row| (Objects::cell(0, row), u64::from(row) << 20)).collect()
}

/// Encodes with our codec into a reused buffer.
///
/// # Errors
/// Returns an error if it cannot be encoded.
pub fn ours(variables: &[(Vec<SubId>, u64)], buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    let mut response = ResponseEncoder::begin(buffer, HEADER, 0);
    for (name, number) in variables {
        response.varbind(black_box(name), ValueRef::Counter64(*number))?;
    }
    Ok(response.finish(ResponseError::NoError, 0)?)
}

/// Returns the Response of the `agentx` crate with the same OIDs and values.
///
/// # Errors
/// Returns an error if the `agentx` crate refuses an OID.
pub fn peer_response(variables: &[(Vec<SubId>, u64)]) -> Result<PeerResponse> {
    let mut varbinds = Vec::with_capacity(variables.len());
    for (name, number) in variables {
        let name = peer::ID::try_from(name.clone()).ok().context("the agentx crate refuses a name")?;
        varbinds.push(peer::VarBind::new(name, peer::Value::Counter64(*number)));
    }
    let mut response = PeerResponse::new();
    response.vb = Some(peer::VarBindList(varbinds));
    Ok(response)
}

/// Encodes the Response of the `agentx` crate.
///
/// # Errors
/// Returns an error if it cannot be encoded.
pub fn peer(response: &mut PeerResponse) -> Result<Vec<u8>> {
    response.to_bytes().ok().context("the agentx crate cannot encode")
}
