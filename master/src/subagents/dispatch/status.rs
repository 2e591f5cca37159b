//! Types of the dispatcher's status, for metrics and for people.

use std::{sync::Arc, time::Instant};

use agentx::{Oid, Range};

use super::connection::ConnectionId;
use crate::subagents::{authority::Peer, registry::SessionId};
use identity::Identity;

/// Counters of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// PDUs sent to the subagent that require a Response.
    pub requests: u64,
    /// PDUs that the subagent did not answer in time.
    pub timeouts: u64,
    /// Responses that were dropped: malformed, or with names out of order, names out of range, or a wrong number of
    /// varbinds.
    pub dropped: u64,
    /// Responses to no outstanding PDU, for example because they came too late.
    pub unexpected: u64,
    /// PDUs that were not sent because the subagent does not read its output or has too many PDUs outstanding.
    pub unsent: u64,
}

/// The status of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStatus {
    /// h.sessionID.
    pub id: SessionId,
    /// The connection of the session.
    pub connection: ConnectionId,
    /// The peer of the connection.
    pub peer: Peer,
    /// The subagent's description of itself: o.descr.
    pub description: String,
    /// The OID that identifies the subagent: o.id. The null OID if it gave none.
    pub oid: Oid,
    /// When the session was opened.
    pub opened: Instant,
    /// The number of registered subtrees in all contexts.
    pub registrations: u64,
    /// The number of registrations that serve only part of their region or nothing, because older registrations of the
    /// same namespace come first.
    pub standing_by: usize,
    /// The number of registrations and capabilities that were withdrawn because they are no longer granted.
    pub withdrawn: usize,
    /// The number of outstanding PDUs.
    pub outstanding: usize,
    /// The counters of the session.
    pub counts: SessionCounts,
}

/// Counters over all sessions since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions closed by their subagents.
    pub sessions_closed: u64,
    /// Sessions that ended with their connections.
    pub sessions_disconnected: u64,
    /// Sessions closed after several timeouts in a row.
    pub sessions_silent: u64,
    /// Sessions closed because their peers did not read their output.
    pub sessions_stalled: u64,
    /// Sessions closed because their peers sent data that is not AgentX.
    pub sessions_malformed: u64,
    /// Sessions closed because their peers' tokens expired.
    pub sessions_expired: u64,
    /// Sessions closed because they had allocated indexes that are no longer granted, or more withdrawn registrations
    /// than are remembered.
    pub sessions_withdrawn: u64,
    /// Registrations withdrawn because they are no longer granted.
    pub registrations_withdrawn: u64,
    /// Connections closed because their peers did not read their output.
    pub connections_stalled: u64,
    /// Connections closed because their peers sent data that is not AgentX.
    pub connections_malformed: u64,
    /// Opens refused because of a limit on sessions.
    pub opens_refused: u64,
    /// PDUs denied because they concern the master's own objects.
    pub denied_reserved: u64,
    /// PDUs denied because the namespace is granted nothing in the context.
    pub denied_context: u64,
    /// PDUs denied because they concern OIDs outside of the namespace's grants.
    pub denied_outside: u64,
    /// Registrations refused for other reasons.
    pub registrations_refused: u64,
    /// Index allocations and deallocations refused for other reasons.
    pub indexes_refused: u64,
    /// PDUs of subagents that could not be decoded, or are of a type that a master does not accept.
    pub pdus_refused: u64,
    /// PDUs for sessions that are not open on the connection.
    pub not_open: u64,
    /// Responses for sessions that are not open on the connection.
    pub responses_unknown: u64,
    /// Notifications accepted.
    pub notifications: u64,
    /// Notifications refused.
    pub notifications_refused: u64,
    /// PDUs that subagents did not answer in time.
    pub timeouts: u64,
    /// Responses that were dropped, see [`SessionCounts::dropped`].
    pub dropped: u64,
    /// Responses to no outstanding PDU, for example because they came too late.
    pub unexpected: u64,
    /// PDUs that were not sent because the subagent does not read its output or has too many PDUs outstanding.
    pub unsent: u64,
    /// Requests of NMSs.
    pub requests: u64,
}

/// A registration of a session over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The identity of the session's peer.
    pub identity: Arc<Identity>,
    /// The SNMP context.
    pub context: Arc<[u8]>,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region consists of several subtrees.
    pub range: Option<Range>,
    /// Whether the registration serves all of its region, that is, no other registration comes first.
    pub serving: bool,
}
