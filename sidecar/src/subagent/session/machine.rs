//! The session as a state machine: octets and the time go in, octets come out.

mod frames;
mod outstanding;
mod recent;
mod requests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{Body, CloseReason, Context, DecodeError, Framer, Header, Limits, Oid, Open, Output, ResponseError};

use self::{
    outstanding::{Outstanding, SubagentRequest},
    recent::RecentPackets,
};
use super::{
    answer::Responder,
    capabilities::{Capabilities, Capability},
    catalogue::Catalogue,
    counters::Counters,
    forward::ForwardedSteps,
    read_only::ReadOnlyTransaction,
    registrations::{Progress, Registration, Registrations},
};
use crate::{
    set::{StepRequest, StepResult},
    subagent::jitter::Jitter,
    view::exports::Exports,
};

/// After this long without a PDU from the master, the session sends a Ping.
const IDLE: Duration = Duration::from_secs(5);
/// A session ends after this long without a PDU from the master while a request is unanswered. With [`IDLE`] a half-open
/// connection is detected within 13 s.
const SILENCE: Duration = Duration::from_secs(8);
/// A session ends when a request is unanswered for this long although the master sends other PDUs.
const ANSWER: Duration = Duration::from_mins(1);
/// A session ends when the master has read nothing of the pending output for this long.
const STALLED: Duration = Duration::from_secs(10);
/// Output that is pending for this long waits for the master, not for this process.
const SLOW: Duration = Duration::from_secs(1);
/// How long a Close waits for its response.
const CLOSING: Duration = Duration::from_millis(800);
/// With this much pending output, in octets, no more requests are handled until the master reads.
pub(super) const OUTPUT_FULL: usize = 256 << 10;
/// With this much unhandled input, in octets, the session ends, because the master only writes. It is enough for the longest
/// PDU and many requests behind it. The allocator keeps the memory of a flood, so the limit is not higher.
pub(super) const BACKLOG_FULL: usize = (1 << 20) + OUTPUT_FULL;
/// The output memory that is kept once everything has been sent, in octets.
const OUTPUT_KEPT: usize = 64 << 10;

/// The limits for PDUs of the master. Its requests come from SNMP messages of at most 64 KiB.
const LIMITS: Limits = Limits { payload: 1 << 20, varbinds: 16_384, octets: 65_535 };

/// An event for a session.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Octets were received.
    Received(&'a [u8]),
    /// The exports have changed.
    Exports(Exports),
    /// The result of a step that [`Session::next_set_step`] returned.
    StepResult(Header, StepResult),
    /// Time has passed: [`Session::wakeup`] is due, or PDUs are waiting ([`Session::is_behind`]).
    Time,
    /// Close the session.
    Shutdown,
}

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The master has not responded to Open yet.
    Opening,
    /// The session is open.
    Open {
        /// When it was opened.
        since: Instant,
    },
    /// Close has been sent.
    Closing {
        /// The session ends then at the latest, even without a response.
        until: Instant,
    },
    /// The session has ended, and the connection must be closed.
    Ended(End),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    /// [`Input::Shutdown`].
    #[error("shut down")]
    Shutdown,
    /// The master closed the session.
    #[error("the master closed the session: {0:?}")]
    Closed(CloseReason),
    /// The master refused to open a session.
    #[error("the master refused to open a session: {0:?}")]
    Refused(ResponseError),
    /// The master no longer knows the session.
    #[error("the master no longer knows the session")]
    Unknown,
    /// The master did not respond in time.
    #[error("the master does not respond")]
    Silent,
    /// The master does not read what is sent to it.
    #[error("the master does not read")]
    NotReading,
    /// The master sent octets that are not AgentX.
    #[error("the master sent octets that are not AgentX: {0}")]
    Garbage(DecodeError),
}

/// A session on one connection, for all contexts. With two sessions on one connection snmpd confuses their ids.
///
/// Pass it every [`Input`], send [`Session::output`], pass [`Input::Time`] at [`Session::wakeup`], and close the connection
/// once it is [`State::Ended`]. It never blocks, and its memory is limited to a few megabytes.
pub(crate) struct Session {
    state: State,
    /// The sessionID; 0 until the master has assigned one.
    id: u32,
    packet_id: u32,
    catalogue: Catalogue,
    registrations: Registrations,
    capabilities: Capabilities,
    outstanding: VecDeque<Outstanding>,
    responder: Responder,
    read_only: ReadOnlyTransaction,
    forwarded: ForwardedSteps,
    /// Whether any object is writable.
    writable: bool,
    recent: RecentPackets,
    framer: Framer,
    /// The octets in the framer.
    backlog: usize,
    behind: bool,
    output: Output,
    /// `None` while no output is pending.
    unsent: Option<Unsent>,
    /// When the master last sent octets, or read output that had waited for it.
    last_heard: Instant,
    jitter: Jitter,
    counters: Arc<Counters>,
    revision: u64,
}

/// Pending output, observed from input to input.
struct Unsent {
    since: Instant,
    /// The total that had been sent when it last changed.
    total: u64,
    /// When the total last changed.
    progress: Instant,
    /// Whether the output has waited for the master.
    has_waited: bool,
}

