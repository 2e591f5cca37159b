//! The mapping from samples to views: the value of each object of a subtree, and the rows of its tables.
//!
//! This module is pure: it reads no clock and does no I/O. The time is an argument. The work is done when a collection
//! is [observed](Mapper::observe). A [view](Mapper::view) only puts the results together.
//!
//! # From samples to a value
//!
//! The steps run in this order:
//!
//! 1. **Selection.** An object uses the samples that have its metric's name and that meet `matchLabels` and all
//!    `matchExpressions`. As in Prometheus, an absent label is the same as an empty one: `In` with `""` selects samples
//!    without the label, and `Exists` does not select samples in which the label is empty. `Matches` is a regular
//!    expression that must match the whole text. Its `.` also matches line ends.
//! 2. **Row.** In a table, each sample belongs to the row of its index labels. A scalar has one row.
//! 3. **Extraction.** From each sample one of these is taken:
//!    * its **number**, by default;
//!    * with `rate`, the increase per second of its series: from the oldest point in the window to the newest, divided
//!      by the time between them. Nothing is extrapolated, so two points are needed. Missed scrapes do not matter. If
//!      the number falls, the series restarted from 0. A window keeps 32 points; points that are closer together are
//!      merged. A series that is not in the latest scrape has no rate;
//!    * with `label`, the text of the label. If a row has several texts, the smallest one in octet order is used and
//!      the row is counted as ambiguous. Aggregate, scale, offset and rounding do not apply. Numeric syntaxes parse the
//!      text as a decimal integer.
//! 4. **Aggregation.** Sum, Min, Max, Avg or Count combines the numbers of a row. Integers, and doubles without a
//!    fraction, are added exactly up to 127 bits; larger sums are doubles. NaN makes Sum and Avg NaN. Min and Max
//!    ignore NaN.
//!    * With `quantile`, the row's buckets with equal `le` are added first, and `aggregate` does not apply. The
//!      quantile is that of Prometheus's `histogram_quantile` for classic histograms. It is interpolated linearly
//!      within a bucket. The first bucket begins at 0; if its bound is not above 0, the result is that bound.
//!      Above the highest finite bound the result is that bound. Counts that decrease from bucket to bucket, or
//!      increase by a rounding error only, are corrected. The quantile 0 is the lower bound of the first bucket that is
//!      not empty (Prometheus returns NaN). Buckets whose count is NaN or infinite are ignored. Buckets whose `le` is
//!      not a number are ignored and counted. With `rate`, the rates of the buckets are used, so the quantile is that
//!      of the observations within the window. A metric without buckets is a summary: the samples with this `quantile`
//!      (compared as numbers) are used and combined by `aggregate`. A histogram or summary without observations counts
//!      as no sample. So does a histogram without a `+Inf` bucket, or with that bucket only; it is counted.
//! 5. **Scale, then offset.** Both are taken as the decimals that are written in the configuration, and 0.333… is 1/3.
//!    So integers and averages of integers stay exact, for example 64 bits times 0.001. A sample with a fraction is a
//!    double, and so are all results computed from it.
//! 6. **Rounding**, for all syntaxes except texts and TruthValue: Nearest (halves away from zero), Floor or Ceil. The
//!    exact number is rounded if there is one.
//! 7. **Syntax.**
//!
//!    | syntax | number | text of a label or constant |
//!    |---|---|---|
//!    | Integer32, Unsigned32 | withheld if out of range | a decimal integer |
//!    | Gauge32 | limited to 0 and 2³² − 1, infinities too; counted | a decimal integer |
//!    | Counter32, Counter64 | modulo 2³² or 2⁶⁴; withheld below 0 | a decimal integer |
//!    | TimeTicks | hundredths of a second (scale seconds by 100), modulo 2³²; withheld below 0 | a decimal integer |
//!    | TruthValue | 0 is false(2), any other number is true(1) | `true` or `false` in any case; 1 or 0 |
//!    | OctetString | decimal, not rounded, with the fewest digits that read back as the same number | UTF-8, truncated at 65,000 octets |
//!    | DisplayString | the same | NVT ASCII (RFC 2579): other characters, and a carriage return that is not followed by a line feed or NUL, become `?`; truncated at 255 octets |
//!    | IpAddress | withheld | dotted decimal |
//!    | ObjectIdentifier | withheld | dotted decimal, two arcs or more |
//!
//!    *Withheld* means noSuchInstance, regardless of `onMissing`: a value that cannot be represented is never replaced
//!    by another. NaN is always withheld. Infinities are withheld except for Gauge32.
//! 8. **Missing value.** If no sample was selected, if none makes a value, or if the source is stale, `onMissing`
//!    decides what is shown: noSuchInstance, Zero (0, false, the empty string, 0.0.0.0, 0.0), the last value (Hold), or
//!    a constant.
//!
//! # Counters
//!
//! A Counter32 or Counter64 never decreases, except when it wraps. This does not apply to `counterReset: PassThrough`,
//! rates, quantiles and labels. Each series that falls continues from its previous total: the total is added to what
//! the series counts from now on, before the series of a row are aggregated. A series that vanishes keeps its
//! contribution to the Sum of its row, and continues from it when it comes back. A new series adds its whole number.
//! Min, Max, Avg and Count may fall when series come and go; the object keeps its highest value until a higher one is
//! computed. A counter that was missing, alone or with its row or source, continues when it is back. Where `onMissing`
//! would show Zero or a constant for a counter that has had a value, that value is shown instead.
//!
//! At most as many absent series and rows are remembered as are present, and at least 1,024; those absent longest are
//! forgotten first. The contribution of a forgotten series stays with its row. If the series comes back, it counts as
//! new. The same limit holds for the series of rates, within their window. This memory lasts as long as the [`Mapper`]
//! and those that [inherit](Mapper::inherit) it. When the sidecar restarts, counters begin at the numbers of the
//! source.
//!
//! # Tables
//!
//! The rows of a table are the union of the index texts in the selected samples of all columns, from all sources that
//! are not stale. A sample that lacks an index label, or whose text cannot be encoded, makes no row and is counted. A
//! sample whose value is withheld makes a row. Constants make no rows. All columns of a row appear and vanish together.
//! A column of a stale source keeps its rows if `onMissing` is Hold. A row that a successful scrape no longer has
//! vanishes, even with Hold, unless another column has it.
//!
//! | index | arcs |
//! |---|---|
//! | Integer | one: decimal digits without leading zeros, 0 to 2³¹ − 1 |
//! | String, ImpliedString | one per octet of the text's UTF-8, with and without their count in front |
//! | IpAddress | four |
//! | Hash | one: 1 + (64-bit FNV-1a of the text, modulo 2³¹ − 1). It is the same in every pod and never changes |
//! | Assigned | one: 1, 2, 3, … in the order of first appearance in a scrape; see [`Assignments`] |
//! | Pod | one: the index of the pod, [`pod_index`] |
//!
//! A row is withheld if one of its instances has more than 128 arcs, or if an index text has more than 1,024
//! octets. If several rows have the same index, for example because two texts have the same hash, the first in text
//! order is shown and the others are withheld. All of these are [counted](Counts).
//!
//! # Sources
//!
//! The values of a successful scrape are valid until the source's `staleAfter` has passed; after that they are missing.
//! A failed scrape changes nothing. Samples about the source itself ([`HEALTH_METRICS`]) come with every report,
//! successful or not. An object that names one of these takes it from the sidecar, never from the source, and it never
//! becomes stale.

