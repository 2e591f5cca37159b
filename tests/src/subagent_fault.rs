//! What can be wrong with a subagent.

use agentx::{Body, Context, Header, Oid, Pdu, Response, ResponseError, SearchRange, Value, VarBind, encode};
use anyhow::{Result, bail};

use crate::{Mib, Random, Subagent};

/// One way for a subagent to fail in its answer to a request. The master must let nobody else feel it, and hand on
/// nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubagentFault {
    /// Reads, and answers nothing.
    Hangs,
    /// Takes nothing any more.
    StopsReading,
    /// Closes the connection.
    Dies,
    /// Begins an answer, and closes the connection.
    DiesInAnAnswer,
    /// Closes the session, and stays.
    ClosesItsSession,
    /// Random octets.
    Garbage,
    /// A whole Response with random octets in it.
    GarbagePayload,
    /// Announces more octets than may come.
    AnnouncesTooMuch,
    /// One variable too few.
    TooFewVariables,
    /// One variable too many.
    TooManyVariables,
    /// A name that does not follow the one that was asked for.
    OutOfOrder,
    /// A name of somebody else's.
    AnothersName,
    /// The answer to a request that nobody made.
    AnotherPacket,
    /// In the name of a session that is not its own.
    AnotherSession,
    /// An error that there is not.
    UnknownError,
}

impl SubagentFault {
    /// Answers a request of the master's in this way. `mib` is what would be right, `others` a name that somebody else
    /// serves. An error ends the connection.
    pub fn answer(
        self,
        subagent: &mut Subagent,
        pdu: &Pdu,
        mib: &Mib,
        others: &Oid,
        random: &mut Random,
    ) -> Result<()> {
        let mut varbinds = mib.answer(&pdu.body);
        let header = pdu.header;
        let right = || Response { sys_up_time: 0, error: ResponseError::NoError, index: 0, varbinds: varbinds.clone() };
        match self {
            Self::Hangs => return Ok(()),
            Self::StopsReading => {
                subagent.wait_for_the_end();
                bail!("the test is over")
            }
            Self::Dies => bail!("dies"),
            Self::DiesInAnAnswer => {
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
                // Behind the header and the Response's own fields.
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
                let before = asked(&pdu.body).first().map(|range| range.start.clone()).unwrap_or_default();
                let name = Oid::new(before.iter().copied().take(before.len().saturating_sub(1)).collect())?;
                set_first(&mut varbinds, name);
            }
            Self::AnothersName => set_first(&mut varbinds, others.clone()),
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

fn asked(request: &Body) -> &[SearchRange] {
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
