//! Turns samples into views: what each object of a subtree shows, and which rows its tables have.
//!
//! Pure: no clock, no I/O; time comes in as an argument. The work is done when a scrape is [observed](Mapper::observe);
//! a [view](Mapper::view) is only put together from its results.
//!
//! # From samples to a value
//!
//! The steps run in this order.
//!
//! 1. **Choice.** Of the samples with the metric's name those that meet `matchLabels` and all `matchExpressions`. An
//!    absent label and an empty one are the same, as in Prometheus: `In` with `""` takes samples without the label,
//!    `Exists` leaves those where it is empty. `Matches` is a regular expression for the whole text, in which `.`
//!    matches line ends too.
//! 2. **Row.** In a table each sample belongs to the row of its index labels; a scalar has one row.
//! 3. **What is taken**, of each sample:
//!    * its **number**; or
//!    * with `rate` the increase per second of its series, from the oldest point in the window to the newest, divided by
//!      the time between the two. Nothing is extrapolated, so two points are needed; a scrape that was missed is no
//!      matter. A fall is a restart from 0. Of a window 32 points are kept: ones that lie closer together are joined. A
//!      series that is not on the latest page has no rate; or
//!    * with `label` the label's text. Several texts for one row: the smallest in order of octets, counted as ambiguous.
//!      No aggregate, scale, offset or rounding applies; numeric syntaxes read the text as a decimal integer.
//! 4. **Aggregate.** The row's numbers become one by Sum, Min, Max, Avg or Count. Integers, and doubles without a
//!    fraction, are added exactly to 127 bits, and as doubles beyond. NaN makes Sum and Avg NaN; Min and Max pass it by.
//!    * With `quantile` the row's buckets are added up by equal `le` first, and `aggregate` does not matter. The rest
//!      is Prometheus's `histogram_quantile` for classic histograms: linear within a bucket; the first one from 0, or its
//!      own bound where that is not above 0; the highest finite bound for what lies beyond it; counts that fall from
//!      bucket to bucket, or rise by rounding alone, mended. The quantile 0 is where the first bucket that is not empty
//!      begins (Prometheus: NaN). Buckets that count NaN or infinity are left out, and so are ones whose `le` is no
//!      number, which are counted. With `rate` too the buckets' rates are used: the quantile of what the window saw. A
//!      metric without buckets is a summary, of which the samples with this `quantile` (compared as a number) are taken,
//!      and joined by `aggregate`. A histogram or summary that has observed nothing counts as no sample, and so does a
//!      histogram without a `+Inf` bucket or with that one alone, which is counted.
//! 5. **Scale, then offset.** Both are the decimals that they are written as, and 0.333… is 1/3: integers, and averages
//!    of them, stay exact, as 64 bits times 0.001. A sample with a fraction is a double, and so is all that comes of it.
//! 6. **Rounding**, for all but text and TruthValue: Nearest (halves away from zero), Floor or Ceil; of the exact number
//!    where there is one.
//! 7. **Syntax.**
//!
//!    | syntax | a number | text, of a label or constant |
//!    |---|---|---|
//!    | Integer32, Unsigned32 | out of range: withheld | a decimal integer |
//!    | Gauge32 | at 0 or 2³² − 1 while beyond them, infinities too; counted | a decimal integer |
//!    | Counter32, Counter64 | modulo 2³², 2⁶⁴; below 0: withheld | a decimal integer |
//!    | TimeTicks | hundredths of a second (scale seconds by 100), modulo 2³²; below 0: withheld | a decimal integer |
//!    | TruthValue | 0 is false(2), all else true(1) | `true`, `false` in any case; 1, 0 |
//!    | OctetString | in decimal, not rounded, as few digits as read back the same | UTF-8, cut at 65,000 octets |
//!    | DisplayString | the same | NVT ASCII (RFC 2579): other characters, and a carriage return that is not before a line feed or NUL, show as `?`; cut at 255 |
//!    | IpAddress | withheld | dotted decimal |
//!    | ObjectIdentifier | withheld | dotted decimal, two arcs or more |
//!
//!    *Withheld* is noSuchInstance, whatever `onMissing` says: what is there but cannot be shown is never shown as
//!    something else. NaN is always withheld, and so are infinities but for Gauge32.
//! 8. **Nothing there**: no sample was chosen, or none that makes a value, or the source is stale. `onMissing` says what
//!    to show: noSuchInstance; Zero (0, false, the empty string, 0.0.0.0, 0.0); the last value there was (Hold); or a
//!    constant.
//!
//! # Counters
//!
//! A Counter32 or Counter64 does not fall but when it wraps, unless `counterReset` is PassThrough or it shows a rate, a
//! quantile or a label. Each series that falls goes on from where it stood: what it had is added to what it counts from
//! now on, before series are joined. A series that vanishes keeps its contribution to its row's Sum, and takes it up
//! where it was when it is back; a new one adds all that it has. Min, Max, Avg and Count, which may fall as series come
//! and go, stand until they are passed. A counter that was away, alone or with its row or source, goes on when it is
//! back; and where `onMissing` would show Zero or a constant for a counter that has had a value, it shows that value.
//!
//! Of series and of rows that are gone as many are remembered as are there, at least 1,024, the latest first. What is
//! forgotten leaves its contribution with the row; should it come back after that, it counts as new. So it is with
//! the series of rates, within their window. All of this lives as
//! long as the [`Mapper`] and those that [inherit](Mapper::inherit) it: when the sidecar restarts, counters begin at what
//! the page says.
//!
//! # Tables
//!
//! Rows are the union of the index texts in the chosen samples of all columns, of all sources that are not stale. A
//! sample without one of the labels, or whose text does not encode, makes no row and is counted; one whose value is
//! withheld makes its row all the same; constants make none. A row comes and goes whole. A column of a stale source keeps
//! its rows if it is to Hold; a row that is not on a good page goes, Hold or not, unless another column has it.
//!
//! | index | sub-identifiers |
//! |---|---|
//! | Integer | decimal digits without leading zeros, 0 to 2³¹ − 1: one |
//! | String, ImpliedString | one per octet of the text's UTF-8, with and without their count before them |
//! | IpAddress | four |
//! | Hash | 1 + (64-bit FNV-1a of the text, modulo 2³¹ − 1): the same in every pod, for ever |
//! | Assigned | 1, 2, 3, … in the order of first appearance: by the page, metric after metric; see [`Assignments`] |
//! | Pod | the pod's own, [`pod_index`] |
//!
//! An instance of more than 128 sub-identifiers is withheld with its row, and so is a row with an index text of more
//! than 1,024 octets. Of rows with the same index, as when two texts have one hash, the first in text order is shown
//! and the others are withheld. All of it is [counted](Counts).
//!
//! # Sources
//!
//! The values of a good scrape stand until the source's `staleAfter` has passed; a failed one changes nothing. Then they
//! are missing. Samples about the source itself ([`HEALTH_METRICS`]) come with every report, good or bad: an object that
//! names one takes it from the sidecar and never from the page, and it never goes stale.

