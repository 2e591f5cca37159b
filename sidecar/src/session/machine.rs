//! One session with one master as a state machine: octets and time in, octets out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{
    AddAgentCaps, Body, ByteOrder, CloseReason, Context, DecodeError, FrameHeader, Framer, Header, Limits, Oid, Open,
    Pdu, PduType, Range, Register, RemoveAgentCaps, RequestRef, ResponseEncoder, ResponseError, ResponseRef,
    Unregister, decode,
};

use super::{
    Capabilities, Capability, Catalogue, Command, Counters, Declaration, Exports, Jitter, Output, Progress, Region,
    Registration, Registrations, Responder, SetTransaction, Step,
};

/// A master that has said nothing for this long is asked whether it is there.
const IDLE: Duration = Duration::from_secs(5);
/// Once it has been asked anything and then says nothing at all for this long, it is gone. With [`IDLE`] a half-open
/// connection is noticed in 13 s.
const SILENCE: Duration = Duration::from_secs(8);
/// A master that goes on talking, but does not answer, is given up after this long.
const ANSWER: Duration = Duration::from_secs(60);
/// A master that has taken none of what is to be sent for this long does not read.
const STALLED: Duration = Duration::from_secs(10);
/// How long a Close may wait for its answer.
const CLOSING: Duration = Duration::from_millis(800);
/// How many PDUs of ours may be unanswered at a time.
const WINDOW: usize = 64;
/// How many PDUs of the master are handled in one step.
const FRAMES_PER_STEP: usize = 64;
/// With this much to be sent, in octets, nothing more is answered until the master reads.
const OUTPUT_FULL: usize = 1 << 20;
/// With this much received and not answered, in octets, the master is one that only writes.
const BACKLOG_FULL: usize = 4 << 20;

/// What is accepted from a master. Its requests come from SNMP messages of 64 KiB at most.
const LIMITS: Limits = Limits { payload: 1 << 20, varbinds: 16_384, octets: 65_535 };

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets came.
    Received(&'a [u8]),
    /// Something else is to be served.
    Exports(Exports),
    /// Nothing but time: the moment of [`Session::wakeup`] has come, or PDUs are waiting ([`Session::is_behind`]).
    Time,
    /// The session is to end.
    Shutdown,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The master has not answered Open yet.
    Opening,
    /// The master may ask.
    Open {
        /// Since then.
        since: Instant,
    },
    /// Close has been sent.
    Closing {
        /// The connection is closed then, even without an answer.
        until: Instant,
    },
    /// Over: the connection is to be closed.
    Ended(End),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// We were told to.
    #[error("shut down")]
    Shutdown,
    /// The master closed the session.
    #[error("the master closed the session: {0:?}")]
    Closed(CloseReason),
    /// The master did not open a session.
    #[error("the master did not open a session: {0:?}")]
    Refused(ResponseError),
    /// The master no longer knows the session.
    #[error("the master no longer knows the session")]
    Unknown,
    /// The master did not answer in time.
    #[error("the master does not answer")]
    Silent,
    /// The master takes nothing of what is sent to it.
    #[error("the master does not read")]
    NotReading,
    /// What the master sent is no AgentX.
    #[error("the master sent what is no AgentX: {0}")]
    Garbage(DecodeError),
}

/// A PDU of ours that the master has not answered.
#[derive(Debug)]
struct Awaited {
    packet_id: u32,
    sent: Instant,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Open,
    Register(Registration),
    Unregister(Registration),
    Capability,
    Ping,
    Close,
}

/// One session on one connection, for all contexts: with two sessions on a connection snmpd mixes up their ids.
///
/// Give it every [`Input`], send what is in [`Session::output`], come back at [`Session::wakeup`], and close the
/// connection once it is [`State::Ended`]. It never blocks, and holds at most some megabytes whatever the master does.
pub struct Session {
    state: State,
    session_id: u32,
    packet_id: u32,
    catalogue: Catalogue,
    registrations: Registrations,
    capabilities: Capabilities,
    awaited: VecDeque<Awaited>,
    responder: Responder,
    set: SetTransaction,
    recent: Recent,
    framer: Framer,
    /// Octets that the framer holds.
    backlog: usize,
    behind: bool,
    output: Output,
    /// How much had been sent in all when that last changed, and when that was; none while nothing is to be sent.
    progress: Option<(u64, Instant)>,
    last_heard: Instant,
    jitter: Jitter,
    counters: Arc<Counters>,
    revision: u64,
}

/// The packetIDs of the last requests.
#[derive(Debug, Default)]
struct Recent {
    ids: [Option<u32>; 16],
    next: usize,
}

