//! The queue of a target: notifications in the order in which they came, within bounds per namespace.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::Value;
use notification::{AlarmId, Details};

use super::event::Event;

/// Maximum number of notifications that wait for a target.
pub(crate) const MAX_ENTRIES: usize = 10_000;
/// Maximum number of notifications of one namespace that wait for a target.
pub(crate) const MAX_ENTRIES_PER_NAMESPACE: usize = 1_000;

/// The position of a notification in a queue. Later ones have higher numbers.
pub(crate) type Serial = u64;

/// A notification that waits.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) event: Arc<Event>,
    /// When it was queued.
    pub(crate) since: Instant,
    octets: usize,
}

/// Notifications of one namespace.
#[derive(Debug, Default)]
struct Share {
    serials: BTreeSet<Serial>,
    /// Those that a later notification about the same alarm replaces.
    superseded: BTreeSet<Serial>,
    octets: usize,
}

/// Why notifications left the queue without being delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Those that a later notification about the same alarm replaces.
    pub(crate) superseded: u64,
    /// Others.
    pub(crate) others: u64,
}

/// The namespace of an event.
pub(crate) type Namespace = Option<Arc<str>>;

/// The notifications that wait for a target.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Serial, Entry>,
    shares: HashMap<Namespace, Share>,
    /// The latest notification about each alarm.
    latest: HashMap<AlarmId, Serial>,
    next: Serial,
    octets: usize,
}

impl Entry {
    /// Returns the id of its alarm.
    pub(crate) fn alarm(&self) -> Option<AlarmId> {
        details(&self.event).map(|details| details.id)
    }
}

fn details(event: &Event) -> Option<&Details> {
    event.notification.details.as_ref()
}

impl Queue {
    /// Appends a notification. Returns its position, and what was dropped because of the bounds.
    pub(crate) fn push(&mut self, event: &Arc<Event>, now: Instant) -> (Serial, Dropped) {
        let serial = self.next;
        self.next += 1;
        let octets = octets(event);
        let share = self.shares.entry(event.namespace.clone()).or_default();
        share.serials.insert(serial);
        share.octets += octets;
        self.octets += octets;
        if let Some(details) = details(event) {
            let before = self.latest.insert(details.id, serial);
            let sequence = |entry: &Entry| entry.event.notification.details.as_ref().map(|details| details.sequence);
            if let Some(before) = before
                && self.entries.get(&before).and_then(sequence).is_some_and(|before| before < details.sequence)
                && share.serials.contains(&before)
            {
                share.superseded.insert(before);
            }
        }
        self.entries.insert(serial, Entry { event: Arc::clone(event), since: now, octets });
        let mut dropped = Dropped::default();
        let len = |queue: &Self| queue.shares.get(&event.namespace).map_or(0, |share| share.serials.len());
        while len(self) > MAX_ENTRIES_PER_NAMESPACE && self.evict(&event.namespace, &mut dropped) {}
        while self.entries.len() > MAX_ENTRIES {
            let largest = self.shares.iter().max_by_key(|(_, share)| share.serials.len());
            let Some(largest) = largest.map(|(namespace, _)| namespace.clone()) else { break };
            self.evict(&largest, &mut dropped);
        }
        (serial, dropped)
    }

    /// Drops a notification of a namespace: one that is superseded, or else the oldest. Returns whether there was one.
    pub(crate) fn evict(&mut self, namespace: &Namespace, dropped: &mut Dropped) -> bool {
        let Some(share) = self.shares.get(namespace) else { return false };
        let superseded = share.superseded.first().copied();
        match superseded.or_else(|| share.serials.first().copied()) {
            Some(serial) => {
                self.remove(serial);
                let count = if superseded.is_some() { &mut dropped.superseded } else { &mut dropped.others };
                *count += 1;
                true
            }
            None => false,
        }
    }

    /// Removes a notification.
    pub(crate) fn remove(&mut self, serial: Serial) -> Option<Entry> {
        let entry = self.entries.remove(&serial)?;
        self.octets -= entry.octets;
        if let Some(alarm) = entry.alarm()
            && self.latest.get(&alarm) == Some(&serial)
        {
            self.latest.remove(&alarm);
        }
        if let Some(share) = self.shares.get_mut(&entry.event.namespace) {
            share.serials.remove(&serial);
            share.superseded.remove(&serial);
            share.octets -= entry.octets;
            if share.serials.is_empty() {
                self.shares.remove(&entry.event.namespace);
            }
        }
        Some(entry)
    }

    /// Drops the notifications that have waited for longer than `max_age`. Returns their number.
    pub(crate) fn expire(&mut self, now: Instant, max_age: Duration) -> u64 {
        let mut expired = 0;
        while let Some((&serial, entry)) = self.entries.first_key_value()
            && now.saturating_duration_since(entry.since) >= max_age
        {
            self.remove(serial);
            expired += 1;
        }
        expired
    }

    /// Returns when the oldest notification has waited for `max_age`.
    pub(crate) fn expires_at(&self, max_age: Duration) -> Option<Instant> {
        self.entries.first_key_value().map(|(_, entry)| entry.since + max_age)
    }

    /// Returns the first notification at `from` or later.
    pub(crate) fn first_from(&self, from: Serial) -> Option<(Serial, &Entry)> {
        self.entries.range(from..).next().map(|(serial, entry)| (*serial, entry))
    }

    /// Returns a notification.
    pub(crate) fn get(&self, serial: Serial) -> Option<&Entry> {
        self.entries.get(&serial)
    }

