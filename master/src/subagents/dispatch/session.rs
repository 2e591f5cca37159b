//! Sessions of subagents (RFC 2741 section 7.1.1).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{ByteOrder, Open};

use super::{
    connection::ConnectionId,
    memory::shrink_sparse,
    packet::{Outcome, ReadQuery},
    status::SessionCounts,
};
use crate::subagents::registry::SessionId;
use identity::Identity;

/// A session is closed after this many timeouts in a row.
pub(super) const MAX_TIMEOUTS: u32 = 3;
/// The maximum number of outstanding PDUs of a session.
pub(super) const MAX_OUTSTANDING: usize = 4_096;

/// Whether a subagent supports GetBulk. Some do not, because net-snmp's master never sends one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BulkSupport {
    /// The subagent has not answered a GetBulk yet.
    Unknown {
        /// When the first GetBulk timed out, if it did. The timeout may have another reason.
        timed_out: Option<Instant>,
    },
    /// The subagent has answered a GetBulk.
    Supported,
    /// The subagent answered the first GetBulk with an error, or did not answer the first two. It gets GetNext instead.
    Unsupported,
}

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: ConnectionId,
    /// The identity of the peer; `None` if the listener does not authenticate peers.
    pub(super) identity: Option<Arc<Identity>>,
    /// The byte order of the Open PDU. PDUs to the subagent use it, too.
    pub(super) byte_order: ByteOrder,
    pub(super) open: Open,
    pub(super) opened: Instant,
    pub(super) bulk_support: BulkSupport,
    /// The packetIDs of outstanding PDUs.
    pub(super) packets: BTreeSet<u32>,
    /// The number of timeouts in a row.
    timeouts: u32,
    last_timeout: Option<Instant>,
    pub(super) counts: SessionCounts,
}

impl Session {
    pub(super) fn new(
        connection: ConnectionId,
        identity: Option<Arc<Identity>>,
        byte_order: ByteOrder,
        open: Open,
        now: Instant,
    ) -> Self {
        Self {
            connection,
            identity,
            byte_order,
            open,
            opened: now,
            bulk_support: BulkSupport::Unknown { timed_out: None },
            packets: BTreeSet::new(),
            timeouts: 0,
            last_timeout: None,
            counts: SessionCounts::default(),
        }
    }

    /// Returns the timeout of a PDU: that of the region, else that of the session, else `default`.
    pub(super) fn timeout(&self, region_s: u8, default: Duration) -> Duration {
        match (region_s, self.open.timeout_s) {
            (0, 0) => default,
            (0, seconds) | (seconds, _) => Duration::from_secs(seconds.into()),
        }
    }

    /// Records that the subagent responded, with or without an error.
    pub(super) fn record_response(&mut self) {
        (self.timeouts, self.last_timeout) = (0, None);
    }

    /// Learns from the outcome of a GetBulk whether the subagent supports it.
    pub(super) fn learn_bulk_support(
        &mut self,
        query: &ReadQuery,
        sent: Instant,
        outcome: &Outcome<'_, '_>,
        now: Instant,
    ) {
        use BulkSupport::{Supported, Unknown, Unsupported};
        self.bulk_support = match (self.bulk_support, outcome) {
            (_, Outcome::Response(_)) if !outcome.is_error_response(query) => Supported,
            (Unknown { timed_out: None }, Outcome::TimedOut) => Unknown { timed_out: Some(now) },
            // The PDU was sent before the first timeout, so both may have the same reason.
            (Unknown { timed_out: Some(first) }, Outcome::TimedOut) if sent < first => self.bulk_support,
            (Unknown { .. }, Outcome::Response(_) | Outcome::Malformed | Outcome::TimedOut) => Unsupported,
            (unchanged, _) => unchanged,
        };
    }

    /// Records that a PDU sent at `sent` timed out. Returns whether the session must be closed.
    ///
    /// PDUs that were sent before the last timeout count with it as one, so that a single pause of the subagent under
    /// many requests does not close its session.
    pub(super) fn record_timeout(&mut self, sent: Instant, now: Instant) -> bool {
        self.counts.timeouts += 1;
        if self.last_timeout.is_none_or(|last| sent >= last) {
            self.timeouts += 1;
            self.last_timeout = Some(now);
        }
        self.timeouts >= MAX_TIMEOUTS
    }
}

/// All open sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<SessionId, Session>,
    last: u32,
}

impl Sessions {
    /// Adds a session and returns its new id.
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
        shrink_sparse(&mut self.open);
        session
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.open.get_mut(&id)
    }

    /// Returns the session if it belongs to this connection.
    pub(super) fn on_connection(&mut self, connection: ConnectionId, id: SessionId) -> Option<&mut Session> {
        self.open.get_mut(&id).filter(|session| session.connection == connection)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.open.iter().map(|(id, session)| (*id, session))
    }
}
