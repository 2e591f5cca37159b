//! sysORTable (RFC 3418) of each context: the MIB modules that subagents announce to implement (RFC 2741 sections
//! 6.2.14 and 6.2.15).

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Instant,
};

use agentx::{AddAgentCaps, Oid, ResponseError};

use crate::{
    pdu::own_objects::Capability,
    subagents::registry::{Registry, SessionId},
};

/// Why a row cannot be added or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The name of the context is too long.
    #[error("the name of the context has {len} octets; at most {} are allowed", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// The length in octets.
        len: usize,
    },
    /// The description is longer than a DisplayString (RFC 2579).
    #[error("the description has {len} octets; at most {} are allowed", Capabilities::MAX_DESCRIPTION_LEN)]
    DescriptionTooLong {
        /// The length in octets.
        len: usize,
    },
    /// A limit is reached.
    #[error("the limit of {limit} {of} is reached")]
    TooMany {
        /// The limit.
        limit: usize,
        /// What is limited.
        of: &'static str,
    },
    /// The session has no such row in this context.
    #[error("the session has not announced {id} in this context")]
    Unknown {
        /// sysORID of the row.
        id: Oid,
    },
}

impl From<&CapabilityError> for ResponseError {
    fn from(error: &CapabilityError) -> Self {
        match error {
            CapabilityError::ContextTooLong { .. } => Self::UnsupportedContext,
            CapabilityError::DescriptionTooLong { .. } | CapabilityError::TooMany { .. } => Self::RequestDenied,
            CapabilityError::Unknown { .. } => Self::UnknownAgentCaps,
        }
    }
}

impl From<CapabilityError> for ResponseError {
    fn from(error: CapabilityError) -> Self {
        Self::from(&error)
    }
}

/// The rows of all contexts.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    /// Contexts that have or had rows. The used indexes and the last change are kept.
    contexts: HashMap<Arc<[u8]>, Rows>,
    /// For each session, the context of each of its rows. No list is empty.
    sessions: HashMap<SessionId, Vec<Arc<[u8]>>>,
    /// Number of rows in all contexts.
    len: usize,
}

/// The rows of one context.
#[derive(Debug)]
struct Rows {
    /// The rows, in ascending order of their indexes.
    announced: Vec<Capability>,
    /// The session of each row.
    sessions: Vec<SessionId>,
    /// The last index that was used.
    last_index: u32,
    changed: Instant,
}

impl Capabilities {
    /// Longest description, in octets.
    pub(crate) const MAX_DESCRIPTION_LEN: usize = 255;
    /// Limit of rows in all contexts.
    pub(crate) const MAX_ROWS: usize = 50_000;
    /// Limit of rows of one session.
    pub(crate) const MAX_ROWS_PER_SESSION: usize = 64;
    /// Limit of contexts that have or had rows.
    pub(crate) const MAX_CONTEXTS: usize = 50_000;

    /// Adds a row.
    ///
    /// # Errors
    /// Returns an error if the context or description is too long, or if a limit is reached.
    pub(crate) fn add(
        &mut self,
        context: &[u8],
        session: SessionId,
        AddAgentCaps { id, description }: AddAgentCaps,
        now: Instant,
    ) -> Result<(), CapabilityError> {
        if context.len() > Registry::MAX_CONTEXT_LEN {
            return Err(CapabilityError::ContextTooLong { len: context.len() });
        }
        if description.len() > Self::MAX_DESCRIPTION_LEN {
            return Err(CapabilityError::DescriptionTooLong { len: description.len() });
        }
        if self.sessions.get(&session).is_some_and(|rows| rows.len() >= Self::MAX_ROWS_PER_SESSION) {
            return Err(CapabilityError::TooMany { limit: Self::MAX_ROWS_PER_SESSION, of: "rows of the session" });
        }
        if self.len >= Self::MAX_ROWS {
            return Err(CapabilityError::TooMany { limit: Self::MAX_ROWS, of: "rows" });
        }
        if self.contexts.len() >= Self::MAX_CONTEXTS && !self.contexts.contains_key(context) {
            return Err(CapabilityError::TooMany { limit: Self::MAX_CONTEXTS, of: "contexts" });
        }
        let entry = self.contexts.entry(context.into());
        let context = entry.key().clone();
        entry.or_insert_with(|| Rows::new(now)).add(session, id, description, now)?;
        self.sessions.entry(session).or_default().push(context);
        self.len += 1;
        Ok(())
    }