    /// Returns the number of notifications.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no notification waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the approximate memory that the notifications take, in octets.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// Returns the approximate memory that the notifications of each namespace take, in octets.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (&Namespace, usize)> {
        self.shares.iter().map(|(namespace, share)| (namespace, share.octets))
    }

    /// Removes all notifications.
    pub(crate) fn clear(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }
}

/// Returns the approximate memory that an event takes, in octets.
fn octets(event: &Event) -> usize {
    const FIXED: usize = 512;
    let objects = event.notification.objects.iter().map(|object| {
        let value = match &object.value {
            Value::OctetString(octets) | Value::Opaque(octets) => octets.len(),
            Value::ObjectIdentifier(oid) => oid.len() * 4,
            _ => 0,
        };
        size_of_val(object) + object.name.len() * 4 + value
    });
    let details = details(event).map_or(0, |details| {
        size_of_val(details) + details.alarm_type.len() * 4 + details.resource.len() + details.text.len()
    });
    FIXED + objects.sum::<usize>() + details + event.context.len()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use agentx::{Oid, VarBind};
    use notification::{Notification, Severity, State};
    use proptest::prelude::*;

    use super::*;

    /// Returns an event about the alarm `alarm`.
    pub(crate) fn event(namespace: &str, alarm: u8, sequence: u32) -> Arc<Event> {
        let oid = |arcs: &[u32]| Oid::try_from(arcs).unwrap();
        let details = Details {
            alarm_type: oid(&[1, 3, 6, 1, 4, 1, 9, 0, 1]),
            id: AlarmId([alarm; 8]),
            sequence,
            state: State::Raised,
            severity: Severity::Major,
            time: vec![0; 11],
            resource: namespace.to_owned(),
            text: String::new(),
            event_type: None,
        };
        let objects = vec![VarBind { name: oid(&[1, 3, 6, 1, 4, 1, 9, 1, 0]), value: Value::Gauge32(sequence) }];
        Arc::new(Event {
            namespace: Some(namespace.into()),
            context: Arc::from(&b"acme"[..]),
            notification: Notification { oid: oid(&[1, 3, 6, 1, 4, 1, 9, 0, 1]), objects, details: Some(details) },
            severity: Some(Severity::Major),
            uptime: 5,
            at: SystemTime::UNIX_EPOCH,
        })
    }

    fn sequences(queue: &Queue) -> Vec<u32> {
        queue.entries.values().filter_map(|entry| Some(details(&entry.event)?.sequence)).collect()
    }

    #[test]
    fn what_is_superseded_goes_first_then_the_oldest_of_the_namespace() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(&event("quiet", 200, 0), now);
        queue.push(&event("loud", 1, 1), now);
        queue.push(&event("loud", 2, 2), now);
        queue.push(&event("loud", 2, 3), now);
        let mut dropped = Dropped::default();
        for _ in 0..MAX_ENTRIES_PER_NAMESPACE - 3 {
            dropped = queue.push(&event("loud", 3, 4), now).1;
        }
        assert_eq!((queue.len(), dropped), (MAX_ENTRIES_PER_NAMESPACE + 1, Dropped::default()));
        assert_eq!(queue.push(&event("loud", 4, 5), now).1, Dropped { superseded: 1, others: 0 });
        assert_eq!(sequences(&queue)[..3], [0, 1, 3]);
        assert_eq!(queue.push(&event("loud", 4, 5), now).1, Dropped { superseded: 0, others: 1 });
        assert_eq!(sequences(&queue)[..3], [0, 3, 4], "the neighbour's notification stays");
    }

    #[test]
    fn a_full_queue_drops_from_the_largest_namespace() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for namespace in 0..10 {
            for _ in 0..MAX_ENTRIES_PER_NAMESPACE {
                queue.push(&event(&format!("loud-{namespace}"), 1, 1), now);
            }
        }
        for _ in 0..5 {
            assert_eq!(queue.push(&event("quiet", 2, 2), now).1, Dropped { superseded: 0, others: 1 });
        }
        assert_eq!(queue.len(), MAX_ENTRIES);
        assert_eq!(sequences(&queue).iter().filter(|sequence| **sequence == 2).count(), 5);
    }

    #[test]
    fn an_old_notification_expires() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.push(&event("a", 1, 1), now);
        queue.push(&event("a", 2, 2), now + Duration::from_secs(1));
        let age = Duration::from_mins(1);
        assert_eq!(queue.expires_at(age), Some(now + age));
        assert_eq!(queue.expire(now + age, age), 1);
        assert_eq!(sequences(&queue), [2]);
    }

    proptest! {
        /// The bookkeeping equals what a plain list would say, whatever happens.
        #[test]
        fn counts_and_sizes_agree(steps in prop::collection::vec((0..4_u8, 0..3_u8, 0..4_u8, any::<u32>()), 0..200)) {
            let (mut queue, now) = (Queue::default(), Instant::now());
            let names = ["a", "b", "c"];
            for (step, namespace, alarm, number) in steps {
                let namespace = names[usize::from(namespace)];
                match step {
                    0 | 1 => _ = queue.push(&event(namespace, alarm, number), now),
                    2 => _ = queue.remove(u64::from(number) % (queue.next + 1)),
                    _ => _ = queue.evict(&Some(namespace.into()), &mut Dropped::default()),
                }
                let all = queue.entries.values().map(|entry| entry.octets).sum::<usize>();
                prop_assert_eq!(queue.octets(), all);
                prop_assert_eq!(queue.shares().map(|(_, octets)| octets).sum::<usize>(), all);
                let shared: usize = queue.shares.values().map(|share| share.serials.len()).sum();
                prop_assert_eq!(shared, queue.len());
                for share in queue.shares.values() {
                    prop_assert!(share.superseded.is_subset(&share.serials));
                }
            }
        }
    }
}
