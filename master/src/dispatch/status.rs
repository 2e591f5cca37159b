//! What there is to say of sessions and of what was asked, for people and for metrics.

use std::{sync::Arc, time::Instant};

use agentx::{Oid, Range};

use super::{ConnectionId, Dispatcher, session::Session};
use crate::{authority::Peer, identity::Identity, own_objects::OwnObjects, registry::SessionId};

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
    /// Registrations of which it serves nothing or not all, because others of its namespace were there before.
    pub standing_by: usize,
    /// What it had registered or announced and is granted no more.
    pub withdrawn: usize,
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
    /// Sessions that ended with their peers' tokens.
    pub sessions_expired: u64,
    /// Sessions that were closed because more was withdrawn from them than is remembered.
    pub sessions_withdrawn: u64,
    /// Registrations that were withdrawn because they are granted no more.
    pub registrations_withdrawn: u64,
    /// Connections whose peers did not read.
    pub connections_stalled: u64,
    /// Connections whose peers sent what is no AgentX.
    pub connections_malformed: u64,
    /// Sessions that were refused because there are too many.
    pub opens_refused: u64,
    /// What was refused because these are objects of the master's own.
    pub denied_reserved: u64,
    /// What was refused because the namespace is granted nothing in that context.
    pub denied_context: u64,
    /// What was refused because it lies outside of what the namespace is granted.
    pub denied_outside: u64,
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

/// A registration over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Whose.
    pub identity: Arc<Identity>,
    /// In which context.
    pub context: Arc<[u8]>,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region is several subtrees.
    pub range: Option<Range>,
    /// Whether it serves all of its region, behind no other registration of the same.
    pub serving: bool,
}

impl<O: OwnObjects> Dispatcher<O> {
    /// All registrations over TLS, in no order.
    pub fn published(&self) -> impl Iterator<Item = Published> {
        let sessions = self.sessions.iter().filter_map(|(id, session)| Some((id, session.member.as_ref()?)));
        sessions.flat_map(|(id, member)| {
            self.registry.registered(id).map(|registered| Published {
                identity: Arc::clone(member),
                context: Arc::clone(registered.context),
                subtree: registered.subtree,
                range: registered.range,
                serving: !registered.stands_by,
            })
        })
    }

    /// How often registrations have changed.
    pub fn revision(&self) -> u64 {
        self.registry.revision()
    }

    /// About how many registrations stand by behind others, see [`crate::registry::Registry::queued`].
    pub fn queued(&self) -> u64 {
        self.registry.queued()
    }

    /// How many namespaces have connections over TLS.
    pub fn namespace_count(&self) -> usize {
        self.tenants.len()
    }

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
                standing_by: self.standing_by(id, session),
                withdrawn: self.withdrawn.len_of(id),
                outstanding: session.packets.len(),
                counts: session.counts,
            })
        })
    }

    /// Those of others than namespaces are not looked at: there may be very many, and none of them queues.
    fn standing_by(&self, id: SessionId, session: &Session) -> usize {
        let is_member = session.member.is_some();
        self.registry.registered(id).take_while(|_| is_member).filter(|registered| registered.stands_by).count()
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
