//! Who serves what: the regions that subagents have registered (RFC 2741 sections 7.1.4 and 7.1.5), and which of them
//! is asked for a name (sections 7.1.4.1 and 7.2.1).
//!
//! Subtrees of the same number of arcs are either the same or apart. So there is an ordered map for each length in each
//! context, and the longest one that knows a name has the most specific region: registering a region above or below any
//! number of others costs as much as registering it alone, and a lookup is a search or two for each length in use.
//! Neighbours with the same holders are kept as one, and what is withdrawn leaves nothing behind.

mod level;
mod levels;
mod own;
mod refused;
mod region;
mod stretch;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, hash_map::Entry};
use std::sync::Arc;

use agentx::{Oid, Range, SubId};

use level::Holder;
use levels::Levels;
use own::OwnSubtrees;
pub use refused::Refused;
use region::Region;
pub(crate) use region::reaches_into;
use stretch::Stretch;

/// A session's number: `h.sessionID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// Who serves a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A subagent, in this session.
    Session(SessionId),
    /// The master itself, see [`crate::own_objects::OwnObjects`].
    Master,
}

/// What a session registers (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The session.
    pub session: SessionId,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region is several subtrees.
    pub range: Option<Range>,
    /// Of two registrations of the same subtree, the one of the lower priority serves.
    pub priority: u8,
    /// How long to wait for answers about this region, in seconds; 0: as for the session.
    pub timeout_s: u8,
    /// Whether the subtree is one whole instance name: the INSTANCE_REGISTRATION flag.
    pub instance: bool,
}

/// Who serves a stretch of names: all from `start`, before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving<'a> {
    /// Who does.
    pub owner: Owner,
    /// How long to wait for answers, in seconds; 0: as for the session.
    pub timeout_s: u8,
    /// The first name of the stretch. Empty: there is none before it.
    pub start: &'a [SubId],
    /// The first name after the stretch. Empty: there is none.
    pub end: &'a [SubId],
    /// Registered as an instance or by a range: neighbours are likely to hold the next rows of the same table.
    pub row: bool,
}

/// How much may be registered. A range counts as the subtrees that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Subtrees in all.
    pub registrations: u64,
    /// Subtrees of one session.
    pub registrations_per_session: u64,
}

impl From<&master_config::Limits> for Limits {
    fn from(limits: &master_config::Limits) -> Self {
        Self {
            registrations: limits.registrations.into(),
            registrations_per_session: limits.registrations_per_session.into(),
        }
    }
}

/// All registrations.
///
/// What lookups cost depends neither on the number of contexts nor, but for the depth of a search tree, on that of
/// registrations; they allocate nothing.
#[derive(Debug)]
pub struct Registry {
    own: OwnSubtrees,
    limits: Limits,
    /// Contexts in which something is registered.
    contexts: HashMap<Arc<[u8]>, Levels>,
    /// Sessions that have registered something.
    sessions: HashMap<SessionId, Holdings>,
    /// Subtrees in all.
    len: u64,
}

/// What a session has registered.
#[derive(Debug, Default)]
struct Holdings {
    registered: HashSet<Registered>,
    /// Subtrees in all.
    len: u64,
}

/// What names a registration of a session (RFC 2741 section 7.1.5).
#[derive(Debug, PartialEq, Eq, Hash)]
struct Registered {
    context: Arc<[u8]>,
    priority: u8,
    region: Region,
}

impl Registry {
    /// The longest name of a context, in octets (RFC 3415: vacmContextName). What has a longer one is asked by nobody.
    pub const MAX_CONTEXT_LEN: usize = master_config::MAX_CONTEXT_OCTETS;
    /// How many subtrees may lie apart in one region: more than a table has columns, and few enough to enter at once.
    pub const MAX_SUBTREES_APART: u64 = 4_096;

    /// A registry without registrations. `own` are the master's own subtrees, disjoint: it serves them in every
    /// context, also in those that no session has named.
    pub fn new(own: &[Oid], limits: Limits) -> Self {
        Self { own: OwnSubtrees::new(own), limits, contexts: HashMap::new(), sessions: HashMap::new(), len: 0 }
    }

