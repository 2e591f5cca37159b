//! The rules of a subtree and the state of each alarm.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant, SystemTime},
};

use agentx::{Oid, SubId, Value, ValueRef, VarBind};
use notification::{Severity, State};
use serde::Serialize;
use sidecar_config::Subtree;

use super::{
    MAX_RAISED, MAX_WAITING,
    phase::{Phase, Step, Timer},
    rule::{self, Condition, Object, Reading, Rule, Verdict},
    saved::{SavedAlarms, SavedPending, SavedRaised},
    transition::{Transition, limit},
};
use crate::view::MibView;

/// Maximum number of conditions of a subtree that hold but not for long enough.
const MAX_PENDING: usize = 1024;
/// Maximum number of rows that a rule with `absent` knows.
const MAX_KNOWN: usize = 1024;
/// How long a row that is gone is known.
const KNOWN_FOR: Duration = Duration::from_hours(24);
/// How long transitions are kept for sessions that open later.
const LOG_DURATION: Duration = Duration::from_mins(15);

/// The time of an evaluation, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) wall: SystemTime,
}

/// The rules of a subtree.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    base: Oid,
    states: Vec<RuleState>,
    /// Alarms whose rule is gone. The next evaluation clears them.
    orphans: Vec<SavedRaised>,
    sequences: Sequences,
    log: VecDeque<Transition>,
    is_changed: bool,
    status: RulesStatus,
}

/// The status of the rules of a subtree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RulesStatus {
    /// The rules.
    pub(crate) rules: usize,
    /// The raised alarms.
    pub(crate) raised: usize,
    /// The conditions that hold, but not for long enough.
    pub(crate) pending: usize,
    /// The alarms that should be raised, but are not because of a limit.
    pub(crate) refused: usize,
    /// The transitions that were left out because of a limit.
    pub(crate) dropped: u64,
}

/// A rule and its alarms by index.
#[derive(Debug)]
struct RuleState {
    rule: Rule,
    alarms: BTreeMap<Vec<SubId>, Alarm>,
    /// The rows that a rule with `absent` knows.
    known: BTreeMap<Vec<SubId>, Known>,
    /// A hash of the last value of each instance, for `changes`.
    values: BTreeMap<Vec<SubId>, u64>,
}

#[derive(Debug)]
struct Alarm {
    phase: Phase,
    /// The last notification about the alarm once it is raised, with the last known values.
    last: Option<Transition>,
}

#[derive(Debug)]
struct Known {
    seen: Instant,
    value: Value,
}

/// The sequences of alarms.
#[derive(Debug, Default)]
struct Sequences {
    /// The latest time that was seen.
    latest: u32,
    /// The sequences that are not below that time, by type and instance.
    ahead: BTreeMap<(Oid, Oid), u32>,
}

impl Now {
    /// Returns the milliseconds of Unix time.
    fn millis(self) -> u64 {
        let since = self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Sequences {
    fn next(&mut self, alarm_type: &Oid, instance: &Oid, now: Now) -> u32 {
        self.latest = self.latest.max(u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX));
        let latest = self.latest;
        self.ahead.retain(|_, sequence| *sequence >= latest);
        let last = self.ahead.entry((alarm_type.clone(), instance.clone())).or_insert(latest.saturating_sub(1));
        *last = last.saturating_add(1);
        *last
    }
}

impl Rules {
    /// Creates the rules of a subtree with the alarms that were saved.
    pub(crate) fn new(subtree: &Subtree, saved: SavedAlarms, now: Now) -> Self {
        let compiled = rule::compile(subtree).into_iter();
        let state = |rule| RuleState { rule, alarms: BTreeMap::new(), known: BTreeMap::new(), values: BTreeMap::new() };
        let states = compiled.map(state).collect();
        let mut rules = Self { base: subtree.oid.clone(), states, is_changed: true, ..Self::default() };
        let ahead = saved.sequences.into_iter().map(|(alarm_type, instance, last)| ((alarm_type, instance), last));
        rules.sequences = Sequences { latest: saved.latest, ahead: ahead.collect() };
        rules.log = saved.log.into();
        for pending in saved.pending {
            let held = Duration::from_millis(now.millis().saturating_sub(pending.since_ms));
            if let Some((state, index)) = rules.find(&pending.alarm_type, &pending.instance, None) {
                let alarm = Alarm { phase: Phase::Pending(Timer::paused(held)), last: None };
                state.insert(index, alarm, now.instant);
            }
        }
        for raised in saved.raised {
            let instance = raised.transition.instance().to_vec();
            match rules.find(&raised.transition.alarm_type, &instance, Some(raised.clear.is_some())) {
                Some((state, index)) => {
                    let alarm = Alarm { phase: Phase::Raised(None), last: Some(raised.transition) };
                    state.insert(index, alarm, now.instant);
                }
                None if raised.clear.is_some() => rules.orphans.push(raised),
                None => {}
            }
        }
        rules.status.rules = rules.states.len();
        rules.count();
        rules
    }

