//! The ways in which a scripted master fails.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use agentx::{Body, Context, Oid, Pdu, ResponseError, SearchRange, Value, VarBind, encode};
use anyhow::Result;

use crate::{Random, ScriptedMaster};

/// A way in which a master fails. The subagent must disconnect from it or wait, and serve its other masters as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MasterFault {
    /// Closes the connection before its first response.
    ClosesAtOnce,
    /// Responds to Open and closes the connection.
    ClosesOnceOpen,
    /// Sends random octets.
    Garbage,
    /// Sends complete PDUs with random octets as payloads.
    GarbagePayloads,
    /// Announces a longer payload than a PDU may have.
    AnnouncesTooMuch,
    /// Announces a longer payload than it sends, and waits.
    AnnouncesMoreThanComes,
    /// Sends requests as fast as it can, and reads the responses late.
    Floods,
    /// Sends requests and never reads.
    StopsReading,
    /// Reads everything and sends nothing.
    NeverAnswers,
    /// Refuses every registration.
    RefusesRegistrations,
    /// Uses the session id of another session.
    AnotherSession,
    /// Commits a SET and starts another without CleanupSet.
    HalfASet,
    /// Closes the session with a Close PDU.
    EndsSession,
}

impl MasterFault {
    /// All faults.
    pub const ALL: [Self; 13] = [
        Self::Floods,
        Self::StopsReading,
        Self::GarbagePayloads,
        Self::AnnouncesMoreThanComes,
        Self::AnnouncesTooMuch,
        Self::Garbage,
        Self::ClosesAtOnce,
        Self::ClosesOnceOpen,
        Self::NeverAnswers,
        Self::RefusesRegistrations,
        Self::AnotherSession,
        Self::HalfASet,
        Self::EndsSession,
    ];

    /// The faults that cost the subagent the most memory.
    pub const HEAVY: [Self; 2] = [Self::StopsReading, Self::Floods];

    /// Applies this fault to the subagent of a new connection, for `duration` at most. Requests ask for `walked`.
    ///
    /// # Errors
    /// Returns an error if the subagent closes the connection, which it may do.
    pub fn inflict(
        self,
        master: &mut ScriptedMaster,
        walked: &Oid,
        duration: Duration,
        random: &mut Random,
    ) -> Result<()> {
        let until = Instant::now() + duration;
        master.set_timeout(Duration::from_millis(500))?;
        if self == Self::ClosesAtOnce {
            return Ok(());
        }
        if self == Self::NeverAnswers {
            return listen(master, until);
        }
        let open = master.receive()?;
        master.respond(&open, ResponseError::NoError)?;
        match self {
            Self::ClosesAtOnce | Self::ClosesOnceOpen | Self::NeverAnswers => Ok(()),
            Self::Garbage => {
                let octets = random.octets(100_000);
                master.send_octets(&octets)?;
                listen(master, until)
            }
            Self::GarbagePayloads => {
                for _ in 0..2_000 {
                    let octets = garbage_payload(master, random)?;
                    master.send_octets(&octets)?;
                }
                listen(master, until)
            }
            Self::AnnouncesTooMuch => {
                let mut octets = request(master, walked)?;
                announce(&mut octets, u32::MAX - 3);
                master.send_octets(&octets)?;
                listen(master, until)
            }
            Self::AnnouncesMoreThanComes => {
                let mut octets = request(master, walked)?;
                announce(&mut octets, 1 << 19);
                master.send_octets(&octets)?;
                listen(master, until)
            }
            Self::Floods => {
                while Instant::now() < until {
                    let requests = requests(master, walked, 2_000)?;
                    master.send_octets(&requests)?;
                    for _ in 0..1_500 {
                        master.receive()?;
                    }
                }
                Ok(())
            }
            Self::StopsReading => {
                while Instant::now() < until {
                    let requests = requests(master, walked, 2_000)?;
                    if master.send_octets(&requests).is_err() {
                        break;
                    }
                }
                // Without reading, the master cannot notice what the subagent does now.
                thread::sleep(until.saturating_duration_since(Instant::now()));
                Ok(())
            }
            Self::RefusesRegistrations => {
                let errors = [
                    ResponseError::DuplicateRegistration,
                    ResponseError::RequestDenied,
                    ResponseError::UnsupportedContext,
                    ResponseError::Unknown(999),
                ];
                while Instant::now() < until {
                    if let Ok(pdu) = master.receive() {
                        let error = random.pick(&errors).copied().unwrap_or(ResponseError::GenErr);
                        master.respond(&pdu, error)?;
                    }
                }
                Ok(())
            }
            Self::AnotherSession => {
                for _ in 0..1_000 {
                    let mut header = master.next_header();
                    header.session_id = header.session_id.wrapping_add(1);
                    master.send(header, Context::default(), get(walked))?;
                }
                listen(master, until)
            }
            Self::HalfASet => {
                for step in [Body::TestSet(vec![set(walked)]), Body::CommitSet, Body::TestSet(vec![set(walked)])] {
                    let header = master.next_header();
                    master.send(header, Context::default(), step)?;
                }
                listen(master, until)
            }
            Self::EndsSession => {
                let header = master.next_header();
                master.send(header, Context::default(), Body::Close(agentx::CloseReason::ByManager))?;
                listen(master, until)
            }
        }
    }
}

impl fmt::Display for MasterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "master: {self:?}")
    }
}

/// Reads and discards octets until the subagent disconnects or the time is over.
fn listen(master: &mut ScriptedMaster, until: Instant) -> Result<()> {
    while Instant::now() < until && master.discard_octets()? {}
    Ok(())
}

fn get(name: &Oid) -> Body {
    Body::GetNext(vec![SearchRange { start: name.clone(), include: false, end: Oid::default() }])
}

fn set(name: &Oid) -> VarBind {
    VarBind { name: name.clone(), value: Value::Integer(1) }
}

fn request(master: &mut ScriptedMaster, name: &Oid) -> Result<Vec<u8>> {
    requests(master, name, 1)
}

fn requests(master: &mut ScriptedMaster, name: &Oid, count: usize) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    for _ in 0..count {
        encode(&Pdu { header: master.next_header(), context: Context::default(), body: get(name) }, &mut octets)?;
    }
    Ok(octets)
}

/// The header flag for network byte order (RFC 2741 section 6.1).
const NETWORK_BYTE_ORDER: u8 = 1 << 4;

/// Sets the payload length in the header of a PDU.
fn announce(octets: &mut [u8], len: u32) {
    let big = octets.get(2).is_some_and(|flags| flags & NETWORK_BYTE_ORDER != 0);
    if let Some(field) = octets.get_mut(16..20) {
        field.copy_from_slice(&if big { len.to_be_bytes() } else { len.to_le_bytes() });
    }
}

/// Returns a PDU of a random type with a random payload.
fn garbage_payload(master: &mut ScriptedMaster, random: &mut Random) -> Result<Vec<u8>> {
    let mut octets = request(master, &Oid::default())?;
    octets.truncate(20);
    let payload = random.octets(4 * random.clone().below(64));
    announce(&mut octets, u32::try_from(payload.len())?);
    if let Some(pdu_type) = octets.get_mut(1) {
        // Every type but Close, which would end the session.
        *pdu_type = random.pick(&[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 99]).copied().unwrap_or(5);
    }
    octets.extend_from_slice(&payload);
    Ok(octets)
}