    /// Changes what may be registered from now on. What is there stays.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Enters a registration (RFC 2741 section 7.1.4). It may overlap others in any way: the subtree with the most arcs
    /// serves, then the lowest priority (section 7.1.4.1). Above the master's own subtrees it may lie, though those are
    /// not served by it.
    ///
    /// # Errors
    /// [`Refused`] says why; nothing has changed.
    pub fn register(&mut self, context: &[u8], registration: Registration) -> Result<(), Refused> {
        let Registration { session, subtree, range, priority, timeout_s, instance } = registration;
        if context.len() > Self::MAX_CONTEXT_LEN {
            return Err(Refused::ContextTooLong { len: context.len() });
        }
        let region = Region::new(&subtree, range)?;
        if let Some(own) = self.own.met_by(&subtree, range) {
            return Err(Refused::Own { subtree: own.clone() });
        }
        let levels = self.contexts.get(context);
        if levels.is_some_and(|levels| levels.has(&region, priority)) {
            return Err(Refused::Duplicate);
        }
        let subtrees = region.subtrees();
        let of_session = self.sessions.get(&session).map_or(0, |holdings| holdings.len);
        if of_session + subtrees > self.limits.registrations_per_session {
            return Err(Refused::TooManyOfSession { limit: self.limits.registrations_per_session });
        }
        if self.len + subtrees > self.limits.registrations {
            return Err(Refused::TooMany { limit: self.limits.registrations });
        }

        let context = self.contexts.get_key_value(context).map_or_else(|| Arc::from(context), |(name, _)| name.clone());
        let holder = Holder { priority, session, timeout_s, row: instance || range.is_some() };
        self.contexts.entry(context.clone()).or_default().add(&region, holder);
        let holdings = self.sessions.entry(session).or_default();
        holdings.registered.insert(Registered { context, priority, region });
        holdings.len += subtrees;
        self.len += subtrees;
        Ok(())
    }

    /// Takes back a registration of this very session (RFC 2741 section 7.1.5).
    ///
    /// # Errors
    /// [`Refused::Unknown`] where this session has not registered this region in this context at this priority.
    pub fn unregister(
        &mut self,
        context: &[u8],
        session: SessionId,
        priority: u8,
        subtree: &Oid,
        range: Option<Range>,
    ) -> Result<(), Refused> {
        let region = Region::new(subtree, range).map_err(|_| Refused::Unknown)?;
        let (context, _) = self.contexts.get_key_value(context).ok_or(Refused::Unknown)?;
        let registered = Registered { context: context.clone(), priority, region };
        let Entry::Occupied(mut holdings) = self.sessions.entry(session) else { return Err(Refused::Unknown) };
        if !holdings.get_mut().registered.remove(&registered) {
            return Err(Refused::Unknown);
        }
        holdings.get_mut().len -= registered.region.subtrees();
        if holdings.get().registered.is_empty() {
            holdings.remove();
        }
        self.remove(session, &registered);
        Ok(())
    }

    /// Takes back all that a session has registered, in time proportional to it.
    pub fn withdraw(&mut self, session: SessionId) {
        for registered in self.sessions.remove(&session).unwrap_or_default().registered {
            self.remove(session, &registered);
        }
    }

    fn remove(&mut self, session: SessionId, registered: &Registered) {
        self.len -= registered.region.subtrees();
        if let Some(levels) = self.contexts.get_mut(&registered.context) {
            levels.remove(&registered.region, session, registered.priority);
            if levels.is_empty() {
                self.contexts.remove(&registered.context);
            }
        }
    }

    /// Who serves this very name, and the stretch around it that is served alike.
    pub fn serving(&self, context: &[u8], name: &[SubId]) -> Option<Serving<'_>> {
        self.stretch(self.contexts.get(context), name).served()
    }

    /// Who serves the first name that anyone serves at or after `from` (only after it, if not `include`). The stretch
    /// may begin before `from`.
    pub fn serving_next(&self, context: &[u8], from: &[SubId], include: bool) -> Option<Serving<'_>> {
        let levels = self.contexts.get(context);
        let mut stretch = self.stretch(levels, from);
        // Between a name and the same with an arc of 0 there is nothing.
        let mut used_up = !include && stretch.end.strip_prefix(from) == Some(&[0]);
        loop {
            match stretch.served() {
                Some(serving) if !used_up => return Some(serving),
                _ if stretch.end.is_empty() => return None,
                _ => stretch = self.stretch(levels, stretch.end),
            }
            used_up = false;
        }
    }

    fn stretch<'a>(&'a self, levels: Option<&'a Levels>, name: &[SubId]) -> Stretch<'a> {
        self.own.stretch(name, |name| levels.map_or(Stretch::ALL, |levels| levels.stretch(name)))
    }

    /// Subtrees registered in all; a range counts as the subtrees that it stands for.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Subtrees that a session has registered.
    pub fn len_of(&self, session: SessionId) -> u64 {
        self.sessions.get(&session).map_or(0, |holdings| holdings.len)
    }

    /// The names of the contexts in which something is registered, in no order.
    pub fn contexts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.contexts.keys().map(|name| &**name)
    }
}