    /// Creates the rules of a changed document, with the alarms of these.
    #[must_use]
    pub(crate) fn replaced(&self, subtree: &Subtree, now: Now) -> Self {
        let mut rules = Self::new(subtree, self.save(now), now);
        rules.status.dropped = self.status.dropped;
        rules
    }

    /// Returns the rule that raises such an alarm, and the index of the instance.
    fn find(
        &mut self,
        alarm_type: &Oid,
        instance: &[SubId],
        has_clear: Option<bool>,
    ) -> Option<(&mut RuleState, Vec<SubId>)> {
        let below = instance.strip_prefix(self.base.as_slice())?;
        let state = self.states.iter_mut().find(|state| state.rule.oid == *alarm_type)?;
        let index = below.strip_prefix(state.rule.object.arcs.as_slice())?.to_vec();
        let same = has_clear.is_none_or(|has_clear| has_clear == state.rule.clear.is_some());
        (same && state.rule.condition != Condition::Changes).then_some((state, index))
    }

    /// Evaluates all rules on a view. `is_known` returns whether the absence of an instance, given by the object and the
    /// index, means that a good collection does not have it. `others` is the number of alarms that other subtrees have
    /// raised. Returns the transitions.
    pub(crate) fn evaluate(
        &mut self,
        view: &MibView,
        is_known: impl Fn(&[SubId], &[SubId]) -> bool,
        others: usize,
        now: Now,
    ) -> Vec<Transition> {
        let mut evaluation = Evaluation {
            base: &self.base,
            view,
            now,
            room: MAX_RAISED.saturating_sub(others + self.status.raised),
            pending: MAX_PENDING.saturating_sub(self.status.pending),
            refused: 0,
            dropped: 0,
            is_changed: false,
            sequences: &mut self.sequences,
            transitions: Vec::new(),
        };
        for orphan in self.orphans.drain(..) {
            evaluation.clear_orphan(orphan);
        }
        for state in &mut self.states {
            evaluation.rule(state, &is_known);
        }
        let Evaluation { refused, dropped, is_changed, transitions, .. } = evaluation;
        (self.status.refused, self.status.dropped) = (refused, self.status.dropped + dropped);
        self.is_changed |= is_changed;
        self.log.extend(transitions.iter().cloned());
        self.trim_log(now);
        self.count();
        transitions
    }

    fn trim_log(&mut self, now: Now) {
        let oldest = now.millis().saturating_sub(u64::try_from(LOG_DURATION.as_millis()).unwrap_or(u64::MAX));
        while self.log.len() > MAX_WAITING || self.log.front().is_some_and(|first| first.at_ms < oldest) {
            self.log.pop_front();
            self.is_changed = true;
        }
    }

    fn count(&mut self) {
        let alarms = || self.states.iter().flat_map(|state| state.alarms.values());
        self.status.raised = alarms().filter(|alarm| alarm.phase.is_raised()).count() + self.orphans.len();
        self.status.pending = alarms().count() + self.orphans.len() - self.status.raised;
    }

    /// Returns when a timer of a rule is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let alarms = self.states.iter().flat_map(|state| state.alarms.values().map(move |alarm| (&state.rule, alarm)));
        alarms.filter_map(|(rule, alarm)| alarm.phase.deadline(rule.raise_after, rule.clear_after)).min()
    }

    /// Returns the status.
    pub(crate) fn status(&self) -> RulesStatus {
        self.status
    }