mod aggregate;
mod assignments;
mod cells;
mod counter;
mod counts;
mod evaluation;
mod extraction;
mod index;
mod matcher;
mod number;
mod object;
mod pod;
mod quantile;
mod rate;
mod region;
mod retention;
mod rows;
mod samples_by_name;
mod series;
mod syntax;
mod table;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use agentx::{DisplayArcs, Oid, SubId, ValueRef};
use sidecar_config::{Subtree, Valid, Value, Violation, health::HEALTH_METRICS};

pub(crate) use self::{
    assignments::Assignments,
    counts::{Counts, Reason},
    pod::pod_index,
    region::Region,
};
use self::{object::Object, rows::ScalarRow, samples_by_name::SamplesByName, table::Table};
use crate::{
    sample::Samples,
    task::Cooperate,
    view::{MibView, PushError, Size},
};

/// The mapping from the samples of one subtree to its objects, with the state that later views and scrapes need.
#[derive(Debug)]
pub(crate) struct Mapper {
    subtree: Valid,
    sources: Vec<Source>,
    scalars: Vec<Scalar>,
    tables: Vec<Table>,
    /// Scalars and columns in the order of their OIDs.
    order: Vec<ObjectPosition>,
    /// The OIDs of the objects, below the base, in the same order.
    declared: Vec<Oid>,
    assignments: Assignments,
    counts: Counts,
    /// The time of the first observation. All other times are counted from it.
    epoch: Option<Instant>,
    /// The size of the last view, which is the capacity of the next one.
    last_view: Size,
}

