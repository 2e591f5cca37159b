//! What is right: for every OID, at every moment, what an answer may be.
//!
//! A value is right if its source showed it, not too long ago and before the answer; a value that is missing, if its
//! source was in trouble for longer than values stand. So the instances of sources without trouble are right only if
//! they are there and up to date, and the others may show old values or nothing, as their objects' onMissing says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use agentx::{Oid, SubId, Value};
use anyhow::{Context, Result, bail, ensure};

use super::{
    clock::{Clock, Moment, millis},
    layout::{Instance, Missing, Plan, Shows, Times, is_exploded},
    source::{Shown, gap},
};

/// By then what a source shows is seen, and a source without trouble is believed to be so.
const LAG: Duration = Duration::from_secs(10);
/// After trouble everything must be as before within this time.
const RECOVERY: Duration = Duration::from_secs(30);

/// What is true of one source.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) shown: Arc<Shown>,
    pub(super) times: Times,
}

/// What is true of one subtree.
#[derive(Debug)]
pub(super) struct Subtree {
    pub(super) base: Oid,
    pub(super) contexts: Vec<String>,
    /// When its document was being changed.
    disturbances: Mutex<Vec<(Moment, Moment)>>,
}

/// When a question was asked, and when it had been answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) asked: Moment,
    pub(super) answered: Moment,
}

/// All that is true.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) clock: Clock,
    pub(super) instances: BTreeMap<Oid, Instance>,
    pub(super) subtrees: Vec<Subtree>,
    sources: Vec<Witness>,
    /// Everything was seen to be right then.
    settled: AtomicU64,
}

/// What an answer told of a source: of one page, if the answer is of one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) source: usize,
    pub(super) moment: Moment,
}

impl Subtree {
    fn disturbances(&self) -> MutexGuard<'_, Vec<(Moment, Moment)>> {
        self.disturbances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its document is changed from now on.
    pub(super) fn disturb(&self, now: Moment) {
        self.disturbances().push((now, Moment::MAX));
    }

    /// Its document is as usual again.
    pub(super) fn calm(&self, now: Moment) {
        if let Some((_, until)) = self.disturbances().last_mut() {
            *until = now;
        }
    }

    fn was_disturbed(&self, from: Moment, to: Moment) -> bool {
        self.disturbances().iter().any(|(since, until)| *since <= to && *until >= from)
    }
}

