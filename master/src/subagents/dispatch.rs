//! The AgentX dispatcher: turns requests of an NMS into requests to subagents, and their responses into answers (RFC
//! 2741 section 7). It performs no I/O.
//!
//! | module | contents |
//! |---|---|
//! | `read` | Get, GetNext and GetBulk |
//! | `write` | Set |
//! | `administration` | requests of subagents to the master: Open, Register and so on |
//! | `granting`, `withdrawn` | registrations that follow the grants of namespaces |
//! | `connection`, `session`, `packet`, `namespaces` | state of connections, sessions, outstanding PDUs and namespaces |
//! | `status`, `inspection` | the state for metrics and for people |

mod administration;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod granting;
mod inspection;
mod memory;
mod namespaces;
mod packet;
mod read;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod withdrawn;
mod write;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use agentx::{
    Body, CloseReason, Context, FrameHeader, Header, Limits, Oid, Pdu, PduType, ResponseRef, SearchRange,
    VarBindScratch, encode,
};

use self::{
    connection::{Connection, Connections, RateLimit},
    memory::shrink_sparse,
    namespaces::Namespaces,
    packet::{Outcome, Packet, Packets, Query},
    read::{RangeQuery, Read},
    session::{MAX_OUTSTANDING, Sessions},
    withdrawn::Withdrawn,
    write::Write,
};
pub use self::{
    connection::{ConnectionId, Output},
    status::{Published, SessionCounts, SessionStatus, Totals},
};
use crate::{
    pdu::{Answer, Operation, Request, own_objects::OwnObjects},
    subagents::{
        authority::{Authority, Peer},
        capabilities::Capabilities,
        index_allocation::IndexAllocations,
        registry::{Registry, SessionId},
    },
};

/// The maximum number of varbinds of a PDU.
const MAX_PDU_VARBINDS: usize = 16_384;

/// The AgentX master as a state machine. Its inputs are frames, requests and the time; its outputs are octets and
/// answers.
///
/// After each input, the caller sends the output of the connections that `next_ready` returns, takes the
/// answers from `next_answer`, and calls `tick` at `deadline`. Every request
/// is answered exactly once. A faulty subagent causes errors for requests of its own objects only.
pub struct Dispatcher<O> {
    own: O,
    authority: Authority,
    registry: Registry,
    indexes: IndexAllocations,
    capabilities: Capabilities,
    withdrawn: Withdrawn,
    namespaces: Namespaces,
    /// Limits how many denials are logged.
    denial_logs: RateLimit,
    limits: master_config::Limits,
    /// Limits of PDUs from subagents.
    pdu_limits: Limits,
    /// The timeout of subagents that specify none.
    default_timeout: Duration,
    started: Instant,
    connections: Connections,
    sessions: Sessions,
    packets: Packets,
    transactions: HashMap<u32, Transaction>,
    last_transaction: u32,
    answers: VecDeque<Answer>,
    totals: Totals,
    /// Finished reads whose memory is reused.
    #[allow(clippy::vec_box, reason = "the boxes themselves are reused")]
    spare_reads: Vec<Box<Read>>,
    range_queries: Vec<RangeQuery>,
    ranges: Vec<SearchRange>,
    spare_ranges: Vec<SearchRange>,
    scratch: VarBindScratch,
    name: Oid,
}

/// A request that is being answered.
#[derive(Debug)]
enum Transaction {
    Read(Box<Read>),
    Write(Box<Write>),
}

impl<O: OwnObjects> Dispatcher<O> {
    /// Creates a dispatcher without connections. sysUpTime counts from `started`.
    pub fn new(own: O, limits: &master_config::Limits, started: Instant) -> Self {
        let (authority, registry) = (Authority::new(own.subtrees()), Registry::new(own.subtrees(), limits.into()));
        let mut dispatcher = Self {
            own,
            authority,
            registry,
            indexes: IndexAllocations::default(),
            capabilities: Capabilities::default(),
            withdrawn: Withdrawn::default(),
            namespaces: Namespaces::default(),
            denial_logs: RateLimit::new(started),
            limits: limits.clone(),
            pdu_limits: Limits { payload: 0, varbinds: MAX_PDU_VARBINDS, octets: 65_535 },
            default_timeout: Duration::ZERO,
            started,
            connections: Connections::default(),
            sessions: Sessions::default(),
            packets: Packets::default(),
            transactions: HashMap::new(),
            last_transaction: 0,
            answers: VecDeque::new(),
            totals: Totals::default(),
            spare_reads: Vec::new(),
            range_queries: Vec::new(),
            ranges: Vec::new(),
            spare_ranges: Vec::new(),
            scratch: VarBindScratch::default(),
            name: Oid::default(),
        };
        dispatcher.set_limits(limits);
        dispatcher
    }