impl Recent {
    /// Whether it was there already; it is then.
    fn repeats(&mut self, packet_id: u32) -> bool {
        if self.ids.contains(&Some(packet_id)) {
            return true;
        }
        if let Some(id) = self.ids.get_mut(self.next) {
            *id = Some(packet_id);
        }
        self.next = (self.next + 1) % self.ids.len();
        false
    }
}

impl Session {
    /// A session on a new connection. The Open is ready to be sent; `description` is shown by the master.
    #[must_use]
    pub fn new(description: &str, exports: &Exports, jitter: Jitter, counters: Arc<Counters>, now: Instant) -> Self {
        let mut session = Self {
            state: State::Opening,
            session_id: 0,
            packet_id: 0,
            catalogue: Catalogue::default(),
            registrations: Registrations::default(),
            capabilities: Capabilities::default(),
            awaited: VecDeque::new(),
            responder: Responder::default(),
            set: SetTransaction::default(),
            recent: Recent::default(),
            framer: Framer::new(LIMITS),
            backlog: 0,
            behind: false,
            output: Output::default(),
            progress: None,
            last_heard: now,
            jitter,
            counters,
            revision: 0,
        };
        session.serve(exports);
        let open = Open { timeout_s: 0, id: Oid::default(), description: description.as_bytes().to_vec() };
        session.ask(Context::default(), Body::Open(open), Asked::Open, now);
        session
    }