    /// Removes the rows of this session with this sysORID.
    ///
    /// # Errors
    /// Returns [`CapabilityError::Unknown`] if there is no such row in this context.
    pub(crate) fn remove(
        &mut self,
        context: &[u8],
        session: SessionId,
        id: &Oid,
        now: Instant,
    ) -> Result<(), CapabilityError> {
        let unknown = || CapabilityError::Unknown { id: id.clone() };
        let rows = self.contexts.get_mut(context).ok_or_else(unknown)?;
        let removed = rows.remove(now, |row, of| of == session && row.id == *id);
        if removed == 0 {
            return Err(unknown());
        }
        self.len -= removed;
        if let Entry::Occupied(mut of_session) = self.sessions.entry(session) {
            for _ in 0..removed {
                let at = of_session.get().iter().position(|other| **other == *context);
                at.map(|at| of_session.get_mut().swap_remove(at));
            }
            if of_session.get().is_empty() {
                of_session.remove();
            }
        }
        Ok(())
    }

    /// Returns the rows of a session, each with its context.
    pub(crate) fn of_session(&self, session: SessionId) -> Vec<(Arc<[u8]>, AddAgentCaps)> {
        let mut contexts = self.sessions.get(&session).cloned().unwrap_or_default();
        contexts.sort_unstable();
        contexts.dedup();
        let rows = contexts.into_iter().flat_map(|context| {
            let rows = self.contexts.get(&context).into_iter().flat_map(move |rows| rows.of(session));
            rows.map(move |row| (Arc::clone(&context), row))
        });
        rows.collect()
    }

    /// Removes all rows of a session.
    pub(crate) fn withdraw(&mut self, session: SessionId, now: Instant) {
        let mut contexts = self.sessions.remove(&session).unwrap_or_default();
        contexts.sort_unstable();
        contexts.dedup();
        for context in contexts {
            if let Some(rows) = self.contexts.get_mut(&context) {
                self.len -= rows.remove(now, |_, of| of == session);
            }
        }
    }

    /// Returns the rows of a context, in ascending order of sysORIndex.
    pub(crate) fn of(&self, context: &[u8]) -> &[Capability] {
        self.contexts.get(context).map_or(&[], |rows| &rows.announced)
    }

    /// Returns sysORLastChange: when a row of the context was last added or removed. `None` if there never was a row.
    pub(crate) fn changed(&self, context: &[u8]) -> Option<Instant> {
        self.contexts.get(context).map(|rows| rows.changed)
    }
}

impl Rows {
    /// The largest sysORIndex (RFC 3418).
    const MAX_INDEX: u32 = i32::MAX.unsigned_abs();

    fn new(now: Instant) -> Self {
        Self { announced: Vec::new(), sessions: Vec::new(), last_index: 0, changed: now }
    }

    fn of(&self, session: SessionId) -> impl Iterator<Item = AddAgentCaps> {
        let rows = self.announced.iter().zip(&self.sessions).filter(move |(_, of)| **of == session);
        rows.map(|(row, _)| AddAgentCaps { id: row.id.clone(), description: row.description.clone() })
    }

    fn add(&mut self, session: SessionId, id: Oid, description: Vec<u8>, now: Instant) -> Result<(), CapabilityError> {
        if self.last_index >= Self::MAX_INDEX {
            return Err(CapabilityError::TooMany {
                limit: Self::MAX_INDEX as usize,
                of: "sysORIndex values in the context",
            });
        }
        self.last_index += 1;
        self.announced.push(Capability { index: self.last_index, id, description, added: now });
        self.sessions.push(session);
        self.changed = now;
        Ok(())
    }

    /// Removes the rows that `matches` selects. Returns their number.
    fn remove(&mut self, now: Instant, matches: impl Fn(&Capability, SessionId) -> bool) -> usize {
        let before = self.announced.len();
        let removed_rows: Vec<bool> =
            self.announced.iter().zip(&self.sessions).map(|(row, session)| matches(row, *session)).collect();
        let mut rows = removed_rows.iter();
        self.announced.retain(|_| rows.next() != Some(&true));
        let mut sessions = removed_rows.iter();
        self.sessions.retain(|_| sessions.next() != Some(&true));
        let removed = before - self.announced.len();
        if removed > 0 {
            self.changed = now;
        }
        removed
    }
}