    /// Returns whether there are rules, or alarms of earlier rules.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty() && self.orphans.is_empty() && self.log.is_empty()
    }

    /// Returns whether the state has changed since the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Returns the last notification about each raised alarm that can be cleared.
    pub(crate) fn raised(&self) -> impl Iterator<Item = &Transition> {
        let alarms =
            self.states.iter().filter(|state| state.rule.clear.is_some()).flat_map(|state| state.alarms.values());
        let orphans = self.orphans.iter().map(|orphan| &orphan.transition);
        alarms.filter(|alarm| alarm.phase.is_raised()).filter_map(|alarm| alarm.last.as_ref()).chain(orphans)
    }

    /// Returns the latest transitions.
    pub(crate) fn log(&self) -> impl Iterator<Item = &Transition> {
        self.log.iter()
    }

    /// Returns the state to save.
    pub(crate) fn save(&self, now: Now) -> SavedAlarms {
        let ahead = self.sequences.ahead.iter();
        let mut saved = SavedAlarms {
            latest: self.sequences.latest,
            sequences: ahead.map(|((kind, instance), last)| (kind.clone(), instance.clone(), *last)).collect(),
            pending: Vec::new(),
            raised: self.orphans.clone(),
            log: self.log.iter().cloned().collect(),
        };
        for state in &self.states {
            for (index, alarm) in &state.alarms {
                match (alarm.phase, &alarm.last) {
                    (Phase::Raised(_), Some(last)) => {
                        saved.raised.push(SavedRaised { clear: state.rule.clear.clone(), transition: last.clone() });
                    }
                    (Phase::Pending(timer), _) if !state.rule.raise_after.is_zero() => {
                        let elapsed = u64::try_from(timer.elapsed(now.instant).as_millis()).unwrap_or(u64::MAX);
                        saved.pending.push(SavedPending {
                            alarm_type: state.rule.oid.clone(),
                            instance: instance(&self.base, &state.rule.object, index),
                            since_ms: now.millis().saturating_sub(elapsed),
                        });
                    }
                    _ => {}
                }
            }
        }
        saved
    }
}

impl RuleState {
    fn insert(&mut self, index: Vec<SubId>, alarm: Alarm, now: Instant) {
        if self.rule.condition == Condition::Absent && self.rule.object.is_column {
            let last = alarm.last.as_ref().and_then(|last| last.objects.first());
            let value = last.map_or(Value::Null, |object| object.value.clone());
            self.known.insert(index.clone(), Known { seen: now, value });
        }
        self.alarms.insert(index, alarm);
    }
}

/// Returns the OID of an instance.
fn instance(base: &Oid, object: &Object, index: &[SubId]) -> Oid {
    // Instances of views are not longer than an OID.
    Oid::new([base.as_slice(), &object.arcs, index].concat()).unwrap_or_default()
}

/// One evaluation of all rules.
struct Evaluation<'a> {
    base: &'a Oid,
    view: &'a MibView,
    now: Now,
    /// How many more alarms may be raised.
    room: usize,
    /// How many more conditions may be pending.
    pending: usize,
    refused: usize,
    dropped: u64,
    is_changed: bool,
    sequences: &'a mut Sequences,
    transitions: Vec<Transition>,
}

impl<'a> Evaluation<'a> {
    fn clear_orphan(&mut self, SavedRaised { clear, transition }: SavedRaised) {
        let Some(oid) = clear else { return };
        let instance = Oid::try_from(transition.instance()).unwrap_or_default();
        let sequence = self.sequences.next(&transition.alarm_type, &instance, self.now);
        let cleared = Transition { oid, sequence, state: State::Cleared, at_ms: self.now.millis(), ..transition };
        tracing::info!(alarm = %cleared.alarm_type, %instance, "cleared an alarm, because its rule is gone");
        self.push(cleared);
    }

    fn rule(&mut self, state: &mut RuleState, is_known: &impl Fn(&[SubId], &[SubId]) -> bool) {
        let present = self.present(&state.rule.object);
        let mut previous = std::mem::take(&mut state.alarms);
        let is_absent = state.rule.condition == Condition::Absent;
        if state.rule.condition == Condition::Changes {
            return self.changes(state, present, is_known);
        }
        for (index, value) in present {
            if is_absent && state.rule.object.is_column {
                self.know(state, &index, value);
            }
            let before = previous.remove(&index);
            self.instance(state, index, before, Reading::Value(value));
        }
        // What was not in the view.
        let mut missing: BTreeMap<Vec<SubId>, Option<Alarm>> =
            previous.into_iter().map(|(index, alarm)| (index, Some(alarm))).collect();
        if is_absent && state.rule.object.is_column {
            let now = self.now.instant;
            state.known.retain(|_, known| now.saturating_duration_since(known.seen) < KNOWN_FOR);
            let gone = state.known.iter().filter(|(_, known)| known.seen != now).map(|(index, _)| index.clone());
            gone.for_each(|index| _ = missing.entry(index).or_insert(None));
        } else if is_absent && self.value(&state.rule.object, &[0]).is_none() {
            missing.entry(vec![0]).or_insert(None);
        }
        for (index, before) in missing {
            let reading = if is_known(&state.rule.object.arcs, &index) { Reading::Gone } else { Reading::Unknown };
            self.instance(state, index, before, reading);
        }
    }

