//! What a session must do, told from what it was sent: every PDU, in order, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use agentx::{
    AddAgentCaps, Body, CloseReason, FrameHeader, Header, Limits, Pdu, PduType, Range, Register, RemoveAgentCaps,
    ResponseError, Unregister, decode,
};

use super::world::World;
use crate::{
    mapping::Region,
    session::{Capability, End, Registration, machine::OUTPUT_FULL},
};

/// What the session accepts; its own PDUs may have more varbinds, and be a little longer.
const ACCEPTED: Limits = Limits { payload: 1 << 20, varbinds: 16_384, octets: 65_535 };
const SENT: Limits = Limits { payload: 2 << 20, varbinds: 1 << 20, octets: 65_535 };
/// PDUs of the master that are handled in one step.
const STEP: usize = 64;
/// PDUs of the session that may be unanswered; a Close comes on top.
const WINDOW: usize = 64;
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    Closing,
    Over(End),
}

/// What the session asks of its master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Open,
    Register(Registration),
    Unregister(Registration),
    AddCapability(Capability),
    RemoveCapability,
    Ping,
    Close,
}

/// How a region stands at the master, as far as the session knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asked,
    Granted,
    Leaving,
}

/// What must be answered to a frame.
enum Due {
    Nothing,
    Answer(Pdu),
    Error(ResponseError),
    /// A step of a SET may come to one of these.
    Verdict([(ResponseError, u16); 2]),
}

#[derive(Debug)]
pub(super) struct Witness {
    pub(super) phase: Phase,
    /// The session's number.
    pub(super) id: u32,
    pub(super) last_heard: Instant,
    /// Whole PDUs that the session has received, and not handled.
    waiting: VecDeque<Vec<u8>>,
    /// The beginning of the next.
    tail: Vec<u8>,
    /// Behind what is waiting comes what is no AgentX.
    broken: bool,
    /// PDUs of the session that it has no answer to.
    pub(super) questions: BTreeMap<u32, Question>,
    regions: BTreeMap<Registration, Standing>,
    /// What the master was told and did not deny, and in which PDU.
    capabilities: BTreeMap<Capability, u32>,
    /// What it denied; the session may wait with it until a region is granted.
    denied: BTreeSet<Capability>,
}