#[derive(Debug)]
struct Source {
    stale_after: Duration,
    last_success: Option<Instant>,
    /// The objects that use the samples of the source.
    objects: Vec<ObjectPosition>,
    /// The objects that use the sidecar's own samples about the source.
    health_objects: Vec<ObjectPosition>,
}

#[derive(Debug)]
struct Scalar {
    /// The arcs below the base OID.
    arcs: Oid,
    object: Object,
}

/// The position of an object in its [`Mapper`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ObjectPosition {
    Scalar(usize),
    /// The positions of the table and of the column.
    Column(usize, usize),
}

fn is_health(metric: &str) -> bool {
    HEALTH_METRICS.contains(&metric)
}

/// Returns whether the latest samples of the object are still valid.
fn is_fresh(sources: &[Source], object: &Object, now: Instant) -> bool {
    let stale_at = object.source().and_then(|source| sources.get(source)).and_then(Source::stale_at);
    is_health(object.metric_name()) || stale_at.is_none_or(|stale| now < stale)
}

impl Mapper {
    /// Compiles a subtree for the pod with this index. `assignments` are the numbers that were assigned before.
    ///
    /// # Errors
    /// Returns the first violation in the document: a source that does not exist, an invalid regular expression, a
    /// constant that is not a value of its object's syntax, or an object inside another object.
    pub(crate) fn new(subtree: Valid, pod_index: SubId, mut assignments: Assignments) -> Result<Self, Violation> {
        let source = |name: &str| subtree.sources.iter().position(|source| source.name == name);
        let mut scalars = Vec::with_capacity(subtree.scalars.len());
        for (i, scalar) in subtree.scalars.iter().enumerate() {
            let path = format!("scalars[{i}].value");
            let object = Object::new(&scalar.name, scalar.syntax, &scalar.enumeration, &scalar.value, &path, source)?;
            scalars.push(Scalar { arcs: scalar.oid.clone(), object });
        }
        let mut tables = Vec::with_capacity(subtree.tables.len());
        for (i, table) in subtree.tables.iter().enumerate() {
            tables.push(Table::new(&subtree, table, &format!("tables[{i}]"), pod_index, source)?);
        }
        let names: Vec<_> = subtree.tables.iter().flat_map(Table::assignment_names).collect();
        assignments.retain(&names);
        let sources = subtree.sources.iter().map(|source| Source {
            stale_after: Duration::from_millis(source.stale_after_ms),
            last_success: None,
            objects: Vec::new(),
            health_objects: Vec::new(),
        });
        let mut mapper = Self {
            sources: sources.collect(),
            scalars,
            tables,
            order: Vec::new(),
            declared: Vec::new(),
            assignments,
            counts: Counts::default(),
            epoch: None,
            last_view: Size::default(),
            subtree,
        };
        mapper.arrange()?;
        Ok(mapper)
    }

