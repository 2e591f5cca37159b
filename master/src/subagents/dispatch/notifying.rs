//! Notifications of subagents: accepted at a limited rate, and queued for the book of alarms.
//!
//! The book must know which session serves the instance of an alarm. So each alarm that a session raises is watched:
//! when registrations change, all watched instances are looked up again, a few at a time.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{Oid, ResponseError, VarBind};
use notification::{AlarmId, Notification};

use super::{Dispatcher, connection::ConnectionId};
use crate::{
    pdu::{
        notice::{Content, ContentError, Notice, Received, Subject},
        own_objects::OwnObjects,
    },
    subagents::{
        authority::Action,
        registry::{Owner, Registry, SessionId},
    },
};

/// Time in which one notification of a namespace arrives at exactly the permitted rate of 50 per second.
const INTERVAL: Duration = Duration::from_millis(20);
/// The burst of notifications of a namespace.
const BURST: u32 = 1_000;
/// Notices that wait for the book before notifications are refused.
const MAX_NOTICES: usize = 1_024;
/// Watched alarms and subtrees of one namespace, in all of its sessions, and of all namespaces.
const MAX_WATCHES_PER_NAMESPACE: usize = 10_000;
const MAX_WATCHES: usize = 100_000;
/// Watches that are looked up at once, and the pause before the next ones: they must not delay requests.
const SWEEP: usize = 256;
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// Longest name of a namespace (RFC 1123).
const MAX_NAMESPACE: usize = 63;

/// The namespace of a peer. `None` if it has none.
type Namespace = Option<Arc<str>>;
type Key = (SessionId, Arc<[u8]>, Subject);

/// The state of notifications.
#[derive(Debug)]
pub(super) struct Notifying {
    notices: VecDeque<Notice>,
    /// When the notifications of a namespace so far would have arrived at exactly the permitted rate.
    due: HashMap<Namespace, Instant>,
    watches: BTreeMap<Key, Watch>,
    /// Number of watches of each namespace.
    watched: HashMap<Namespace, usize>,
    /// The revision of the registry whose changes have been looked up, or are being looked up.
    revision: u64,
    /// The last watch that was looked up, while not all of them have been.
    cursor: Option<Key>,
    /// When the next watches are looked up.
    next_sweep: Instant,
}

#[derive(Debug)]
struct Watch {
    namespace: Namespace,
    name: Oid,
    serves: bool,
}

impl Notifying {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            notices: VecDeque::new(),
            due: HashMap::new(),
            watches: BTreeMap::new(),
            watched: HashMap::new(),
            revision: 0,
            cursor: None,
            next_sweep: now,
        }
    }

    /// Counts a notification. Returns whether the rate of the namespace permits it.
    fn permits(&mut self, namespace: &Namespace, now: Instant) -> bool {
        if self.due.len() > MAX_NOTICES {
            self.due.retain(|_, due| *due > now);
        }
        let due = self.due.entry(namespace.clone()).or_insert(now);
        let next = now.max(*due) + INTERVAL;
        let is_permitted = next <= now + INTERVAL * BURST;
        if is_permitted {
            *due = next;
        }
        is_permitted
    }

    fn has_room(&self, namespace: &Namespace) -> bool {
        self.watches.len() < MAX_WATCHES
            && self.watched.get(namespace).is_none_or(|count| *count < MAX_WATCHES_PER_NAMESPACE)
    }

    fn watch(&mut self, key: Key, watch: Watch) {
        let namespace = watch.namespace.clone();
        if self.watches.insert(key, watch).is_none() {
            *self.watched.entry(namespace).or_default() += 1;
        }
    }

    fn unwatch(&mut self, key: &Key) {
        let Some(Watch { namespace, .. }) = self.watches.remove(key) else { return };
        if let Some(count) = self.watched.get_mut(&namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.watched.remove(&namespace);
            }
        }
    }

    fn keys_of(&self, session: SessionId) -> Vec<Key> {
        let start: Key = (session, Arc::from([]), Subject::Alarm(AlarmId([0; 8])));
        self.watches.range(start..).map(|(key, _)| key.clone()).take_while(|(of, ..)| *of == session).collect()
    }

    /// Forgets the alarms of a subtree that a session does not name.
    fn retain_named(&mut self, session: SessionId, context: &[u8], base: &Oid, named: &[AlarmId]) {
        for key in self.keys_of(session) {
            let Subject::Alarm(id) = key.2 else { continue };
            let in_subtree = self.watches.get(&key).is_some_and(|watch| watch.name.starts_with(base));
            if *key.1 == *context && in_subtree && !named.contains(&id) {
                self.unwatch(&key);
            }
        }
    }

    /// Tells the book that a session has ended.
    pub(super) fn close(&mut self, session: SessionId) {
        for key in self.keys_of(session) {
            self.unwatch(&key);
        }
        self.notices.push_back(Notice::Closed { session: session.0 });
    }

    /// Looks up some of the watches, if registrations have changed.
    pub(super) fn sweep(&mut self, registry: &Registry, now: Instant) {
        if self.deadline(registry).is_none_or(|deadline| deadline > now) {
            return;
        }
        let start = if let Some(key) = self.cursor.take() {
            Bound::Excluded(key)
        } else {
            self.revision = registry.revision();
            Bound::Unbounded
        };
        let mut count = 0;
        for (key, watch) in self.watches.range_mut((start, Bound::Unbounded)).take(SWEEP) {
            let (session, context, subject) = key;
            let serves = serves(registry, *session, context, &watch.name);
            if serves != watch.serves {
                watch.serves = serves;
                let (session, context, subject) = (session.0, Arc::clone(context), subject.clone());
                self.notices.push_back(Notice::Serving { session, context, subject, serves });
            }
            self.cursor = Some(key.clone());
            count += 1;
        }
        if count < SWEEP {
            self.cursor = None;
        }
        self.next_sweep = now + SWEEP_PAUSE;
    }

    /// Returns when [`Self::sweep`] must be called.
    pub(super) fn deadline(&self, registry: &Registry) -> Option<Instant> {
        let is_due = self.cursor.is_some() || self.revision != registry.revision();
        (is_due && !self.watches.is_empty()).then_some(self.next_sweep)
    }
}