    /// Replaces the limits. Existing sessions and registrations are kept even if they exceed the new limits.
    pub(crate) fn set_limits(&mut self, limits: &master_config::Limits) {
        self.registry.limit(limits.into());
        self.pdu_limits.payload = limits.agentx_pdu_octets;
        self.default_timeout = Duration::from_millis(limits.subagent_timeout_ms.into());
        self.limits = limits.clone();
    }

    /// Replaces the master's own objects when the engine starts again. sysUpTime then counts from `started`.
    pub(crate) fn restart_engine(&mut self, own: O, started: Instant) {
        (self.own, self.started) = (own, started);
    }

    /// Returns the current limits.
    pub(crate) fn limits(&self) -> &master_config::Limits {
        &self.limits
    }

    /// Adds a connection of a peer.
    pub(crate) fn connect(&mut self, peer: Peer, now: Instant) -> ConnectionId {
        if let Some(identity) = peer.identity() {
            self.namespaces.connected(&identity.namespace, now);
        }
        self.connections.add(peer, now)
    }

    /// Removes a connection that has ended, and its sessions.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.remove(connection) else { return };
        self.totals.sessions_disconnected += connection.sessions.len() as u64;
        self.end_sessions(&connection.sessions, now);
        if let Some(identity) = connection.peer.identity() {
            self.namespaces.disconnected(&identity.namespace);
        }
    }

    /// Processes one complete frame, as [`agentx::Framer`] returns it.
    pub(crate) fn receive(&mut self, connection: ConnectionId, frame: &[u8], now: Instant) {
        if self.connections.get(connection).is_none_or(|connection| connection.output.closes()) {
            return;
        }
        match FrameHeader::parse(frame) {
            Err(_) => self.close_malformed(connection, now),
            Ok(header) if header.pdu_type == PduType::Response => {
                if !self.receive_response(connection, header.header, frame, now) {
                    self.count_pdu(connection, now);
                }
            }
            Ok(header) => {
                self.count_pdu(connection, now);
                self.administer(connection, header, frame, now);
            }
        }
    }

    /// Closes a connection whose data is not AgentX, and its sessions.
    pub(crate) fn close_malformed(&mut self, connection: ConnectionId, now: Instant) {
        self.totals.connections_malformed += 1;
        self.totals.sessions_malformed += self.close_connection(connection, Some(CloseReason::ParseError), now);
    }

    /// Closes a connection and its sessions. Sends Close PDUs if there is a reason. Returns the number of sessions.
    fn close_connection(&mut self, connection: ConnectionId, reason: Option<CloseReason>, now: Instant) -> u64 {
        let sessions = self.connections.get(connection).map(|connection| connection.sessions.clone());
        let sessions = sessions.unwrap_or_default();
        if let Some(reason) = reason {
            for session in &sessions {
                self.send_close(*session, reason, now);
            }
        }
        self.connections.close(connection, now);
        self.end_sessions(&sessions, now);
        sessions.len() as u64
    }

    /// Counts a PDU that is not an expected Response towards the rate limits of its connection and namespace.
    fn count_pdu(&mut self, connection: ConnectionId, now: Instant) {
        self.connections.count_pdu(connection, self.limits.agentx_pdus_per_second, now);
        if let Some(identity) = self.connections.get(connection).and_then(|connection| connection.peer.identity()) {
            let per_second = self.limits.agentx_pdus_per_second_per_namespace;
            self.namespaces.count_pdu(&identity.namespace, per_second, now);
        }
    }

    /// Starts a request of an NMS. Its answer may be available at once.
    ///
    /// The SNMP engine limits how many requests are pending, see [`master_config::Limits::snmp_requests`].
    pub(crate) fn request(&mut self, request: Request, now: Instant) {
        self.totals.requests += 1;
        match request.operation {
            Operation::Set(_) => self.begin_write(request, now),
            Operation::Get(_) | Operation::GetNext(_) | Operation::GetBulk { .. } => self.begin_read(request, now),
        }
    }

    /// Handles everything whose deadline has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(id) = self.packets.overdue(now) {
            self.time_out(id, now);
        }
        for connection in self.connections.stalled(now) {
            self.totals.connections_stalled += 1;
            self.totals.sessions_stalled += self.close_connection(connection, None, now);
        }
        while let Some(connection) = self.connections.expired(now) {
            self.totals.sessions_expired += self.close_connection(connection, Some(CloseReason::Other), now);
        }
    }

    /// Returns the time at which `tick` must be called. Calling it earlier is harmless.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.packets.deadline(), self.connections.deadline()].into_iter().flatten().min()
    }

    /// Closes all sessions, and all connections once their output is sent.
    pub(crate) fn shut_down(&mut self, now: Instant) {
        let sessions: Vec<_> = self.sessions.iter().map(|(id, _)| id).collect();
        for session in &sessions {
            self.send_close(*session, CloseReason::Shutdown, now);
        }
        for connection in self.connections.ids() {
            self.connections.close(connection, now);
        }
        self.end_sessions(&sessions, now);
    }

    /// Removes and returns the next answer.
    pub(crate) fn next_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Returns the next connection that has new output or is to be closed. A connection is returned again once it has
    /// more output.
    pub(crate) fn next_ready(&mut self) -> Option<ConnectionId> {
        self.connections.next_ready()
    }

    /// Returns the output of a connection. Returns `None` if the connection does not exist.
    pub(crate) fn output(&mut self, connection: ConnectionId) -> Option<&mut Output> {
        self.connections.get_mut(connection).map(|connection| &mut connection.output)
    }

    /// Returns until when a connection must not be read because it exceeds
    /// [`master_config::Limits::agentx_pdus_per_second`], or its namespace exceeds
    /// [`master_config::Limits::agentx_pdus_per_second_per_namespace`].
    ///
    /// The peer's PDUs wait in the socket meanwhile. Once it is full, the peer cannot send more.
    pub(crate) fn read_after(&self, connection: ConnectionId, now: Instant) -> Option<Instant> {
        let identity = self.connections.get(connection)?.peer.identity();
        let of_namespace = identity.and_then(|identity| self.namespaces.read_after(&identity.namespace, now));
        self.connections.read_after(connection, now).max(of_namespace)
    }

    fn next_transaction(&mut self) -> u32 {
        loop {
            self.last_transaction = self.last_transaction.wrapping_add(1);
            if !self.transactions.contains_key(&self.last_transaction) {
                return self.last_transaction;
            }
        }
    }

    /// Sends a PDU to a subagent. Returns whether it was sent, and the body for reuse. It is not sent if the subagent
    /// does not read its output, or has too many PDUs outstanding.
    fn send(&mut self, context: &mut Context, body: Body, packet: Packet, now: Instant) -> (bool, Body) {
        let id = self.packets.next_id();
        let Some(session) = self.sessions.get_mut(packet.session) else { return (false, body) };
        let connection = self.connections.get(session.connection);
        let is_open = match body {
            // A SET that has been tested is always completed.
            Body::CommitSet | Body::UndoSet => connection.is_some_and(|connection| !connection.output.closes()),
            _ => connection.is_some_and(Connection::is_open) && session.packets.len() < MAX_OUTSTANDING,
        };
        if !is_open {
            session.counts.unsent += 1;
            self.totals.unsent += 1;
            return (false, body);
        }
        let header = Header {
            byte_order: session.byte_order,
            session_id: packet.session.0,
            transaction_id: packet.transaction,
            packet_id: id,
        };
        let mut pdu = Pdu { header, context: std::mem::take(context), body };
        let written = self.connections.write(session.connection, now, |buf| encode(&pdu, buf));
        *context = std::mem::take(&mut pdu.context);
        if !matches!(written, Some(Ok(()))) {
            return (false, pdu.body);
        }
        session.packets.insert(id);
        session.counts.requests += 1;
        self.packets.add(id, packet);
        (true, pdu.body)
    }

    /// Processes a Response. Returns whether it was expected.
    fn receive_response(&mut self, connection: ConnectionId, header: Header, frame: &[u8], now: Instant) -> bool {
        let session_id = SessionId(header.session_id);
        let Some(session) = self.sessions.on_connection(connection, session_id) else {
            self.totals.responses_unknown += 1;
            return false;
        };
        session.record_response();
        if self.packets.get(header.packet_id).is_none_or(|packet| packet.session != session_id) {
            session.counts.unexpected += 1;
            self.totals.unexpected += 1;
            return false;
        }
        let Some(packet) = self.take_packet(header.packet_id) else { return false };
        match ResponseRef::parse(frame, &self.pdu_limits) {
            Ok(response) => self.resolve(packet, &Outcome::Response(&response), now),
            Err(error) => {
                tracing::debug!(session = session_id.0, %error, "dropped a Response that cannot be decoded");
                if let Some(session) = self.sessions.get_mut(session_id) {
                    session.counts.dropped += 1;
                    self.totals.dropped += 1;
                }
                self.resolve(packet, &Outcome::Malformed, now);
            }
        }
        true
    }

    fn take_packet(&mut self, id: u32) -> Option<Packet> {
        let packet = self.packets.take(id)?;
        if let Some(session) = self.sessions.get_mut(packet.session) {
            session.packets.remove(&id);
        }
        Some(packet)
    }

    /// Handles a PDU that was not answered in time. Closes the session after several timeouts in a row.
    fn time_out(&mut self, id: u32, now: Instant) {
        let Some(packet) = self.take_packet(id) else { return };
        let id = packet.session;
        self.totals.timeouts += 1;
        let is_silent = self.sessions.get_mut(id).is_some_and(|session| session.record_timeout(packet.sent, now));
        self.resolve(packet, &Outcome::TimedOut, now);
        if is_silent {
            self.totals.sessions_silent += 1;
            self.send_close(id, CloseReason::Timeouts, now);
            self.end_sessions(&[id], now);
        }
    }

    /// Removes sessions and everything that they registered. Their outstanding queries go to the sessions that serve
    /// the regions now.
    fn end_sessions(&mut self, ended: &[SessionId], now: Instant) {
        let mut packets = Vec::new();
        for id in ended {
            self.registry.withdraw(*id);
            let Some(session) = self.sessions.remove(*id) else { continue };
            if let Some(identity) = &session.identity {
                self.namespaces.session_closed(&identity.namespace);
                self.withdrawn.end(*id);
            }
            self.indexes.release(*id);
            self.capabilities.withdraw(*id, now);
            if let Some(connection) = self.connections.get_mut(session.connection) {
                connection.sessions.retain(|other| other != id);
            }
            packets.extend(session.packets);
            tracing::info!(session = id.0, "AgentX session closed");
        }
        for id in packets {
            if let Some(packet) = self.packets.take(id) {
                self.resolve(packet, &Outcome::SessionEnded, now);
            }
        }
    }

    /// Continues the request that a packet belongs to.
    fn resolve(&mut self, packet: Packet, outcome: &Outcome<'_, '_>, now: Instant) {
        let Packet { session, transaction, sent, query, .. } = packet;
        if let (Query::Read(query), Some(session)) = (&query, self.sessions.get_mut(session))
            && query.pdu_type == PduType::GetBulk
        {
            session.learn_bulk_support(query, sent, outcome, now);
        }
        let request = self.transactions.remove(&transaction);
        shrink_sparse(&mut self.transactions);
        match (query, request) {
            (Query::Read(query), Some(Transaction::Read(read))) => {
                self.resolve_read(transaction, read, (session, &query), outcome, now);
            }
            (Query::Set { part }, Some(Transaction::Write(write))) => {
                self.resolve_write(transaction, write, part, outcome, now);
            }
            // The request has already been answered. After 2³² requests, its number may be that of another request.
            (_, Some(other)) => {
                self.transactions.insert(transaction, other);
            }
            (_, None) => {}
        }
    }
}