impl Witness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Opening,
            id: 0,
            last_heard: now,
            waiting: VecDeque::new(),
            tail: Vec::new(),
            broken: false,
            questions: BTreeMap::new(),
            regions: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            denied: BTreeSet::new(),
        }
    }

    /// The session is given these octets.
    pub(super) fn receive(&mut self, octets: &[u8], now: Instant) {
        self.last_heard = now;
        self.tail.extend_from_slice(octets);
        let mut taken = 0;
        while let Some(len) = self.frame_len(taken)
            && let Some(frame) = self.tail.get(taken..taken + len)
        {
            self.waiting.push_back(frame.to_vec());
            taken += len;
        }
        self.tail.drain(..taken);
    }

    /// The length of the frame that begins here, if that can be known.
    fn frame_len(&mut self, at: usize) -> Option<usize> {
        let header = self.tail.get(at..at + FrameHeader::LEN).filter(|_| !self.broken)?;
        let len =
            FrameHeader::parse(header).ok().map(|header| header.payload_len).filter(|len| *len <= ACCEPTED.payload);
        self.broken = len.is_none();
        Some(FrameHeader::LEN + usize::try_from(len?).ok()?)
    }

    /// How many octets are lacking of a frame that has begun, at least.
    pub(super) fn lacks(&mut self) -> usize {
        if self.tail.is_empty() || self.broken {
            return 0;
        }
        self.frame_len(0).unwrap_or(FrameHeader::LEN) - self.tail.len()
    }

    /// Octets that the session holds.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum::<usize>() + self.tail.len()
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Follows one step of the session, in which it appended `sent` to the `pending` octets that were to be sent.
    /// Whether PDUs may be waiting that it did not come to.
    pub(super) fn follow(
        &mut self,
        world: &World,
        mut pending: usize,
        sent: &[u8],
        shut_down: bool,
        now: Instant,
    ) -> bool {
        let mut sent = pdus(sent);
        if shut_down {
            match self.phase {
                Phase::Opening => self.phase = Phase::Over(End::Shutdown),
                Phase::Open => {
                    let Some((Pdu { body: Body::Close(CloseReason::Shutdown), header, .. }, len)) = sent.pop_front()
                    else {
                        unreachable!("no Close was sent at the end")
                    };
                    pending += len;
                    assert_eq!(self.questions.insert(header.packet_id, Question::Close), None);
                    self.phase = Phase::Closing;
                }
                Phase::Closing | Phase::Over(_) => {}
            }
        }
        let mut handled = 0;
        let behind = loop {
            if handled == STEP || pending >= OUTPUT_FULL || matches!(self.phase, Phase::Over(_)) {
                break true;
            }
            let Some(frame) = self.waiting.pop_front() else { break false };
            handled += 1;
            match self.due(&frame) {
                Due::Nothing => {}
                due => {
                    let Some((answer, len)) = sent.pop_front() else { unreachable!("no answer to {frame:?}") };
                    pending += len;
                    check(world, &frame, &due, &answer, len);
                }
            }
        };
        if self.broken && !behind {
            // Which of the errors it is, the codec's own tests know.
            let error = agentx::DecodeError { offset: 0, kind: agentx::DecodeErrorKind::Truncated };
            self.phase = Phase::Over(End::Garbage(error));
        }
        for (pdu, _) in sent {
            self.ask(world, pdu, now);
        }
        behind
    }

    /// What must be answered to this, and what it changes.
    fn due(&mut self, frame: &[u8]) -> Due {
        let Ok(FrameHeader { header, pdu_type, .. }) = FrameHeader::parse(frame) else { return Due::Nothing };
        let is_ours = self.phase != Phase::Opening && header.session_id == self.id;
        let pdu = decode(frame, &ACCEPTED);
        match (pdu_type, pdu) {
            (PduType::Response, pdu) => {
                let error = match pdu {
                    Ok(Pdu { body: Body::Response(response), .. }) => response.error,
                    _ => ResponseError::ParseError,
                };
                self.answered(header, error);
                Due::Nothing
            }
            _ if self.phase == Phase::Closing => Due::Nothing,
            (PduType::Close, pdu) => {
                let reason = match pdu {
                    Ok(Pdu { body: Body::Close(reason), .. }) => reason,
                    _ => CloseReason::Other,
                };
                if is_ours {
                    self.phase = Phase::Over(End::Closed(reason));
                }
                Due::Nothing
            }
            (PduType::CleanupSet, _) => Due::Nothing,
            _ if !is_ours => Due::Error(ResponseError::NotOpen),
            (PduType::Get | PduType::GetNext | PduType::GetBulk, Ok(pdu)) => Due::Answer(pdu),
            (PduType::TestSet, Ok(_)) => Due::Verdict([(ResponseError::NoError, 0), (ResponseError::NotWritable, 1)]),
            (PduType::CommitSet, Ok(_)) => {
                Due::Verdict([(ResponseError::NoError, 0), (ResponseError::CommitFailed, 0)])
            }
            (PduType::UndoSet, Ok(_)) => Due::Verdict([(ResponseError::NoError, 0), (ResponseError::UndoFailed, 0)]),
            (PduType::Ping, _) => Due::Error(ResponseError::NoError),
            (
                PduType::Get
                | PduType::GetNext
                | PduType::GetBulk
                | PduType::TestSet
                | PduType::CommitSet
                | PduType::UndoSet
                | PduType::Unknown(_),
                _,
            ) => Due::Error(ResponseError::ParseError),
            _ => Due::Error(ResponseError::ProcessingError),
        }
    }

    /// The master has answered.
    fn answered(&mut self, header: Header, error: ResponseError) {
        let Some(question) = self.questions.remove(&header.packet_id) else { return };
        match (question, error) {
            (Question::Open, ResponseError::NoError) => (self.id, self.phase) = (header.session_id, Phase::Open),
            (Question::Open, error) => self.phase = Phase::Over(End::Refused(error)),
            (Question::Close, _) => self.phase = Phase::Over(End::Shutdown),
            (_, ResponseError::NotOpen) => self.phase = Phase::Over(End::Unknown),
            (Question::Register(region), ResponseError::NoError) => {
                self.regions.insert(region, Standing::Granted);
            }
            (Question::Register(region) | Question::Unregister(region), _) => _ = self.regions.remove(&region),
            (Question::AddCapability(capability), ResponseError::RequestDenied | ResponseError::UnsupportedContext) => {
                if self.capabilities.get(&capability) == Some(&header.packet_id) {
                    self.capabilities.remove(&capability);
                    self.denied.insert(capability);
                }
            }
            (Question::AddCapability(_) | Question::RemoveCapability | Question::Ping, _) => {}
        }
    }

    /// The session asks for something: only what it needs, and only when it may.
    fn ask(&mut self, world: &World, pdu: Pdu, now: Instant) {
        let Pdu { header, context, body } = pdu;
        let context = String::from_utf8(context.0).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(header.session_id, self.id);
        let region = |subtree, range: Option<Range>| {
            let range = range.map(|range| (range.position, range.upper_bound));
            Registration { region: Region { subtree, range }, context: context.clone() }
        };
        let question = match body {
            Body::Open(_) => Question::Open,
            Body::Register(Register { priority, subtree, range, .. }) => {
                assert_eq!(priority, Register::DEFAULT_PRIORITY);
                let region = region(subtree, range);
                assert!(world.wanted().contains(&region), "{region:?} is registered, and not wanted");
                let before = self.regions.insert(region.clone(), Standing::Asked);
                assert_eq!(before, None, "{region:?} is registered once more");
                Question::Register(region)
            }
            Body::Unregister(Unregister { subtree, range, .. }) => {
                let region = region(subtree, range);
                assert!(!world.wanted().contains(&region), "{region:?} is given up, and wanted");
                let before = self.regions.insert(region.clone(), Standing::Leaving);
                assert_eq!(before, Some(Standing::Granted), "{region:?} is given up");
                Question::Unregister(region)
            }
            Body::AddAgentCaps(AddAgentCaps { id, .. }) => {
                let capability = Capability { context, id };
                assert_eq!(self.capabilities.insert(capability.clone(), header.packet_id), None, "added twice");
                self.denied.remove(&capability);
                Question::AddCapability(capability)
            }
            Body::RemoveAgentCaps(RemoveAgentCaps { id }) => {
                let before = self.capabilities.remove(&Capability { context, id });
                assert!(before.is_some(), "removed, and not there");
                Question::RemoveCapability
            }
            Body::Ping => {
                assert!(self.questions.is_empty() && now >= self.last_heard + IDLE, "a Ping that nobody needs");
                Question::Ping
            }
            other => unreachable!("{other:?} is nothing that a session sends by itself"),
        };
        let phase = if question == Question::Open { Phase::Opening } else { Phase::Open };
        assert_eq!(self.phase, phase, "{question:?}");
        assert_eq!(self.questions.insert(header.packet_id, question), None, "a packetID of a PDU that is not answered");
        assert!(self.questions.len() <= WINDOW);
    }

    /// Whether the master has granted everything that is wanted, and nothing else, and knows what it implements.
    pub(super) fn is_settled(&self, world: &World) -> bool {
        let granted = self.regions.iter().filter(|(_, standing)| **standing == Standing::Granted);
        self.questions.is_empty()
            && self.regions.len() == granted.clone().count()
            && granted.map(|(region, _)| region).eq(&world.wanted())
            && self.capabilities.keys().all(|told| world.capabilities().contains(told))
            && world.capabilities().iter().all(|row| self.capabilities.contains_key(row) || self.denied.contains(row))
    }
}

