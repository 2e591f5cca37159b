//! The times at which alarms without a session are lost or cleared.

use std::{collections::BTreeSet, time::Instant};

use super::Key;

/// Times with the alarms that they concern. A time of which the alarm does not know is void.
#[derive(Debug, Default)]
pub(super) struct Lapses(BTreeSet<(Instant, Key)>);

impl Lapses {
    pub(super) fn add(&mut self, at: Instant, key: Key) {
        self.0.insert((at, key));
    }

    /// Removes and returns the earliest time, if it has passed.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, Key)> {
        self.0.first().is_some_and(|(at, _)| *at <= now).then(|| self.0.pop_first()).flatten()
    }

    /// Returns the earliest time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }
}
