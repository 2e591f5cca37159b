//! Who serves what: the regions that subagents have registered (RFC 2741 sections 7.1.4 and 7.1.5), and which of them
//! is asked for a name (sections 7.1.4.1 and 7.2.1).
//!
//! Subtrees of the same number of arcs are either the same or apart. So there is an ordered map for each length in each
//! context, and the longest one that knows a name has the most specific region: registering a region above or below any
//! number of others costs as much as registering it alone, and a lookup is a search or two for each length in use.
//! Neighbours with the same holders are kept as one, and what is withdrawn leaves nothing behind.
//!
//! Of the same region at the same priority there is one registration alone (RFC 2741 section 7.1.4), but for those of one
//! namespace: they queue, and whoever is first serves.

mod level;
mod levels;
mod own;
mod refused;
mod region;
mod stretch;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use agentx::{Oid, Range, SubId};

use crate::identity::Identity;
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
    /// Whose it is; none if nobody had to say. It stands by behind others of its namespace, of its own pod's directly.
    pub member: Option<Arc<Identity>>,
}

/// What a session has registered, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered<'a> {
    /// In which context.
    pub context: &'a Arc<[u8]>,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region is several subtrees.
    pub range: Option<Range>,
    /// Its priority.
    pub priority: u8,
    /// Whether it stands by, for all of its region or a part, behind another registration of the same.
    pub stands_by: bool,
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
    /// Subtrees of one namespace.
    pub registrations_per_namespace: u64,
}

impl From<&master_config::Limits> for Limits {
    fn from(limits: &master_config::Limits) -> Self {
        Self {
            registrations: limits.registrations.into(),
            registrations_per_session: limits.registrations_per_session.into(),
            registrations_per_namespace: limits.registrations_per_namespace.into(),
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
    /// Subtrees of each namespace that has any.
    namespaces: HashMap<Arc<str>, u64>,
    /// How many registrations of a region came when it had one of the same namespace already, where any did.
    queued: HashMap<Held, u64>,
    /// Subtrees in all.
    len: u64,
    /// How often anything has changed.
    revision: u64,
}

/// What a session has registered.
#[derive(Debug, Default)]
struct Holdings {
    registered: HashMap<Held, Details>,
    /// Subtrees in all.
    len: u64,
}

/// What else there is to a registration, so that it can be made again.
#[derive(Debug)]
struct Details {
    timeout_s: u8,
    instance: bool,
    member: Option<Arc<Identity>>,
}

/// What names a registration of a session (RFC 2741 section 7.1.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Held {
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
        Self {
            own: OwnSubtrees::new(own),
            limits,
            contexts: HashMap::new(),
            sessions: HashMap::new(),
            namespaces: HashMap::new(),
            queued: HashMap::new(),
            len: 0,
            revision: 0,
        }
    }

