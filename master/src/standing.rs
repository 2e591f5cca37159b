//! How the agent thread stands, in numbers and session by session.

use std::time::Instant;

use serde::Serialize;

use crate::dispatch::{Dispatcher, SessionStatus, Totals};
use crate::own_objects::OwnObjects;

/// Numbers, gathered twice a second whoever asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Connections of subagents.
    pub connections: usize,
    /// Sessions.
    pub sessions: usize,
    /// Subtrees that are registered.
    pub registrations: u64,
    /// About how many registrations stand by behind others of their namespaces.
    pub standing_by: u64,
    /// Namespaces with connections over TLS.
    pub namespaces: usize,
    /// Contexts in which something is registered.
    pub contexts: usize,
    /// SNMP requests that are being answered.
    pub requests: usize,
    /// PDUs that subagents have been asked and have not answered.
    pub outstanding: usize,
    /// What has happened in all.
    pub totals: Totals,
}

/// Sessions as they stand, gathered when someone asks.
#[derive(Debug)]
pub struct Sessions {
    /// When that was.
    pub at: Instant,
    /// Each of them.
    pub sessions: Vec<SessionStatus>,
}

/// A session for people.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
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

impl Standing {
    /// Of `dispatcher` now.
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
    /// Of `dispatcher` at `now`.
    pub fn of<O: OwnObjects>(dispatcher: &Dispatcher<O>, now: Instant) -> Self {
        Self { at: now, sessions: dispatcher.sessions().collect() }
    }

    /// For people, in the order of their numbers.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut shown: Vec<_> = self.sessions.iter().map(|session| Shown::of(session, self.at)).collect();
        shown.sort_by_key(|session| session.id);
        serde_json::to_value(shown).unwrap_or_default()
    }
}

impl Shown {
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
