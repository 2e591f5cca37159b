//! The right values of each OID at each moment.
//!
//! A value is right if its source showed it before the response, and recently enough. A missing value is right if its
//! source was faulty for longer than `staleAfter`. So the instances of healthy sources must exist and be up to date. The
//! others may have old values or be missing, as the `onMissing` of their objects says.

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
    layout::{Instance, Missing, Plan, Shows, Times, is_exploded_row},
    source::{ShownPages, gap},
};

/// The longest time until a response shows what a source shows.
const LAG: Duration = Duration::from_secs(10);
/// The longest time until everything is published again after a fault.
const RECOVERY: Duration = Duration::from_secs(30);

/// A source and the pages that it has shown.
#[derive(Debug)]
pub(super) struct TrackedSource {
    pub(super) shown: Arc<ShownPages>,
    pub(super) times: Times,
}

/// A subtree and the changes of its document.
#[derive(Debug)]
pub(super) struct Subtree {
    pub(super) base: Oid,
    pub(super) contexts: Vec<String>,
    /// The times in which its document was changed.
    changes: Mutex<Vec<(Moment, Moment)>>,
}

/// The moments of a request and its response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) requested: Moment,
    pub(super) responded: Moment,
}

/// Everything that decides which responses are right.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) clock: Clock,
    pub(super) instances: BTreeMap<Oid, Instance>,
    pub(super) subtrees: Vec<Subtree>,
    sources: Vec<TrackedSource>,
    /// The moment from which on responses must be complete.
    checking_since: AtomicU64,
}

/// A value in a response: the page of a source from which it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) source: usize,
    pub(super) moment: Moment,
}

impl Subtree {
    fn changes(&self) -> MutexGuard<'_, Vec<(Moment, Moment)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that its document is changed from now on.
    pub(super) fn begin_change(&self, now: Moment) {
        self.changes().push((now, Moment::MAX));
    }

    /// Records that its document is as usual again.
    pub(super) fn end_change(&self, now: Moment) {
        if let Some((_, until)) = self.changes().last_mut() {
            *until = now;
        }
    }

    fn changed_between(&self, from: Moment, to: Moment) -> bool {
        self.changes().iter().any(|(since, until)| *since <= to && *until >= from)
    }
}

