//! From a request of an NMS to requests to subagents, and back (RFC 2741 section 7), without I/O.

mod administration;
mod connection;
mod fuzz;
mod granting;
mod memory;
mod packet;
mod read;
mod reading;
mod request;
mod session;
mod status;
mod tenants;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use agentx::{
    Body, CloseReason, Context, FrameHeader, Header, Limits, Oid, Pdu, PduType, ResponseError, ResponseRef,
    SearchRange, VarBindScratch, encode,
};

#[doc(hidden)]
pub use self::fuzz::fuzz;
use self::{
    connection::{Connection, Connections, Pace},
    granting::Withdrawn,
    memory::give_back,
    packet::{Asked, AskedRead, Packet, Packets},
    read::Read,
    reading::Ask,
    session::{OUTSTANDING, Sessions},
    tenants::Tenants,
    write::Write,
};
pub use self::{
    connection::{ConnectionId, Output},
    request::{Answer, Operation, Request, Token},
    status::{Published, SessionCounts, SessionStatus, Totals},
};
use crate::{
    authority::{Authority, Peer},
    capabilities::Capabilities,
    index_allocation::IndexAllocations,
    own_objects::OwnObjects,
    registry::{Registry, SessionId},
};

/// The most varbinds of one PDU.
const PDU_VARBINDS: usize = 16_384;

