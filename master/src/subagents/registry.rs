//! The regions that subagents have registered (RFC 2741 sections 7.1.4 and 7.1.5), and the lookup of the subagent that
//! serves a name (sections 7.1.4.1 and 7.2.1).
//!
//! Two subtrees with the same number of arcs are either equal or disjoint. So each context has an ordered map for each
//! length, and the most specific region of a name is in the map of the longest length that contains it. The cost of a
//! registration does not depend on the regions above or below it. A lookup takes at most two searches for each length
//! in use. Adjacent subtrees with the same holders are merged, and removed registrations leave nothing behind.
//!
//! A region can be registered only once at the same priority (RFC 2741 section 7.1.4). Registrations of one namespace
//! are an exception: they queue, and the first one serves.

mod error;
mod level;
mod levels;
mod own;
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
use identity::Identity;

pub(crate) use error::RegistrationError;
use level::Holder;
use levels::Levels;
use own::OwnSubtrees;
use region::Region;
pub(crate) use region::reaches_into;
use stretch::Stretch;

/// The id of a session: `h.sessionID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// The server of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A subagent with this session.
    Session(SessionId),
    /// The master itself, see [`crate::pdu::own_objects::OwnObjects`].
    Master,
}

/// A registration of a session (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// The session.
    pub session: SessionId,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region consists of several subtrees.
    pub range: Option<Range>,
    /// The priority. A lower value takes precedence for the same subtree.
    pub priority: u8,
    /// Timeout of requests for this region in seconds. 0 means the timeout of the session.
    pub timeout_s: u8,
    /// Whether the subtree is the name of an instance: the INSTANCE_REGISTRATION flag.
    pub instance: bool,
    /// The identity of the subagent, if it has authenticated. Its registration is queued behind others of its
    /// namespace, directly after those of its own pod.
    pub member: Option<Arc<Identity>>,
}

/// A registration in the registry, with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered<'a> {
    /// The context.
    pub context: &'a Arc<[u8]>,
    /// The region, or its first subtree if there is a range.
    pub subtree: Oid,
    /// The range, if the region consists of several subtrees.
    pub range: Option<Range>,
    /// The priority.
    pub priority: u8,
    /// Whether it is queued behind another registration, for its whole region or a part of it.
    pub stands_by: bool,
}

/// The server of all names from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serving<'a> {
    /// The server.
    pub owner: Owner,
    /// Timeout of requests in seconds. 0 means the timeout of the session.
    pub timeout_s: u8,
    /// The first name. Empty means the first of all names.
    pub start: &'a [SubId],
    /// The first name after the interval. Empty means that the interval has no end.
    pub end: &'a [SubId],
    /// Whether the region was registered as an instance or by a range. Then adjacent regions probably have other rows
    /// of the same table.
    pub row: bool,
}

/// Limits of registrations. A range counts as the number of its subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Limit of all subtrees.
    pub registrations: u64,
    /// Limit of subtrees of one session.
    pub registrations_per_session: u64,
    /// Limit of subtrees of one namespace.
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
/// Lookups do not allocate. Their cost does not depend on the number of contexts, and grows logarithmically with the
/// number of registrations.
#[derive(Debug)]
pub(crate) struct Registry {
    own: OwnSubtrees,
    limits: Limits,
    /// Contexts with registrations.
    contexts: HashMap<Arc<[u8]>, Levels>,
    /// Sessions with registrations.
    sessions: HashMap<SessionId, Holdings>,
    /// The number of subtrees of each namespace that has any.
    namespaces: HashMap<Arc<str>, u64>,
    /// For each region, the number of registrations that were queued behind another one of the same namespace.
    queued: HashMap<Held, u64>,
    /// The number of all subtrees.
    len: u64,
    /// The number of changes.
    revision: u64,
}

/// The registrations of a session.
#[derive(Debug, Default)]
struct Holdings {
    registered: HashMap<Held, Details>,
    /// The number of all subtrees.
    len: u64,
}

/// The remaining fields of a registration.
#[derive(Debug)]
struct Details {
    timeout_s: u8,
    instance: bool,
    member: Option<Arc<Identity>>,
}

/// The key of a registration of a session (RFC 2741 section 7.1.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Held {
    context: Arc<[u8]>,
    priority: u8,
    region: Region,
}

impl Registry {
    /// Longest name of a context in octets (RFC 3415: vacmContextName).
    pub(crate) const MAX_CONTEXT_LEN: usize = master_config::MAX_CONTEXT_OCTETS;
    /// Limit of the separate subtrees of one region: more than a table has columns, and few enough to register at once.
    pub(crate) const MAX_SUBTREES_APART: u64 = 4_096;

