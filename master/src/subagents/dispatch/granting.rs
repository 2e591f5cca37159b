//! Changes of the grants of namespaces.
//!
//! A registration that is no longer granted is withdrawn at once, and nothing else of the session changes. The subagent
//! is not notified: it learns of the change from its own configuration, earlier or later than the master, and
//! unregisters then. Until then the master remembers the registration and restores it if it is granted again, because a
//! subagent that was not notified would not register it again.

use std::{collections::HashSet, sync::Arc, time::Instant};

use agentx::CloseReason;

use super::{Dispatcher, withdrawn::SessionWithdrawals};
use crate::{
    pdu::own_objects::OwnObjects,
    subagents::{
        authority::{Action, Grants, Peer},
        registry::{Registered, Registration, SessionId},
    },
};

/// The maximum number of withdrawals of a session. A session with more is closed, so that its subagent registers again.
const MAX_WITHDRAWALS: usize = 1_024;

impl<O: OwnObjects> Dispatcher<O> {
    /// Replaces the grants, and withdraws and restores registrations and capabilities accordingly.
    pub fn set_grants(&mut self, grants: Grants, now: Instant) {
        let changed: HashSet<_> = self.authority.grant(grants).into_iter().collect();
        if changed.is_empty() {
            return;
        }
        let affected = self.sessions.iter().filter_map(|(id, session)| {
            session.identity.as_ref().filter(|identity| changed.contains(&identity.namespace))?;
            Some((id, self.connections.get(session.connection)?.peer.clone()))
        });
        let mut sessions: Vec<_> = affected.collect();
        sessions.sort_unstable_by_key(|(id, _)| *id);
        // Withdraw everything first, so that withdrawn regions can be restored to other sessions.
        let mut closed = Vec::new();
        for (id, peer) in &sessions {
            if !self.withdraw_denied(*id, peer, now) {
                closed.push(*id);
            }
        }
        for (id, peer) in &sessions {
            if !self.restore_granted(*id, peer, now) {
                closed.push(*id);
            }
        }
        closed.sort_unstable();
        closed.dedup();
        self.totals.sessions_withdrawn += closed.len() as u64;
        for id in &closed {
            self.send_close(*id, CloseReason::ByManager, now);
        }
        self.end_sessions(&closed, now);
    }

    /// Withdraws the registrations and capabilities of a session that are no longer granted. Returns whether the
    /// session can stay open.
    fn withdraw_denied(&mut self, id: SessionId, peer: &Peer, now: Instant) -> bool {
        let mut withdrawn = SessionWithdrawals::default();
        let denied = |action: Action<'_>| self.authority.authorize(peer, action).is_err();
        let is_denied = |registered: &Registered<'_>| {
            let Registered { context, subtree, range, .. } = registered;
            denied(Action::Register { context, subtree, range: *range })
        };
        let registered = self.registry.registered(id).filter(is_denied).map(|registered| {
            let Registered { context, subtree, range, priority, .. } = registered;
            (Arc::clone(context), subtree, range, priority)
        });
        let registered: Vec<_> = registered.collect();
        let mut capabilities = self.capabilities.of_session(id);
        capabilities.retain(|(context, row)| denied(Action::AddCapabilities { context, id: &row.id }));
        let has_indexes = self.indexes.any_of(id, |context, name| {
            let varbinds = [agentx::VarBind { name: name.clone(), value: agentx::Value::Null }];
            denied(Action::AllocateIndexes { context, varbinds: &varbinds })
        });
        for (context, subtree, range, priority) in registered {
            if let Ok(registration) = self.registry.unregister(&context, id, priority, &subtree, range) {
                withdrawn.registrations.push((context, registration));
            }
        }
        for (context, row) in capabilities {
            if self.capabilities.remove(&context, id, &row.id, now).is_ok() {
                withdrawn.capabilities.push((context, row));
            }
        }
        if withdrawn.len() > 0 {
            self.totals.registrations_withdrawn += withdrawn.registrations.len() as u64;
            let registrations = withdrawn.registrations.len();
            tracing::info!(session = id.0, %peer, registrations, "withdrew registrations that are no longer granted");
        }
        self.withdrawn.add(id, withdrawn);
        !has_indexes && self.withdrawn.len_of(id) <= MAX_WITHDRAWALS
    }

    /// Restores the withdrawn registrations and capabilities of a session that are granted again. Returns whether the
    /// session can stay open.
    fn restore_granted(&mut self, id: SessionId, peer: &Peer, now: Instant) -> bool {
        let Some(SessionWithdrawals { registrations, capabilities }) = self.withdrawn.take(id) else { return true };
        let mut remaining = SessionWithdrawals::default();
        for (context, registration) in registrations {
            let Registration { subtree, range, .. } = &registration;
            if self.authority.authorize(peer, Action::Register { context: &context, subtree, range: *range }).is_err() {
                remaining.registrations.push((context, registration));
            } else if self.registry.register(&context, registration).is_err() {
                return false;
            }
        }
        for (context, row) in capabilities {
            if self.authority.authorize(peer, Action::AddCapabilities { context: &context, id: &row.id }).is_err() {
                remaining.capabilities.push((context, row));
            } else if self.capabilities.add(&context, id, row, now).is_err() {
                return false;
            }
        }
        self.withdrawn.add(id, remaining);
        true
    }
}
