//! Who leads: decided from what a Lease (coordination.k8s.io/v1) says and when it was seen to change.
//!
//! Clocks of machines differ, so the times in a Lease are for people. What counts is how long this replica has seen it
//! unchanged, by its own steady clock.

use std::time::{Duration, Instant};

/// How long a Lease that is not renewed is its holder's.
pub(super) const DURATION: Duration = Duration::from_secs(15);
/// How long after the start of its last renewal a leader still leads. What it began before is over by [`DURATION`].
pub(super) const LEADS: Duration = Duration::from_secs(10);
/// Time between renewals of a leader, and between looks of a follower.
pub(super) const PERIOD: Duration = Duration::from_secs(2);

/// What a Lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it; nobody where it was given up.
    pub(super) holder: Option<String>,
    /// `metadata.resourceVersion`; it changes with each renewal.
    pub(super) version: String,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the Lease: there is none.
    Create,
    /// Take it, or go on holding it.
    Update,
    /// Look again later: it is another's.
    Wait,
}

/// One replica's view.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    /// The Lease as it was last seen, and since when it has been so.
    seen: Option<(Seen, Instant)>,
    /// When the last renewal that succeeded was begun.
    renewed: Option<Instant>,
}

impl Election {
    /// The view of a replica that has seen nothing yet.
    #[must_use]
    pub(super) fn new(identity: impl Into<String>) -> Self {
        Self { identity: identity.into(), seen: None, renewed: None }
    }

    /// The Lease was read: the answer is what to do about it.
    pub(super) fn read(&mut self, lease: Option<Seen>, now: Instant) -> Step {
        let Some(lease) = lease else {
            self.seen = None;
            return Step::Create;
        };
        let own = lease.holder.as_deref() == Some(&self.identity);
        if !own {
            // Someone else took it.
            self.renewed = None;
        }
        let free = lease.holder.as_deref().is_none_or(str::is_empty);
        let since = match &self.seen {
            Some((seen, since)) if *seen == lease => *since,
            _ => now,
        };
        self.seen = Some((lease, since));
        if own || free || now.saturating_duration_since(since) >= DURATION { Step::Update } else { Step::Wait }
    }

    /// What was begun at `begun` succeeded: the Lease is this replica's.
    pub(super) fn renewed(&mut self, lease: Seen, begun: Instant, now: Instant) {
        self.seen = Some((lease, now));
        self.renewed = Some(begun);
    }

    /// It did not succeed, because the Lease is another's or has changed meanwhile: the next look tells.
    pub(super) fn refused(&mut self) {
        self.renewed = None;
    }

    /// Until when this replica leads; `None` if it does not.
    #[must_use]
    pub(super) fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|begun| begun + LEADS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, version: &str) -> Seen {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Seen { holder, version: version.to_owned() }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_that_is_not_there_or_was_given_up_is_taken_at_once() {
        let now = Instant::now();
        let mut election = Election::new("a");
        assert_eq!(election.read(None, now), Step::Create);
        assert_eq!(election.read(Some(held("", "1")), now), Step::Update);
        assert_eq!(election.leads_until(), None, "not before it succeeded");
        election.renewed(held("a", "2"), now, now + second(1));
        assert_eq!(election.leads_until(), Some(now + LEADS), "counted from the request's beginning");
    }

    #[test]
    fn anothers_lease_is_taken_when_it_has_stood_still_for_its_duration() {
        let start = Instant::now();
        let mut election = Election::new("a");
        assert_eq!(election.read(Some(held("b", "1")), start), Step::Wait);
        assert_eq!(election.read(Some(held("b", "2")), start + second(14)), Step::Wait, "renewed");
        assert_eq!(election.read(Some(held("b", "2")), start + second(28)), Step::Wait);
        assert_eq!(election.read(Some(held("b", "2")), start + second(29)), Step::Update);
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_before_another_may_begin() {
        let now = Instant::now();
        let mut election = Election::new("a");
        election.read(None, now);
        election.renewed(held("a", "1"), now, now);
        let until = election.leads_until().unwrap();
        assert!(until + second(5) <= now + DURATION, "what it began last has five seconds to end");
    }

    #[test]
    fn a_leader_that_sees_another_stops_at_once() {
        let now = Instant::now();
        let mut election = Election::new("a");
        election.read(None, now);
        election.renewed(held("a", "1"), now, now);
        assert_eq!(election.read(Some(held("b", "2")), now + second(1)), Step::Wait);
        assert_eq!(election.leads_until(), None);
    }

    #[test]
    fn a_replica_that_comes_again_under_its_name_goes_on_at_once() {
        let now = Instant::now();
        let mut election = Election::new("a");
        assert_eq!(election.read(Some(held("a", "7")), now), Step::Update);
        assert_eq!(election.leads_until(), None);
    }

    #[test]
    fn one_that_was_refused_leads_no_more() {
        let now = Instant::now();
        let mut election = Election::new("a");
        election.renewed(held("a", "1"), now, now);
        election.refused();
        assert_eq!(election.leads_until(), None);
    }
}