    /// Takes one input. At most 64 PDUs of the master are handled: where more are waiting,
    /// [`Session::is_behind`] says so.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        match input {
            Input::Received(octets) => {
                self.last_heard = now;
                self.backlog = self.backlog.saturating_add(octets.len());
                self.framer.feed(octets);
            }
            Input::Exports(exports) => self.serve(&exports),
            Input::Shutdown => self.shut_down(now),
            Input::Time => {}
        }
        self.take_frames(now);
        self.watch_time(now);
        self.send_commands(now);
    }

    /// What is to be sent. Tell it what has been.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether whole PDUs may be waiting that could be handled at once: then give [`Input::Time`] before reading on.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind && self.output.pending().len() < OUTPUT_FULL
    }

    /// Whether PDUs are waiting that will be handled once some of what is to be sent has been.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.behind && self.output.pending().len() >= OUTPUT_FULL
    }

    /// When to give [`Input::Time`] at the latest: later than the last input. It may come earlier, and never harms.
    #[must_use]
    pub fn wakeup(&self) -> Option<Instant> {
        let silence = self.awaited.front().map(|oldest| self.patience(oldest));
        let stalled = self.progress.map(|(_, at)| at + STALLED);
        let own = match self.state {
            State::Ended(_) => return None,
            State::Closing { until } => return Some(until),
            State::Open { .. } if self.awaited.is_empty() && self.may_ask() => Some(self.last_heard + IDLE),
            State::Open { .. } | State::Opening => None,
        };
        let retry = self.registrations.deadline().filter(|_| self.may_ask());
        [silence, stalled, own, retry].into_iter().flatten().min()
    }

    /// How far the session has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// All registrations, and how far they have come.
    pub fn registrations(&self) -> impl Iterator<Item = (&Registration, Progress)> {
        self.registrations.iter()
    }

    /// Changes whenever the state or the registrations may have changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended(end);
        self.revision += 1;
    }

    fn serve(&mut self, exports: &Exports) {
        self.catalogue = Catalogue::new(exports);
        let registrations: BTreeSet<Registration> = exports
            .iter()
            .flat_map(|export| {
                let context = &export.context;
                let regions = export.regions.iter().cloned();
                regions.map(move |region| Registration { region, context: context.clone() })
            })
            .collect();
        self.registrations.want(&registrations);
        let capabilities: BTreeMap<Capability, String> = exports
            .iter()
            .filter_map(|export| {
                let row = Capability { context: export.context.clone(), id: export.base.clone() };
                Some((row, export.capabilities.clone()?))
            })
            .collect();
        self.capabilities.want(capabilities);
        self.revision += 1;
    }

    fn shut_down(&mut self, now: Instant) {
        match self.state {
            State::Open { .. } => {
                self.ask(Context::default(), Body::Close(CloseReason::Shutdown), Asked::Close, now);
                self.state = State::Closing { until: now + CLOSING };
                self.revision += 1;
            }
            State::Opening => self.end(End::Shutdown),
            State::Closing { .. } | State::Ended(_) => {}
        }
    }

    /// When the master has had enough time for this answer.
    fn patience(&self, awaited: &Awaited) -> Instant {
        (self.last_heard.max(awaited.sent) + SILENCE).min(awaited.sent + ANSWER)
    }

    fn watch_time(&mut self, now: Instant) {
        let sent = self.output.total();
        self.progress = match self.progress {
            _ if self.output.is_empty() => None,
            Some((total, at)) if total == sent => Some((total, at)),
            _ => Some((sent, now)),
        };
        match self.state {
            State::Ended(_) => {}
            State::Closing { until } if now >= until => self.end(End::Shutdown),
            State::Closing { .. } => {}
            State::Opening | State::Open { .. } => {
                if self.backlog > BACKLOG_FULL || self.progress.is_some_and(|(_, at)| now >= at + STALLED) {
                    self.end(End::NotReading);
                } else if self.awaited.front().is_some_and(|oldest| now >= self.patience(oldest)) {
                    self.end(End::Silent);
                }
            }
        }
    }

    /// Whether another PDU of ours may be sent now.
    fn may_ask(&self) -> bool {
        matches!(self.state, State::Open { .. })
            && self.awaited.len() < WINDOW
            && self.output.pending().len() < OUTPUT_FULL
    }

    /// Sends what is to be told: capabilities, what is no longer wanted, what is; a Ping if there is nothing else.
    fn send_commands(&mut self, now: Instant) {
        while self.may_ask() {
            if let Some(declaration) = self.capabilities.next() {
                let (context, body) = match declaration {
                    Declaration::Add(Capability { context, id }, description) => {
                        (context, Body::AddAgentCaps(AddAgentCaps { id, description: description.into_bytes() }))
                    }
                    Declaration::Remove(Capability { context, id }) => {
                        (context, Body::RemoveAgentCaps(RemoveAgentCaps { id }))
                    }
                };
                self.ask(context.as_str().into(), body, Asked::Capability, now);
                continue;
            }
            let Some(command) = self.registrations.next(now) else { break };
            self.revision += 1;
            let (registration, body, asked): (_, fn(&Region) -> Body, fn(Registration) -> Asked) = match command {
                Command::Register(registration) => (registration, register, Asked::Register),
                Command::Unregister(registration) => (registration, unregister, Asked::Unregister),
            };
            let context = registration.context.as_str().into();
            self.ask(context, body(&registration.region), asked(registration), now);
        }
        if self.may_ask() && self.awaited.is_empty() && now >= self.last_heard + IDLE {
            self.ask(Context::default(), Body::Ping, Asked::Ping, now);
        }
    }

    /// Sends a PDU of ours, and remembers it until it is answered.
    fn ask(&mut self, context: Context, body: Body, asked: Asked, now: Instant) {
        self.packet_id = self.packet_id.wrapping_add(1);
        let packet_id = self.packet_id;
        let header =
            Header { byte_order: ByteOrder::Big, session_id: self.session_id, transaction_id: packet_id, packet_id };
        match agentx::encode(&Pdu { header, context, body }, self.output.buf()) {
            Ok(()) => self.awaited.push_back(Awaited { packet_id, sent: now, asked }),
            // What cannot even be written (a range outside its subtree) is as good as refused.
            Err(_) => self.answered(asked, ResponseError::ProcessingError, self.session_id, now),
        }
    }

    fn take_frames(&mut self, now: Instant) {
        // The framer is set aside, as a frame borrows from it while the session changes.
        let mut framer = std::mem::replace(&mut self.framer, Framer::new(LIMITS));
        self.behind = true;
        for _ in 0..FRAMES_PER_STEP {
            if matches!(self.state, State::Ended(_)) || self.output.pending().len() >= OUTPUT_FULL {
                break;
            }
            match framer.next_frame() {
                Ok(Some(frame)) => {
                    self.backlog = self.backlog.saturating_sub(frame.len());
                    self.take_frame(frame, now);
                }
                Ok(None) => {
                    self.behind = false;
                    break;
                }
                Err(error) => {
                    self.counters.decode_errors.one();
                    self.end(End::Garbage(error));
                }
            }
        }
        self.framer = framer;
    }

    fn take_frame(&mut self, frame: &[u8], now: Instant) {
        let Ok(FrameHeader { header, pdu_type, .. }) = FrameHeader::parse(frame) else { return };
        let ours = header.session_id == self.session_id && !matches!(self.state, State::Opening);
        match pdu_type {
            PduType::Response => self.take_response(header, frame, now),
            // After our Close the master waits for no answer to what it asked before.
            _ if matches!(self.state, State::Closing { .. }) => {}
            PduType::Close | PduType::CleanupSet if !ours => self.counters.unexpected.one(),
            PduType::Close => self.end(End::Closed(match decode(frame, &LIMITS) {
                Ok(Pdu { body: Body::Close(reason), .. }) => reason,
                _ => CloseReason::Other,
            })),
            _ if !ours => {
                self.counters.unexpected.one();
                self.respond(header, ResponseError::NotOpen, 0);
            }
            PduType::Get | PduType::GetNext | PduType::GetBulk => match RequestRef::parse(frame, &LIMITS) {
                Ok(request) => {
                    self.count_request(header);
                    self.responder.answer(&self.catalogue, &request, self.output.buf(), &self.counters);
                }
                Err(_) => self.refuse_unreadable(header),
            },
            PduType::TestSet | PduType::CommitSet | PduType::UndoSet | PduType::CleanupSet => {
                self.take_set_step(header, frame);
            }
            PduType::Ping => self.respond(header, ResponseError::NoError, 0),
            PduType::Unknown(_) => self.refuse_unreadable(header),
            _ => {
                self.counters.unexpected.one();
                self.respond(header, ResponseError::ProcessingError, 0);
            }
        }
    }

    fn count_request(&mut self, header: Header) {
        self.counters.requests.one();
        if self.recent.repeats(header.packet_id) {
            self.counters.resends.one();
        }
    }

    fn take_set_step(&mut self, header: Header, frame: &[u8]) {
        let step = match decode(frame, &LIMITS).map(|pdu| pdu.body) {
            Ok(Body::TestSet(varbinds)) => Step::Test(varbinds.len()),
            Ok(Body::CommitSet) => Step::Commit,
            Ok(Body::UndoSet) => Step::Undo,
            Ok(_) => Step::Cleanup,
            Err(_) => return self.refuse_unreadable(header),
        };
        self.count_request(header);
        if let Some(verdict) = self.set.take(header, step) {
            self.respond(header, verdict.error, verdict.index);
            self.counters.answers.one();
        }
    }

    /// A PDU whose header can be read, and nothing else (RFC 2741 section 7.1).
    fn refuse_unreadable(&mut self, header: Header) {
        self.counters.decode_errors.one();
        self.respond(header, ResponseError::ParseError, 0);
    }

    fn respond(&mut self, header: Header, error: ResponseError, index: u16) {
        // A Response without varbinds is shorter than any limit.
        _ = ResponseEncoder::begin(self.output.buf(), header, 0).finish(error, index);
    }

    fn take_response(&mut self, header: Header, frame: &[u8], now: Instant) {
        let error = ResponseRef::parse(frame, &LIMITS).map_or_else(
            |_| {
                self.counters.decode_errors.one();
                ResponseError::ParseError
            },
            |response| response.error,
        );
        let position = self.awaited.iter().position(|awaited| awaited.packet_id == header.packet_id);
        match position.and_then(|position| self.awaited.remove(position)) {
            Some(Awaited { asked, .. }) => self.answered(asked, error, header.session_id, now),
            None => self.counters.unexpected.one(),
        }
    }

    fn answered(&mut self, asked: Asked, error: ResponseError, session_id: u32, now: Instant) {
        match (asked, error) {
            (Asked::Open, ResponseError::NoError) => {
                self.session_id = session_id;
                self.state = State::Open { since: now };
            }
            (Asked::Open, error) => self.state = State::Ended(End::Refused(error)),
            (Asked::Close, _) => self.state = State::Ended(End::Shutdown),
            (_, ResponseError::NotOpen) => self.state = State::Ended(End::Unknown),
            (Asked::Register(registration), error) => {
                if !matches!(error, ResponseError::NoError | ResponseError::DuplicateRegistration) {
                    self.counters.refusals.one();
                }
                self.registrations.register_answered(registration, error, now, &mut self.jitter);
            }
            (Asked::Unregister(registration), _) => self.registrations.unregister_answered(registration),
            (Asked::Capability, error) if error != ResponseError::NoError => self.counters.refusals.one(),
            (Asked::Capability | Asked::Ping, _) => return,
        }
        self.revision += 1;
    }
}

fn range(region: &Region) -> Option<Range> {
    region.range.map(|(position, upper_bound)| Range { position, upper_bound })
}

/// Always at the default priority: a better one would take the region from the pod that holds it, and values would
/// jump between pods.
fn register(region: &Region) -> Body {
    Body::Register(Register {
        timeout_s: 0,
        priority: Register::DEFAULT_PRIORITY,
        subtree: region.subtree.clone(),
        range: range(region),
        instance: false,
    })
}

fn unregister(region: &Region) -> Body {
    Body::Unregister(Unregister {
        priority: Register::DEFAULT_PRIORITY,
        subtree: region.subtree.clone(),
        range: range(region),
    })
}
