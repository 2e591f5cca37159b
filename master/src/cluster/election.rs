//! Who of the replicas is the active one, as a state machine: what was seen of the Lease and the time in, what to do
//! next out.
//!
//! The clocks of others are not trusted: a Lease has run out when this replica has seen it unchanged for as long as it
//! is good for, whatever times stand in it. Each write is bound to the version that was read last, so that of two that
//! want it one gets it.
//!
//! The one that holds the Lease is not relieved by being cut off from the API server: while that is gone nobody else
//! can take the Lease. It steps down when it sees another holder. For its sake the others begin to wait anew when the
//! API server is back: it could not renew the Lease either.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// The longest that another holder's Lease is waited for, whatever it says of itself.
const LONGEST_LEASE: Duration = Duration::from_mins(1);

/// How fast an election goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// How long the Lease is good for without being renewed.
    pub(super) lease: Duration,
    /// How often its holder renews it.
    pub(super) renew: Duration,
    /// How often the others look at it.
    pub(super) look: Duration,
    /// Who has not seen the Lease for longer than this knows nothing of what went on meanwhile.
    pub(super) blind: Duration,
    /// Pause after a call that failed.
    pub(super) retry: Duration,
    /// Pause after a write that another one forestalled.
    pub(super) yielding: Duration,
}

/// A Lease that is replaced within seconds of its holder's death, and outlives two renewals that fail.
pub(super) const TIMING: Timing = Timing {
    lease: Duration::from_secs(6),
    renew: Duration::from_secs(2),
    look: Duration::from_millis(500),
    blind: Duration::from_secs(2),
    retry: Duration::from_millis(500),
    yielding: Duration::from_millis(100),
};

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Its version: another one whenever anything of it changes.
    pub(super) version: String,
    /// Who holds it.
    pub(super) holder: Option<String>,
    /// How long it is good for without being renewed.
    pub(super) lease: Duration,
    /// How often it went from one to another.
    pub(super) transitions: u32,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The version that it takes the place of; `None` where there is no Lease yet.
    pub(super) over: Option<String>,
    /// Who is to hold it; `None` to give it up.
    pub(super) holder: Option<String>,
    /// How often it went from one to another, this time included.
    pub(super) transitions: u32,
    /// Whether the holder is a new one, and no renewal.
    pub(super) is_new: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, until then.
    Wait(Instant),
    /// Read the Lease: [`Election::read`], or [`Election::failed`].
    Read,
    /// Write it: [`Election::wrote`], [`Election::forestalled`], or [`Election::failed`].
    Write(Claim),
    /// Nothing any more: what was held is given up.
    Done,
}

/// The election, as one of the replicas sees it.
#[derive(Debug)]
pub(super) struct Election {
    me: String,
    timing: Timing,
    /// The Lease as it was last seen, and since when it has been seen so.
    seen: Option<(Record, Instant)>,
    /// When it was last seen.
    looked: Option<Instant>,
    /// Whether `seen` can be built on: it was read after the last call that may have changed it unnoticed.
    is_fresh: bool,
    due: Option<Instant>,
    leads: bool,
    gives_up: bool,
}

impl Election {
    /// Of the replica of this name, which no other one has at the same time.
    #[must_use]
    pub(super) fn new(me: String, timing: Timing) -> Self {
        Self { me, timing, seen: None, looked: None, is_fresh: false, due: None, leads: false, gives_up: false }
    }

    /// Whether this replica is the active one.
    #[must_use]
    pub(super) fn leads(&self) -> bool {
        self.leads
    }

    /// The Lease as it was last seen.
    #[must_use]
    pub(super) fn seen(&self) -> Option<&Record> {
        self.seen.as_ref().map(|(record, _)| record)
    }

    /// What to do next.
    #[must_use]
    pub(super) fn next(&self, now: Instant) -> Next {
        if self.gives_up && self.is_fresh && !self.holds() {
            return Next::Done;
        }
        match self.due {
            Some(due) if now < due => Next::Wait(due),
            _ if !self.is_fresh => Next::Read,
            _ => self.claim(now).map_or(Next::Read, Next::Write),
        }
    }

    /// The Lease was read; `None`: there is none.
    pub(super) fn read(&mut self, record: Option<Record>, now: Instant) {
        self.is_fresh = true;
        self.see(record, now);
        self.due = match &self.seen {
            Some((record, since)) if self.is_others(record) => {
                Some((*since + patience(&self.timing, record)).min(now + self.timing.look))
            }
            _ => None,
        };
    }

    /// The Lease was written, and says this now.
    pub(super) fn wrote(&mut self, record: Record, now: Instant) {
        self.is_fresh = true;
        self.see(Some(record), now);
        self.leads = self.holds() && !self.gives_up;
        self.due = Some(now + self.timing.renew);
    }

    /// Another one wrote it first.
    pub(super) fn forestalled(&mut self, now: Instant) {
        self.is_fresh = false;
        self.due = Some(now + self.timing.yielding);
    }

    /// A call failed. Whether it has changed the Lease nobody knows.
    pub(super) fn failed(&mut self, now: Instant) {
        self.is_fresh = false;
        self.due = Some(now + self.timing.retry);
    }

    /// This replica ends: it leads no more, and gives the Lease up if it holds it.
    pub(super) fn give_up(&mut self) {
        self.gives_up = true;
        self.leads = false;
        self.due = None;
        // Who never held it has nothing to give up.
        self.is_fresh |= !self.holds();
    }

    fn see(&mut self, record: Option<Record>, now: Instant) {
        let was_blind = self.looked.is_none_or(|looked| now.saturating_duration_since(looked) > self.timing.blind);
        self.looked = Some(now);
        match record {
            None => self.seen = None,
            Some(record) => {
                self.leads &= !self.is_others(&record);
                if was_blind || self.seen().is_none_or(|seen| *seen != record) {
                    self.seen = Some((record, now));
                }
            }
        }
    }

    /// What to write now, if anything.
    fn claim(&self, now: Instant) -> Option<Claim> {
        let Some((record, since)) = &self.seen else {
            return Some(Claim { over: None, holder: Some(self.me.clone()), transitions: 0, is_new: true });
        };
        if self.is_others(record) && now.saturating_duration_since(*since) < patience(&self.timing, record) {
            return None;
        }
        let holder = (!self.gives_up).then(|| self.me.clone());
        let is_transition = holder.is_some() && record.holder != holder;
        Some(Claim {
            over: Some(record.version.clone()),
            is_new: holder.is_some() && !self.leads,
            holder,
            transitions: record.transitions.saturating_add(u32::from(is_transition)),
        })
    }

    fn holds(&self) -> bool {
        self.seen().is_some_and(|record| record.holder.as_ref() == Some(&self.me))
    }

    fn is_others(&self, record: &Record) -> bool {
        record.holder.as_ref().is_some_and(|holder| *holder != self.me)
    }
}

/// How long another one's Lease has to be seen unchanged until it has run out.
fn patience(timing: &Timing, record: &Record) -> Duration {
    record.lease.clamp(timing.lease, LONGEST_LEASE)
}
