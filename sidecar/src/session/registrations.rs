//! Regions at the master: what is wanted, what is there, and what to send next to make them the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use agentx::ResponseError;

use super::Jitter;
use crate::mapping::Region;

/// After a duplicateRegistration another pod holds the region: it is asked for again after this long at least,
const STAND_BY_LEAST: Duration = Duration::from_secs(1);
/// and this long at most.
const STAND_BY_MOST: Duration = Duration::from_secs(2);
/// What our master has not been told yet, it denies: a grant comes to it at another moment than the configuration to the
/// pod. Such a region is asked for again after up to this long, the first times,
const DENIED: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(500)];
/// and then after this long at least, and twice as long at most.
const DENIED_LEAST: Duration = Duration::from_secs(1);
/// After any other refusal: this long the first time,
const REFUSED_FIRST: Duration = Duration::from_secs(5);
/// then twice as long every time, up to this.
const REFUSED_MOST: Duration = Duration::from_mins(1);

/// One region in one context. Orders by OID first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Registration {
    /// What is registered.
    pub region: Region,
    /// In which context; empty is the default context.
    pub context: String,
}

/// How far a registration has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not sent yet.
    Queued,
    /// Sent, not answered yet.
    Registering,
    /// The master asks us for it.
    Registered,
    /// Another session holds it; asked for again soon.
    StandingBy,
    /// The master refused it; asked for again later.
    Refused(ResponseError),
    /// No longer wanted, the master was told so.
    Unregistering,
}

/// How long a region may wait after it was refused once more, having been refused so often before.
fn longest_wait(error: ResponseError, refusals: u32) -> Duration {
    match error {
        ResponseError::RequestDenied | ResponseError::UnsupportedContext => {
            DENIED.get(refusals as usize).copied().unwrap_or(2 * DENIED_LEAST)
        }
        _ => REFUSED_FIRST.saturating_mul(1 << refusals.min(8)).min(REFUSED_MOST),
    }
}

/// What to send next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
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
    /// What the master last said, unless it was yes.
    refused: Option<ResponseError>,
}

impl Entry {
    /// How far it has come. What is asked for again is as it was until the answer comes.
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
pub struct Registrations {
    entries: BTreeMap<Registration, Entry>,
    to_unregister: BTreeSet<Registration>,
    to_register: BTreeSet<Registration>,
    retries: BTreeSet<(Instant, Registration)>,
}

impl Registrations {
    /// Makes `wanted` what should be registered.
    pub fn want(&mut self, wanted: &BTreeSet<Registration>) {
        self.entries.retain(|registration, entry| {
            entry.wanted = wanted.contains(registration);
            match entry.progress {
                Progress::Registered if entry.wanted => _ = self.to_unregister.remove(registration),
                Progress::Registered => _ = self.to_unregister.insert(registration.clone()),
                // Whether it is there is known once the answer is: only then it can be taken back.
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

    /// What to send next, if anything; it counts as sent.
    ///
    /// What is no longer wanted goes first: where a subtree changed its ranges, the old ones would make the master
    /// refuse the new ones as duplicates. Both go out in one write, so the gap is the master's own work between two
    /// PDUs, and other subtrees have none. Then the regions in descending order: snmpd takes a time that is
    /// proportional to the number of regions behind a new one.
    pub fn next(&mut self, now: Instant) -> Option<Command> {
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, registration)) = self.retries.pop_first() {
                self.to_register.insert(registration);
            }
        }
        if let Some(registration) = self.to_unregister.pop_last() {
            self.set(&registration, Progress::Unregistering);
            return Some(Command::Unregister(registration));
        }
        let registration = self.to_register.pop_last()?;
        self.set(&registration, Progress::Registering);
        Some(Command::Register(registration))
    }

    fn set(&mut self, registration: &Registration, progress: Progress) {
        if let Some(entry) = self.entries.get_mut(registration) {
            entry.progress = progress;
        }
    }

    /// The master answered a Register.
    pub fn register_answered(
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
        let wait = match error {
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
                jitter.between(STAND_BY_LEAST, STAND_BY_MOST)
            }
            error => {
                (entry.progress, entry.refused) = (Progress::Refused(error), Some(error));
                let longest = longest_wait(error, entry.refusals);
                entry.refusals = entry.refusals.saturating_add(1);
                jitter.between(longest / 2, longest)
            }
        };
        self.retries.insert((now + wait, registration));
    }

    /// The master answered an Unregister. Whatever it said, the region is no longer ours to count on.
    pub fn unregister_answered(&mut self, registration: Registration) {
        match self.entries.get_mut(&registration) {
            Some(entry) if entry.progress == Progress::Unregistering && entry.wanted => {
                entry.progress = Progress::Queued;
                self.to_register.insert(registration);
            }
            Some(entry) if entry.progress == Progress::Unregistering => _ = self.entries.remove(&registration),
            _ => {}
        }
    }

    /// When [`Registrations::next`] has something to send again, if only time is lacking.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// All registrations and how far they have come, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Registration, Progress)> {
        self.entries.iter().map(|(registration, entry)| (registration, entry.shown()))
    }
}