    /// Changes what may be registered from now on. What is there stays.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Enters a registration (RFC 2741 section 7.1.4). It may overlap others in any way: the subtree with the most arcs
    /// serves, then the lowest priority (section 7.1.4.1). Above the master's own subtrees it may lie, though those are
    /// not served by it.
    ///
    /// Where another of the same namespace holds some of it at this priority, it stands by there: behind the last of its own
    /// pod, or else of all. So a pod that brings a new session before it ends the old one keeps its place.
    ///
    /// # Errors
    /// [`Refused`] says why; nothing has changed.
    pub fn register(&mut self, context: &[u8], registration: Registration) -> Result<(), Refused> {
        let Registration { session, subtree, range, priority, timeout_s, instance, member } = registration;
        if context.len() > Self::MAX_CONTEXT_LEN {
            return Err(Refused::ContextTooLong { len: context.len() });
        }
        let region = Region::new(&subtree, range)?;
        if let Some(own) = self.own.met_by(&subtree, range) {
            return Err(Refused::Own { subtree: own.clone() });
        }
        let holder = Holder { priority, session, timeout_s, row: instance || range.is_some(), member: member.clone() };
        let levels = self.contexts.get(context);
        if levels.is_some_and(|levels| levels.any(&region, |other| other.excludes(&holder))) {
            return Err(Refused::Duplicate);
        }
        let queues =
            member.is_some() && levels.is_some_and(|levels| levels.any(&region, |other| other.queues(&holder)));
        let subtrees = region.subtrees();
        let of_session = self.sessions.get(&session).map_or(0, |holdings| holdings.len);
        if of_session + subtrees > self.limits.registrations_per_session {
            return Err(Refused::TooManyOfSession { limit: self.limits.registrations_per_session });
        }
        let of_namespace = member.as_ref().and_then(|member| self.namespaces.get(&member.namespace)).copied();
        if member.is_some() && of_namespace.unwrap_or(0) + subtrees > self.limits.registrations_per_namespace {
            return Err(Refused::TooManyOfNamespace { limit: self.limits.registrations_per_namespace });
        }
        if self.len + subtrees > self.limits.registrations {
            return Err(Refused::TooMany { limit: self.limits.registrations });
        }

        let context = self.contexts.get_key_value(context).map_or_else(|| Arc::from(context), |(name, _)| name.clone());
        self.contexts.entry(context.clone()).or_default().add(&region, &holder);
        let held = Held { context, priority, region };
        if queues {
            *self.queued.entry(held.clone()).or_insert(0) += 1;
        }
        if let Some(member) = &member {
            *self.namespaces.entry(Arc::clone(&member.namespace)).or_insert(0) += subtrees;
        }
        let holdings = self.sessions.entry(session).or_default();
        holdings.registered.insert(held, Details { timeout_s, instance, member });
        holdings.len += subtrees;
        self.len += subtrees;
        self.revision += 1;
        Ok(())
    }

    /// Takes back a registration of this very session (RFC 2741 section 7.1.5), and gives it.
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
    ) -> Result<Registration, Refused> {
        let region = Region::new(subtree, range).map_err(|_| Refused::Unknown)?;
        let (context, _) = self.contexts.get_key_value(context).ok_or(Refused::Unknown)?;
        let held = Held { context: context.clone(), priority, region };
        let Entry::Occupied(mut holdings) = self.sessions.entry(session) else { return Err(Refused::Unknown) };
        let details = holdings.get_mut().registered.remove(&held).ok_or(Refused::Unknown)?;
        holdings.get_mut().len -= held.region.subtrees();
        if holdings.get().registered.is_empty() {
            holdings.remove();
        }
        self.remove(session, &held, details.member.as_ref());
        let Details { timeout_s, instance, member } = details;
        Ok(Registration { session, subtree: subtree.clone(), range, priority, timeout_s, instance, member })
    }

    /// Takes back all that a session has registered, in time proportional to it.
    pub fn withdraw(&mut self, session: SessionId) {
        for (held, details) in self.sessions.remove(&session).unwrap_or_default().registered {
            self.remove(session, &held, details.member.as_ref());
        }
    }

    fn remove(&mut self, session: SessionId, held: &Held, member: Option<&Arc<Identity>>) {
        let subtrees = held.region.subtrees();
        self.len -= subtrees;
        self.revision += 1;
        if let Some(levels) = self.contexts.get_mut(&held.context) {
            levels.remove(&held.region, session, held.priority);
            if levels.is_empty() {
                self.contexts.remove(&held.context);
            }
        }
        let Some(member) = member else { return };
        take_off(&mut self.namespaces, &member.namespace, subtrees);
        take_off(&mut self.queued, held, 1);
    }

    /// All that a session has registered, in no order.
    pub fn registered(&self, session: SessionId) -> impl Iterator<Item = Registered<'_>> {
        let held = self.sessions.get(&session).into_iter().flat_map(|holdings| holdings.registered.keys());
        held.map(move |Held { context, priority, region }| {
            let is_ours = |other: &Holder| other.session == session && other.priority == *priority;
            let leads = self.contexts.get(context).is_some_and(|levels| levels.is_led(region, is_ours));
            let (subtree, range) = region.written();
            Registered { context, subtree, range, priority: *priority, stands_by: !leads }
        })
    }

    /// Registrations that came when their region had one of the same namespace and priority already, less those that have
    /// moved up: about how many stand by.
    pub fn queued(&self) -> u64 {
        self.queued.values().sum()
    }

    /// How often anything has changed.
    pub fn revision(&self) -> u64 {
        self.revision
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

/// Takes so many off a count, which is forgotten when none is left.
fn take_off<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K, many: u64) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(many);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