impl Session {
    /// Creates a session on a new connection. The Open PDU is in the output; the master shows `description`.
    pub(crate) fn new(
        description: &str,
        exports: &Exports,
        jitter: Jitter,
        counters: Arc<Counters>,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            state: State::Opening,
            id: 0,
            packet_id: 0,
            catalogue: Catalogue::default(),
            registrations: Registrations::default(),
            capabilities: Capabilities::default(),
            outstanding: VecDeque::new(),
            responder: Responder::default(),
            read_only: ReadOnlyTransaction::default(),
            forwarded: ForwardedSteps::default(),
            writable: false,
            recent: RecentPackets::default(),
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
        session.set_exports(exports);
        let open = Open { timeout_s: 0, id: Oid::default(), description: description.as_bytes().to_vec() };
        session.send_request(Context::default(), Body::Open(open), SubagentRequest::Open, now);
        session
    }

    /// Handles an input. It handles at most 64 PDUs of the master; if more are waiting, [`Session::is_behind`] returns `true`.
    pub(crate) fn handle(&mut self, input: Input<'_>, now: Instant) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        match input {
            Input::Received(octets) => {
                self.last_heard = now;
                self.backlog = self.backlog.saturating_add(octets.len());
                self.framer.feed(octets);
            }
            Input::Exports(exports) => self.set_exports(&exports),
            Input::Shutdown => self.shut_down(now),
            Input::StepResult(header, result) => {
                if self.forwarded.complete(header, result) {
                    self.respond_to_step(header, result);
                }
            }
            Input::Time => {}
        }
        self.handle_frames(now);
        while let Some((header, result)) = self.forwarded.expire(now) {
            self.respond_to_step(header, result);
        }
        self.check_time(now);
        self.send_requests(now);
    }

    /// Returns the output. Call [`Output::advance`] with what has been sent.
    pub(crate) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Returns whether PDUs may be waiting that can be handled at once. Then pass [`Input::Time`] before reading more.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind && self.output.pending().len() < OUTPUT_FULL
    }

    /// Returns whether PDUs are waiting that can be handled once some output has been sent.
    pub(crate) fn is_held_back(&self) -> bool {
        self.behind && self.output.pending().len() >= OUTPUT_FULL
    }

    /// Returns when to pass [`Input::Time`] at the latest. It is later than the last input. Passing it earlier is harmless.
    pub(crate) fn wakeup(&self) -> Option<Instant> {
        let response = self.response_deadline();
        let stalled = self.unsent.as_ref().map(|unsent| unsent.progress + STALLED);
        let own = match self.state {
            State::Ended(_) => return None,
            State::Closing { until } => return Some(until),
            State::Open { .. } if self.outstanding.is_empty() && self.can_send() => Some(self.last_heard + IDLE),
            State::Open { .. } | State::Opening => None,
        };
        let retry = self.registrations.deadline().filter(|_| self.can_send());
        [response, stalled, own, retry, self.forwarded.deadline()].into_iter().flatten().min()
    }

    /// Returns the next step of a SET for the coordinator. Pass its result as [`Input::StepResult`].
    pub(crate) fn next_set_step(&mut self) -> Option<StepRequest> {
        self.forwarded.next_request()
    }

    /// Returns the state.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Returns all registrations and their progress.
    pub(crate) fn registrations(&self) -> impl Iterator<Item = (&Registration, Progress)> {
        self.registrations.iter()
    }

    /// Returns a number that changes whenever the state or the registrations may have changed.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended(end);
        self.behind = false;
        self.revision += 1;
    }

    fn set_exports(&mut self, exports: &Exports) {
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
        self.registrations.set_wanted(&registrations);
        let capabilities: BTreeMap<Capability, String> = exports
            .iter()
            .filter_map(|export| {
                let row = Capability { context: export.context.clone(), id: export.base.clone() };
                Some((row, export.capabilities.clone()?))
            })
            .collect();
        self.capabilities.set_wanted(capabilities);
        self.revision += 1;
    }

    fn shut_down(&mut self, now: Instant) {
        match self.state {
            State::Open { .. } => {
                self.send_request(Context::default(), Body::Close(CloseReason::Shutdown), SubagentRequest::Close, now);
                self.state = State::Closing { until: now + CLOSING };
                self.revision += 1;
            }
            State::Opening => self.end(End::Shutdown),
            State::Closing { .. } | State::Ended(_) => {}
        }
    }

    /// Returns the deadline for the response to the oldest request. `None` while PDUs of the master are waiting, as the response
    /// may be among them.
    fn response_deadline(&self) -> Option<Instant> {
        let Outstanding { sent, .. } = self.outstanding.front().filter(|_| !self.behind)?;
        Some((self.last_heard.max(*sent) + SILENCE).min(*sent + ANSWER))
    }

    /// Observes the pending output. A master that reads output that had waited for it is alive, and may see a request only now.
    fn check_output(&mut self, now: Instant) {
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

    fn check_time(&mut self, now: Instant) {
        self.check_output(now);
        match self.state {
            State::Closing { until } if now >= until => self.end(End::Shutdown),
            State::Closing { .. } | State::Ended(_) => {}
            State::Opening | State::Open { .. } => {
                if self.backlog > BACKLOG_FULL
                    || self.unsent.as_ref().is_some_and(|unsent| now >= unsent.progress + STALLED)
                {
                    self.end(End::NotReading);
                } else if self.response_deadline().is_some_and(|deadline| now >= deadline) {
                    self.end(End::Silent);
                }
            }
        }
    }
}
