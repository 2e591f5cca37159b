//! Snapshots of the agent thread's state for metrics and `/status`.

use std::time::Instant;

use serde::Serialize;

use crate::pdu::own_objects::OwnObjects;
use crate::subagents::dispatch::{Dispatcher, SessionStatus, Totals};

/// The numbers of a snapshot, which the agent thread publishes twice a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Open connections of subagents.
    pub connections: usize,
    /// Open sessions.
    pub sessions: usize,
    /// Registered regions.
    pub registrations: u64,
    /// Registrations that are queued behind others of their namespaces. An estimate.
    pub standing_by: u64,
    /// Namespaces with connections over TLS.
    pub namespaces: usize,
    /// Contexts with registrations.
    pub contexts: usize,
    /// SNMP requests in progress.
    pub requests: usize,
    /// Requests to subagents without a response yet.
    pub outstanding: usize,
    /// Counters since the start.
    pub totals: Totals,
}

/// All sessions, collected on request.
#[derive(Debug)]
pub struct Sessions {
    /// When they were collected.
    pub at: Instant,
    /// The sessions.
    pub sessions: Vec<SessionStatus>,
}

/// A session in the JSON of `/status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionJson {
    id: u32,
    connection: u64,
    peer: String,
    description: String,
    oid: String,
    age_seconds: f64,
    registrations: u64,
    standing_by: usize,
    withdrawn: usize,
    outstanding: usize,
    requests: u64,
    timeouts: u64,
    dropped_answers: u64,
    unexpected_answers: u64,
    unsent: u64,
}

impl Snapshot {
    /// Returns the numbers of `dispatcher`.
    pub fn of<O: OwnObjects>(dispatcher: &Dispatcher<O>) -> Self {
        Self {
            connections: dispatcher.connection_count(),
            sessions: dispatcher.session_count(),
            registrations: dispatcher.registration_count(),
            standing_by: dispatcher.queued(),
            namespaces: dispatcher.namespace_count(),
            contexts: dispatcher.context_count(),
            requests: dispatcher.request_count(),
            outstanding: dispatcher.outstanding(),
            totals: dispatcher.totals(),
        }
    }
}

impl Sessions {
    /// Returns the sessions of `dispatcher`.
    pub fn of<O: OwnObjects>(dispatcher: &Dispatcher<O>, now: Instant) -> Self {
        Self { at: now, sessions: dispatcher.sessions().collect() }
    }

    /// Returns the sessions as JSON, ordered by session id.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut sessions: Vec<_> = self.sessions.iter().map(|session| SessionJson::of(session, self.at)).collect();
        sessions.sort_by_key(|session| session.id);
        serde_json::to_value(sessions).unwrap_or_default()
    }
}

impl SessionJson {
    fn of(session: &SessionStatus, at: Instant) -> Self {
        let counts = session.counts;
        Self {
            id: session.id.0,
            connection: session.connection.0,
            peer: session.peer.to_string(),
            description: session.description.clone(),
            oid: session.oid.to_string(),
            age_seconds: at.saturating_duration_since(session.opened).as_secs_f64(),
            registrations: session.registrations,
            standing_by: session.standing_by,
            withdrawn: session.withdrawn,
            outstanding: session.outstanding,
            requests: counts.requests,
            timeouts: counts.timeouts,
            dropped_answers: counts.dropped,
            unexpected_answers: counts.unexpected,
            unsent: counts.unsent,
        }
    }
}