    /// Creates a registry without registrations. `own` are the disjoint subtrees of the master itself, which it serves
    /// in every context.
    pub(crate) fn new(own: &[Oid], limits: Limits) -> Self {
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

    /// Replaces the limits. Existing registrations stay.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a registration (RFC 2741 section 7.1.4).
    ///
    /// It may overlap others: the subtree with the most arcs takes precedence, then the lowest priority (section
    /// 7.1.4.1). It may contain subtrees of the master itself, which are then not served by it.
    ///
    /// For subtrees that another session of the same namespace has registered at the same priority, it is queued:
    /// behind the last registration of its own pod, or else behind all others. So a pod that opens a new session before
    /// it closes the old one keeps its position.
    ///
    /// # Errors
    /// Returns an error if the region is invalid, reserved or already registered, or if a limit is exceeded.
    pub(crate) fn register(&mut self, context: &[u8], registration: Registration) -> Result<(), RegistrationError> {
        let Registration { session, subtree, range, priority, timeout_s, instance, member } = registration;
        if context.len() > Self::MAX_CONTEXT_LEN {
            return Err(RegistrationError::ContextTooLong { len: context.len() });
        }
        let region = Region::new(&subtree, range)?;
        if let Some(own) = self.own.find(&subtree, range) {
            return Err(RegistrationError::Own { subtree: own.clone() });
        }
        let holder = Holder { priority, session, timeout_s, row: instance || range.is_some(), member: member.clone() };
        let levels = self.contexts.get(context);
        if levels.is_some_and(|levels| levels.any(&region, |other| other.excludes(&holder))) {
            return Err(RegistrationError::Duplicate);
        }
        let queues =
            member.is_some() && levels.is_some_and(|levels| levels.any(&region, |other| other.queues(&holder)));
        let subtrees = region.subtrees();
        let of_session = self.sessions.get(&session).map_or(0, |holdings| holdings.len);
        if of_session + subtrees > self.limits.registrations_per_session {
            return Err(RegistrationError::TooManyOfSession { limit: self.limits.registrations_per_session });
        }
        let of_namespace = member.as_ref().and_then(|member| self.namespaces.get(&member.namespace)).copied();
        if member.is_some() && of_namespace.unwrap_or(0) + subtrees > self.limits.registrations_per_namespace {
            return Err(RegistrationError::TooManyOfNamespace { limit: self.limits.registrations_per_namespace });
        }
        if self.len + subtrees > self.limits.registrations {
            return Err(RegistrationError::TooMany { limit: self.limits.registrations });
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

    /// Removes and returns a registration of this session (RFC 2741 section 7.1.5).
    ///
    /// # Errors
    /// Returns [`RegistrationError::Unknown`] if this session has not registered this region in this context at this
    /// priority.
    pub(crate) fn unregister(
        &mut self,
        context: &[u8],
        session: SessionId,
        priority: u8,
        subtree: &Oid,
        range: Option<Range>,
    ) -> Result<Registration, RegistrationError> {
        let region = Region::new(subtree, range).map_err(|_| RegistrationError::Unknown)?;
        let (context, _) = self.contexts.get_key_value(context).ok_or(RegistrationError::Unknown)?;
        let held = Held { context: context.clone(), priority, region };
        let Entry::Occupied(mut holdings) = self.sessions.entry(session) else {
            return Err(RegistrationError::Unknown);
        };
        let details = holdings.get_mut().registered.remove(&held).ok_or(RegistrationError::Unknown)?;
        holdings.get_mut().len -= held.region.subtrees();
        if holdings.get().registered.is_empty() {
            holdings.remove();
        }
        self.remove(session, &held, details.member.as_ref());
        let Details { timeout_s, instance, member } = details;
        Ok(Registration { session, subtree: subtree.clone(), range, priority, timeout_s, instance, member })
    }

    /// Removes all registrations of a session, in time proportional to their number.
    pub(crate) fn withdraw(&mut self, session: SessionId) {
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
        decrease(&mut self.namespaces, &member.namespace, subtrees);
        decrease(&mut self.queued, held, 1);
    }

    /// Returns all registrations of a session, in no particular order.
    pub(crate) fn registered(&self, session: SessionId) -> impl Iterator<Item = Registered<'_>> {
        let held = self.sessions.get(&session).into_iter().flat_map(|holdings| holdings.registered.keys());
        held.map(move |Held { context, priority, region }| {
            let is_own = |other: &Holder| other.session == session && other.priority == *priority;
            let leads = self.contexts.get(context).is_some_and(|levels| levels.is_led(region, is_own));
            let (subtree, range) = region.to_range();
            Registered { context, subtree, range, priority: *priority, stands_by: !leads }
        })
    }

    /// Returns approximately how many registrations are queued behind others of the same namespace and priority.
    pub(crate) fn queued(&self) -> u64 {
        self.queued.values().sum()
    }

    /// Returns the number of changes so far.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Returns the server of a name, and the interval of names around it with the same server.
    pub(crate) fn serving(&self, context: &[u8], name: &[SubId]) -> Option<Serving<'_>> {
        self.stretch(self.contexts.get(context), name).served()
    }

    /// Returns the server of the first served name after `from`, or at `from` if `include`. The interval may start
    /// before `from`.
    pub(crate) fn serving_next(&self, context: &[u8], from: &[SubId], include: bool) -> Option<Serving<'_>> {
        let levels = self.contexts.get(context);
        let mut stretch = self.stretch(levels, from);
        // No name lies between a name and the same name with the arc 0 appended.
        let mut is_exhausted = !include && stretch.end.strip_prefix(from) == Some(&[0]);
        loop {
            match stretch.served() {
                Some(serving) if !is_exhausted => return Some(serving),
                _ if stretch.end.is_empty() => return None,
                _ => stretch = self.stretch(levels, stretch.end),
            }
            is_exhausted = false;
        }
    }

    fn stretch<'a>(&'a self, levels: Option<&'a Levels>, name: &[SubId]) -> Stretch<'a> {
        self.own.stretch(name, |name| levels.map_or(Stretch::ALL, |levels| levels.stretch(name)))
    }

    /// Returns the number of registered subtrees. A range counts as the number of its subtrees.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the number of subtrees that a session has registered.
    pub(crate) fn len_of(&self, session: SessionId) -> u64 {
        self.sessions.get(&session).map_or(0, |holdings| holdings.len)
    }

    /// Returns the names of all contexts with registrations, in no particular order.
    pub(crate) fn contexts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.contexts.keys().map(|name| &**name)
    }
}

/// Decreases a count, and removes it when it reaches 0.
fn decrease<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K, by: u64) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(by);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
