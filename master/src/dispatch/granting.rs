//! What becomes of sessions when their namespaces are granted something else.
//!
//! What is granted no longer is served no longer, at once, and nothing else of the session changes: the subagent learns of it
//! from its own configuration, sooner or later than the master, and takes back what is gone already. Until then it is
//! remembered, so that what is granted again is served again without a word; a subagent that was told nothing would not
//! register it anew.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use agentx::{AddAgentCaps, CloseReason, Oid, Range};

use super::Dispatcher;
use crate::{
    authority::{Act, Grants, Peer},
    own_objects::OwnObjects,
    registry::{Registered, Registration, SessionId},
};

/// How much of a session is remembered. One with more is closed, and begins anew.
const MAX_REMEMBERED: usize = 1_024;

/// What sessions had and are not granted now. No entry is empty.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(HashMap<SessionId, Of>);

/// Of one session, each with its context.
#[derive(Debug, Default)]
struct Of {
    registrations: Vec<(Arc<[u8]>, Registration)>,
    capabilities: Vec<(Arc<[u8]>, AddAgentCaps)>,
}

impl Withdrawn {
    /// Forgets a registration, as if it was taken back now. Whether there was one.
    pub(super) fn unregister(
        &mut self,
        session: SessionId,
        context: &[u8],
        priority: u8,
        subtree: &Oid,
        range: Option<Range>,
    ) -> bool {
        let is = |(of, there): &(Arc<[u8]>, Registration)| {
            **of == *context && there.priority == priority && there.subtree == *subtree && there.range == range
        };
        self.forget(session, |of| of.registrations.extract_if(.., |there| is(there)).count() > 0)
    }

    /// Forgets a row of sysORTable likewise.
    pub(super) fn remove_capability(&mut self, session: SessionId, context: &[u8], id: &Oid) -> bool {
        let is = |(of, there): &(Arc<[u8]>, AddAgentCaps)| **of == *context && there.id == *id;
        self.forget(session, |of| of.capabilities.extract_if(.., |there| is(there)).count() > 0)
    }

    fn forget(&mut self, session: SessionId, forget: impl FnOnce(&mut Of) -> bool) -> bool {
        let Some(of) = self.0.get_mut(&session) else { return false };
        let was_there = forget(of);
        if of.len() == 0 {
            self.0.remove(&session);
        }
        was_there
    }

    pub(super) fn end(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// How much there is of a session.
    pub(super) fn len_of(&self, session: SessionId) -> usize {
        self.0.get(&session).map_or(0, Of::len)
    }

    fn add(&mut self, session: SessionId, more: Of) {
        if more.len() > 0 {
            let of = self.0.entry(session).or_default();
            of.registrations.extend(more.registrations);
            of.capabilities.extend(more.capabilities);
        }
    }
}

impl Of {
    fn len(&self) -> usize {
        self.registrations.len() + self.capabilities.len()
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    /// Other grants from now on.
    pub fn grant(&mut self, grants: Grants, now: Instant) {
        let changed: HashSet<_> = self.authority.grant(grants).into_iter().collect();
        if changed.is_empty() {
            return;
        }
        let of_changed = self.sessions.iter().filter_map(|(id, session)| {
            session.member.as_ref().filter(|member| changed.contains(&member.namespace))?;
            Some((id, self.connections.get(session.connection)?.peer.clone()))
        });
        let mut sessions: Vec<_> = of_changed.collect();
        sessions.sort_unstable_by_key(|(id, _)| *id);
        // First everything is withdrawn, so that what one has lost another may have at once.
        let mut over = Vec::new();
        for (id, peer) in &sessions {
            if !self.withdraw_of(*id, peer, now) {
                over.push(*id);
            }
        }
        for (id, peer) in &sessions {
            if !self.restore_of(*id, peer, now) {
                over.push(*id);
            }
        }
        over.sort_unstable();
        over.dedup();
        self.totals.sessions_withdrawn += over.len() as u64;
        for id in &over {
            self.say_close(*id, CloseReason::ByManager, now);
        }
        self.end_sessions(&over, now);
    }

    /// Withdraws what a session is not granted any more. Whether it can go on.
    fn withdraw_of(&mut self, id: SessionId, peer: &Peer, now: Instant) -> bool {
        let mut gone = Of::default();
        let denied = |act: Act<'_>| self.authority.decide(peer, act).is_err();
        let is_denied = |there: &Registered<'_>| {
            denied(Act::Register { context: there.context, subtree: &there.subtree, range: there.range })
        };
        let registered = self.registry.registered(id).filter(is_denied).map(|there| {
            let Registered { context, subtree, range, priority, .. } = there;
            (Arc::clone(context), subtree, range, priority)
        });
        let registered: Vec<_> = registered.collect();
        let mut capabilities = self.capabilities.of_session(id);
        capabilities.retain(|(context, row)| denied(Act::AddCapabilities { context, id: &row.id }));
        let has_indexes = self.indexes.any_of(id, |context, name| {
            let varbinds = [agentx::VarBind { name: name.clone(), value: agentx::Value::Null }];
            denied(Act::AllocateIndexes { context, varbinds: &varbinds })
        });
        for (context, subtree, range, priority) in registered {
            if let Ok(registration) = self.registry.unregister(&context, id, priority, &subtree, range) {
                gone.registrations.push((context, registration));
            }
        }
        for (context, row) in capabilities {
            if self.capabilities.remove(&context, id, &row.id, now).is_ok() {
                gone.capabilities.push((context, row));
            }
        }
        if gone.len() > 0 {
            self.totals.registrations_withdrawn += gone.registrations.len() as u64;
            tracing::info!(session = id.0, %peer, registrations = gone.registrations.len(), "what was granted is withdrawn");
        }
        self.withdrawn.add(id, gone);
        !has_indexes && self.withdrawn.len_of(id) <= MAX_REMEMBERED
    }

    /// Brings back what a session is granted again. Whether it can go on.
    fn restore_of(&mut self, id: SessionId, peer: &Peer, now: Instant) -> bool {
        let Some(Of { registrations, capabilities }) = self.withdrawn.0.remove(&id) else { return true };
        let mut still = Of::default();
        for (context, registration) in registrations {
            let Registration { subtree, range, .. } = &registration;
            if self.authority.decide(peer, Act::Register { context: &context, subtree, range: *range }).is_err() {
                still.registrations.push((context, registration));
            } else if self.registry.register(&context, registration).is_err() {
                return false;
            }
        }
        for (context, row) in capabilities {
            if self.authority.decide(peer, Act::AddCapabilities { context: &context, id: &row.id }).is_err() {
                still.capabilities.push((context, row));
            } else if self.capabilities.add(&context, id, row, now).is_err() {
                return false;
            }
        }
        self.withdrawn.add(id, still);
        true
    }
}
