//! One session with one master as a state machine: octets and time in, octets out.

mod asking;
mod frames;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{Body, CloseReason, Context, DecodeError, Framer, Header, Limits, Oid, Open, ResponseError};

use self::{
    asking::{Asked, Awaited},
    frames::Recent,
};
use super::{
    Capabilities, Capability, Catalogue, Counters, Exports, Jitter, Output, Progress, Registration, Registrations,
    Responder, SetTransaction, Verdict, Writes,
};
use crate::write::Asked as Write;

/// A master that has said nothing for this long is asked whether it is there.
const IDLE: Duration = Duration::from_secs(5);
/// Once it has been asked anything and then says nothing at all for this long, it is gone. With [`IDLE`] a half-open
/// connection is noticed in 13 s.
const SILENCE: Duration = Duration::from_secs(8);
/// A master that goes on talking, but does not answer, is given up after this long.
const ANSWER: Duration = Duration::from_mins(1);
/// A master that has taken none of what is to be sent for this long does not read.
const STALLED: Duration = Duration::from_secs(10);
/// Octets that are to be sent for this long wait for the master, and not for us.
const SLOW: Duration = Duration::from_secs(1);
/// How long a Close may wait for its answer.
const CLOSING: Duration = Duration::from_millis(800);
/// With this much to be sent, in octets, nothing more is answered until the master reads.
pub(super) const OUTPUT_FULL: usize = 256 << 10;
/// With this much received and not answered, in octets, the master is one that only writes: the longest PDU, and many
/// requests behind it. What a flood once took stays with the allocator, so it is not more.
pub(super) const BACKLOG_FULL: usize = (1 << 20) + OUTPUT_FULL;
/// Memory for answers that is kept once all have been sent, in octets.
const OUTPUT_KEPT: usize = 64 << 10;

/// What is accepted from a master. Its requests come from SNMP messages of 64 KiB at most.
const LIMITS: Limits = Limits { payload: 1 << 20, varbinds: 16_384, octets: 65_535 };

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Octets came.
    Received(&'a [u8]),
    /// Something else is to be served.
    Exports(Exports),
    /// What a step of a SET is answered with that [`Session::next_write`] gave.
    Verdict(Header, Verdict),
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

/// One session on one connection, for all contexts: with two sessions on a connection snmpd mixes up their ids.
///
/// Give it every [`Input`], send what is in [`Session::output`], come back at [`Session::wakeup`], and close the
/// connection once it is [`State::Ended`]. It never blocks, and holds at most some megabytes whatever the master does.
pub struct Session {
    state: State,
    /// As the master numbered it; 0 until it has.
    id: u32,
    packet_id: u32,
    catalogue: Catalogue,
    registrations: Registrations,
    capabilities: Capabilities,
    awaited: VecDeque<Awaited>,
    responder: Responder,
    set: SetTransaction,
    writes: Writes,
    /// Whether any object can be written.
    writable: bool,
    recent: Recent,
    framer: Framer,
    /// Octets that the framer holds.
    backlog: usize,
    behind: bool,
    output: Output,
    /// None while nothing is to be sent.
    unsent: Option<Unsent>,
    /// When octets last came, or went that had had to wait for the master.
    last_heard: Instant,
    jitter: Jitter,
    counters: Arc<Counters>,
    revision: u64,
}

/// Octets that are to be sent, seen from one input to the next.
struct Unsent {
    since: Instant,
    /// How much had been sent in all when that last changed,
    total: u64,
    /// and when that was.
    progress: Instant,
    /// Whether the master lets them wait.
    has_waited: bool,
}

impl Session {
    /// A session on a new connection. The Open is ready to be sent; `description` is shown by the master.
    #[must_use]
    pub fn new(description: &str, exports: &Exports, jitter: Jitter, counters: Arc<Counters>, now: Instant) -> Self {
        let mut session = Self {
            state: State::Opening,
            id: 0,
            packet_id: 0,
            catalogue: Catalogue::default(),
            registrations: Registrations::default(),
            capabilities: Capabilities::default(),
            awaited: VecDeque::new(),
            responder: Responder::default(),
            set: SetTransaction::default(),
            writes: Writes::default(),
            writable: false,
            recent: Recent::default(),
            framer: Framer::new(LIMITS),
            backlog: 0,
            behind: false,
            output: Output::keeping(OUTPUT_KEPT),
            unsent: None,
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
            Input::Verdict(header, verdict) => {
                if self.writes.decide(header, verdict) {
                    self.answer_step(header, verdict);
                }
            }
            Input::Time => {}
        }
        self.take_frames(now);
        while let Some((header, verdict)) = self.writes.overdue(now) {
            self.answer_step(header, verdict);
        }
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
        let silence = self.overdue_at();
        let stalled = self.unsent.as_ref().map(|unsent| unsent.progress + STALLED);
        let own = match self.state {
            State::Ended(_) => return None,
            State::Closing { until } => return Some(until),
            State::Open { .. } if self.awaited.is_empty() && self.may_ask() => Some(self.last_heard + IDLE),
            State::Open { .. } | State::Opening => None,
        };
        let retry = self.registrations.deadline().filter(|_| self.may_ask());
        [silence, stalled, own, retry, self.writes.deadline()].into_iter().flatten().min()
    }

    /// The next step of a SET that is to be decided elsewhere. The answer comes by [`Input::Verdict`].
    pub fn next_write(&mut self) -> Option<Write> {
        self.writes.next_asked()
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
        self.behind = false;
        self.revision += 1;
    }

    fn serve(&mut self, exports: &Exports) {
        self.catalogue = Catalogue::new(exports);
        self.writable = exports.iter().any(|export| export.writable);
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

    /// When the master has had enough time for its oldest answer. None while PDUs of it wait: the answer may be one.
    fn overdue_at(&self) -> Option<Instant> {
        let Awaited { sent, .. } = self.awaited.front().filter(|_| !self.behind)?;
        Some((self.last_heard.max(*sent) + SILENCE).min(*sent + ANSWER))
    }

    /// A master that takes what has had to wait for it is there, and may come only now to what it was asked.
    fn watch_output(&mut self, now: Instant) {
        if self.output.is_empty() {
            if self.unsent.take().is_some_and(|unsent| unsent.has_waited) {
                self.last_heard = now;
            }
            return;
        }
        let total = self.output.total();
        let unsent = self.unsent.get_or_insert(Unsent { since: now, total, progress: now, has_waited: false });
        unsent.has_waited |= now >= unsent.since + SLOW;
        if unsent.total != total {
            (unsent.total, unsent.progress) = (total, now);
            if unsent.has_waited {
                self.last_heard = now;
            }
        }
    }

    fn watch_time(&mut self, now: Instant) {
        self.watch_output(now);
        match self.state {
            State::Closing { until } if now >= until => self.end(End::Shutdown),
            State::Closing { .. } | State::Ended(_) => {}
            State::Opening | State::Open { .. } => {
                if self.backlog > BACKLOG_FULL
                    || self.unsent.as_ref().is_some_and(|unsent| now >= unsent.progress + STALLED)
                {
                    self.end(End::NotReading);
                } else if self.overdue_at().is_some_and(|overdue| now >= overdue) {
                    self.end(End::Silent);
                }
            }
        }
    }
}
