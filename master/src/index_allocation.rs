//! Index values that subagents reserve, so that the rows of a table which they share do not meet (RFC 2741 sections
//! 7.1.2 and 7.1.3).
//!
//! A value is chosen by counting from 1, whatever the index's type: 7 is the integer 7, the string `7`, the address
//! 0.0.0.7 or the OID 0.0.7. Each index remembers which of these were ever in use, for the master's life, so that
//! NEW_INDEX hands none of them out again.

mod index;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use agentx::{IndexAllocate, Oid, ResponseError, VarBind};

use crate::registry::{Registry, SessionId};
use index::{Index, IndexValue, Taken};

/// Why index values are not reserved, or cannot be released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("variable binding {index}: {reason}")]
pub struct Refused {
    /// Which variable binding is at fault, from 1; 0: none of them.
    pub index: u16,
    /// What is.
    pub reason: Reason,
}

/// What is wrong with a variable binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The context's name is longer than any that is asked for.
    #[error("the context's name has {len} octets, but at most {} can be", Registry::MAX_CONTEXT_LEN)]
    ContextTooLong {
        /// Its octets.
        len: usize,
    },
    /// The type is none that an index can have, or another than that of the index's values.
    #[error("the index has values of another type")]
    WrongType,
    /// The value is reserved, by whomever.
    #[error("the value is reserved already")]
    AlreadyAllocated,
    /// There is no value left that would do.
    #[error("there is no value left")]
    NoneAvailable,
    /// This session has not reserved the value.
    #[error("the session has not reserved the value")]
    NotAllocated,
    /// The index's name is the null OID, or the value is longer than an instance's name can be.
    #[error("no instance's name can have this index")]
    NoInstance,
    /// There are as many values or indexes as may be.
    #[error("there are {limit} {of} already")]
    TooMany {
        /// How many of them may be.
        limit: usize,
        /// Of what.
        of: &'static str,
    },
}

/// The `res.error` that says so (RFC 2741 sections 7.1.2 and 7.1.3).
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

/// All index values that are reserved, and what is remembered of those that were.
#[derive(Debug, Default)]
pub struct IndexAllocations {
    indexes: HashMap<IndexName, Index>,
    /// Sessions that have reserved something, and what. No set is empty.
    sessions: HashMap<SessionId, HashSet<(IndexName, IndexValue)>>,
    /// Values that are reserved, in all.
    len: usize,
}

/// A context, and the name of an index object in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct IndexName(Arc<(Box<[u8]>, Oid)>);

impl IndexAllocations {
    /// How many values may be reserved at once, in all.
    pub const MAX_VALUES: usize = 200_000;
    /// How many values one session may have.
    pub const MAX_VALUES_PER_SESSION: usize = 50_000;
    /// How many indexes may be remembered: those of which a value was ever reserved that the master could have chosen.
    pub const MAX_INDEXES: usize = 50_000;

    /// Reserves a value for each variable binding, or none at all (RFC 2741 section 7.1.2). With NEW_INDEX it is one
    /// that was never reserved before, with ANY_INDEX one that is not reserved now; with both NEW_INDEX counts, since
    /// its values are the other's as well. The given values mean something only without them.
    ///
    /// # Errors
    /// [`Refused`] says what is wrong with which variable binding; nothing has changed.
    pub fn allocate(
        &mut self,
        context: &[u8],
        session: SessionId,
        request: &IndexAllocate,
    ) -> Result<Vec<VarBind>, Refused> {
        check_context(context)?;
        let mut taken = Vec::with_capacity(request.varbinds.len());
        let mut answer = Vec::with_capacity(request.varbinds.len());
        for (at, varbind) in request.varbinds.iter().enumerate() {
            match self.allocate_one(context, session, request, varbind) {
                Ok((name, value, how)) => {
                    answer.push(VarBind { name: varbind.name.clone(), value: value.to_value() });
                    taken.push((name, value, how));
                }
                Err(reason) => {
                    for (name, value, how) in taken.into_iter().rev() {
                        self.put_back(session, name, value, how);
                    }
                    return Err(Refused::at(at, reason));
                }
            }
        }
        for (name, ..) in &taken {
            if let Some(index) = self.indexes.get_mut(name) {
                index.bound();
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
    ) -> Result<(IndexName, IndexValue, Taken), Reason> {
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
        let taken = if request.new {
            index.take_new(&wanted)
        } else if request.any {
            index.take_any(&wanted)
        } else {
            index.take(wanted)
        };
        if taken.is_err() && index.is_blank() {
            self.indexes.remove(&name);
        }
        let (value, how) = taken?;
        self.sessions.entry(session).or_default().insert((name.clone(), value.clone()));
        self.len += 1;
        Ok((name, value, how))
    }

    /// Releases the value of each variable binding, or none at all (RFC 2741 section 7.1.3).
    ///
    /// # Errors
    /// [`Refused`] says which is not reserved by this session; nothing has changed.
    pub fn deallocate(&mut self, context: &[u8], session: SessionId, varbinds: &[VarBind]) -> Result<(), Refused> {
        let mut released = HashSet::with_capacity(varbinds.len());
        for (at, varbind) in varbinds.iter().enumerate() {
            let not_allocated = Refused::at(at, Reason::NotAllocated);
            let value = IndexValue::new(&varbind.value).map_err(|_| not_allocated.clone())?;
            let held = (IndexName(Arc::new((context.into(), varbind.name.clone()))), value);
            let has = self.sessions.get(&session).is_some_and(|values| values.contains(&held));
            if !has || !released.insert(held) {
                return Err(not_allocated);
            }
        }
        for (name, value) in released {
            self.put_back(session, name, value, Taken::Again);
        }
        Ok(())
    }

    /// Whether a session has reserved a value of an index, of a context and a name, like this.
    pub fn any_of(&self, session: SessionId, is: impl Fn(&[u8], &Oid) -> bool) -> bool {
        let values = self.sessions.get(&session);
        values.is_some_and(|values| values.iter().any(|(IndexName(name), _)| is(&name.0, &name.1)))
    }

    /// Releases all that a session has reserved, in time proportional to it. It is remembered.
    pub fn release(&mut self, session: SessionId) {
        for (name, value) in self.sessions.remove(&session).unwrap_or_default() {
            self.give_back(&name, &value, Taken::Again);
        }
    }

    fn put_back(&mut self, session: SessionId, name: IndexName, value: IndexValue, how: Taken) {
        let held = (name, value);
        if let Some(values) = self.sessions.get_mut(&session) {
            values.remove(&held);
            if values.is_empty() {
                self.sessions.remove(&session);
            }
        }
        self.give_back(&held.0, &held.1, how);
    }

    fn give_back(&mut self, name: &IndexName, value: &IndexValue, how: Taken) {
        self.len -= 1;
        if let Some(index) = self.indexes.get_mut(name) {
            index.give_back(value, how);
            if index.is_blank() {
                self.indexes.remove(name);
            }
        }
    }

    /// Values that are reserved, in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is reserved.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Refused {
    fn at(position: usize, reason: Reason) -> Self {
        Self { index: u16::try_from(position + 1).unwrap_or(u16::MAX), reason }
    }
}

fn check_context(context: &[u8]) -> Result<(), Refused> {
    if context.len() > Registry::MAX_CONTEXT_LEN {
        return Err(Refused { index: 0, reason: Reason::ContextTooLong { len: context.len() } });
    }
    Ok(())
}
