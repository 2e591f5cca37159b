//! The witness: derives from the received PDUs what a session must send, and checks it.

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
    subagent::session::{
        capabilities::Capability,
        machine::{End, OUTPUT_FULL},
        registrations::Registration,
    },
};

/// The limits for PDUs of the master. PDUs of the session may have more varbinds and be a little longer.
const ACCEPTED: Limits = Limits { payload: 1 << 20, varbinds: 16_384, octets: 65_535 };
const SENT: Limits = Limits { payload: 2 << 20, varbinds: 1 << 20, octets: 65_535 };
/// The most PDUs of the master that are handled for one input.
const FRAMES_PER_INPUT: usize = 64;
/// The most unanswered requests of the session, apart from a Close.
const WINDOW: usize = 64;
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Open,
    Closing,
    Over(End),
}

/// A request of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Open,
    Register(Registration),
    Unregister(Registration),
    AddCapability(Capability),
    RemoveCapability,
    Ping,
    Close,
}

/// The state of a region, as far as the session knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegionState {
    Registering,
    Registered,
    Unregistering,
}

/// The required response to a frame.
enum Required {
    Nothing,
    Varbinds(Pdu),
    Error(ResponseError),
    /// One of these errors and indexes, for a step of a SET.
    OneOf([(ResponseError, u16); 2]),
}