/// Whole PDUs, each with its length.
fn pdus(mut octets: &[u8]) -> VecDeque<(Pdu, usize)> {
    let mut pdus = VecDeque::new();
    while !octets.is_empty() {
        let header = FrameHeader::parse(octets).unwrap_or_else(|error| unreachable!("{error} in {octets:?}"));
        let len = FrameHeader::LEN + header.payload_len as usize;
        let (frame, rest) = octets.split_at_checked(len).unwrap_or_else(|| unreachable!("half a PDU: {octets:?}"));
        let pdu = decode(frame, &SENT).unwrap_or_else(|error| unreachable!("{error} in {frame:?}"));
        pdus.push_back((pdu, len));
        octets = rest;
    }
    pdus
}

/// Checks the answer, of so many octets, to a frame.
fn check(world: &World, frame: &[u8], due: &Due, answer: &Pdu, len: usize) {
    let Body::Response(response) = &answer.body else { unreachable!("no Response: {answer:?} to {frame:?}") };
    let header = FrameHeader::parse(frame).map(|header| header.header);
    assert_eq!((Ok(answer.header), answer.context.is_default()), (header, true), "to {frame:?}");
    match due {
        Due::Nothing => unreachable!("{answer:?} to {frame:?}"),
        Due::Answer(request) => return world.check(request, response, len),
        Due::Error(error) => assert_eq!((response.error, response.index), (*error, 0), "to {frame:?}"),
        Due::Verdict(verdicts) => {
            assert!(verdicts.contains(&(response.error, response.index)), "{answer:?} to {frame:?}");
        }
    }
    assert!(response.varbinds.is_empty(), "{answer:?} to {frame:?}");
}