    /// Returns the instances of an object: index and value.
    fn present(&self, object: &Object) -> Vec<(Vec<SubId>, ValueRef<'a>)> {
        let start = instance(self.base, object, &[]);
        let mut cursor = self.view.seek(&start, true);
        let mut found = Vec::new();
        let mut below = Vec::new();
        while let Some(instance) = self.view.take(&mut cursor) {
            below.clear();
            below.extend_from_slice(instance.object);
            below.extend_from_slice(instance.index);
            let Some(index) = below.strip_prefix(object.arcs.as_slice()) else { break };
            found.push((index.to_vec(), instance.value));
        }
        found
    }

    fn changes(
        &mut self,
        state: &mut RuleState,
        present: Vec<(Vec<SubId>, ValueRef<'a>)>,
        is_known: &impl Fn(&[SubId], &[SubId]) -> bool,
    ) {
        let mut previous = std::mem::take(&mut state.values);
        for (index, value) in present {
            let hash = hash(value);
            let before = previous.remove(&index);
            if before.is_some_and(|before| before != hash) {
                let severity = state.rule.severity(None, |object| self.value(object, &index));
                let event = self.transition(&state.rule, &index, Some(value), None, State::Event, severity);
                self.push(event);
            }
            state.values.insert(index, hash);
        }
        // The first value after a gap in the collections is compared with the last one before it.
        state.values.extend(previous.into_iter().filter(|(index, _)| !is_known(&state.rule.object.arcs, index)));
    }

    /// Records that a row exists.
    fn know(&self, state: &mut RuleState, index: &[SubId], value: ValueRef<'_>) {
        let (seen, room) = (self.now.instant, state.known.len() < MAX_KNOWN);
        match state.known.get_mut(index) {
            Some(known) => {
                known.seen = seen;
                if known.value.as_ref() != value {
                    known.value = value.to_value().unwrap_or(Value::Null);
                }
            }
            None if room => {
                let known = Known { seen, value: value.to_value().unwrap_or(Value::Null) };
                state.known.insert(index.to_vec(), known);
            }
            None => {}
        }
    }

    fn instance(&mut self, state: &mut RuleState, index: Vec<SubId>, before: Option<Alarm>, reading: Reading<'_>) {
        let rule = &state.rule;
        let is_forgotten = rule.condition == Condition::Absent
            && rule.object.is_column
            && !matches!(reading, Reading::Value(_))
            && !state.known.contains_key(&index);
        let phase = before.as_ref().map(|alarm| alarm.phase);
        let verdict = match rule.condition.verdict(reading, phase.is_some_and(Phase::is_raised)) {
            _ if is_forgotten => Verdict::Over,
            verdict => verdict,
        };
        let value = match reading {
            Reading::Value(value) => Some(value),
            Reading::Unknown | Reading::Gone => state.known.get(&index).map(|known| known.value.as_ref()),
        };
        let mut last = before.and_then(|alarm| alarm.last);
        let phase = match Phase::step(phase, verdict, rule.raise_after, rule.clear_after, self.now.instant) {
            Step::Idle => {
                self.is_changed |= phase.is_some();
                return;
            }
            Step::Raise if self.room == 0 => {
                self.refused += 1;
                match phase {
                    // It is raised once there is room.
                    Some(phase) => phase.pausing(self.now.instant),
                    None => return,
                }
            }
            Step::Raise => {
                self.room -= 1;
                let severity = rule.severity(None, |object| self.value(object, &index));
                let kind = if rule.clear.is_some() { State::Raised } else { State::Event };
                let raised = self.transition(rule, &index, value, None, kind, severity);
                tracing::info!(rule = rule.name, instance = %instance(self.base, &rule.object, &index), ?severity, "raised an alarm");
                last = Some(raised.clone());
                self.push(raised);
                Phase::Raised(None)
            }
            Step::Clear => {
                tracing::info!(rule = rule.name, instance = %instance(self.base, &rule.object, &index), "cleared an alarm");
                self.is_changed = true;
                self.room += 1;
                if rule.clear.is_some() {
                    let severity = last.as_ref().map_or(Severity::Indeterminate, |last| last.severity);
                    let cleared = self.transition(rule, &index, value, last.as_ref(), State::Cleared, severity);
                    self.push(cleared);
                }
                return;
            }
            Step::Stays(next) => {
                if phase.is_none() {
                    if self.pending == 0 {
                        self.refused += 1;
                        return;
                    }
                    self.pending -= 1;
                    self.is_changed = true;
                }
                last = last.map(|last| self.update(rule, &index, value, last, verdict));
                next
            }
        };
        state.alarms.insert(index, Alarm { phase, last });
    }

    /// Updates the last known values of a raised alarm, and its severity.
    fn update(
        &mut self,
        rule: &Rule,
        index: &[SubId],
        value: Option<ValueRef<'_>>,
        mut last: Transition,
        verdict: Verdict,
    ) -> Transition {
        let severity = rule.severity(Some(last.severity), |object| self.value(object, index));
        if severity != last.severity && verdict == Verdict::Holds && last.state != State::Event {
            let changed = self.transition(rule, index, value, Some(&last), State::Changed, severity);
            self.push(changed.clone());
            return changed;
        }
        last.objects = self.objects(rule, index, value, &last.objects);
        last
    }

    /// Returns the value of an object in the row with this index.
    fn value(&self, object: &Object, index: &[SubId]) -> Option<ValueRef<'a>> {
        let value = self.view.get(&self.name(object, index));
        let is_exception = |value: &ValueRef<'_>| {
            matches!(value, ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView)
        };
        Some(value).filter(|value| !is_exception(value))
    }

    fn name(&self, object: &Object, index: &[SubId]) -> Oid {
        instance(self.base, object, if object.is_column { index } else { &[0] })
    }

    fn transition(
        &mut self,
        rule: &Rule,
        index: &[SubId],
        value: Option<ValueRef<'_>>,
        last: Option<&Transition>,
        state: State,
        severity: Severity,
    ) -> Transition {
        let objects = self.objects(rule, index, value, last.map(|last| last.objects.as_slice()).unwrap_or_default());
        let instance = instance(self.base, &rule.object, index);
        let oid = if state == State::Cleared { rule.clear.as_ref() } else { None }.unwrap_or(&rule.oid);
        Transition {
            oid: oid.clone(),
            alarm_type: rule.oid.clone(),
            objects,
            sequence: self.sequences.next(&rule.oid, &instance, self.now),
            state,
            severity,
            at_ms: self.now.millis(),
            text: rule.text.clone(),
            event_type: rule.event_type,
        }
    }

    /// Returns the objects of a notification. Those without a value have their last one, or Null.
    fn objects(&self, rule: &Rule, index: &[SubId], value: Option<ValueRef<'_>>, last: &[VarBind]) -> Vec<VarBind> {
        let known = |name: Oid, value: Option<ValueRef<'_>>| {
            let value = value.and_then(|value| value.to_value().ok());
            let last = || last.iter().find(|varbind| varbind.name == name).map(|varbind| varbind.value.clone());
            let value = value.or_else(last).unwrap_or(Value::Null);
            VarBind { name, value }
        };
        let first = known(instance(self.base, &rule.object, index), value);
        let others = rule.objects.iter().map(|object| known(self.name(object, index), self.value(object, index)));
        let mut objects = std::iter::once(first).chain(others).collect();
        limit(&mut objects);
        objects
    }

    fn push(&mut self, transition: Transition) {
        self.is_changed = true;
        if self.transitions.len() < MAX_WAITING {
            self.transitions.push(transition);
        } else {
            self.dropped += 1;
        }
    }
}

/// Returns a hash of a value.
fn hash(value: ValueRef<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        ValueRef::Integer(number) => number.hash(&mut hasher),
        ValueRef::OctetString(octets) | ValueRef::Opaque(octets) => octets.hash(&mut hasher),
        ValueRef::ObjectIdentifier(arcs) => arcs.hash(&mut hasher),
        ValueRef::IpAddress(address) => address.hash(&mut hasher),
        ValueRef::Counter32(number) | ValueRef::Gauge32(number) | ValueRef::TimeTicks(number) => {
            number.hash(&mut hasher);
        }
        ValueRef::Counter64(number) => number.hash(&mut hasher),
        ValueRef::Null | ValueRef::NoSuchObject | ValueRef::NoSuchInstance | ValueRef::EndOfMibView => {}
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
