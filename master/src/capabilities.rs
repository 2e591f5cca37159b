//! What subagents announce that they implement (RFC 2741 sections 6.2.14 and 6.2.15): the rows of sysORTable
//! (RFC 3418), apart for each context.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Instant,
};

use agentx::{AddAgentCaps, Oid, ResponseError};

use crate::{
    own_objects::Capability,
    registry::{Registry, SessionId},
};

/// Why a row is not added, or cannot be removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The context's name is longer than any that is asked for.
    #[error("the context's name has {len} octets, but at most {} can be", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// Its octets.
        len: usize,
    },
    /// The description is longer than a DisplayString (RFC 2579).
    #[error("the description has {len} octets, but at most {} can be", Capabilities::MAX_DESCRIPTION_LEN)]
    DescriptionTooLong {
        /// Its octets.
        len: usize,
    },
    /// There are as many as may be.
    #[error("there are {limit} {of} already")]
    TooMany {
        /// How many of them may be.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
    /// The session has added no such row in this context.
    #[error("the session has not announced {id} in this context")]
    Unknown {
        /// The row's sysORID.
        id: Oid,
    },
}

impl From<&Refused> for ResponseError {
    fn from(refused: &Refused) -> Self {
        match refused {
            Refused::ContextTooLong { .. } => Self::UnsupportedContext,
            Refused::DescriptionTooLong { .. } | Refused::TooMany { .. } => Self::RequestDenied,
            Refused::Unknown { .. } => Self::UnknownAgentCaps,
        }
    }
}

impl From<Refused> for ResponseError {
    fn from(refused: Refused) -> Self {
        Self::from(&refused)
    }
}

/// All rows of all contexts.
#[derive(Debug, Default)]
pub struct Capabilities {
    /// Contexts that have rows, or had any: an index is not used twice, and the last change is remembered.
    contexts: HashMap<Arc<[u8]>, Rows>,
    /// The contexts of a session's rows, one for each row. No list is empty.
    sessions: HashMap<SessionId, Vec<Arc<[u8]>>>,
    /// Rows in all.
    len: usize,
}

/// The rows of one context.
#[derive(Debug)]
struct Rows {
    /// In the order of their indexes.
    announced: Vec<Capability>,
    /// The session of each.
    sessions: Vec<SessionId>,
    /// The last index that was used.
    last_index: u32,
    changed: Instant,
}

impl Capabilities {
    /// The longest description, in octets.
    pub const MAX_DESCRIPTION_LEN: usize = 255;
    /// How many rows there may be.
    pub const MAX_ROWS: usize = 50_000;
    /// How many rows one session may have.
    pub const MAX_ROWS_PER_SESSION: usize = 64;
    /// How many contexts may be remembered.
    pub const MAX_CONTEXTS: usize = 50_000;

    /// Adds a row.
    ///
    /// # Errors
    /// [`Refused`] says why; nothing has changed.
    pub fn add(
        &mut self,
        context: &[u8],
        session: SessionId,
        AddAgentCaps { id, description }: AddAgentCaps,
        now: Instant,
    ) -> Result<(), Refused> {
        if context.len() > Registry::MAX_CONTEXT_LEN {
            return Err(Refused::ContextTooLong { len: context.len() });
        }
        if description.len() > Self::MAX_DESCRIPTION_LEN {
            return Err(Refused::DescriptionTooLong { len: description.len() });
        }
        if self.sessions.get(&session).is_some_and(|rows| rows.len() >= Self::MAX_ROWS_PER_SESSION) {
            return Err(Refused::TooMany { limit: Self::MAX_ROWS_PER_SESSION, of: "rows of the session" });
        }
        if self.len >= Self::MAX_ROWS {
            return Err(Refused::TooMany { limit: Self::MAX_ROWS, of: "rows" });
        }
        if self.contexts.len() >= Self::MAX_CONTEXTS && !self.contexts.contains_key(context) {
            return Err(Refused::TooMany { limit: Self::MAX_CONTEXTS, of: "contexts" });
        }
        let entry = self.contexts.entry(context.into());
        let context = entry.key().clone();
        entry.or_insert_with(|| Rows::new(now)).add(session, id, description, now)?;
        self.sessions.entry(session).or_default().push(context);
        self.len += 1;
        Ok(())
    }

    /// Removes what this session has announced by this sysORID.
    ///
    /// # Errors
    /// [`Refused::Unknown`] where it has announced nothing by it in this context.
    pub fn remove(&mut self, context: &[u8], session: SessionId, id: &Oid, now: Instant) -> Result<(), Refused> {
        let unknown = || Refused::Unknown { id: id.clone() };
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

    /// The rows of a session, each with its context.
    pub fn of_session(&self, session: SessionId) -> Vec<(Arc<[u8]>, AddAgentCaps)> {
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
    pub fn withdraw(&mut self, session: SessionId, now: Instant) {
        let mut contexts = self.sessions.remove(&session).unwrap_or_default();
        contexts.sort_unstable();
        contexts.dedup();
        for context in contexts {
            if let Some(rows) = self.contexts.get_mut(&context) {
                self.len -= rows.remove(now, |_, of| of == session);
            }
        }
    }

    /// A context's rows, by sysORIndex from the lowest.
    pub fn of(&self, context: &[u8]) -> &[Capability] {
        self.contexts.get(context).map_or(&[], |rows| &rows.announced)
    }

    /// When a row of the context last came or went: sysORLastChange. `None` if none ever did.
    pub fn changed(&self, context: &[u8]) -> Option<Instant> {
        self.contexts.get(context).map(|rows| rows.changed)
    }

    /// Rows in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
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

    fn add(&mut self, session: SessionId, id: Oid, description: Vec<u8>, now: Instant) -> Result<(), Refused> {
        if self.last_index >= Self::MAX_INDEX {
            return Err(Refused::TooMany { limit: Self::MAX_INDEX as usize, of: "rows used up in the context" });
        }
        self.last_index += 1;
        self.announced.push(Capability { index: self.last_index, id, description, added: now });
        self.sessions.push(session);
        self.changed = now;
        Ok(())
    }

    /// Removes those that are to go, and says how many they were.
    fn remove(&mut self, now: Instant, goes: impl Fn(&Capability, SessionId) -> bool) -> usize {
        let before = self.announced.len();
        let going: Vec<bool> =
            self.announced.iter().zip(&self.sessions).map(|(row, session)| goes(row, *session)).collect();
        let mut rows = going.iter();
        self.announced.retain(|_| rows.next() != Some(&true));
        let mut sessions = going.iter();
        self.sessions.retain(|_| sessions.next() != Some(&true));
        let removed = before - self.announced.len();
        if removed > 0 {
            self.changed = now;
        }
        removed
    }
}
