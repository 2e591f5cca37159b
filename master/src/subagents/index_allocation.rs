//! Index values that subagents allocate, so that several subagents can share a table (RFC 2741 sections 7.1.2 and
//! 7.1.3).
//!
//! The master chooses values by counting from 1, whatever the type of the index: 7 is the integer 7, the string `7`,
//! the address 0.0.0.7 or the OID 0.0.7. Each index records which of these were ever used while the master runs, so
//! that NEW_INDEX never returns one of them again.

mod index;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use agentx::{IndexAllocate, Oid, ResponseError, VarBind};

use crate::subagents::registry::{Registry, SessionId};
use index::{Index, IndexValue, Usage};

/// Why index values cannot be allocated or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("varbind {index}: {reason}")]
pub(crate) struct AllocationError {
    /// The index of the invalid varbind, from 1, or 0 for no varbind.
    pub index: u16,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a varbind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The name of the context is too long.
    #[error("the name of the context has {len} octets; at most {} are allowed", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// The length in octets.
        len: usize,
    },
    /// The type is not a type of indexes, or differs from that of the other values of the index.
    #[error("the index has values of another type")]
    WrongType,
    /// The value is allocated by a session.
    #[error("the value is already allocated")]
    AlreadyAllocated,
    /// No suitable value is left.
    #[error("no value is left")]
    NoneAvailable,
    /// This session has not allocated the value.
    #[error("the session has not allocated the value")]
    NotAllocated,
    /// The name of the index is the null OID, or the value is too long for the name of an instance.
    #[error("the name of an instance cannot contain this index")]
    NoInstance,
    /// A limit is reached.
    #[error("the limit of {limit} {of} is reached")]
    TooMany {
        /// The limit.
        limit: usize,
        /// What is limited.
        of: &'static str,
    },
}

/// Maps to `res.error` (RFC 2741 sections 7.1.2 and 7.1.3).
impl From<Reason> for ResponseError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::ContextTooLong { .. } => Self::UnsupportedContext,
            Reason::WrongType => Self::IndexWrongType,
            Reason::AlreadyAllocated => Self::IndexAlreadyAllocated,
            Reason::NoneAvailable => Self::IndexNoneAvailable,
            Reason::NotAllocated => Self::IndexNotAllocated,
            Reason::NoInstance | Reason::TooMany { .. } => Self::RequestDenied,
        }
    }
}

/// All allocated index values, and the record of previously used ones.
#[derive(Debug, Default)]
pub(crate) struct IndexAllocations {
    indexes: HashMap<IndexName, Index>,
    /// The values of each session that has any. No set is empty.
    sessions: HashMap<SessionId, HashSet<(IndexName, IndexValue)>>,
    /// The number of all allocated values.
    len: usize,
}

/// A context and the name of an index object in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct IndexName(Arc<(Box<[u8]>, Oid)>);

impl IndexAllocations {
    /// Limit of all allocated values.
    pub(crate) const MAX_VALUES: usize = 200_000;
    /// Limit of the values of one session.
    pub(crate) const MAX_VALUES_PER_SESSION: usize = 50_000;
    /// Limit of indexes, including those that only have a record of used values.
    pub(crate) const MAX_INDEXES: usize = 50_000;

    /// Allocates a value for each varbind, or for none (RFC 2741 section 7.1.2). With NEW_INDEX, the value was never
    /// used before. With ANY_INDEX, it is not allocated now. With both, NEW_INDEX takes precedence, because its values
    /// satisfy both. The values in the request matter only without these flags.
    ///
    /// # Errors
    /// Returns the first varbind without a suitable value. Nothing is allocated then.
    pub(crate) fn allocate(
        &mut self,
        context: &[u8],
        session: SessionId,
        request: &IndexAllocate,
    ) -> Result<Vec<VarBind>, AllocationError> {
        check_context(context)?;
        let mut allocated = Vec::with_capacity(request.varbinds.len());
        let mut answer = Vec::with_capacity(request.varbinds.len());
        for (at, varbind) in request.varbinds.iter().enumerate() {
            match self.allocate_one(context, session, request, varbind) {
                Ok((name, value, usage)) => {
                    answer.push(VarBind { name: varbind.name.clone(), value: value.to_value() });
                    allocated.push((name, value, usage));
                }
                Err(reason) => {
                    for (name, value, usage) in allocated.into_iter().rev() {
                        self.undo(session, name, value, usage);
                    }
                    return Err(AllocationError::at(at, reason));
                }
            }
        }
        for (name, ..) in &allocated {
            if let Some(index) = self.indexes.get_mut(name) {
                index.limit_memory();
            }
        }
        Ok(answer)
    }

