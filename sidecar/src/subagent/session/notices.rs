//! The notifications of a session: what has been sent, and what to send next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use agentx::{Oid, ResponseError, VarBind};
use notification::Sync;

use super::registrations::{Progress, Registration};
use crate::{
    mapping::Region,
    notification::{Acknowledged, Entry, Served, Transitions},
    subagent::jitter::Jitter,
};

/// The longest delay before the first retry of a notification. It doubles with each refusal.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The limit of that delay.
const RETRY_MAX: Duration = Duration::from_mins(1);

/// What the master does with notifications.
#[derive(Debug, Clone)]
pub(crate) enum Recipient {
    /// It keeps alarms and ignores what it knows already.
    KeepsAlarms,
    /// It forwards everything. It has acknowledged these notifications.
    Forwards(Acknowledged),
    /// Another session sends to it.
    Nobody,
}

/// A notification that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    group: Group,
    /// `None` for the list of raised alarms.
    entry: Option<Arc<Entry>>,
}

/// A context and the base OID of a subtree. The notifications of each are sent one after the other.
type Group = (String, Oid);

#[derive(Debug, Default)]
struct GroupState {
    is_unanswered: bool,
    /// Whether the master has the list of raised alarms since it accepted the registration.
    is_synced: bool,
    refusals: u32,
    retry_at: Option<Instant>,
}

/// The result of a notification, for the outbox.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The master has it.
    Acknowledged(Arc<Entry>),
    /// The master refused it for good.
    GivenUp,
}

/// The notifications of one session.
#[derive(Debug)]
pub(super) struct Notices {
    recipient: Recipient,
    transitions: Arc<Transitions>,
    /// The numbers of notifications that are not sent any more.
    done: BTreeSet<u64>,
    groups: BTreeMap<Group, GroupState>,
    outcomes: Vec<Outcome>,
    /// Whether something changed since the last search for something to send.
    is_changed: bool,
    /// The revision of the session at that search.
    revision: u64,
}

impl Notices {
    pub(super) fn new() -> Self {
        Self {
            recipient: Recipient::Nobody,
            transitions: Arc::default(),
            done: BTreeSet::new(),
            groups: BTreeMap::new(),
            outcomes: Vec::new(),
            is_changed: false,
            revision: 0,
        }
    }

    /// Sets what the master does with notifications.
    pub(super) fn set_recipient(&mut self, recipient: Recipient) {
        self.recipient = recipient;
        self.set_transitions(Arc::clone(&self.transitions));
    }

    /// Sets what to send.
    pub(super) fn set_transitions(&mut self, transitions: Arc<Transitions>) {
        let numbers: BTreeSet<u64> = transitions.entries.iter().map(|entry| entry.number).collect();
        self.done.retain(|number| numbers.contains(number));
        if let Recipient::Forwards(acknowledged) = &self.recipient {
            let is_known = |entry: &&Arc<Entry>| {
                acknowledged.get(&entry.id.to_string()).is_some_and(|last| *last >= entry.sequence)
            };
            for entry in transitions.entries.iter().filter(is_known) {
                entry.mark_delivered();
                self.done.insert(entry.number);
            }
        }
        let served: BTreeSet<Group> = transitions.served.iter().map(group_of).collect();
        self.groups.retain(|group, state| state.is_unanswered || served.contains(group));
        self.transitions = transitions;
        self.is_changed = true;
    }

    /// Returns the next notification, which counts as sent. `progress` returns the progress of a registration, and `revision`
    /// changes with it.
    pub(super) fn next(
        &mut self,
        now: Instant,
        revision: u64,
        progress: impl Fn(&Registration) -> Option<Progress>,
    ) -> Option<(String, Vec<VarBind>, Notice)> {
        let is_due = self.deadline().is_some_and(|deadline| deadline <= now);
        if matches!(self.recipient, Recipient::Nobody) || !(self.is_changed || self.revision != revision || is_due) {
            return None;
        }
        self.revision = revision;
        let transitions = Arc::clone(&self.transitions);
        for served in &transitions.served {
            let region = Region { subtree: served.base.clone(), range: None };
            let progress = progress(&Registration { region, context: served.context.clone() });
            if let Some((varbinds, entry)) = self.next_of(served, progress, now) {
                let notice = Notice { group: group_of(served), entry };
                self.is_changed = true;
                return Some((served.context.clone(), varbinds, notice));
            }
        }
        self.is_changed = false;
        None
    }

    fn next_of(
        &mut self,
        served: &Served,
        progress: Option<Progress>,
        now: Instant,
    ) -> Option<(Vec<VarBind>, Option<Arc<Entry>>)> {
        let keeps_alarms = matches!(self.recipient, Recipient::KeepsAlarms);
        let is_registered = progress == Some(Progress::Registered);
        let stands_by = progress == Some(Progress::StandingBy);
        let state = self.groups.entry(group_of(served)).or_default();
        state.is_synced &= is_registered;
        let is_of = |entry: &&Arc<Entry>| entry.context == served.context && entry.base == served.base;
        if stands_by && !keeps_alarms {
            // Another pod speaks for the subtree. Only what is still raised at the takeover is sent then.
            let is_over = |entry: &&Arc<Entry>| served.raised.get(&entry.id) != Some(&entry.sequence);
            let over = self.transitions.entries.iter().filter(is_of).filter(is_over);
            for entry in over {
                entry.mark_delivered();
                self.done.insert(entry.number);
            }
        }
        let may_send = is_registered || (stands_by && keeps_alarms);
        if !may_send || state.is_unanswered || state.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        state.retry_at = None;
        let next = self.transitions.entries.iter().filter(is_of).find(|entry| !self.done.contains(&entry.number));
        if let Some(entry) = next {
            state.is_unanswered = true;
            return Some((entry.varbinds.clone(), Some(Arc::clone(entry))));
        }
        if keeps_alarms && is_registered && !state.is_synced {
            (state.is_synced, state.is_unanswered) = (true, true);
            let raised = served.raised.keys().copied().collect();
            return Some((Sync { base: served.base.clone(), raised }.varbinds(), None));
        }
        None
    }

    /// Records the master's response to a notification.
    pub(super) fn answered(&mut self, notice: Notice, error: ResponseError, now: Instant, jitter: &mut Jitter) {
        self.is_changed = true;
        let Notice { group, entry } = notice;
        let Some(state) = self.groups.get_mut(&group) else { return };
        state.is_unanswered = false;
        match error {
            ResponseError::NoError => {
                state.refusals = 0;
                if let Some(entry) = entry {
                    self.done.insert(entry.number);
                    self.outcomes.push(Outcome::Acknowledged(entry));
                }
            }
            ResponseError::ProcessingError => {
                let max = RETRY_FIRST.saturating_mul(1 << state.refusals.min(8)).min(RETRY_MAX);
                state.refusals = state.refusals.saturating_add(1);
                state.retry_at = Some(now + jitter.between(max / 2, max));
                if entry.is_none() {
                    state.is_synced = false;
                }
            }
            error => {
                state.refusals = 0;
                let (context, base) = &group;
                tracing::warn!(context, %base, ?error, "the master refused a notification; not sending it again in this session");
                if let Some(entry) = entry {
                    self.done.insert(entry.number);
                }
                self.outcomes.push(Outcome::GivenUp);
            }
        }
    }

    /// Returns when the next retry is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.groups.values().filter_map(|state| state.retry_at).min()
    }

    /// Returns and forgets the results since the last call.
    pub(super) fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }
}

fn group_of(served: &Served) -> Group {
    (served.context.clone(), served.base.clone())
}