mod aggregate;
mod assigned;
mod cells;
mod counter;
mod counts;
mod index;
mod ledger;
mod matcher;
mod number;
mod object;
mod page;
mod pod;
mod quantile;
mod rate;
mod region;
mod rows;
mod series;
mod syntax;
mod table;
mod take;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use agentx::{DisplayArcs, Oid, SubId, ValueRef};
use sidecar_config::{Subtree, Valid, Value, Violation};

pub use self::{
    assigned::Assignments,
    counts::{Count, Counts, Reason},
    pod::pod_index,
    region::Region,
};
use self::{object::Object, page::Page, rows::Single, table::Table};
use crate::{
    give_way::GiveWay,
    mib_view::{MibView, PushError, Size},
    sample::Samples,
    source::HEALTH_METRICS,
};

/// One subtree: its objects, and all that is remembered of its samples.
#[derive(Debug)]
pub struct Mapper {
    subtree: Valid,
    sources: Vec<Source>,
    scalars: Vec<Scalar>,
    tables: Vec<Table>,
    /// Scalars and columns in the order of their OIDs.
    order: Vec<Place>,
    declared: Vec<Oid>,
    assignments: Assignments,
    counts: Counts,
    /// The first time that was observed: all others count from there.
    epoch: Option<Instant>,
    /// The size of the last view.
    last_view: Size,
}

#[derive(Debug)]
struct Source {
    stale_after: Duration,
    last_success: Option<Instant>,
    /// The objects that are made from its pages, and those from the sidecar's own samples about it.
    page: Vec<Place>,
    health: Vec<Place>,
}

