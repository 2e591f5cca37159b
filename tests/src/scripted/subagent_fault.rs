//! The ways in which a scripted subagent fails.

use agentx::{Body, Context, Header, Oid, Pdu, Response, ResponseError, SearchRange, Value, VarBind, encode};
use anyhow::{Result, bail};

use crate::{Mib, Random, ScriptedSubagent};

/// A way in which a subagent fails when it responds to a request. The master must not pass the wrong response on, and
/// must serve everything else as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubagentFault {
    /// Reads the request and sends no response.
    Hangs,
    /// Stops reading.
    StopsReading,
    /// Closes the connection.
    Dies,
    /// Sends half of a response and closes the connection.
    DiesWithinAResponse,
    /// Closes the session and keeps the connection.
    ClosesItsSession,
    /// Sends random octets.
    Garbage,
    /// Sends a complete Response with random octets in it.
    GarbagePayload,
    /// Announces a longer payload than a PDU may have.
    AnnouncesTooMuch,
    /// Leaves out a varbind.
    TooFewVariables,
    /// Repeats a varbind.
    TooManyVariables,
    /// Returns an OID that does not follow the requested one.
    OutOfOrder,
    /// Returns an OID that another subagent serves.
    OidOfAnotherSubagent,
    /// Responds with the packet id of a request that the master did not send.
    AnotherPacket,
    /// Responds with the session id of another session.
    AnotherSession,
    /// Responds with an unknown error code.
    UnknownError,
}

impl SubagentFault {
    /// Responds to a request of the master with this fault. `mib` holds the right values, and `others` is an OID that another
    /// subagent serves. The caller closes the connection on an error.
    pub fn answer(
        self,
        subagent: &mut ScriptedSubagent,
        pdu: &Pdu,
        mib: &Mib,
        others: &Oid,
        random: &mut Random,
    ) -> Result<()> {
        let mut varbinds = mib.varbinds(&pdu.body);
        let header = pdu.header;
        let right = || Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: varbinds.clone() };
        match self {
            Self::Hangs => return Ok(()),
            Self::StopsReading => {
                subagent.wait_for_end_of_test();
                bail!("the test is over")
            }
            Self::Dies => bail!("dies"),
            Self::DiesWithinAResponse => {
                let whole = octets(header, Body::Response(right()))?;
                subagent.send_octets(whole.get(..whole.len() / 2).unwrap_or_default())?;
                bail!("dies")
            }
            Self::ClosesItsSession => {
                let header = subagent.header();
                return subagent.send(header, Context::default(), Body::Close(agentx::CloseReason::Shutdown));
            }
            Self::Garbage => return subagent.send_octets(&random.octets(1_000)),
            Self::GarbagePayload => {
                let mut whole = octets(header, Body::Response(right()))?;
                let noise = random.octets(whole.len());
                // The header and the fixed fields of the Response stay as they are.
                for (octet, noise) in whole.iter_mut().zip(noise).skip(28) {
                    *octet = noise;
                }
                return subagent.send_octets(&whole);
            }
            Self::AnnouncesTooMuch => {
                let mut whole = octets(header, Body::Response(right()))?;
                if let Some(length) = whole.get_mut(16..20) {
                    length.copy_from_slice(&[0x7F; 4]);
                }
                return subagent.send_octets(&whole);
            }
            Self::TooFewVariables => _ = varbinds.pop(),
            Self::TooManyVariables => varbinds.extend(varbinds.last().cloned()),
            Self::OutOfOrder => {
                let before = ranges_of(&pdu.body).first().map(|range| range.start.clone()).unwrap_or_default();
                let name = Oid::new(before.iter().copied().take(before.len().saturating_sub(1)).collect())?;
                set_first(&mut varbinds, name);
            }
            Self::OidOfAnotherSubagent => set_first(&mut varbinds, others.clone()),
            Self::AnotherPacket => {
                let header = Header { packet_id: header.packet_id.wrapping_add(1_000_000), ..header };
                return subagent.respond(header, ResponseError::NoError, varbinds);
            }
            Self::AnotherSession => {
                let header = Header { session_id: header.session_id.wrapping_add(1), ..header };
                return subagent.respond(header, ResponseError::NoError, varbinds);
            }
            Self::UnknownError => return subagent.respond(header, ResponseError::from_code(999), Vec::new()),
        }
        subagent.respond(header, ResponseError::NoError, varbinds)
    }
}

fn set_first(varbinds: &mut [VarBind], name: Oid) {
    if let Some(first) = varbinds.first_mut() {
        *first = VarBind { name, value: Value::Integer(666) };
    }
}

fn ranges_of(request: &Body) -> &[SearchRange] {
    match request {
        Body::Get(ranges) | Body::GetNext(ranges) => ranges,
        Body::GetBulk(bulk) => &bulk.ranges,
        _ => &[],
    }
}

fn octets(header: Header, body: Body) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    encode(&Pdu { header, context: Context::default(), body }, &mut octets)?;
    Ok(octets)
}
