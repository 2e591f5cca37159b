//! The rules of the election, as a state machine without I/O: it takes observations of the Lease and the time, and
//! returns what to do next.
//!
//! Clocks of other machines are not trusted. A Lease expires when this replica has observed it unchanged for its whole
//! duration. The times in the Lease are ignored. Each write is conditional on the version that was read last. Therefore
//! only one of two replicas that try to acquire the Lease at the same time succeeds.
//!
//! [`OnRenewalFailure`] decides how long a holder continues to lead when it cannot reach the API server.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::{OnRenewalFailure, Policy};

/// The longest time for which an unchanged Lease of another holder is respected, even if the Lease has a longer
/// duration.
const MAX_DURATION: Duration = Duration::from_mins(1);

/// The content of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its `metadata.resourceVersion`, which changes with each write.
    pub version: String,
    /// The holder, if there is one.
    pub holder: Option<String>,
    /// How long the Lease is valid without a renewal.
    pub duration: Duration,
    /// The number of changes of the holder.
    pub transitions: u32,
}

/// A write of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The version that it replaces; `None` if there is no Lease yet.
    pub(crate) replaces: Option<String>,
    /// The new holder; `None` to release the Lease.
    pub(crate) holder: Option<String>,
    /// The number of changes of the holder, including this one.
    pub(crate) transitions: u32,
    /// Whether this replica acquires the Lease, as opposed to a renewal or a release.
    pub(crate) is_new: bool,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait until this time.
    Wait(Instant),
    /// Read the Lease, then call [`Election::read`] or [`Election::failed`].
    Read,
    /// Write the Lease, then call [`Election::wrote`], [`Election::conflicted`] or [`Election::failed`].
    Write(Claim),
    /// Stop: the Lease is released.
    Done,
}

/// The election as one replica sees it.
#[derive(Debug)]
pub(crate) struct Election {
    identity: String,
    policy: Policy,
    /// The last observation of the Lease, and since when it has been observed unchanged.
    seen: Option<(Record, Instant)>,
    /// When the Lease was observed last.
    observed_at: Option<Instant>,
    /// Whether `seen` was observed after the last request that may have changed the Lease with an unknown outcome.
    is_fresh: bool,
    due: Option<Instant>,
    leads: bool,
    /// When the last successful write began.
    renewed_at: Option<Instant>,
    is_releasing: bool,
}

impl Election {
    /// Creates the election of the replica `identity`. No other running replica may have this name.
    pub(crate) fn new(identity: impl Into<String>, policy: Policy) -> Self {
        Self {
            identity: identity.into(),
            policy,
            seen: None,
            observed_at: None,
            is_fresh: false,
            due: None,
            leads: false,
            renewed_at: None,
            is_releasing: false,
        }
    }

    /// Returns whether this replica leads.
    pub(crate) fn leads(&self, now: Instant) -> bool {
        self.leads && self.deadline().is_none_or(|deadline| now < deadline)
    }

    /// Returns until when this replica leads without a renewal. Returns `None` if it does not lead, or if its term has
    /// no end.
    pub(crate) fn leads_until(&self, now: Instant) -> Option<Instant> {
        self.deadline().filter(|_| self.leads(now))
    }

    /// Returns the next step.
    pub(crate) fn next(&self, now: Instant) -> Next {
        if self.is_releasing && self.is_fresh && !self.holds() {
            return Next::Done;
        }
        match self.due {
            Some(due) if now < due => Next::Wait(due),
            _ if !self.is_fresh => Next::Read,
            _ => self.claim(now).map_or(Next::Read, Next::Write),
        }
    }

    /// Records a successful read; `None` if there is no Lease.
    pub(crate) fn read(&mut self, record: Option<Record>, now: Instant) {
        self.is_fresh = true;
        self.observe(record, now);
        self.due = match &self.seen {
            Some((record, since)) if self.is_held_by_other(record) => {
                Some((*since + self.respected(record)).min(now + self.policy.check_interval))
            }
            _ => None,
        };
    }

    /// Records a successful write that began at `begun`, with the new content of the Lease.
    pub(crate) fn wrote(&mut self, record: Record, begun: Instant, now: Instant) {
        self.is_fresh = true;
        self.observe(Some(record), now);
        self.leads = self.holds() && !self.is_releasing;
        self.renewed_at = Some(begun);
        self.due = Some(now + self.policy.renew_interval);
    }

    /// Records that a write failed because another client had changed the Lease.
    pub(crate) fn conflicted(&mut self, now: Instant) {
        self.is_fresh = false;
        self.leads &= !self.is_strict();
        self.due = Some(now + self.policy.conflict_pause);
    }

    /// Records that a request failed. It may have changed the Lease.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.is_fresh = false;
        self.due = Some(now + self.policy.retry_pause);
    }

    /// Stops leading, and releases the Lease if this replica holds it.
    pub(crate) fn release(&mut self) {
        self.is_releasing = true;
        self.leads = false;
        self.due = None;
        // A replica that never held the Lease has nothing to release.
        self.is_fresh |= !self.holds();
    }

    fn observe(&mut self, record: Option<Record>, now: Instant) {
        let is_stale = match (self.observed_at, self.policy.on_renewal_failure) {
            (None, _) => true,
            (Some(_), OnRenewalFailure::StopAfter(_)) => false,
            (Some(at), OnRenewalFailure::Continue { stale_after }) => now.saturating_duration_since(at) > stale_after,
        };
        self.observed_at = Some(now);
        match record {
            None => self.seen = None,
            Some(record) => {
                self.leads &= self.is_own(&record) || !self.is_strict() && record.holder.is_none();
                if is_stale || self.seen().is_none_or(|seen| *seen != record) {
                    self.seen = Some((record, now));
                }
            }
        }
    }

    /// Returns the write that is due now, if there is one.
    fn claim(&self, now: Instant) -> Option<Claim> {
        let Some((record, since)) = &self.seen else {
            return Some(Claim { replaces: None, holder: Some(self.identity.clone()), transitions: 0, is_new: true });
        };
        if self.is_held_by_other(record) && now.saturating_duration_since(*since) < self.respected(record) {
            return None;
        }
        let holder = (!self.is_releasing).then(|| self.identity.clone());
        let is_transition = holder.is_some() && record.holder != holder;
        Some(Claim {
            replaces: Some(record.version.clone()),
            is_new: holder.is_some() && !self.leads(now),
            holder,
            transitions: record.transitions.saturating_add(u32::from(is_transition)),
        })
    }

    fn seen(&self) -> Option<&Record> {
        self.seen.as_ref().map(|(record, _)| record)
    }

    fn holds(&self) -> bool {
        self.seen().is_some_and(|record| self.is_own(record))
    }

    fn is_own(&self, record: &Record) -> bool {
        record.holder.as_ref() == Some(&self.identity)
    }

    fn is_held_by_other(&self, record: &Record) -> bool {
        record.holder.is_some() && !self.is_own(record)
    }

    /// Returns how long the unchanged Lease of another holder is respected.
    fn respected(&self, record: &Record) -> Duration {
        record.duration.clamp(self.policy.duration, MAX_DURATION)
    }

    /// Returns whether two replicas must never lead at the same time.
    fn is_strict(&self) -> bool {
        matches!(self.policy.on_renewal_failure, OnRenewalFailure::StopAfter(_))
    }

    fn deadline(&self) -> Option<Instant> {
        match self.policy.on_renewal_failure {
            OnRenewalFailure::StopAfter(after) => self.renewed_at.map(|begun| begun + after),
            OnRenewalFailure::Continue { .. } => None,
        }
    }
}
