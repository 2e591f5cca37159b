//! The book of alarms, without I/O.
//!
//! It keeps the latest state of each alarm by context and id, and what each session has said. Only the session that serves
//! the instance of an alarm counts; what the others say is kept until one of them takes over.

mod lapse;
mod memory;
mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use agentx::Oid;
use notification::{AlarmId, Details, Notification, Severity, State, Sync, date_and_time};

use self::{
    lapse::Lapses,
    memory::Memory,
    record::{Alarm, Session},
};
use super::{
    event::Event,
    record::Entry,
    table::{ContextTable, Tables},
    target::Tallies,
};
use crate::pdu::{
    notice::{Content, Notice, Received, Subject},
    time_ticks::time_ticks,
};

/// Alarms of all namespaces, and of one.
const MAX_ALARMS: usize = 10_000;
const MAX_ALARMS_PER_NAMESPACE: usize = 1_000;
/// An alarm without a session is lost after the first time, and cleared after both: in an hour.
const LOST_AFTER: Duration = Duration::from_mins(1);
const CLEARED_AFTER: Duration = Duration::from_mins(59);

/// Context and id of an alarm.
type Key = (Arc<[u8]>, AlarmId);
/// The owner of alarms. `None` for subagents without a namespace.
type Namespace = Option<Arc<str>>;

/// Counters of the book since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BookCounts {
    /// Notifications received.
    pub(crate) received: u64,
    /// Notifications ignored because they, or later ones of the same alarm, are known.
    pub(crate) duplicates: u64,
    /// Notifications of sessions that do not serve the instance.
    pub(crate) standing_by: u64,
    /// Alarms that were not kept because of a limit. Their notifications were passed on.
    pub(crate) overflow: u64,
}

/// The time of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// On the monotonic clock.
    pub(crate) instant: Instant,
    /// On the wall clock.
    pub(crate) wall: SystemTime,
    /// sysUpTime.
    pub(crate) uptime: u32,
}

/// The book of alarms.
#[derive(Debug, Default)]
pub(crate) struct Book {
    alarms: BTreeMap<Key, Alarm>,
    sessions: HashMap<u32, Session>,
    per_namespace: HashMap<Namespace, usize>,
    /// The last sequences of alarms that are over, and of events.
    memory: Memory,
    lapses: Lapses,
    overflow: HashMap<Arc<[u8]>, u32>,
    last_change: HashMap<Arc<[u8]>, Instant>,
    counts: BookCounts,
    events: Vec<Arc<Event>>,
    /// Number of changes of the alarms.
    revision: u64,
    /// Contexts whose tables must be published anew.
    changed: BTreeSet<Arc<[u8]>>,
}

impl Book {
    /// Takes a notice of the agent thread.
    pub(crate) fn take(&mut self, notice: Notice, now: Now) {
        match notice {
            Notice::Received(received) => self.receive(*received, now),
            Notice::Serving { session, context, subject: Subject::Alarm(id), serves } => {
                self.serve_alarm(session, &(context, id), serves, now);
            }
            Notice::Serving { session, context, subject: Subject::Subtree(base), serves } => {
                if serves {
                    self.reconcile(session, &context, &base, &[], now);
                }
            }
            Notice::Closed { session } => {
                self.sessions.remove(&session);
                let owned: Vec<_> = self.alarms.iter().filter(|(_, alarm)| alarm.owner == Some(session)).collect();
                let owned: Vec<Key> = owned.into_iter().map(|(key, _)| key.clone()).collect();
                for key in &owned {
                    self.release(key, now);
                }
            }
        }
    }

    /// Clears the alarms whose namespaces, proven by a token, no longer have a grant for their instance.
    pub(crate) fn retain_granted(&mut self, is_granted: impl Fn(&str, &[u8], &Oid) -> bool, now: Now) {
        let denied = |(key, alarm): (&Key, &Alarm)| {
            let namespace = alarm.namespace.as_deref().filter(|_| alarm.proven)?;
            (!is_granted(namespace, &key.0, alarm.instance())).then(|| key.clone())
        };
        let denied: Vec<_> = self.alarms.iter().filter_map(denied).collect();
        for key in &denied {
            self.clear(key, now);
        }
    }

    /// Handles what is due: alarms without a session.
    pub(crate) fn tick(&mut self, now: Now) {
        while let Some((at, key)) = self.lapses.due(now.instant) {
            let Some(alarm) = self.alarms.get_mut(&key) else { continue };
            // Another session may have taken over meanwhile.
            if alarm.lapses != Some(at) {
                continue;
            }
            if alarm.lost {
                self.clear(&key, now);
            } else {
                let until = at + CLEARED_AFTER;
                (alarm.lost, alarm.lapses) = (true, Some(until));
                self.lapses.add(until, key.clone());
                self.touch(&key.0, now);
            }
        }
        self.memory.tick(now.instant);
    }

