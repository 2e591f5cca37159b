//! Registrations and capabilities that were withdrawn because they are no longer granted.

use std::{collections::HashMap, sync::Arc};

use agentx::{AddAgentCaps, Oid, Range};

use crate::subagents::registry::{Registration, SessionId};

/// The withdrawn registrations and capabilities of all sessions. No entry is empty.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(HashMap<SessionId, SessionWithdrawals>);

/// The withdrawn registrations and capabilities of a session, each with its context.
#[derive(Debug, Default)]
pub(super) struct SessionWithdrawals {
    pub(super) registrations: Vec<(Arc<[u8]>, Registration)>,
    pub(super) capabilities: Vec<(Arc<[u8]>, AddAgentCaps)>,
}

impl Withdrawn {
    /// Removes a withdrawn registration when the subagent unregisters it. Returns whether there was one.
    pub(super) fn unregister(
        &mut self,
        session: SessionId,
        context: &[u8],
        priority: u8,
        subtree: &Oid,
        range: Option<Range>,
    ) -> bool {
        let matches = |(of, registration): &(Arc<[u8]>, Registration)| {
            **of == *context
                && registration.priority == priority
                && registration.subtree == *subtree
                && registration.range == range
        };
        self.remove(session, |entry| entry.registrations.extract_if(.., |candidate| matches(candidate)).count() > 0)
    }

    /// Removes a withdrawn capability, a row of sysORTable, when the subagent removes it. Returns whether there was
    /// one.
    pub(super) fn remove_capability(&mut self, session: SessionId, context: &[u8], id: &Oid) -> bool {
        let matches = |(of, row): &(Arc<[u8]>, AddAgentCaps)| **of == *context && row.id == *id;
        self.remove(session, |entry| entry.capabilities.extract_if(.., |candidate| matches(candidate)).count() > 0)
    }

    fn remove(&mut self, session: SessionId, remove: impl FnOnce(&mut SessionWithdrawals) -> bool) -> bool {
        let Some(entry) = self.0.get_mut(&session) else { return false };
        let was_present = remove(entry);
        if entry.len() == 0 {
            self.0.remove(&session);
        }
        was_present
    }

    /// Removes everything of a session that has ended.
    pub(super) fn end(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// Removes and returns the withdrawals of a session.
    pub(super) fn take(&mut self, session: SessionId) -> Option<SessionWithdrawals> {
        self.0.remove(&session)
    }

    /// Returns the number of withdrawals of a session.
    pub(super) fn len_of(&self, session: SessionId) -> usize {
        self.0.get(&session).map_or(0, SessionWithdrawals::len)
    }

    pub(super) fn add(&mut self, session: SessionId, more: SessionWithdrawals) {
        if more.len() > 0 {
            let entry = self.0.entry(session).or_default();
            entry.registrations.extend(more.registrations);
            entry.capabilities.extend(more.capabilities);
        }
    }
}

impl SessionWithdrawals {
    pub(super) fn len(&self) -> usize {
        self.registrations.len() + self.capabilities.len()
    }
}
