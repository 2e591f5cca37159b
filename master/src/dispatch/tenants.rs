//! What namespaces take up: sessions, and PDUs in a second.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{connection::Pace, memory::give_back};

/// All namespaces that have a connection.
#[derive(Debug, Default)]
pub(super) struct Tenants(HashMap<Arc<str>, Tenant>);

#[derive(Debug)]
struct Tenant {
    connections: usize,
    sessions: usize,
    pace: Pace,
}

impl Tenants {
    pub(super) fn connected(&mut self, namespace: &Arc<str>, now: Instant) {
        let tenant = || Tenant { connections: 0, sessions: 0, pace: Pace::new(now) };
        self.0.entry(Arc::clone(namespace)).or_insert_with(tenant).connections += 1;
    }

    pub(super) fn disconnected(&mut self, namespace: &str) {
        let Some(tenant) = self.0.get_mut(namespace) else { return };
        tenant.connections = tenant.connections.saturating_sub(1);
        if tenant.connections == 0 {
            self.0.remove(namespace);
            give_back(&mut self.0);
        }
    }

    pub(super) fn opened(&mut self, namespace: &str) {
        if let Some(tenant) = self.0.get_mut(namespace) {
            tenant.sessions += 1;
        }
    }

    pub(super) fn ended(&mut self, namespace: &str) {
        if let Some(tenant) = self.0.get_mut(namespace) {
            tenant.sessions = tenant.sessions.saturating_sub(1);
        }
    }

    /// Sessions of a namespace.
    pub(super) fn sessions(&self, namespace: &str) -> usize {
        self.0.get(namespace).map_or(0, |tenant| tenant.sessions)
    }

    /// Counts a PDU that is no answer.
    pub(super) fn pace(&mut self, namespace: &str, per_second: u32, now: Instant) {
        if let Some(tenant) = self.0.get_mut(namespace) {
            tenant.pace.take(per_second, now);
        }
    }

    /// Until when no connection of the namespace is to be read.
    pub(super) fn read_after(&self, namespace: &str, now: Instant) -> Option<Instant> {
        self.0.get(namespace)?.pace.read_after(now)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