    /// Returns when [`Self::tick`] must be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lapses.deadline()
    }

    /// Returns what survives a restart.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.alarms.iter().map(|(key, alarm)| Entry {
            namespace: alarm.namespace.clone(),
            proven: alarm.proven,
            context: Arc::clone(&key.0),
            raised: alarm.row.raised.clone(),
            worst: alarm.worst,
            notification: alarm.notification.clone(),
        })
    }

    /// Adds alarms from before a restart, unless they are known. They wait for their sessions.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>, now: Now) {
        for Entry { namespace, proven, context, raised, worst, notification } in entries {
            let Some(details) = &notification.details else { continue };
            let (key, sequence): (Key, u32) = ((context, details.id), details.sequence);
            if self.alarms.contains_key(&key) || !self.has_room(&namespace) {
                continue;
            }
            if let Some(alarm) = Alarm::new(&notification, namespace.clone(), proven, None, Some((raised, worst))) {
                *self.per_namespace.entry(namespace.clone()).or_default() += 1;
                self.alarms.insert(key.clone(), alarm);
                self.memory.record(&key, &namespace, sequence, now.instant);
                self.release(&key, now);
                self.touch(&key.0, now);
            }
        }
    }

    /// Returns a number that increases whenever an alarm changes.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn has_room(&self, namespace: &Namespace) -> bool {
        let of_namespace = self.per_namespace.get(namespace).copied().unwrap_or(0);
        of_namespace < MAX_ALARMS_PER_NAMESPACE && self.alarms.len() < MAX_ALARMS
    }

    /// Takes the events for the targets, in order.
    pub(crate) fn take_events(&mut self) -> Vec<Arc<Event>> {
        std::mem::take(&mut self.events)
    }

    /// Returns the counters.
    pub(crate) fn counts(&self) -> BookCounts {
        self.counts
    }

    /// Returns the number of alarms of each namespace.
    pub(crate) fn per_namespace(&self) -> impl Iterator<Item = (Option<&str>, usize)> {
        self.per_namespace.iter().map(|(namespace, count)| (namespace.as_deref(), *count))
    }

    /// Returns the number of alarms by namespace and context, and when one changed last, for an engine that started at
    /// `started`.
    pub(crate) fn tallies(&self, started: Instant) -> Tallies {
        let mut tallies = Tallies::new();
        for ((context, _), alarm) in &self.alarms {
            tallies.entry((alarm.namespace.clone(), Arc::clone(context))).or_default().raised += 1;
        }
        for ((_, context), tally) in &mut tallies {
            tally.changed = self.last_change.get(context).map_or(0, |at| time_ticks(started, *at));
        }
        tallies
    }

    /// Updates the tables of the contexts that have changed. Returns whether there were any.
    pub(crate) fn update(&mut self, tables: &mut Tables) -> bool {
        let changed = std::mem::take(&mut self.changed);
        for context in &changed {
            let table = self.table(context);
            if table.rows.is_empty() && table.overflow == 0 && table.last_change.is_none() {
                tables.remove(context);
            } else {
                tables.insert(Arc::clone(context), Arc::new(table));
            }
        }
        !changed.is_empty()
    }

    fn table(&self, context: &Arc<[u8]>) -> ContextTable {
        let start: Key = (Arc::clone(context), AlarmId([0; 8]));
        let alarms = self.alarms.range(start..).take_while(|((of, _), _)| of == context).map(|(_, alarm)| alarm);
        let mut table = ContextTable {
            overflow: self.overflow.get(context).copied().unwrap_or(0),
            last_change: self.last_change.get(context).copied(),
            ..ContextTable::default()
        };
        for alarm in alarms {
            table.rows.push(Arc::clone(&alarm.row));
            table.lost += u32::from(alarm.lost);
            let at = Severity::ALL.iter().position(|severity| *severity == alarm.row.severity);
            if let Some(count) = at.and_then(|at| table.by_severity.get_mut(at)) {
                *count += 1;
            }
        }
        table
    }

    fn receive(&mut self, received: Received, now: Now) {
        let Received { namespace, proven, session, context, serves, content } = received;
        self.counts.received += 1;
        let state = self.sessions.entry(session).or_default();
        state.proven = proven;
        // A list of alarms does not name a namespace.
        if namespace.is_some() || !matches!(content, Content::Sync(_)) {
            state.namespace.clone_from(&namespace);
        }
        let notification = match content {
            Content::Sync(Sync { base, raised }) => {
                state.records.retain(|(of, id), record| {
                    *of != context || !record.instance().starts_with(&base) || raised.contains(id)
                });
                if serves {
                    self.reconcile(session, &context, &base, &raised, now);
                }
                return;
            }
            Content::Notification(notification) => notification,
        };
        let Some(details) = notification.details.as_ref() else {
            return self.emit(namespace, &context, notification, None, now);
        };
        let (key, sequence, state_now) = ((context, details.id), details.sequence, details.state);
        if state.records.get(&key).is_some_and(|record| record.sequence() >= sequence) {
            self.counts.duplicates += 1;
            // The owner of the alarm may have lost its session, and sends it again in a new one.
            if serves {
                self.own(session, &key, now);
            }
            return;
        }
        if state_now.is_raised() {
            state.records.insert(key.clone(), record::Record { notification: notification.clone(), serves });
        } else {
            state.records.remove(&key);
        }
        if !serves {
            self.counts.standing_by += 1;
            return;
        }
        if self.last_sequence(&key, &namespace).is_some_and(|last| last >= sequence) {
            self.counts.duplicates += 1;
            return self.own(session, &key, now);
        }
        self.advance(session, &key, notification, now);
    }

    /// Returns the last sequence of an alarm that belongs to this namespace.
    fn last_sequence(&self, key: &Key, namespace: &Namespace) -> Option<u32> {
        let of_alarm = self.alarms.get(key).map(Alarm::sequence);
        of_alarm.max(self.memory.last(key, namespace))
    }

    /// Applies a new notification of the session that serves its instance, and passes it on.
    fn advance(&mut self, session: u32, key: &Key, notification: Notification, now: Now) {
        let Some(details) = &notification.details else { return };
        let (namespace, _) = self.sessions.get(&session).map(Session::identity).unwrap_or_default();
        let (sequence, is_raised) = (details.sequence, details.state.is_raised());
        let mut severity = details.severity;
        if is_raised {
            self.keep(session, key, &notification, now);
            severity = self.alarms.get(key).map_or(severity, |alarm| alarm.worst);
        } else if details.state == State::Cleared
            && let Some(alarm) = self.remove(key, now)
        {
            severity = alarm.worst;
        }
        self.memory.record(key, &namespace, sequence, now.instant);
        self.emit(namespace, &key.0, notification, Some(severity), now);
    }

    /// Keeps a raised alarm, unless a limit is reached.
    fn keep(&mut self, session: u32, key: &Key, notification: &Notification, now: Now) {
        let (namespace, proven) = self.sessions.get(&session).map(Session::identity).unwrap_or_default();
        let before = self.alarms.get(key);
        if before.is_none() && !self.has_room(&namespace) {
            self.counts.overflow += 1;
            let overflow = self.overflow.entry(Arc::clone(&key.0)).or_default();
            *overflow = overflow.wrapping_add(1);
            self.changed.insert(Arc::clone(&key.0));
            return;
        }
        let since = before.map(|alarm| (alarm.row.raised.clone(), alarm.worst));
        // An instance can move to another namespace together with its grant.
        if before.is_none_or(|alarm| alarm.namespace != namespace) {
            self.forget(key);
            *self.per_namespace.entry(namespace.clone()).or_default() += 1;
        }
        if let Some(alarm) = Alarm::new(notification, namespace, proven, Some(session), since) {
            self.alarms.insert(key.clone(), alarm);
        }
        self.touch(&key.0, now);
    }

    /// Records that a session serves an alarm or no longer does.
    fn serve_alarm(&mut self, session: u32, key: &Key, serves: bool, now: Now) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if let Some(record) = state.records.get_mut(key) {
            record.serves = serves;
        }
        if serves {
            self.take_over(session, key, now);
        } else if self.alarms.get(key).is_some_and(|alarm| alarm.owner == Some(session)) {
            self.release(key, now);
        }
    }

    /// Uses what a session said about an alarm while it stood by.
    fn take_over(&mut self, session: u32, key: &Key, now: Now) {
        let Some(state) = self.sessions.get(&session) else { return };
        let Some(record) = state.records.get(key) else { return };
        let (mut notification, namespace) = (record.notification.clone(), state.namespace.clone());
        let before = self.alarms.get(key).map(|alarm| alarm.row.severity);
        let last = self.last_sequence(key, &namespace);
        let Some(details) = &mut notification.details else { return };
        let severity = details.severity;
        if last.is_some_and(|last| last >= details.sequence) && before != Some(severity) {
            details.sequence = last.unwrap_or_default().saturating_add(1);
        }
        match before {
            // Nothing that targets must know has changed.
            Some(before) if before == severity => {
                if last.is_some_and(|last| last < details.sequence) {
                    let sequence = details.sequence;
                    self.keep(session, key, &notification, now);
                    self.memory.record(key, &namespace, sequence, now.instant);
                }
                self.own(session, key, now);
            }
            _ => self.advance(session, key, notification, now),
        }
    }

    /// Applies the list of alarms that the session serving a subtree has raised. `named` are those of its list; it may have
    /// raised others since.
    fn reconcile(&mut self, session: u32, context: &Arc<[u8]>, base: &Oid, named: &[AlarmId], now: Now) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let mut own: BTreeSet<Key> = BTreeSet::new();
        for (key, record) in &mut state.records {
            if key.0 == *context && record.instance().starts_with(base) {
                record.serves = true;
                own.insert(key.clone());
            }
        }
        let start: Key = (Arc::clone(context), AlarmId([0; 8]));
        let in_context = self.alarms.range(start..).take_while(|((of, _), _)| of == context);
        let others = in_context.filter(|(key, alarm)| {
            let is_served = |other: u32| {
                let record = self.sessions.get(&other).and_then(|other| other.records.get(*key));
                other != session && record.is_some_and(|record| record.serves)
            };
            self.sessions.get(&session).is_some_and(|session| session.owns(alarm))
                && alarm.instance().starts_with(base)
                && !own.contains(key)
                && !alarm.owner.is_some_and(is_served)
        });
        let (named, over): (Vec<Key>, Vec<Key>) =
            others.map(|(key, _)| key.clone()).partition(|(_, id)| named.contains(id));
        for key in &over {
            self.clear(key, now);
        }
        for key in &named {
            self.own(session, key, now);
        }
        for key in &own {
            self.take_over(session, key, now);
        }
    }

    /// Makes a session the owner of an alarm, if there is one of its namespace.
    fn own(&mut self, session: u32, key: &Key, now: Now) {
        let Some(state) = self.sessions.get(&session) else { return };
        let Some(alarm) = self.alarms.get_mut(key).filter(|alarm| state.owns(alarm)) else { return };
        (alarm.owner, alarm.lapses) = (Some(session), None);
        if std::mem::take(&mut alarm.lost) {
            self.touch(&key.0, now);
        }
    }

    /// Leaves an alarm without an owner.
    fn release(&mut self, key: &Key, now: Now) {
        let Some(alarm) = self.alarms.get_mut(key) else { return };
        let at = now.instant + LOST_AFTER;
        (alarm.owner, alarm.lapses) = (None, Some(at));
        self.lapses.add(at, key.clone());
    }

    /// Clears an alarm in the name of its owner.
    fn clear(&mut self, key: &Key, now: Now) {
        let Some(alarm) = self.remove(key, now) else { return };
        let Alarm { mut notification, namespace, worst, .. } = alarm;
        if let Some(details) = &mut notification.details {
            let last = self.memory.last(key, &namespace).unwrap_or(0).max(details.sequence);
            *details = Details {
                sequence: last.saturating_add(1),
                state: State::Cleared,
                severity: Severity::Indeterminate,
                time: date_and_time(now.wall).to_vec(),
                ..details.clone()
            };
            self.memory.record(key, &namespace, last.saturating_add(1), now.instant);
        }
        self.emit(namespace, &key.0, notification, Some(worst), now);
    }

    fn remove(&mut self, key: &Key, now: Now) -> Option<Alarm> {
        let alarm = self.forget(key)?;
        self.touch(&key.0, now);
        Some(alarm)
    }

    fn forget(&mut self, key: &Key) -> Option<Alarm> {
        let alarm = self.alarms.remove(key)?;
        if let Some(count) = self.per_namespace.get_mut(&alarm.namespace) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_namespace.remove(&alarm.namespace);
            }
        }
        Some(alarm)
    }

    fn touch(&mut self, context: &Arc<[u8]>, now: Now) {
        self.revision += 1;
        self.last_change.insert(Arc::clone(context), now.instant);
        self.changed.insert(Arc::clone(context));
    }

    fn emit(
        &mut self,
        namespace: Namespace,
        context: &Arc<[u8]>,
        notification: Notification,
        severity: Option<Severity>,
        now: Now,
    ) {
        let (context, uptime, at) = (Arc::clone(context), now.uptime, now.wall);
        self.events.push(Arc::new(Event { namespace, context, notification, severity, uptime, at }));
    }
}
