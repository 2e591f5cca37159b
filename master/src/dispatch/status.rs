//! What there is to say of sessions and of what was asked, for people and for metrics.

use std::time::Instant;

use agentx::Oid;

use super::{ConnectionId, Dispatcher};
use crate::{authority::Peer, own_objects::OwnObjects, registry::SessionId};

/// What has happened in a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// PDUs that it was asked.
    pub requests: u64,
    /// Those that it did not answer in time.
    pub timeouts: u64,
    /// Answers that were dropped: out of order, out of range, of the wrong number, or not to be read at all.
    pub dropped: u64,
    /// Responses to what it was not asked, or that came too late.
    pub unexpected: u64,
    /// PDUs that it was not asked because it does not read, or owes too many answers already.
    pub unsent: u64,
}

/// A session as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// Its number: h.sessionID.
    pub id: SessionId,
    /// The connection that it is on.
    pub connection: ConnectionId,
    /// Who is at the other end of that.
    pub peer: Peer,
    /// What the subagent says that it is: o.descr.
    pub description: String,
    /// What the subagent is by OID: o.id. Null: not given.
    pub oid: Oid,
    /// When it was opened.
    pub opened: Instant,
    /// Subtrees that it has registered, in all contexts.
    pub registrations: u64,
    /// PDUs that it has been asked and has not answered.
    pub outstanding: usize,
    /// What has happened in it.
    pub counts: SessionCounts,
}

/// What has happened in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions that were opened.
    pub sessions_opened: u64,
    /// Sessions that their subagents closed.
    pub sessions_closed: u64,
    /// Sessions that went with their connections.
    pub sessions_disconnected: u64,
    /// Sessions that were closed because they answered nothing.
    pub sessions_silent: u64,
    /// Sessions whose peers did not read.
    pub sessions_stalled: u64,
    /// Sessions whose peers sent what is no AgentX.
    pub sessions_malformed: u64,
    /// Connections whose peers did not read.
    pub connections_stalled: u64,
    /// Connections whose peers sent what is no AgentX.
    pub connections_malformed: u64,
    /// Sessions that were refused because there are too many.
    pub opens_refused: u64,
    /// What was refused because the peer may not do it.
    pub denied: u64,
    /// Registrations that were refused for another reason.
    pub registrations_refused: u64,
    /// Reservations and releases of index values that were refused for another reason.
    pub indexes_refused: u64,
    /// PDUs of subagents that could not be read, or are not for a master.
    pub pdus_refused: u64,
    /// PDUs for sessions that are not open on that connection.
    pub not_open: u64,
    /// Responses for sessions that are not open on that connection.
    pub responses_unknown: u64,
    /// Notifications that were accepted.
    pub notifications: u64,
    /// Notifications that were refused.
    pub notifications_refused: u64,
    /// PDUs that subagents did not answer in time.
    pub timeouts: u64,
    /// Answers that were dropped: out of order, out of range, of the wrong number, or not to be read at all.
    pub dropped: u64,
    /// Responses to what was not asked, or that came too late.
    pub unexpected: u64,
    /// PDUs that were not sent because the subagent does not read, or owes too many answers already.
    pub unsent: u64,
    /// Requests of NMS.
    pub requests: u64,
    /// Those that were refused because too many were being answered.
    pub requests_refused: u64,
}

impl<O: OwnObjects> Dispatcher<O> {
    /// What has happened in all.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// All sessions, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = SessionStatus> {
        self.sessions.iter().filter_map(|(id, session)| {
            Some(SessionStatus {
                id,
                connection: session.connection,
                peer: self.connections.get(session.connection)?.peer.clone(),
                description: String::from_utf8_lossy(&session.open.description).into_owned(),
                oid: session.open.id.clone(),
                opened: session.opened,
                registrations: self.registry.len_of(id),
                outstanding: session.packets.len(),
                counts: session.counts,
            })
        })
    }

    /// How many sessions are open.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many connections there are.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Subtrees that are registered, in all.
    pub fn registration_count(&self) -> u64 {
        self.registry.len()
    }

    /// Contexts in which something is registered.
    pub fn context_count(&self) -> usize {
        self.registry.contexts().len()
    }

    /// Requests of NMS that are being answered.
    pub fn request_count(&self) -> usize {
        self.transactions.len()
    }

    /// PDUs that subagents have been asked and have not answered.
    pub fn outstanding(&self) -> usize {
        self.packets.len()
    }
}