#[derive(Debug)]
pub(super) struct Witness {
    pub(super) phase: Phase,
    /// The sessionID.
    pub(super) id: u32,
    pub(super) last_heard: Instant,
    /// Complete PDUs that the session has received but not handled.
    waiting: VecDeque<Vec<u8>>,
    /// The start of the next PDU.
    tail: Vec<u8>,
    /// Whether octets that are not AgentX follow the waiting PDUs.
    broken: bool,
    /// The unanswered requests of the session by packetID.
    pub(super) requests: BTreeMap<u32, Request>,
    regions: BTreeMap<Registration, RegionState>,
    /// The capabilities that were sent and not denied, with the packetID of their PDU.
    capabilities: BTreeMap<Capability, u32>,
    /// The denied capabilities. The session may wait until a region is registered.
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
            requests: BTreeMap::new(),
            regions: BTreeMap::new(),
            capabilities: BTreeMap::new(),
            denied: BTreeSet::new(),
        }
    }

    /// Records octets that the session receives.
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

    /// Returns the length of the frame at this position, if its header is complete.
    fn frame_len(&mut self, at: usize) -> Option<usize> {
        let header = self.tail.get(at..at + FrameHeader::LEN).filter(|_| !self.broken)?;
        let len =
            FrameHeader::parse(header).ok().map(|header| header.payload_len).filter(|len| *len <= ACCEPTED.payload);
        self.broken = len.is_none();
        Some(FrameHeader::LEN + usize::try_from(len?).ok()?)
    }

    /// Returns how many octets of a partial frame are missing at least.
    pub(super) fn missing(&mut self) -> usize {
        if self.tail.is_empty() || self.broken {
            return 0;
        }
        self.frame_len(0).unwrap_or(FrameHeader::LEN) - self.tail.len()
    }

    /// Returns the number of octets that the session holds.
    pub(super) fn backlog(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum::<usize>() + self.tail.len()
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Checks what the session did for one input, in which it appended `sent` to its `pending` octets of output. Returns whether
    /// PDUs may be waiting that it did not handle.
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
                        unreachable!("no Close was sent at the shutdown")
                    };
                    pending += len;
                    assert_eq!(self.requests.insert(header.packet_id, Request::Close), None);
                    self.phase = Phase::Closing;
                }
                Phase::Closing | Phase::Over(_) => {}
            }
        }
        let mut handled = 0;
        let behind = loop {
            if handled == FRAMES_PER_INPUT || pending >= OUTPUT_FULL || matches!(self.phase, Phase::Over(_)) {
                break true;
            }
            let Some(frame) = self.waiting.pop_front() else { break false };
            handled += 1;
            match self.required(&frame) {
                Required::Nothing => {}
                required => {
                    let Some((answer, len)) = sent.pop_front() else { unreachable!("no answer to {frame:?}") };
                    pending += len;
                    check(world, &frame, &required, &answer, len);
                }
            }
        };
        if self.broken && !behind {
            // The tests of the codec check which error it is.
            let error = agentx::DecodeError { offset: 0, kind: agentx::DecodeErrorKind::Truncated };
            self.phase = Phase::Over(End::Garbage(error));
        }
        for (pdu, _) in sent {
            self.record_request(world, pdu, now);
        }
        behind
    }

    /// Returns the required response to a frame, and records what the frame changes.
    fn required(&mut self, frame: &[u8]) -> Required {
        let Ok(FrameHeader { header, pdu_type, .. }) = FrameHeader::parse(frame) else { return Required::Nothing };
        let is_ours = self.phase != Phase::Opening && header.session_id == self.id;
        let pdu = decode(frame, &ACCEPTED);
        match (pdu_type, pdu) {
            (PduType::Response, pdu) => {
                let error = match pdu {
                    Ok(Pdu { body: Body::Response(response), .. }) => response.error,
                    _ => ResponseError::ParseError,
                };
                self.record_response(header, error);
                Required::Nothing
            }
            _ if self.phase == Phase::Closing => Required::Nothing,
            (PduType::Close, pdu) => {
                let reason = match pdu {
                    Ok(Pdu { body: Body::Close(reason), .. }) => reason,
                    _ => CloseReason::Other,
                };
                if is_ours {
                    self.phase = Phase::Over(End::Closed(reason));
                }
                Required::Nothing
            }
            (PduType::CleanupSet, _) => Required::Nothing,
            _ if !is_ours => Required::Error(ResponseError::NotOpen),
            (PduType::Get | PduType::GetNext | PduType::GetBulk, Ok(pdu)) => Required::Varbinds(pdu),
            (PduType::TestSet, Ok(_)) => {
                Required::OneOf([(ResponseError::NoError, 0), (ResponseError::NotWritable, 1)])
            }
            (PduType::CommitSet, Ok(_)) => {
                Required::OneOf([(ResponseError::NoError, 0), (ResponseError::CommitFailed, 0)])
            }
            (PduType::UndoSet, Ok(_)) => Required::OneOf([(ResponseError::NoError, 0), (ResponseError::UndoFailed, 0)]),
            (PduType::Ping, _) => Required::Error(ResponseError::NoError),
            (
                PduType::Get
                | PduType::GetNext
                | PduType::GetBulk
                | PduType::TestSet
                | PduType::CommitSet
                | PduType::UndoSet
                | PduType::Unknown(_),
                _,
            ) => Required::Error(ResponseError::ParseError),
            _ => Required::Error(ResponseError::ProcessingError),
        }
    }

    /// Records a response of the master.
    fn record_response(&mut self, header: Header, error: ResponseError) {
        let Some(request) = self.requests.remove(&header.packet_id) else { return };
        match (request, error) {
            (Request::Open, ResponseError::NoError) => (self.id, self.phase) = (header.session_id, Phase::Open),
            (Request::Open, error) => self.phase = Phase::Over(End::Refused(error)),
            (Request::Close, _) => self.phase = Phase::Over(End::Shutdown),
            (_, ResponseError::NotOpen) => self.phase = Phase::Over(End::Unknown),
            (Request::Register(region), ResponseError::NoError) => {
                self.regions.insert(region, RegionState::Registered);
            }
            (Request::Register(region) | Request::Unregister(region), _) => _ = self.regions.remove(&region),
            (Request::AddCapability(capability), ResponseError::RequestDenied | ResponseError::UnsupportedContext) => {
                if self.capabilities.get(&capability) == Some(&header.packet_id) {
                    self.capabilities.remove(&capability);
                    self.denied.insert(capability);
                }
            }
            (Request::AddCapability(_) | Request::RemoveCapability | Request::Ping, _) => {}
        }
    }

    /// Records a request of the session, and checks that it is needed and allowed.
    fn record_request(&mut self, world: &World, pdu: Pdu, now: Instant) {
        let Pdu { header, context, body } = pdu;
        let context = String::from_utf8(context.0).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(header.session_id, self.id);
        let region = |subtree, range: Option<Range>| {
            let range = range.map(|range| (range.position, range.upper_bound));
            Registration { region: Region { subtree, range }, context: context.clone() }
        };
        let request = match body {
            Body::Open(_) => Request::Open,
            Body::Register(Register { priority, subtree, range, .. }) => {
                assert_eq!(priority, Register::DEFAULT_PRIORITY);
                let region = region(subtree, range);
                assert!(world.wanted().contains(&region), "{region:?} is registered but not wanted");
                let before = self.regions.insert(region.clone(), RegionState::Registering);
                assert_eq!(before, None, "{region:?} is registered twice");
                Request::Register(region)
            }
            Body::Unregister(Unregister { subtree, range, .. }) => {
                let region = region(subtree, range);
                assert!(!world.wanted().contains(&region), "{region:?} is unregistered but wanted");
                let before = self.regions.insert(region.clone(), RegionState::Unregistering);
                assert_eq!(before, Some(RegionState::Registered), "{region:?} is unregistered");
                Request::Unregister(region)
            }
            Body::AddAgentCaps(AddAgentCaps { id, .. }) => {
                let capability = Capability { context, id };
                assert_eq!(self.capabilities.insert(capability.clone(), header.packet_id), None, "added twice");
                self.denied.remove(&capability);
                Request::AddCapability(capability)
            }
            Body::RemoveAgentCaps(RemoveAgentCaps { id }) => {
                let before = self.capabilities.remove(&Capability { context, id });
                assert!(before.is_some(), "removed but not added");
                Request::RemoveCapability
            }
            Body::Ping => {
                assert!(self.requests.is_empty() && now >= self.last_heard + IDLE, "an unnecessary Ping");
                Request::Ping
            }
            other => unreachable!("{other:?} is not a request of a session"),
        };
        let phase = if request == Request::Open { Phase::Opening } else { Phase::Open };
        assert_eq!(self.phase, phase, "{request:?}");
        assert_eq!(self.requests.insert(header.packet_id, request), None, "the packetID of an unanswered request");
        assert!(self.requests.len() <= WINDOW);
    }

    /// Returns whether exactly the wanted regions are registered and all capabilities have been sent.
    pub(super) fn is_settled(&self, world: &World) -> bool {
        let registered = self.regions.iter().filter(|(_, state)| **state == RegionState::Registered);
        self.requests.is_empty()
            && self.regions.len() == registered.clone().count()
            && registered.map(|(region, _)| region).eq(&world.wanted())
            && self.capabilities.keys().all(|sent| world.capabilities().contains(sent))
            && world.capabilities().iter().all(|row| self.capabilities.contains_key(row) || self.denied.contains(row))
    }
}

/// Returns complete PDUs, each with its length.
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

/// Checks the response to a frame; `len` is its length in octets.
fn check(world: &World, frame: &[u8], required: &Required, answer: &Pdu, len: usize) {
    let Body::Response(response) = &answer.body else { unreachable!("no Response: {answer:?} to {frame:?}") };
    let header = FrameHeader::parse(frame).map(|header| header.header);
    assert_eq!((Ok(answer.header), answer.context.is_default()), (header, true), "to {frame:?}");
    match required {
        Required::Nothing => unreachable!("{answer:?} to {frame:?}"),
        Required::Varbinds(request) => return world.check(request, response, len),
        Required::Error(error) => assert_eq!((response.error, response.index), (*error, 0), "to {frame:?}"),
        Required::OneOf(expected) => {
            assert!(expected.contains(&(response.error, response.index)), "{answer:?} to {frame:?}");
        }
    }
    assert!(response.varbinds.is_empty(), "{answer:?} to {frame:?}");
}
