//! Sessions of subagents (RFC 2741 section 7.1.1).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{ByteOrder, Open};

use super::{Outcome, connection::ConnectionId, memory::give_back, packet::AskedRead, status::SessionCounts};
use crate::{identity::Identity, registry::SessionId};

/// So many timeouts in a row close a session.
pub(super) const TIMEOUTS: u32 = 3;
/// Requests that one session is asked at once, at most.
pub(super) const OUTSTANDING: usize = 4_096;

/// Whether a subagent knows GetBulk. net-snmp's master never sends one, so there are some that do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bulk {
    /// It has not answered one yet.
    Untried {
        /// When it had not answered one in time: which may have had another reason.
        missed: Option<Instant>,
    },
    /// It has answered one.
    Works,
    /// It refused the first, or answered neither of the first two: it is asked by GetNext.
    Refused,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: ConnectionId,
    /// Whose it is; none if nobody had to say.
    pub(super) member: Option<Arc<Identity>>,
    /// As in the Open: what it is asked in.
    pub(super) byte_order: ByteOrder,
    pub(super) open: Open,
    pub(super) opened: Instant,
    pub(super) bulk: Bulk,
    /// What it has been asked and has not answered: packetIDs.
    pub(super) packets: BTreeSet<u32>,
    timeouts: u32,
    /// When the last of them was.
    timed_out: Option<Instant>,
    pub(super) counts: SessionCounts,
}

impl Session {
    pub(super) fn new(
        connection: ConnectionId,
        member: Option<Arc<Identity>>,
        byte_order: ByteOrder,
        open: Open,
        now: Instant,
    ) -> Self {
        Self {
            connection,
            member,
            byte_order,
            open,
            opened: now,
            bulk: Bulk::Untried { missed: None },
            packets: BTreeSet::new(),
            timeouts: 0,
            timed_out: None,
            counts: SessionCounts::default(),
        }
    }

    /// How long an answer may take: what the region says, else what the session says, else `otherwise`.
    pub(super) fn patience(&self, region_s: u8, otherwise: Duration) -> Duration {
        match (region_s, self.open.timeout_s) {
            (0, 0) => otherwise,
            (0, seconds) | (seconds, _) => Duration::from_secs(seconds.into()),
        }
    }

    /// An answer has come, whatever it says.
    pub(super) fn heard(&mut self) {
        (self.timeouts, self.timed_out) = (0, None);
    }

    /// What came of a GetBulk that was sent then.
    pub(super) fn learn_bulk(&mut self, asked: &AskedRead, sent: Instant, outcome: &Outcome<'_, '_>, now: Instant) {
        self.bulk = match (self.bulk, outcome) {
            (_, Outcome::Answered(_)) if !outcome.is_refusal(asked) => Bulk::Works,
            (Bulk::Untried { missed: None }, Outcome::Missed) => Bulk::Untried { missed: Some(now) },
            // It belongs to the same pause.
            (Bulk::Untried { missed: Some(missed) }, Outcome::Missed) if sent < missed => self.bulk,
            (Bulk::Untried { .. }, Outcome::Answered(_) | Outcome::Unreadable | Outcome::Missed) => Bulk::Refused,
            (known, _) => known,
        };
    }

    /// What was asked at `sent` has not been answered in time. Whether that is once too often.
    ///
    /// What was asked before the last timeout counts with it: a subagent that pauses once under many requests has been
    /// silent once.
    pub(super) fn missed(&mut self, sent: Instant, now: Instant) -> bool {
        self.counts.timeouts += 1;
        if self.timed_out.is_none_or(|last| sent >= last) {
            self.timeouts += 1;
            self.timed_out = Some(now);
        }
        self.timeouts >= TIMEOUTS
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<SessionId, Session>,
    last: u32,
}

impl Sessions {
    pub(super) fn add(&mut self, session: Session) -> SessionId {
        loop {
            self.last = self.last.wrapping_add(1);
            let id = SessionId(self.last);
            if self.last != 0 && !self.open.contains_key(&id) {
                self.open.insert(id, session);
                return id;
            }
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.open.remove(&id);
        give_back(&mut self.open);
        session
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.open.get_mut(&id)
    }

    /// The session, if it is one of that connection's.
    pub(super) fn of(&mut self, connection: ConnectionId, id: SessionId) -> Option<&mut Session> {
        self.open.get_mut(&id).filter(|session| session.connection == connection)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.open.iter().map(|(id, session)| (*id, session))
    }
}