impl Truth {
    pub(super) fn new(clock: Clock, plans: &[Plan], sources: Vec<TrackedSource>, rows: &[usize]) -> Result<Self> {
        let mut instances = BTreeMap::new();
        let mut subtrees = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            instances.extend(plan.instances(number, rows)?);
            let contexts = plan.contexts.iter().map(ToString::to_string).collect();
            subtrees.push(Subtree { base: plan.base()?, contexts, changes: Mutex::default() });
        }
        Ok(Self { clock, instances, subtrees, sources, checking_since: AtomicU64::new(Moment::MAX) })
    }

    /// Records that a walk was complete. From now on, responses must be complete.
    pub(super) fn start_checking(&self) {
        self.checking_since.store(self.clock.now(), Ordering::SeqCst);
    }

    /// Returns the moment since which a source must have been healthy for its values to be required: [`RECOVERY`] before
    /// the request, but not before the checks began.
    fn since(&self, span: Span) -> Moment {
        span.requested
            .saturating_sub(millis(RECOVERY))
            .max(self.checking_since.load(Ordering::SeqCst).min(span.responded))
    }

    fn is_checking(&self) -> bool {
        self.checking_since.load(Ordering::SeqCst) != Moment::MAX
    }

    pub(super) fn source(&self, instance: &Instance) -> Result<&TrackedSource> {
        self.sources.get(instance.source).context("no source with this index")
    }

    pub(super) fn subtree(&self, instance: &Instance) -> Result<&Subtree> {
        self.subtrees.get(instance.subtree).context("no subtree with this index")
    }

    fn is_changing(&self, instance: &Instance, span: Span) -> Result<bool> {
        Ok(!self.is_checking() || self.subtree(instance)?.changed_between(self.since(span), span.responded))
    }

    /// Returns whether its source has been healthy for long enough.
    fn is_healthy(&self, instance: &Instance, span: Span) -> Result<bool> {
        let TrackedSource { shown, times } = self.source(instance)?;
        let allowed = gap(times.stale_after, times.timeout);
        Ok(self.is_checking() && shown.is_steady(self.since(span), span.responded, millis(allowed)))
    }

    /// Returns whether an instance must exist.
    pub(super) fn must_exist(&self, instance: &Instance, span: Span) -> Result<bool> {
        if instance.added || self.is_changing(instance, span)? {
            return Ok(false);
        }
        let shown = &self.source(instance)?.shown;
        Ok(match instance.missing {
            Missing::Never => true,
            Missing::Gone => self.is_healthy(instance, span)?,
            // A value that is not a number is not published.
            Missing::Holds | Missing::Shows(_) => !shown.was_incomplete(self.since(span), span.responded),
        })
    }

    /// Checks the value of an instance in a response.
    pub(super) fn check(&self, name: &Oid, value: &Value, span: Span) -> Result<Option<Observation>> {
        let Some(instance) = self.instances.get(name) else { return self.check_unknown(name, value, span) };
        if matches!(value, Value::NoSuchObject | Value::NoSuchInstance) {
            ensure!(
                !self.must_exist(instance, span)?,
                "{value:?}, but the instance must exist as {:?}",
                instance.shows
            );
            ensure!(
                *value == Value::NoSuchInstance || instance.added || self.is_changing(instance, span)?,
                "{value:?}, but the object exists"
            );
            return Ok(None);
        }
        if matches!(&instance.missing, Missing::Shows(missing) if missing == value) {
            ensure!(
                self.is_changing(instance, span)? || !self.is_healthy(instance, span)?,
                "{value:?}, but its source is healthy"
            );
            return Ok(None);
        }
        match &instance.shows {
            Shows::Exactly(expected) => {
                ensure!(value == expected, "{value:?} instead of {expected:?}");
                Ok(None)
            }
            Shows::OneOf(expected) => {
                ensure!(expected.contains(value), "{value:?}, not one of {expected:?}");
                Ok(None)
            }
            Shows::Rate => match value {
                // The rate is about 1000, because the moment grows by 1000 in each second. Late scrapes make it differ.
                Value::Gauge32(500..=2_000) => Ok(None),
                Value::Gauge32(_) if !self.is_healthy(instance, span)? => Ok(None),
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
    ) -> Result<Option<Observation>> {
        let number = match *value {
            Value::Counter64(number) => number,
            Value::Gauge32(number) | Value::Counter32(number) => number.into(),
            Value::Integer(number) => number.try_into().with_context(|| format!("{value:?}, not a moment"))?,
            _ => bail!("{value:?}, not a number"),
        };
        ensure!(make(u32::try_from(number)?) == *value, "{value:?} has another syntax");
        let TrackedSource { shown, times } = self.source(instance)?;
        ensure!(shown.has(number), "{value:?} was never shown by its source");
        ensure!(number <= span.responded + 100, "{value:?} is in the future, at {span:?}");
        let newest = shown.newest(span.requested.saturating_sub(millis(LAG))).unwrap_or_default();
        ensure!(
            number >= newest,
            "{value:?} is old: its source showed {newest} more than {LAG:?} before the request, at {span:?}"
        );
        if instance.missing == Missing::Holds {
            return Ok(None);
        }
        let longest = millis(times.stale_after + times.timeout + LAG);
        ensure!(number + longest >= span.requested, "{value:?} is stale, at {span:?}");
        Ok(Some(Observation { source: instance.source, moment: number }))
    }

    fn check_unknown(&self, name: &Oid, value: &Value, span: Span) -> Result<Option<Observation>> {
        if matches!(value, Value::NoSuchObject | Value::NoSuchInstance) {
            return Ok(None);
        }
        let subtree = self.subtrees.iter().enumerate().find(|(_, subtree)| name.starts_with(&subtree.base));
        let (number, subtree) = subtree.context("the OID is in no subtree")?;
        let below = name.get(subtree.base.len()..).unwrap_or_default();
        ensure!(is_exploded_row(below), "the instance does not exist");
        // The source of its table is that of any instance in the same table.
        let table = name.get(..subtree.base.len() + 2).unwrap_or_default();
        let (_, instance) = self.range(table, true, None).next().context("the OID is in no table")?;
        let TrackedSource { shown, times } = self.source(instance)?;
        let from = span.requested.saturating_sub(millis(times.stale_after + times.timeout + LAG));
        ensure!(
            instance.subtree == number && shown.exploded(from, span.responded),
            "the source has not shown the row recently"
        );
        ensure!(*value == Value::Gauge32(1), "{value:?} instead of 1");
        Ok(None)
    }

    /// Returns the instances from `start` to before `end`, in order.
    pub(super) fn range<'a>(
        &'a self,
        start: &[SubId],
        include: bool,
        end: Option<&'a Oid>,
    ) -> impl Iterator<Item = (&'a Oid, &'a Instance)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        // Arcs that are no OID are longer than any OID, so no instance follows them.
        let start = Oid::try_from(start).unwrap_or_default();
        let start = if include { Included(start) } else { Excluded(start) };
        let instances = self.instances.range((start, Unbounded));
        instances.take_while(move |(name, _)| end.is_none_or(|end| *name < end))
    }

    /// Checks the result of a search. `None` means that the search reached the end of its range.
    pub(super) fn check_next(
        &self,
        (start, include, end): (&Oid, bool, &Oid),
        found: Option<(&Oid, &Value)>,
        context: &str,
        span: Span,
    ) -> Result<Option<Observation>> {
        if let Some((name, _)) = found {
            ensure!(name > start || (include && name == start), "{name} does not follow {start}");
            ensure!(name < end, "{name} is not before {end}, the end of the search range");
        }
        for (name, instance) in self.range(start, include, Some(end)) {
            if found.is_some_and(|(found, _)| found <= name) {
                break;
            }
            let in_context = self.subtree(instance)?.contexts.iter().any(|of_subtree| of_subtree == context);
            ensure!(!in_context || !self.must_exist(instance, span)?, "{name} was skipped");
        }
        match found {
            None => Ok(None),
            Some((name, value)) => {
                ensure!(
                    !matches!(value, Value::NoSuchObject | Value::NoSuchInstance),
                    "{value:?} as the result of a search"
                );
                self.check(name, value, span)
            }
        }
    }

    /// Checks that a walk which has just ended shows exactly the usual instances, with values from `since` or later.
    pub(super) fn check_complete<'a>(
        &self,
        rows: impl Iterator<Item = (&'a Oid, &'a Value)>,
        since: Moment,
    ) -> Result<()> {
        self.check_walked(rows, Span { requested: since, responded: self.clock.now() })
    }

    fn check_walked<'a>(&self, rows: impl Iterator<Item = (&'a Oid, &'a Value)>, span: Span) -> Result<()> {
        let rows: BTreeMap<&Oid, &Value> = rows.collect();
        let expected: Vec<_> = self.instances.iter().filter(|(_, instance)| !instance.added).collect();
        for (name, instance) in &expected {
            let value = rows.get(name).with_context(|| format!("{name} is missing among {} rows", rows.len()))?;
            let missing = matches!(&instance.missing, Missing::Shows(missing) if missing == *value);
            ensure!(!missing, "{name} is {value:?}");
            if let Some(Observation { moment, .. }) = self.check(name, value, span).with_context(|| name.to_string())? {
                ensure!(moment >= span.requested, "{name} is still {value:?}");
            }
        }
        ensure!(expected.len() == rows.len(), "the walk must have {} rows, but has {}", expected.len(), rows.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
