//! The registrations of a session: which are wanted, which the master has accepted, and what to send next.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use agentx::ResponseError;

use crate::{mapping::Region, subagent::jitter::Jitter};

/// The shortest delay before a retry after duplicateRegistration, which means that another pod holds the region.
const STANDBY_MIN: Duration = Duration::from_secs(1);
/// The longest such delay.
const STANDBY_MAX: Duration = Duration::from_secs(2);
/// The longest delays before the first retries after a denial. The grant may reach the master later than the configuration
/// reaches the pod.
const DENIED_FIRST: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];
/// The shortest delay before later retries. The longest is twice that.
const DENIED_MIN: Duration = Duration::from_secs(1);
/// The longest delay before the first retry after any other refusal. It doubles with each refusal.
const REFUSED_FIRST: Duration = Duration::from_secs(5);
/// The limit of that delay.
const REFUSED_MAX: Duration = Duration::from_mins(1);

/// A region in a context. Sorts by OID first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Registration {
    /// The region.
    pub(crate) region: Region,
    /// The SNMP context; empty is the default context.
    pub(crate) context: String,
}

/// The progress of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not sent yet.
    Queued,
    /// Sent, not answered yet.
    Registering,
    /// The master accepted it.
    Registered,
    /// Another session holds the region; the session retries soon.
    StandingBy,
    /// The master refused it; the session retries later.
    Refused(ResponseError),
    /// Unregister was sent, not answered yet.
    Unregistering,
}

/// Returns the longest delay before the next retry, after `refusals` earlier refusals.
fn max_delay(error: ResponseError, refusals: u32) -> Duration {
    match error {
        ResponseError::RequestDenied | ResponseError::UnsupportedContext => {
            DENIED_FIRST.get(refusals as usize).copied().unwrap_or(2 * DENIED_MIN)
        }
        _ => REFUSED_FIRST.saturating_mul(1 << refusals.min(8)).min(REFUSED_MAX),
    }
}

/// A request to send to the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RegistrationChange {
    /// An agentx-Register-PDU.
    Register(Registration),
    /// An agentx-Unregister-PDU.
    Unregister(Registration),
}

#[derive(Debug)]
struct Entry {
    progress: Progress,
    wanted: bool,
    refusals: u32,
    /// The error of the master's last response, if any.
    refused: Option<ResponseError>,
}

impl Entry {
    /// Returns the progress to show. During a retry it is the outcome of the previous attempt.
    fn shown(&self) -> Progress {
        match (self.progress, self.refused) {
            (Progress::Registering, Some(ResponseError::DuplicateRegistration)) => Progress::StandingBy,
            (Progress::Registering, Some(error)) => Progress::Refused(error),
            (progress, _) => progress,
        }
    }
}

/// The registrations of one session.
#[derive(Debug, Default)]
pub(super) struct Registrations {
    entries: BTreeMap<Registration, Entry>,
    to_unregister: BTreeSet<Registration>,
    to_register: BTreeSet<Registration>,
    retries: BTreeSet<(Instant, Registration)>,
}

impl Registrations {
    /// Sets the registrations that the session should have.
    pub(super) fn set_wanted(&mut self, wanted: &BTreeSet<Registration>) {
        self.entries.retain(|registration, entry| {
            entry.wanted = wanted.contains(registration);
            match entry.progress {
                Progress::Registered if entry.wanted => _ = self.to_unregister.remove(registration),
                Progress::Registered => _ = self.to_unregister.insert(registration.clone()),
                // It can be unregistered only once the response shows that the master has it.
                Progress::Registering | Progress::Unregistering => {}
                Progress::Queued | Progress::StandingBy | Progress::Refused(_) => return entry.wanted,
            }
            true
        });
        self.to_register.retain(|registration| wanted.contains(registration));
        self.retries.retain(|(_, registration)| wanted.contains(registration));
        for registration in wanted {
            self.entries.entry(registration.clone()).or_insert_with(|| {
                self.to_register.insert(registration.clone());
                Entry { progress: Progress::Queued, wanted: true, refusals: 0, refused: None }
            });
        }
    }

    /// Returns the next request, which counts as sent.
    ///
    /// Unregistrations go first: if the ranges of a subtree changed, the master would refuse the new regions as duplicates of
    /// the old ones. Both are sent in one write, so the gap is only the master's own work between two PDUs, and other
    /// subtrees have no gap. New regions follow in descending order, because snmpd takes time in proportion to the number of
    /// regions after a new one.
    pub(super) fn next(&mut self, now: Instant) -> Option<RegistrationChange> {
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, registration)) = self.retries.pop_first() {
                self.to_register.insert(registration);
            }
        }
        if let Some(registration) = self.to_unregister.pop_last() {
            self.set_progress(&registration, Progress::Unregistering);
            return Some(RegistrationChange::Unregister(registration));
        }
        let registration = self.to_register.pop_last()?;
        self.set_progress(&registration, Progress::Registering);
        Some(RegistrationChange::Register(registration))
    }

    fn set_progress(&mut self, registration: &Registration, progress: Progress) {
        if let Some(entry) = self.entries.get_mut(registration) {
            entry.progress = progress;
        }
    }

    /// Records the master's response to a Register.
    pub(super) fn register_answered(
        &mut self,
        registration: Registration,
        error: ResponseError,
        now: Instant,
        jitter: &mut Jitter,
    ) {
        let Some(entry) = self.entries.get_mut(&registration) else { return };
        if entry.progress != Progress::Registering {
            return;
        }
        let delay = match error {
            ResponseError::NoError => {
                entry.progress = Progress::Registered;
                (entry.refusals, entry.refused) = (0, None);
                if !entry.wanted {
                    self.to_unregister.insert(registration);
                }
                return;
            }
            _ if !entry.wanted => {
                self.entries.remove(&registration);
                return;
            }
            ResponseError::DuplicateRegistration => {
                entry.refused = Some(error);
                entry.progress = Progress::StandingBy;
                jitter.between(STANDBY_MIN, STANDBY_MAX)
            }
            error => {
                (entry.progress, entry.refused) = (Progress::Refused(error), Some(error));
                let max = max_delay(error, entry.refusals);
                entry.refusals = entry.refusals.saturating_add(1);
                jitter.between(max / 2, max)
            }
        };
        self.retries.insert((now + delay, registration));
    }

    /// Records the master's response to an Unregister. Even after an error, the session no longer relies on the region.
    pub(super) fn unregister_answered(&mut self, registration: Registration) {
        match self.entries.get_mut(&registration) {
            Some(entry) if entry.progress == Progress::Unregistering && entry.wanted => {
                entry.progress = Progress::Queued;
                self.to_register.insert(registration);
            }
            Some(entry) if entry.progress == Progress::Unregistering => _ = self.entries.remove(&registration),
            _ => {}
        }
    }

    /// Returns when the next retry is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Returns all registrations and their progress, sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Registration, Progress)> {
        self.entries.iter().map(|(registration, entry)| (registration, entry.shown()))
    }
}