impl Truth {
    pub(super) fn new(clock: Clock, plans: &[Plan], sources: Vec<Witness>, rows: &[usize]) -> Result<Self> {
        let mut instances = BTreeMap::new();
        let mut subtrees = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            instances.extend(plan.instances(number, rows)?);
            let contexts = plan.contexts.iter().map(ToString::to_string).collect();
            subtrees.push(Subtree { base: plan.base()?, contexts, disturbances: Mutex::default() });
        }
        Ok(Self { clock, instances, subtrees, sources, settled: AtomicU64::new(Moment::MAX) })
    }

    /// Everything has just been seen to be right: from now on it must be.
    pub(super) fn settle(&self) {
        self.settled.store(self.clock.now(), Ordering::SeqCst);
    }

    /// Since when what was well must be right: the time to recover before the question, but not before all began.
    fn since(&self, span: Span) -> Moment {
        span.asked.saturating_sub(millis(RECOVERY)).max(self.settled.load(Ordering::SeqCst).min(span.answered))
    }

    fn is_settled(&self) -> bool {
        self.settled.load(Ordering::SeqCst) != Moment::MAX
    }

    pub(super) fn source(&self, instance: &Instance) -> Result<&Witness> {
        self.sources.get(instance.source).context("no such source")
    }

    pub(super) fn subtree(&self, instance: &Instance) -> Result<&Subtree> {
        self.subtrees.get(instance.subtree).context("no such subtree")
    }

    fn is_disturbed(&self, instance: &Instance, span: Span) -> Result<bool> {
        Ok(!self.is_settled() || self.subtree(instance)?.was_disturbed(self.since(span), span.answered))
    }

    /// Whether its source had no trouble that shows, for long enough.
    fn is_well(&self, instance: &Instance, span: Span) -> Result<bool> {
        let Witness { shown, times } = self.source(instance)?;
        let allowed = gap(times.stale_after, times.timeout);
        Ok(self.is_settled() && shown.is_steady(self.since(span), span.answered, millis(allowed)))
    }

    /// Whether an instance must be there.
    pub(super) fn is_firm(&self, instance: &Instance, span: Span) -> Result<bool> {
        if instance.added || self.is_disturbed(instance, span)? {
            return Ok(false);
        }
        let shown = &self.source(instance)?.shown;
        Ok(match instance.missing {
            Missing::Never => true,
            Missing::Gone => self.is_well(instance, span)?,
            // What is not a number is withheld.
            Missing::Holds | Missing::Shows(_) => !shown.was_odd(self.since(span), span.answered),
        })
    }

    /// Checks the value of an instance.
    pub(super) fn check(&self, name: &Oid, value: &Value, span: Span) -> Result<Option<Seen>> {
        let Some(instance) = self.instances.get(name) else { return self.check_unknown(name, value, span) };
        if matches!(value, Value::NoSuchObject | Value::NoSuchInstance) {
            ensure!(!self.is_firm(instance, span)?, "{value:?}, but it must be there as {:?}", instance.shows);
            ensure!(
                *value == Value::NoSuchInstance || instance.added || self.is_disturbed(instance, span)?,
                "{value:?}, but the object is there"
            );
            return Ok(None);
        }
        if matches!(&instance.missing, Missing::Shows(missing) if missing == value) {
            ensure!(
                self.is_disturbed(instance, span)? || !self.is_well(instance, span)?,
                "{value:?} as if its source were in trouble"
            );
            return Ok(None);
        }
        match &instance.shows {
            Shows::Exactly(expected) => {
                ensure!(value == expected, "{value:?}, not {expected:?}");
                Ok(None)
            }
            Shows::OneOf(expected) => {
                ensure!(expected.contains(value), "{value:?}, not one of {expected:?}");
                Ok(None)
            }
            Shows::Rate => match value {
                // A second a second, measured between scrapes that may each be late; between two of them it is anything.
                Value::Gauge32(500..=2_000) => Ok(None),
                Value::Gauge32(_) if !self.is_well(instance, span)? => Ok(None),
                other => bail!("{other:?}, not a rate of about 1000"),
            },
            Shows::Moment(make) => self.check_moment(instance, *make, value, span),
        }
    }

    fn check_moment(
        &self,
        instance: &Instance,
        make: fn(u32) -> Value,
        value: &Value,
        span: Span,
    ) -> Result<Option<Seen>> {
        let number = match *value {
            Value::Counter64(number) => number,
            Value::Gauge32(number) | Value::Counter32(number) => number.into(),
            Value::Integer(number) => number.try_into().with_context(|| format!("{value:?}, not a moment"))?,
            _ => bail!("{value:?}, not a number"),
        };
        ensure!(make(u32::try_from(number)?) == *value, "{value:?} is of another type");
        let Witness { shown, times } = self.source(instance)?;
        ensure!(shown.has(number), "{value:?} was never shown by its source");
        ensure!(number <= span.answered + 100, "{value:?} is of the future, at {span:?}");
        let newest = shown.newest(span.asked.saturating_sub(millis(LAG))).unwrap_or_default();
        ensure!(number >= newest, "{value:?} is old: {newest} was shown {LAG:?} before it was asked for, at {span:?}");
        if instance.missing == Missing::Holds {
            return Ok(None);
        }
        let longest = millis(times.stale_after + times.timeout + LAG);
        ensure!(number + longest >= span.asked, "{value:?} is stale, at {span:?}");
        Ok(Some(Seen { source: instance.source, moment: number }))
    }

    fn check_unknown(&self, name: &Oid, value: &Value, span: Span) -> Result<Option<Seen>> {
        if matches!(value, Value::NoSuchObject | Value::NoSuchInstance) {
            return Ok(None);
        }
        let subtree = self.subtrees.iter().enumerate().find(|(_, subtree)| name.starts_with(&subtree.base));
        let (number, subtree) = subtree.context("it is of no subtree")?;
        let below = name.get(subtree.base.len()..).unwrap_or_default();
        ensure!(is_exploded(below), "there is no such instance");
        // The source of the table that it is in: any instance of the same table knows it.
        let table = name.get(..subtree.base.len() + 2).unwrap_or_default();
        let (_, instance) = self.range(table, true, None).next().context("it is of no table")?;
        let Witness { shown, times } = self.source(instance)?;
        let from = span.asked.saturating_sub(millis(times.stale_after + times.timeout + LAG));
        ensure!(instance.subtree == number && shown.exploded(from, span.answered), "such a row was not shown lately");
        ensure!(*value == Value::Gauge32(1), "{value:?}, not 1");
        Ok(None)
    }

    /// Instances from `start` on, in order, to before `end`.
    pub(super) fn range<'a>(
        &'a self,
        start: &[SubId],
        include: bool,
        end: Option<&'a Oid>,
    ) -> impl Iterator<Item = (&'a Oid, &'a Instance)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        // What is no OID is longer than any: nothing follows.
        let start = Oid::try_from(start).unwrap_or_default();
        let start = if include { Included(start) } else { Excluded(start) };
        let known = self.instances.range((start, Unbounded));
        known.take_while(move |(name, _)| end.is_none_or(|end| *name < end))
    }

    /// Checks what a search found: none is the end of the search range.
    pub(super) fn check_next(
        &self,
        (start, include, end): (&Oid, bool, &Oid),
        found: Option<(&Oid, &Value)>,
        context: &str,
        span: Span,
    ) -> Result<Option<Seen>> {
        if let Some((name, _)) = found {
            ensure!(name > start || (include && name == start), "{name} does not follow {start}");
            ensure!(name < end, "{name} is behind the end of the search range, {end}");
        }
        for (name, instance) in self.range(start, include, Some(end)) {
            if found.is_some_and(|(found, _)| found <= name) {
                break;
            }
            let here = self.subtree(instance)?.contexts.iter().any(|known| known == context);
            ensure!(!here || !self.is_firm(instance, span)?, "{name} was passed by");
        }
        match found {
            None => Ok(None),
            Some((name, value)) => {
                ensure!(!matches!(value, Value::NoSuchObject | Value::NoSuchInstance), "{value:?} for a search");
                self.check(name, value, span)
            }
        }
    }

    /// Whether a walk that is just over shows all that there is without trouble and nothing else, from `since` or later.
    pub(super) fn check_whole<'a>(
        &self,
        rows: impl Iterator<Item = (&'a Oid, &'a Value)>,
        since: Moment,
    ) -> Result<()> {
        self.check_walked(rows, Span { asked: since, answered: self.clock.now() })
    }

    fn check_walked<'a>(&self, rows: impl Iterator<Item = (&'a Oid, &'a Value)>, span: Span) -> Result<()> {
        let rows: BTreeMap<&Oid, &Value> = rows.collect();
        let expected: Vec<_> = self.instances.iter().filter(|(_, instance)| !instance.added).collect();
        for (name, instance) in &expected {
            let value = rows.get(name).with_context(|| format!("{name} is missing among {} rows", rows.len()))?;
            let missing = matches!(&instance.missing, Missing::Shows(missing) if missing == *value);
            ensure!(!missing, "{name} is {value:?}");
            if let Some(Seen { moment, .. }) = self.check(name, value, span).with_context(|| name.to_string())? {
                ensure!(moment >= span.asked, "{name} is still {value:?}");
            }
        }
        ensure!(expected.len() == rows.len(), "{} of {} rows should be there", expected.len(), rows.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