    /// Sorts the objects by OID, and lists them with their sources.
    fn arrange(&mut self) -> Result<(), Violation> {
        let mut objects: Vec<(Oid, ObjectPosition)> = Vec::new();
        let oid = |path: String, arcs: &[SubId]| {
            Oid::try_from(arcs).map_err(|error| Violation { path, message: error.to_string() })
        };
        for (i, scalar) in self.subtree.scalars.iter().enumerate() {
            objects.push((oid(format!("scalars[{i}].oid"), &scalar.oid)?, ObjectPosition::Scalar(i)));
        }
        for (i, table) in self.tables.iter().enumerate() {
            for (j, column) in table.columns().iter().enumerate() {
                let arcs = [table.entry(), &[column.arc]].concat();
                objects.push((oid(format!("tables[{i}].oid"), &arcs)?, ObjectPosition::Column(i, j)));
            }
        }
        objects.sort();
        for pair in objects.windows(2) {
            if let [(outer, _), (inner, position)] = pair
                && inner.starts_with(outer)
            {
                let path = match position {
                    ObjectPosition::Scalar(i) => format!("scalars[{i}].oid"),
                    ObjectPosition::Column(i, _) => format!("tables[{i}].oid"),
                };
                return Err(Violation { path, message: format!("{inner} lies within the object {outer}") });
            }
        }
        for (_, position) in &objects {
            let Some(object) = self.object(*position) else { continue };
            let health = is_health(object.metric_name());
            if let Some(source) = object.source().and_then(|source| self.sources.get_mut(source)) {
                if health { source.health_objects.push(*position) } else { source.objects.push(*position) }
            }
        }
        (self.declared, self.order) = objects.into_iter().unzip();
        Ok(())
    }

    fn object(&self, position: ObjectPosition) -> Option<&Object> {
        match position {
            ObjectPosition::Scalar(i) => self.scalars.get(i).map(|scalar| &scalar.object),
            ObjectPosition::Column(i, j) => self.tables.get(i)?.columns().get(j).map(|column| &column.object),
        }
    }

    /// Takes over the memory of `before`, the mapper of the same subtree before a change of its configuration.
    ///
    /// Scalars and tables whose declaration and sources did not change keep their values. So these values do not vanish
    /// until the next scrape, and counters do not decrease. Both mappers must be for the same pod.
    pub(crate) fn inherit(&mut self, before: Self) {
        let (old, new) = (before.subtree, &self.subtree);
        if old.oid != new.oid {
            return;
        }
        let same_source = |name: &str| {
            let find = |subtree: &Subtree| subtree.sources.iter().find(|source| source.name == name).cloned();
            find(&old).map(|source| source.kind) == find(new).map(|source| source.kind)
        };
        let same_value = |value: &Value| match value {
            Value::Constant(_) => true,
            Value::Metric(value) => same_source(&value.source),
        };
        for (source, declared) in self.sources.iter_mut().zip(&new.sources) {
            let mut previous = before.sources.iter().zip(&old.sources);
            if let Some((previous, _)) =
                previous.find(|(_, was)| was.name == declared.name && was.kind == declared.kind)
            {
                source.last_success = previous.last_success;
            }
        }
        for (scalar, was) in before.scalars.into_iter().zip(&old.scalars).filter(|(_, was)| same_value(&was.value)) {
            if let Some(position) = new.scalars.iter().position(|is| is == was)
                && let Some(heir) = self.scalars.get_mut(position)
            {
                let source = heir.object.source();
                heir.object = scalar.object;
                heir.object.set_source(source);
            }
        }
        for (table, was) in before.tables.into_iter().zip(&old.tables) {
            if was.columns.iter().all(|column| same_value(&column.value))
                && let Some(position) = new.tables.iter().position(|is| is == was)
                && let Some(heir) = self.tables.get_mut(position)
            {
                heir.inherit(table);
            }
        }
        self.counts = before.counts;
        self.epoch = before.epoch;
        self.last_view = before.last_view;
    }

    /// Returns the subtree that this mapper maps.
    #[must_use]
    pub(crate) fn subtree(&self) -> &Valid {
        &self.subtree
    }

    /// Returns the names of the samples that are needed from a source, given by its position in the document.
    #[must_use]
    pub(crate) fn wanted(&self, source: usize) -> BTreeSet<String> {
        let positions = self.sources.get(source).map(|source| source.objects.as_slice()).unwrap_or_default();
        let objects = positions.iter().filter_map(|position| self.object(*position));
        objects.flat_map(Object::sample_names).map(str::to_owned).collect()
    }

    /// Processes the result of collecting from the source at position `source` at the time `at`.
    ///
    /// `samples` is `None` if the collection failed. `health` are the sidecar's own samples about the source.
    pub(crate) fn observe(&mut self, source: usize, samples: Option<&Samples>, health: &Samples, at: Instant) {
        let since = at.saturating_duration_since(*self.epoch.get_or_insert(at));
        let Some(source) = self.sources.get_mut(source) else { return };
        self.counts.begin();
        self.assignments.begin();
        let (health_objects, objects) = (source.health_objects.clone(), source.objects.clone());
        if samples.is_some() {
            source.last_success = Some(at);
        }
        self.observe_objects(health, health_objects, since);
        if let Some(samples) = samples {
            self.observe_objects(samples, objects, since);
        }
    }

