//! What can be wrong with a master.

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use agentx::{Body, Context, Oid, Pdu, ResponseError, SearchRange, Value, VarBind, encode};
use anyhow::Result;

use crate::{Master, Random};

/// One way for a master to fail. The subagent must leave it, or wait, and serve other masters as if nothing were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MasterFault {
    /// Closes the connection before it has answered anything.
    ClosesAtOnce,
    /// Answers Open, and closes the connection.
    ClosesOnceOpen,
    /// Sends random octets.
    Garbage,
    /// Sends whole PDUs with random octets for payloads.
    GarbagePayloads,
    /// Announces more octets than may come.
    AnnouncesTooMuch,
    /// Announces more octets than come, and waits.
    AnnouncesMoreThanComes,
    /// Asks as fast as it can, and reads late.
    Floods,
    /// Asks, and never reads.
    StopsReading,
    /// Takes everything, and answers nothing.
    NeverAnswers,
    /// Refuses every registration.
    RefusesRegistrations,
    /// Uses another session's number.
    AnotherSession,
    /// Writes, and forgets to say so in the end.
    HalfASet,
    /// Ends the session in order.
    EndsSession,
}

impl MasterFault {
    /// All of them.
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

    /// What takes the subagent the most memory.
    pub const HEAVY: [Self; 2] = [Self::StopsReading, Self::Floods];

    /// Does this to the subagent of a new connection, for so long at most. `walked` is what it asks for, if anything.
    ///
    /// # Errors
    /// What the subagent did in return: it may have left.
    pub fn inflict(self, master: &mut Master, walked: &Oid, patience: Duration, random: &mut Random) -> Result<()> {
        let until = Instant::now() + patience;
        master.set_patience(Duration::from_millis(500))?;
        if self == Self::ClosesAtOnce {
            return Ok(());
        }
        if self == Self::NeverAnswers {
            return listen(master, until);
        }
        let open = master.receive()?;
        master.answer(open, ResponseError::NoError)?;
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
                let mut octets = question(master, walked)?;
                announce(&mut octets, u32::MAX - 3);
                master.send_octets(&octets)?;
                listen(master, until)
            }
            Self::AnnouncesMoreThanComes => {
                let mut octets = question(master, walked)?;
                announce(&mut octets, 1 << 19);
                master.send_octets(&octets)?;
                listen(master, until)
            }
            Self::Floods => {
                while Instant::now() < until {
                    let questions = questions(master, walked, 2_000)?;
                    master.send_octets(&questions)?;
                    for _ in 0..1_500 {
                        master.receive()?;
                    }
                }
                Ok(())
            }
            Self::StopsReading => {
                while Instant::now() < until {
                    let questions = questions(master, walked, 2_000)?;
                    if master.send_octets(&questions).is_err() {
                        break;
                    }
                }
                // What the subagent does now cannot be seen without reading.
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
                        master.answer(pdu, error)?;
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

/// Takes what comes until the subagent leaves or the time is over.
fn listen(master: &mut Master, until: Instant) -> Result<()> {
    while Instant::now() < until && master.take_octets()? {}
    Ok(())
}

fn get(name: &Oid) -> Body {
    Body::GetNext(vec![SearchRange { start: name.clone(), include: false, end: Oid::default() }])
}

fn set(name: &Oid) -> VarBind {
    VarBind { name: name.clone(), value: Value::Integer(1) }
}

fn question(master: &mut Master, name: &Oid) -> Result<Vec<u8>> {
    questions(master, name, 1)
}

fn questions(master: &mut Master, name: &Oid, count: usize) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    for _ in 0..count {
        encode(&Pdu { header: master.next_header(), context: Context::default(), body: get(name) }, &mut octets)?;
    }
    Ok(octets)
}

/// The flag of a header that says in which order its bytes are (RFC 2741 section 6.1).
const NETWORK_BYTE_ORDER: u8 = 1 << 4;

/// Makes a PDU's header say that so many octets follow it.
fn announce(octets: &mut [u8], len: u32) {
    let big = octets.get(2).is_some_and(|flags| flags & NETWORK_BYTE_ORDER != 0);
    if let Some(field) = octets.get_mut(16..20) {
        field.copy_from_slice(&if big { len.to_be_bytes() } else { len.to_le_bytes() });
    }
}

/// A PDU of any type whose payload is random.
fn garbage_payload(master: &mut Master, random: &mut Random) -> Result<Vec<u8>> {
    let mut octets = question(master, &Oid::default())?;
    octets.truncate(20);
    let payload = random.octets(4 * random.clone().below(64));
    announce(&mut octets, u32::try_from(payload.len())?);
    if let Some(pdu_type) = octets.get_mut(1) {
        // Not Close, by which it would end the session.
        *pdu_type = random.pick(&[1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 99]).copied().unwrap_or(5);
    }
    octets.extend_from_slice(&payload);
    Ok(octets)
}
