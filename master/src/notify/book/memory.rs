//! The last sequences of alarms and events.
//!
//! A sidecar sends the notifications of the last 15 minutes again when it opens a session. Their sequences tell that they
//! are not new, also after the alarm is over.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::{Key, Namespace};

/// How long a sequence is remembered: longer than notifications are sent again.
const KEPT: Duration = Duration::from_mins(30);
/// How often old sequences are forgotten.
const PERIOD: Duration = Duration::from_mins(1);
/// Sequences of one namespace, and of all.
const MAX_PER_NAMESPACE: usize = 4_000;
const MAX: usize = 100_000;

/// The last sequences.
#[derive(Debug, Default)]
pub(super) struct Memory {
    last: BTreeMap<(Namespace, Key), (u32, Instant)>,
    /// The same by namespace and time, the oldest first.
    by_age: HashMap<Namespace, BTreeSet<(Instant, Key)>>,
    /// When old sequences are forgotten next.
    next: Option<Instant>,
}

impl Memory {
    /// Returns the last sequence of an alarm that was owned by this namespace.
    pub(super) fn last(&self, key: &Key, namespace: &Namespace) -> Option<u32> {
        self.last.get(&(namespace.clone(), key.clone())).map(|(sequence, _)| *sequence)
    }

    /// Records a sequence. Forgets the oldest one of the same namespace if there are too many.
    pub(super) fn record(&mut self, key: &Key, namespace: &Namespace, sequence: u32, now: Instant) {
        let is_full = self.last.len() >= MAX;
        let ages = self.by_age.entry(namespace.clone()).or_default();
        let before = self.last.insert((namespace.clone(), key.clone()), (sequence, now));
        if let Some((_, at)) = before {
            ages.remove(&(at, key.clone()));
        }
        ages.insert((now, key.clone()));
        let is_over = ages.len() > MAX_PER_NAMESPACE || is_full && ages.len() > 1;
        if let Some((_, oldest)) = is_over.then(|| ages.pop_first()).flatten() {
            self.last.remove(&(namespace.clone(), oldest));
        }
    }

    /// Forgets what is old.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next > now) {
            return;
        }
        self.next = Some(now + PERIOD);
        self.by_age.retain(|namespace, ages| {
            while let Some((at, key)) =
                ages.first().cloned().filter(|(at, _)| now.saturating_duration_since(*at) > KEPT)
            {
                self.last.remove(&(namespace.clone(), key.clone()));
                ages.remove(&(at, key));
            }
            !ages.is_empty()
        });
    }
}
