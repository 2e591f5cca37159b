//! Connections of subagents: their output, and the rate at which they are read.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use super::memory::shrink_sparse;
use crate::subagents::{
    authority::{Peer, Transport},
    registry::SessionId,
};

/// With more pending output than this, in octets, no more requests are sent to a peer until it reads.
pub(super) const MAX_PENDING_OUTPUT: usize = 1 << 20;
/// A connection whose output is full, or that is closing, is dropped if its peer reads nothing for this long.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Identifies a connection. An id is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The output of a connection.
#[derive(Debug)]
pub struct Output {
    octets: agentx::Output,
    closes: bool,
}

impl Output {
    /// The capacity, in octets, that is kept once everything has been sent.
    const KEPT_CAPACITY: usize = 16 << 10;

    fn new() -> Self {
        Self { octets: agentx::Output::keeping(Self::KEPT_CAPACITY), closes: false }
    }

    /// Returns whether the connection is to be closed once everything has been sent. Its input is ignored from now on.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.closes
    }
}

impl Deref for Output {
    type Target = agentx::Output;

    fn deref(&self) -> &agentx::Output {
        &self.octets
    }
}

impl DerefMut for Output {
    fn deref_mut(&mut self) -> &mut agentx::Output {
        &mut self.octets
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) output: Output,
    pub(super) sessions: Vec<SessionId>,
    /// The number of PDUs that were denied.
    pub(super) denials: u32,
    /// Whether the connection is in [`Connections::ready`].
    is_ready: bool,
    rate: RateLimit,
    /// The number of octets sent in total when the last stall check was scheduled, while one is.
    stall_check: Option<u64>,
}

impl Connection {
    /// Returns whether requests may be sent to the peer.
    pub(super) fn is_open(&self) -> bool {
        !self.output.closes && self.output.pending().len() <= MAX_PENDING_OUTPUT
    }
}

/// A rate limit of PDUs that a peer sends. A peer over the limit is not read for a while; no PDU is lost.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// When all PDUs counted so far would have arrived at exactly the rate.
    due: Instant,
}

impl RateLimit {
    /// The burst that is allowed, as the time in which the same number of PDUs arrives at the rate.
    const BURST: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Counts one PDU.
    pub(super) fn count(&mut self, per_second: u32, now: Instant) {
        self.due = self.due.max(now) + Duration::from_secs(1) / per_second.max(1);
    }

    /// Returns until when the peer must not be read, if it exceeds the rate.
    pub(super) fn read_after(&self, now: Instant) -> Option<Instant> {
        self.due.checked_sub(Self::BURST).filter(|after| *after > now)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: HashMap<ConnectionId, Connection>,
    last: u64,
    ready: VecDeque<ConnectionId>,
    /// Scheduled stall checks.
    stall_checks: BTreeSet<(Instant, ConnectionId)>,
    /// When the tokens of peers expire, and their connections with them.
    expiring: BTreeSet<(Instant, ConnectionId)>,
}

impl Connections {
    pub(super) fn add(&mut self, peer: Peer, now: Instant) -> ConnectionId {
        self.last += 1;
        let id = ConnectionId(self.last);
        if let Transport::Tls { expires, .. } = peer.transport {
            self.expiring.insert((expires, id));
        }
        let (output, sessions, rate) = (Output::new(), Vec::new(), RateLimit::new(now));
        self.open
            .insert(id, Connection { peer, output, sessions, denials: 0, is_ready: false, rate, stall_check: None });
        id
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
        shrink_sparse(&mut self.open);
        if let Transport::Tls { expires, .. } = connection.peer.transport {
            self.expiring.remove(&(expires, id));
        }
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.open.get_mut(&id)
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        self.open.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Lets `write` append to the output, and marks the connection as ready.
    pub(super) fn write<T>(
        &mut self,
        id: ConnectionId,
        now: Instant,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> Option<T> {
        let connection = self.open.get_mut(&id)?;
        let written = write(connection.output.buf());
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push_back(id);
        }
        if connection.output.pending().len() > MAX_PENDING_OUTPUT {
            self.schedule_stall_check(id, now);
        }
        Some(written)
    }

    /// Closes the connection once everything has been sent, or once the peer is stalled.
    pub(super) fn close(&mut self, id: ConnectionId, now: Instant) {
        self.write(id, now, |_| ());
        if let Some(connection) = self.open.get_mut(&id) {
            connection.output.closes = true;
            self.schedule_stall_check(id, now);
        }
    }

    fn schedule_stall_check(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.open.get_mut(&id)
            && connection.stall_check.is_none()
        {
            connection.stall_check = Some(connection.output.total());
            self.stall_checks.insert((now + STALL_TIMEOUT, id));
        }
    }

    /// Performs the stall checks that are due. Discards the output of stalled connections and returns them.
    pub(super) fn stalled(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut stalled = Vec::new();
        while let Some(&(at, id)) = self.stall_checks.first().filter(|(at, _)| *at <= now) {
            self.stall_checks.remove(&(at, id));
            let Some(connection) = self.open.get_mut(&id) else { continue };
            let before = connection.stall_check.take();
            let (total, closes) = (connection.output.total(), connection.output.closes);
            if connection.output.is_empty() {
                continue;
            }
            if before == Some(total) {
                connection.output.clear();
                stalled.push(id);
            } else if closes || !connection.is_open() {
                self.schedule_stall_check(id, now);
            }
        }
        stalled
    }

    /// Returns a connection whose peer's token has expired, once.
    pub(super) fn expired(&mut self, now: Instant) -> Option<ConnectionId> {
        let (at, id) = *self.expiring.first().filter(|(at, _)| *at <= now)?;
        self.expiring.remove(&(at, id));
        Some(id)
    }

    /// Returns the earliest time at which a check is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stall_checks.first().into_iter().chain(self.expiring.first()).map(|(at, _)| *at).min()
    }

    /// Returns the next connection with new output.
    pub(super) fn next_ready(&mut self) -> Option<ConnectionId> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(connection) = self.open.get_mut(&id) {
                connection.is_ready = false;
                return Some(id);
            }
        }
    }

    /// Counts a PDU towards the rate limit of the connection.
    pub(super) fn count_pdu(&mut self, id: ConnectionId, per_second: u32, now: Instant) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.rate.count(per_second, now);
        }
    }

    /// Returns until when the connection must not be read.
    pub(super) fn read_after(&self, id: ConnectionId, now: Instant) -> Option<Instant> {
        self.open.get(&id)?.rate.read_after(now)
    }
}