    fn allocate_one(
        &mut self,
        context: &[u8],
        session: SessionId,
        request: &IndexAllocate,
        varbind: &VarBind,
    ) -> Result<(IndexName, IndexValue, Usage), Reason> {
        let wanted = IndexValue::new(&varbind.value)?;
        if varbind.name.is_empty() {
            return Err(Reason::NoInstance);
        }
        if self.len >= Self::MAX_VALUES {
            return Err(Reason::TooMany { limit: Self::MAX_VALUES, of: "values" });
        }
        if self.sessions.get(&session).is_some_and(|values| values.len() >= Self::MAX_VALUES_PER_SESSION) {
            return Err(Reason::TooMany { limit: Self::MAX_VALUES_PER_SESSION, of: "values of the session" });
        }
        let name = IndexName(Arc::new((context.into(), varbind.name.clone())));
        if self.indexes.len() >= Self::MAX_INDEXES && !self.indexes.contains_key(&name) {
            return Err(Reason::TooMany { limit: Self::MAX_INDEXES, of: "indexes" });
        }
        let entry = self.indexes.entry(name);
        let name = entry.key().clone();
        let index = entry.or_default();
        let allocated = if request.new {
            index.allocate_new(&wanted)
        } else if request.any {
            index.allocate_any(&wanted)
        } else {
            index.allocate(wanted)
        };
        if allocated.is_err() && index.is_empty() {
            self.indexes.remove(&name);
        }
        let (value, usage) = allocated?;
        self.sessions.entry(session).or_default().insert((name.clone(), value.clone()));
        self.len += 1;
        Ok((name, value, usage))
    }

    /// Releases the values of all varbinds, or none (RFC 2741 section 7.1.3).
    ///
    /// # Errors
    /// Returns the first varbind whose value is not allocated by this session. Nothing is released then.
    pub(crate) fn deallocate(
        &mut self,
        context: &[u8],
        session: SessionId,
        varbinds: &[VarBind],
    ) -> Result<(), AllocationError> {
        let mut released = HashSet::with_capacity(varbinds.len());
        for (at, varbind) in varbinds.iter().enumerate() {
            let not_allocated = AllocationError::at(at, Reason::NotAllocated);
            let value = IndexValue::new(&varbind.value).map_err(|_| not_allocated.clone())?;
            let held = (IndexName(Arc::new((context.into(), varbind.name.clone()))), value);
            let has = self.sessions.get(&session).is_some_and(|values| values.contains(&held));
            if !has || !released.insert(held) {
                return Err(not_allocated);
            }
        }
        for (name, value) in released {
            self.undo(session, name, value, Usage::Again);
        }
        Ok(())
    }

    /// Returns whether a session has a value of an index whose context and name `is` accepts.
    pub(crate) fn any_of(&self, session: SessionId, is: impl Fn(&[u8], &Oid) -> bool) -> bool {
        let values = self.sessions.get(&session);
        values.is_some_and(|values| values.iter().any(|(IndexName(name), _)| is(&name.0, &name.1)))
    }

    /// Releases all values of a session, in time proportional to their number. They stay recorded as used.
    pub(crate) fn release(&mut self, session: SessionId) {
        for (name, value) in self.sessions.remove(&session).unwrap_or_default() {
            self.release_value(&name, &value, Usage::Again);
        }
    }

    fn undo(&mut self, session: SessionId, name: IndexName, value: IndexValue, usage: Usage) {
        let held = (name, value);
        if let Some(values) = self.sessions.get_mut(&session) {
            values.remove(&held);
            if values.is_empty() {
                self.sessions.remove(&session);
            }
        }
        self.release_value(&held.0, &held.1, usage);
    }

    fn release_value(&mut self, name: &IndexName, value: &IndexValue, usage: Usage) {
        self.len -= 1;
        if let Some(index) = self.indexes.get_mut(name) {
            index.release(value, usage);
            if index.is_empty() {
                self.indexes.remove(name);
            }
        }
    }
}

impl AllocationError {
    fn at(position: usize, reason: Reason) -> Self {
        Self { index: u16::try_from(position + 1).unwrap_or(u16::MAX), reason }
    }
}

fn check_context(context: &[u8]) -> Result<(), AllocationError> {
    if context.len() > Registry::MAX_CONTEXT_LEN {
        return Err(AllocationError { index: 0, reason: Reason::ContextTooLong { len: context.len() } });
    }
    Ok(())
}