#[derive(Debug)]
struct Scalar {
    /// Its arcs below the base.
    arcs: Oid,
    object: Object,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Scalar(usize),
    /// Table and column.
    Column(usize, usize),
}

fn is_health(metric: &str) -> bool {
    HEALTH_METRICS.contains(&metric)
}

/// Whether the object's latest samples still stand.
fn is_fresh(sources: &[Source], object: &Object, now: Instant) -> bool {
    let stale_at = object.source().and_then(|source| sources.get(source)).and_then(Source::stale_at);
    is_health(object.metric_name()) || stale_at.is_none_or(|stale| now < stale)
}

impl Mapper {
    /// Compiles a subtree for the pod with this index, with the numbers assigned before.
    ///
    /// # Errors
    /// The first thing in the document that cannot be: a source that is not there, a regular expression that does not
    /// compile, a constant that does not read as its object's syntax, an object within another.
    pub fn new(subtree: Valid, pod_index: SubId, mut assigned: Assignments) -> Result<Self, Violation> {
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
        assigned.keep(&names);
        let sources = subtree.sources.iter().map(|source| Source {
            stale_after: Duration::from_millis(source.stale_after_ms),
            last_success: None,
            page: Vec::new(),
            health: Vec::new(),
        });
        let mut mapper = Self {
            sources: sources.collect(),
            scalars,
            tables,
            order: Vec::new(),
            declared: Vec::new(),
            assignments: assigned,
            counts: Counts::default(),
            epoch: None,
            last_view: Size::default(),
            subtree,
        };
        mapper.arrange()?;
        Ok(mapper)
    }

    /// Puts the objects in order, and under their sources.
    fn arrange(&mut self) -> Result<(), Violation> {
        let mut objects: Vec<(Oid, Place)> = Vec::new();
        let oid = |path: String, arcs: &[SubId]| {
            Oid::try_from(arcs).map_err(|error| Violation { path, message: error.to_string() })
        };
        for (i, scalar) in self.subtree.scalars.iter().enumerate() {
            objects.push((oid(format!("scalars[{i}].oid"), &scalar.oid)?, Place::Scalar(i)));
        }
        for (i, table) in self.tables.iter().enumerate() {
            for (j, column) in table.columns().iter().enumerate() {
                let arcs = [table.entry(), &[column.arc]].concat();
                objects.push((oid(format!("tables[{i}].oid"), &arcs)?, Place::Column(i, j)));
            }
        }
        objects.sort();
        for pair in objects.windows(2) {
            if let [(outer, _), (inner, place)] = pair
                && inner.starts_with(outer)
            {
                let path = match place {
                    Place::Scalar(i) => format!("scalars[{i}].oid"),
                    Place::Column(i, _) => format!("tables[{i}].oid"),
                };
                return Err(Violation { path, message: format!("{inner} lies within the object {outer}") });
            }
        }
        for (_, place) in &objects {
            let Some(object) = self.object(*place) else { continue };
            let health = is_health(object.metric_name());
            if let Some(source) = object.source().and_then(|source| self.sources.get_mut(source)) {
                if health { source.health.push(*place) } else { source.page.push(*place) }
            }
        }
        (self.declared, self.order) = objects.into_iter().unzip();
        Ok(())
    }

    fn object(&self, place: Place) -> Option<&Object> {
        match place {
            Place::Scalar(i) => self.scalars.get(i).map(|scalar| &scalar.object),
            Place::Column(i, j) => self.tables.get(i)?.columns().get(j).map(|column| &column.object),
        }
    }

