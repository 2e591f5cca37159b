//! Connections of subagents: what is to be sent on each, and how fast each may be read.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use super::memory::give_back;
use crate::{
    authority::{Peer, Transport},
    registry::SessionId,
};

/// With this much to be sent, in octets, a peer is asked nothing more until it reads.
pub(super) const OUTPUT_FULL: usize = 1 << 20;
/// A peer that has so much to read, or is to be left, and reads nothing for this long is left at once.
pub(super) const STALLED: Duration = Duration::from_secs(10);

/// Names a connection. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What is to be sent on a connection, and whether that is the end.
#[derive(Debug)]
pub struct Output {
    octets: agentx::Output,
    closes: bool,
}

impl Output {
    /// Memory beyond this is given back once everything has been sent.
    const KEPT: usize = 16 << 10;

    fn new() -> Self {
        Self { octets: agentx::Output::keeping(Self::KEPT), closes: false }
    }

    /// Whether the connection is to be closed once everything has been sent. Nothing that it receives matters any more.
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
    /// How often it asked for what it may not.
    pub(super) denials: u32,
    /// Whether the driver will be told of it.
    is_ready: bool,
    pace: Pace,
    /// What had been sent in all when it was last looked at, while it is watched.
    watched: Option<u64>,
}

impl Connection {
    /// Whether the peer may be asked something.
    pub(super) fn is_open(&self) -> bool {
        !self.output.closes && self.output.pending().len() <= OUTPUT_FULL
    }
}

/// How fast a peer sends, kept to a rate by not reading on: its PDUs wait with it and none is lost.
#[derive(Debug)]
pub(super) struct Pace {
    /// When what has come would have come at just the rate.
    due: Instant,
}

impl Pace {
    /// As much as comes at the rate in this time may come at once.
    const BURST: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Instant) -> Self {
        Self { due: now }
    }

    pub(super) fn take(&mut self, per_second: u32, now: Instant) {
        self.due = self.due.max(now) + Duration::from_secs(1) / per_second.max(1);
    }

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
    /// Connections that should make progress, and when they are looked at.
    watched: BTreeSet<(Instant, ConnectionId)>,
    /// Connections that end with their peers' tokens, and when that is.
    expiring: BTreeSet<(Instant, ConnectionId)>,
}

impl Connections {
    pub(super) fn add(&mut self, peer: Peer, now: Instant) -> ConnectionId {
        self.last += 1;
        let id = ConnectionId(self.last);
        if let Transport::Tls { expires, .. } = peer.transport {
            self.expiring.insert((expires, id));
        }
        let (output, sessions, pace) = (Output::new(), Vec::new(), Pace::new(now));
        self.open.insert(id, Connection { peer, output, sessions, denials: 0, is_ready: false, pace, watched: None });
        id
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
        give_back(&mut self.open);
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

    /// Lets `write` append to what is to be sent, and has the driver told.
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
        if connection.output.pending().len() > OUTPUT_FULL {
            self.watch(id, now);
        }
        Some(written)
    }

    /// Has the connection closed once everything has been sent, or the peer does not read.
    pub(super) fn close(&mut self, id: ConnectionId, now: Instant) {
        self.write(id, now, |_| ());
        if let Some(connection) = self.open.get_mut(&id) {
            connection.output.closes = true;
            self.watch(id, now);
        }
    }

    fn watch(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.open.get_mut(&id)
            && connection.watched.is_none()
        {
            connection.watched = Some(connection.output.total());
            self.watched.insert((now + STALLED, id));
        }
    }

    /// Connections whose peers do not read and must be left.
    pub(super) fn stalled(&mut self, now: Instant) -> Vec<ConnectionId> {
        let mut stalled = Vec::new();
        while let Some(&(at, id)) = self.watched.first().filter(|(at, _)| *at <= now) {
            self.watched.remove(&(at, id));
            let Some(connection) = self.open.get_mut(&id) else { continue };
            let before = connection.watched.take();
            let (total, closes) = (connection.output.total(), connection.output.closes);
            if connection.output.is_empty() {
                continue;
            }
            if before == Some(total) {
                connection.output.clear();
                stalled.push(id);
            } else if closes || !connection.is_open() {
                self.watch(id, now);
            }
        }
        stalled
    }

    /// The next connection whose peer's token has ended.
    pub(super) fn expired(&mut self, now: Instant) -> Option<ConnectionId> {
        let (at, id) = *self.expiring.first().filter(|(at, _)| *at <= now)?;
        self.expiring.remove(&(at, id));
        Some(id)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.watched.first().into_iter().chain(self.expiring.first()).map(|(at, _)| *at).min()
    }

    pub(super) fn next_ready(&mut self) -> Option<ConnectionId> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(connection) = self.open.get_mut(&id) {
                connection.is_ready = false;
                return Some(id);
            }
        }
    }

    /// Counts a PDU that is no answer.
    pub(super) fn pace(&mut self, id: ConnectionId, per_second: u32, now: Instant) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.pace.take(per_second, now);
        }
    }

    /// Until when the connection is not to be read.
    pub(super) fn read_after(&self, id: ConnectionId, now: Instant) -> Option<Instant> {
        self.open.get(&id)?.pace.read_after(now)
    }
}