impl<O: OwnObjects> Dispatcher<O> {
    /// Returns the next notice for the book of alarms, which stays in the queue until it is removed.
    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        self.notifying.notices.pop_front()
    }

    /// Puts back a notice that the book cannot take now.
    pub(crate) fn return_notice(&mut self, notice: Notice) {
        self.notifying.notices.push_front(notice);
    }

    pub(super) fn notify(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        context: &[u8],
        varbinds: &[VarBind],
        now: Instant,
    ) -> Result<(), ResponseError> {
        let accepted = self.accept(connection, session, context, varbinds, now);
        match accepted {
            Ok(()) => self.totals.notifications += 1,
            Err(_) => self.totals.notifications_refused += 1,
        }
        accepted
    }

    fn accept(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        context: &[u8],
        varbinds: &[VarBind],
        now: Instant,
    ) -> Result<(), ResponseError> {
        let parsed = Content::parse(varbinds).map_err(|error| {
            tracing::debug!(session = session.0, %error, "refused a notification");
            match error {
                ContentError::TooLong => ResponseError::RequestDenied,
                ContentError::Malformed(_) => ResponseError::ProcessingError,
            }
        })?;
        self.authorize(connection, Action::Notify { context, content: &parsed }, now)?;
        let identity = self.connections.get(connection).and_then(|connection| connection.peer.identity());
        let proven = identity.map(|identity| Arc::clone(&identity.namespace));
        let namespace = proven.clone().or_else(|| named_namespace(&parsed));
        if !self.notifying.permits(&proven, now) {
            self.totals.notifications_over_rate += 1;
            return Err(ResponseError::ProcessingError);
        }
        if self.notifying.notices.len() >= MAX_NOTICES {
            self.totals.notifications_over_capacity += 1;
            return Err(ResponseError::ProcessingError);
        }
        let context: Arc<[u8]> = context.into();
        let name = match &parsed {
            Content::Sync(sync) => Some(sync.base.clone()),
            Content::Notification(notification) => notification.objects.first().map(|object| object.name.clone()),
        };
        let serves = name.as_ref().is_some_and(|name| serves(&self.registry, session, &context, name));
        let raised = match &parsed {
            Content::Sync(sync) => Some(Subject::Subtree(sync.base.clone())),
            Content::Notification(Notification { details: Some(details), .. }) => {
                let subject = Subject::Alarm(details.id);
                if details.state.is_raised() {
                    Some(subject)
                } else {
                    self.notifying.unwatch(&(session, Arc::clone(&context), subject));
                    None
                }
            }
            Content::Notification(_) => None,
        };
        if let (Some(subject), Some(name)) = (raised, name) {
            let key = (session, Arc::clone(&context), subject);
            if !self.notifying.watches.contains_key(&key) && !self.notifying.has_room(&namespace) {
                self.totals.notifications_over_capacity += 1;
                return Err(ResponseError::RequestDenied);
            }
            self.notifying.watch(key, Watch { namespace: namespace.clone(), name, serves });
        }
        if let Content::Sync(sync) = &parsed {
            self.notifying.retain_named(session, &context, &sync.base, &sync.raised);
        }
        if let Some(session) = self.sessions.get_mut(session) {
            session.has_notified = true;
        }
        let (proven, session) = (proven.is_some(), session.0);
        let received = Received { namespace, proven, session, context, serves, content: parsed };
        self.notifying.notices.push_back(Notice::Received(Box::new(received)));
        Ok(())
    }
}

/// Returns whether a session serves a name, or the first served name below it.
fn serves(registry: &Registry, session: SessionId, context: &[u8], name: &Oid) -> bool {
    let below = || registry.serving_next(context, name, true).filter(|serving| serving.start.starts_with(name));
    let serving = registry.serving(context, name).or_else(below);
    serving.is_some_and(|serving| serving.owner == Owner::Session(session))
}

/// Returns the namespace that a notification names, if it can be the name of one.
fn named_namespace(content: &Content) -> Namespace {
    let Content::Notification(Notification { details: Some(details), .. }) = content else { return None };
    let (namespace, _) = details.resource.split_once('/')?;
    let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    let is_valid = (1..=MAX_NAMESPACE).contains(&namespace.len())
        && namespace.bytes().all(is_inner)
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    is_valid.then(|| namespace.into())
}