    /// Takes over what the mapper of the same subtree `before` a change remembers, as far as the change leaves it alone:
    /// the values of scalars and tables that are declared as they were, from sources that are as they were. Neither do
    /// these vanish until the next scrape, nor do counters fall. For the same pod only.
    pub fn inherit(&mut self, before: Self) {
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
            let mut known = before.sources.iter().zip(&old.sources);
            if let Some((known, _)) =
                known.find(|(_, known)| known.name == declared.name && known.kind == declared.kind)
            {
                source.last_success = known.last_success;
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

    /// The subtree that it maps.
    #[must_use]
    pub fn subtree(&self) -> &Valid {
        &self.subtree
    }

    /// The names of all samples that are wanted of a source, by its number in the document.
    #[must_use]
    pub fn wanted(&self, source: usize) -> BTreeSet<String> {
        let places = self.sources.get(source).map(|source| source.page.as_slice()).unwrap_or_default();
        let objects = places.iter().filter_map(|place| self.object(*place));
        objects.flat_map(Object::sample_names).map(str::to_owned).collect()
    }

    /// Takes a scrape of the source with this number, done `at` this time: its samples, or `None` where it failed; and
    /// the sidecar's own samples about the source.
    pub fn observe(&mut self, source: usize, samples: Option<&Samples>, health: &Samples, at: Instant) {
        let since = at.saturating_duration_since(*self.epoch.get_or_insert(at));
        let Some(known) = self.sources.get_mut(source) else { return };
        self.counts.begin();
        self.assignments.begin();
        let (of_health, of_page) = (known.health.clone(), known.page.clone());
        if samples.is_some() {
            known.last_success = Some(at);
        }
        self.take(health, of_health, since);
        if let Some(samples) = samples {
            self.take(samples, of_page, since);
        }
    }

    fn take(&mut self, samples: &Samples, mut places: Vec<Place>, at: Duration) {
        if places.is_empty() {
            return;
        }
        let page = Page::new(samples);
        // Rows are numbered as they come: in the order of the page.
        places.sort_by_cached_key(|place| {
            let names = self.object(*place).into_iter().flat_map(Object::sample_names);
            names.map(|name| page.position(name)).min()
        });
        for place in &places {
            match *place {
                Place::Scalar(i) => {
                    if let Some(scalar) = self.scalars.get_mut(i) {
                        scalar.object.observe(&page, at, &mut Single, &mut self.counts);
                    }
                }
                Place::Column(i, j) => {
                    if let Some(table) = self.tables.get_mut(i) {
                        table.observe(j, &page, at, &mut self.assignments, &mut self.counts);
                    }
                }
            }
        }
        let touched: BTreeSet<_> = places
            .iter()
            .filter_map(|place| match place {
                Place::Column(table, _) => Some(*table),
                Place::Scalar(_) => None,
            })
            .collect();
        for table in touched {
            if let Some(table) = self.tables.get_mut(table) {
                table.end(&mut self.counts);
            }
        }
    }

    /// All instances as they are now.
    #[must_use]
    pub fn view(&mut self, now: Instant) -> MibView {
        let mut view = MibView::with_capacity(self.subtree.oid.clone(), self.declared.clone(), self.last_view);
        let fresh = |object: &Object| is_fresh(&self.sources, object, now);
        let rows: Vec<_> = self.tables.iter().map(|table| table.shown(fresh)).collect();
        let mut arcs = Vec::with_capacity(Oid::MAX_LEN);
        let mut give_way = GiveWay::default();
        let mut push = |object: &[SubId], index: &[SubId], value: ValueRef<'_>| {
            give_way.step();
            if let Err(error) = view.push(object, index, value) {
                let reason = if matches!(error, PushError::TooLong(_)) { Reason::RowTooLong } else { Reason::ViewFull };
                self.counts.add(reason, || DisplayArcs(&[object, index].concat()).to_string());
            }
        };
        for place in &self.order {
            match *place {
                Place::Scalar(i) => {
                    let Some(Scalar { arcs, object }) = self.scalars.get(i) else { continue };
                    if let Some(value) = object.shows(0, fresh(object)) {
                        push(arcs, &[0], value);
                    }
                }
                Place::Column(i, j) => {
                    let (Some(table), Some(rows)) = (self.tables.get(i), rows.get(i)) else { continue };
                    table.instances(j, rows, fresh, &mut arcs, &mut push);
                }
            }
        }
        self.last_view = view.size();
        view
    }

    /// When the view next changes without a new scrape, as values go stale; `None`: not before one.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        self.sources.iter().filter_map(Source::stale_at).filter(|stale| *stale > now).min()
    }

    /// What was withheld or changed so far, and why.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The numbers of `Assigned` indexes: to be saved when they have [`changed`](Assignments::changed).
    #[must_use]
    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// Notes that the assignments have been saved as they are.
    pub fn assignments_saved(&mut self) {
        self.assignments.saved();
    }

    /// What to register with the master: the whole subtree, and for each table whose first index is the pod's own this
    /// pod's rows.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
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