/// The AgentX master as a state machine: frames, requests and time in; octets and answers out.
///
/// After each input, send what the connections of [`Dispatcher::next_ready`] have to send, and take the answers from
/// [`Dispatcher::next_answer`]; come back at [`Dispatcher::deadline`]. Every request is answered once. What one subagent
/// does or does not do costs requests for its own objects an error, and nothing else.
pub struct Dispatcher<O> {
    own: O,
    authority: Authority,
    registry: Registry,
    indexes: IndexAllocations,
    capabilities: Capabilities,
    withdrawn: Withdrawn,
    tenants: Tenants,
    /// How fast the log may be told of what is denied.
    denials: Pace,
    limits: master_config::Limits,
    /// What is accepted from a subagent.
    pdu_limits: Limits,
    /// How long a subagent that names no timeout has to answer.
    patience: Duration,
    started: Instant,
    connections: Connections,
    sessions: Sessions,
    packets: Packets,
    transactions: HashMap<u32, Transaction>,
    last_transaction: u32,
    answers: VecDeque<Answer>,
    totals: Totals,
    /// Memory that is used again.
    #[allow(clippy::vec_box, reason = "a box is what is used again")]
    spare_reads: Vec<Box<Read>>,
    asks: Vec<Ask>,
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

/// What came of a PDU that a subagent was sent.
#[derive(Debug)]
enum Outcome<'r, 'a> {
    /// Its answer, an error or not.
    Answered(&'r ResponseRef<'a>),
    /// An answer that cannot be read.
    Unreadable,
    /// No answer in time.
    Missed,
    /// The session is over.
    Lost,
}

impl Outcome<'_, '_> {
    /// Whether a subagent did not do what it was asked. An empty answer to a GetBulk says so too.
    fn is_refusal(&self, asked: &AskedRead) -> bool {
        let Self::Answered(response) = self else { return false };
        response.error != ResponseError::NoError
            || asked.pdu_type == PduType::GetBulk && response.varbinds().remaining() == 0
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    /// A master without connections. `started` is when sysUpTime was 0.
    pub fn new(own: O, limits: &master_config::Limits, started: Instant) -> Self {
        let (authority, registry) = (Authority::new(own.subtrees()), Registry::new(own.subtrees(), limits.into()));
        let mut dispatcher = Self {
            own,
            authority,
            registry,
            indexes: IndexAllocations::default(),
            capabilities: Capabilities::default(),
            withdrawn: Withdrawn::default(),
            tenants: Tenants::default(),
            denials: Pace::new(started),
            limits: limits.clone(),
            pdu_limits: Limits { payload: 0, varbinds: PDU_VARBINDS, octets: 65_535 },
            patience: Duration::ZERO,
            started,
            connections: Connections::default(),
            sessions: Sessions::default(),
            packets: Packets::default(),
            transactions: HashMap::new(),
            last_transaction: 0,
            answers: VecDeque::new(),
            totals: Totals::default(),
            spare_reads: Vec::new(),
            asks: Vec::new(),
            ranges: Vec::new(),
            spare_ranges: Vec::new(),
            scratch: VarBindScratch::default(),
            name: Oid::default(),
        };
        dispatcher.limit(limits);
        dispatcher
    }

    /// Other limits from now on. What is there already stays.
    pub fn limit(&mut self, limits: &master_config::Limits) {
        self.registry.limit(limits.into());
        self.pdu_limits.payload = limits.agentx_pdu_octets;
        self.patience = Duration::from_millis(limits.subagent_timeout_ms.into());
        self.limits = limits.clone();
    }

    /// The engine starts, at `started`: sysUpTime is 0 then, and the master's own objects are these from now on.
    pub fn restart(&mut self, own: O, started: Instant) {
        (self.own, self.started) = (own, started);
    }

    /// The limits that hold.
    pub fn limits(&self) -> &master_config::Limits {
        &self.limits
    }

    /// A peer has connected.
    pub fn connect(&mut self, peer: Peer, now: Instant) -> ConnectionId {
        if let Some(identity) = peer.identity() {
            self.tenants.connected(&identity.namespace, now);
        }
        self.connections.add(peer, now)
    }

    /// A connection is gone, and with it its sessions.
    pub fn disconnect(&mut self, connection: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.remove(connection) else { return };
        self.totals.sessions_disconnected += connection.sessions.len() as u64;
        self.end_sessions(&connection.sessions, now);
        if let Some(identity) = connection.peer.identity() {
            self.tenants.disconnected(&identity.namespace);
        }
    }

    /// A whole frame has come, as [`agentx::Framer`] cuts them.
    pub fn receive(&mut self, connection: ConnectionId, frame: &[u8], now: Instant) {
        if self.connections.get(connection).is_none_or(|connection| connection.output.closes()) {
            return;
        }
        match FrameHeader::parse(frame) {
            Err(_) => self.malformed(connection, now),
            Ok(header) if header.pdu_type == PduType::Response => {
                if !self.receive_response(connection, header.header, frame, now) {
                    self.pace(connection, now);
                }
            }
            Ok(header) => {
                self.pace(connection, now);
                self.administer(connection, header, frame, now);
            }
        }
    }

    /// What comes on a connection is no AgentX: its sessions are closed and it is left.
    pub fn malformed(&mut self, connection: ConnectionId, now: Instant) {
        self.totals.connections_malformed += 1;
        self.totals.sessions_malformed += self.leave(connection, Some(CloseReason::ParseError), now);
    }

    /// Leaves a connection, and says why if there is a reason to say. How many sessions end with it.
    fn leave(&mut self, connection: ConnectionId, reason: Option<CloseReason>, now: Instant) -> u64 {
        let sessions = self.connections.get(connection).map(|connection| connection.sessions.clone());
        let sessions = sessions.unwrap_or_default();
        if let Some(reason) = reason {
            for session in &sessions {
                self.say_close(*session, reason, now);
            }
        }
        self.connections.close(connection, now);
        self.end_sessions(&sessions, now);
        sessions.len() as u64
    }

    /// Counts a PDU that is no answer.
    fn pace(&mut self, connection: ConnectionId, now: Instant) {
        self.connections.pace(connection, self.limits.agentx_pdus_per_second, now);
        if let Some(identity) = self.connections.get(connection).and_then(|connection| connection.peer.identity()) {
            let per_second = self.limits.agentx_pdus_per_second_per_namespace;
            self.tenants.pace(&identity.namespace, per_second, now);
        }
    }

    /// An NMS asks. The answer may be there at once.
    ///
    /// Where [`master_config::Limits::snmp_requests`] are being answered already, the answer is genErr: an NMS hears at
    /// once that it asks too much, and does not ask again for want of an answer.
    pub fn request(&mut self, request: Request, now: Instant) {
        self.totals.requests += 1;
        if self.transactions.len() >= usize::try_from(self.limits.snmp_requests).unwrap_or(usize::MAX) {
            self.totals.requests_refused += 1;
            return self.answer(request.token, Err((ResponseError::GenErr, 0)));
        }
        match request.operation {
            Operation::Set(_) => self.begin_write(request, now),
            Operation::Get(_) | Operation::GetNext(_) | Operation::GetBulk { .. } => self.begin_read(request, now),
        }
    }

    /// Time has passed: what is overdue has failed.
    pub fn tick(&mut self, now: Instant) {
        while let Some(id) = self.packets.overdue(now) {
            self.miss(id, now);
        }
        for connection in self.connections.stalled(now) {
            self.totals.connections_stalled += 1;
            self.totals.sessions_stalled += self.leave(connection, None, now);
        }
        while let Some(connection) = self.connections.expired(now) {
            self.totals.sessions_expired += self.leave(connection, Some(CloseReason::Other), now);
        }
    }

    /// When to give [`Dispatcher::tick`] at the latest. Earlier never harms.
    pub fn deadline(&self) -> Option<Instant> {
        [self.packets.deadline(), self.connections.deadline()].into_iter().flatten().min()
    }

    /// The master ends: all sessions are closed, and all connections once that is said.
    pub fn shut_down(&mut self, now: Instant) {
        let sessions: Vec<_> = self.sessions.iter().map(|(id, _)| id).collect();
        for session in &sessions {
            self.say_close(*session, CloseReason::Shutdown, now);
        }
        for connection in self.connections.ids() {
            self.connections.close(connection, now);
        }
        self.end_sessions(&sessions, now);
    }

    /// The next answer.
    pub fn next_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// The next connection that has something new to send or is to be closed. It comes again when there is more.
    pub fn next_ready(&mut self) -> Option<ConnectionId> {
        self.connections.next_ready()
    }

    /// What is to be sent on a connection. `None`: there is no such connection.
    pub fn output(&mut self, connection: ConnectionId) -> Option<&mut Output> {
        self.connections.get_mut(connection).map(|connection| &mut connection.output)
    }

    /// Until when a connection is not to be read: its peer sends more PDUs than
    /// [`master_config::Limits::agentx_pdus_per_second`], or its namespace more than
    /// [`master_config::Limits::agentx_pdus_per_second_per_namespace`]. They wait in its socket, and so does it once that is full.
    pub fn read_after(&self, connection: ConnectionId, now: Instant) -> Option<Instant> {
        let identity = self.connections.get(connection)?.peer.identity();
        let of_namespace = identity.and_then(|identity| self.tenants.read_after(&identity.namespace, now));
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

    /// Asks a subagent. False: it cannot be asked now, because it does not read or owes too many answers already.
    fn send(&mut self, context: &mut Context, body: Body, packet: Packet, now: Instant) -> (bool, Body) {
        let id = self.packets.next_id();
        let Some(session) = self.sessions.get_mut(packet.session) else { return (false, body) };
        let connection = self.connections.get(session.connection);
        let is_open = match body {
            // A SET that was begun is brought to its end.
            Body::CommitSet | Body::UndoSet => connection.is_some_and(|connection| !connection.output.closes()),
            _ => connection.is_some_and(Connection::is_open) && session.packets.len() < OUTSTANDING,
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

    /// Takes a Response. Whether it was awaited.
    fn receive_response(&mut self, connection: ConnectionId, header: Header, frame: &[u8], now: Instant) -> bool {
        let session_id = SessionId(header.session_id);
        let Some(session) = self.sessions.of(connection, session_id) else {
            self.totals.responses_unknown += 1;
            return false;
        };
        session.heard();
        if self.packets.get(header.packet_id).is_none_or(|packet| packet.session != session_id) {
            session.counts.unexpected += 1;
            self.totals.unexpected += 1;
            return false;
        }
        let Some(packet) = self.take_packet(header.packet_id) else { return false };
        match ResponseRef::parse(frame, &self.pdu_limits) {
            Ok(response) => self.resolve(packet, &Outcome::Answered(&response), now),
            Err(error) => {
                tracing::debug!(session = session_id.0, %error, "an answer is dropped");
                if let Some(session) = self.sessions.get_mut(session_id) {
                    session.counts.dropped += 1;
                    self.totals.dropped += 1;
                }
                self.resolve(packet, &Outcome::Unreadable, now);
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

    /// A packet has not been answered in time.
    fn miss(&mut self, id: u32, now: Instant) {
        let Some(packet) = self.take_packet(id) else { return };
        let id = packet.session;
        self.totals.timeouts += 1;
        let is_silent = self.sessions.get_mut(id).is_some_and(|session| session.missed(packet.sent, now));
        self.resolve(packet, &Outcome::Missed, now);
        if is_silent {
            self.totals.sessions_silent += 1;
            self.say_close(id, CloseReason::Timeouts, now);
            self.end_sessions(&[id], now);
        }
    }

    /// Forgets sessions. What they have been asked is asked of others, as if they had never been.
    fn end_sessions(&mut self, ended: &[SessionId], now: Instant) {
        let mut packets = Vec::new();
        for id in ended {
            self.registry.withdraw(*id);
            let Some(session) = self.sessions.remove(*id) else { continue };
            if let Some(member) = &session.member {
                self.tenants.ended(&member.namespace);
                self.withdrawn.end(*id);
            }
            self.indexes.release(*id);
            self.capabilities.withdraw(*id, now);
            if let Some(connection) = self.connections.get_mut(session.connection) {
                connection.sessions.retain(|known| known != id);
            }
            packets.extend(session.packets);
            tracing::info!(session = id.0, "a session is over");
        }
        for id in packets {
            if let Some(packet) = self.packets.take(id) {
                self.resolve(packet, &Outcome::Lost, now);
            }
        }
    }

    /// Goes on with the request that a PDU was sent for.
    fn resolve(&mut self, packet: Packet, outcome: &Outcome<'_, '_>, now: Instant) {
        let Packet { session, transaction, sent, asked, .. } = packet;
        if let (Asked::Read(asked), Some(session)) = (&asked, self.sessions.get_mut(session))
            && asked.pdu_type == PduType::GetBulk
        {
            session.learn_bulk(asked, sent, outcome, now);
        }
        let request = self.transactions.remove(&transaction);
        give_back(&mut self.transactions);
        match (asked, request) {
            (Asked::Read(asked), Some(Transaction::Read(read))) => {
                self.resolve_read(transaction, read, (session, &asked), outcome, now);
            }
            (Asked::Set { part }, Some(Transaction::Write(write))) => {
                self.resolve_write(transaction, write, part, outcome, now);
            }
            // Nobody waits for it any more; or, 2³² requests later, another one does.
            (_, Some(other)) => {
                self.transactions.insert(transaction, other);
            }
            (_, None) => {}
        }
    }
}
