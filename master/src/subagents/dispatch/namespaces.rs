//! Connections, sessions and PDU rates of namespaces.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{connection::RateLimit, memory::shrink_sparse};

/// The namespaces that have connections.
#[derive(Debug, Default)]
pub(super) struct Namespaces(HashMap<Arc<str>, Namespace>);

#[derive(Debug)]
struct Namespace {
    connections: usize,
    sessions: usize,
    rate: RateLimit,
}

impl Namespaces {
    /// Counts a new connection.
    pub(super) fn connected(&mut self, namespace: &Arc<str>, now: Instant) {
        let new = || Namespace { connections: 0, sessions: 0, rate: RateLimit::new(now) };
        self.0.entry(Arc::clone(namespace)).or_insert_with(new).connections += 1;
    }

    /// Counts the end of a connection.
    pub(super) fn disconnected(&mut self, namespace: &str) {
        let Some(entry) = self.0.get_mut(namespace) else { return };
        entry.connections = entry.connections.saturating_sub(1);
        if entry.connections == 0 {
            self.0.remove(namespace);
            shrink_sparse(&mut self.0);
        }
    }

    /// Counts a new session.
    pub(super) fn session_opened(&mut self, namespace: &str) {
        if let Some(namespace) = self.0.get_mut(namespace) {
            namespace.sessions += 1;
        }
    }

    /// Counts the end of a session.
    pub(super) fn session_closed(&mut self, namespace: &str) {
        if let Some(namespace) = self.0.get_mut(namespace) {
            namespace.sessions = namespace.sessions.saturating_sub(1);
        }
    }

    /// Returns the number of sessions of a namespace.
    pub(super) fn sessions(&self, namespace: &str) -> usize {
        self.0.get(namespace).map_or(0, |namespace| namespace.sessions)
    }

    /// Counts a PDU towards the rate limit of the namespace.
    pub(super) fn count_pdu(&mut self, namespace: &str, per_second: u32, now: Instant) {
        if let Some(namespace) = self.0.get_mut(namespace) {
            namespace.rate.count(per_second, now);
        }
    }

    /// Returns until when the connections of the namespace must not be read.
    pub(super) fn read_after(&self, namespace: &str, now: Instant) -> Option<Instant> {
        self.0.get(namespace)?.rate.read_after(now)
    }

    /// Returns the number of namespaces.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