    fn observe_objects(&mut self, samples: &Samples, mut positions: Vec<ObjectPosition>, at: Duration) {
        if positions.is_empty() {
            return;
        }
        let samples = SamplesByName::new(samples);
        // Rows get their numbers in the order of the samples.
        positions.sort_by_cached_key(|position| {
            let names = self.object(*position).into_iter().flat_map(Object::sample_names);
            names.map(|name| samples.position(name)).min()
        });
        for position in &positions {
            match *position {
                ObjectPosition::Scalar(i) => {
                    if let Some(scalar) = self.scalars.get_mut(i) {
                        scalar.object.observe(&samples, at, &mut ScalarRow, &mut self.counts);
                    }
                }
                ObjectPosition::Column(i, j) => {
                    if let Some(table) = self.tables.get_mut(i) {
                        table.observe(j, &samples, at, &mut self.assignments, &mut self.counts);
                    }
                }
            }
        }
        let touched: BTreeSet<_> = positions
            .iter()
            .filter_map(|position| match position {
                ObjectPosition::Column(table, _) => Some(*table),
                ObjectPosition::Scalar(_) => None,
            })
            .collect();
        for table in touched {
            if let Some(table) = self.tables.get_mut(table) {
                table.end(&mut self.counts);
            }
        }
    }

    /// Returns all instances as of `now`.
    #[must_use]
    pub(crate) fn view(&mut self, now: Instant) -> MibView {
        let mut view = MibView::with_capacity(self.subtree.oid.clone(), self.declared.clone(), self.last_view);
        let fresh = |object: &Object| is_fresh(&self.sources, object, now);
        let rows: Vec<_> = self.tables.iter().map(|table| table.shown(fresh)).collect();
        let mut arcs = Vec::with_capacity(Oid::MAX_LEN);
        let mut cooperate = Cooperate::default();
        let mut push = |object: &[SubId], index: &[SubId], value: ValueRef<'_>| {
            cooperate.step();
            if let Err(error) = view.push(object, index, value) {
                let reason = if matches!(error, PushError::TooLong(_)) { Reason::RowTooLong } else { Reason::ViewFull };
                self.counts.add(reason, || DisplayArcs(&[object, index].concat()).to_string());
            }
        };
        for position in &self.order {
            match *position {
                ObjectPosition::Scalar(i) => {
                    let Some(Scalar { arcs, object }) = self.scalars.get(i) else { continue };
                    if let Some(value) = object.value(0, fresh(object)) {
                        push(arcs, &[0], value);
                    }
                }
                ObjectPosition::Column(i, j) => {
                    let (Some(table), Some(rows)) = (self.tables.get(i), rows.get(i)) else { continue };
                    table.instances(j, rows, fresh, &mut arcs, &mut push);
                }
            }
        }
        self.last_view = view.size();
        view
    }

    /// Returns when the view next changes because values become stale. `None`: it does not change before the next
    /// scrape.
    #[must_use]
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        self.sources.iter().filter_map(Source::stale_at).filter(|stale| *stale > now).min()
    }

    /// Returns what was withheld or changed so far, by reason.
    #[must_use]
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the numbers of `Assigned` indexes. The caller saves them when they have
    /// [`changed`](Assignments::changed).
    #[must_use]
    pub(crate) fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// Records that the current assignments have been saved.
    pub(crate) fn assignments_saved(&mut self) {
        self.assignments.mark_saved();
    }

    /// Returns the regions to register with the master: the whole subtree, and the rows of this pod in each table whose
    /// first index is the pod.
    #[must_use]
    pub(crate) fn regions(&self) -> Vec<Region> {
        let rows = self.tables.iter().filter_map(|table| table.region(&self.subtree.oid));
        std::iter::once(Region::whole(&self.subtree.oid)).chain(rows).collect()
    }
}

impl Source {
    fn stale_at(&self) -> Option<Instant> {
        self.last_success?.checked_add(self.stale_after)
    }
}

#[cfg(test)]
mod tests;
