//! Turns samples into views.
mod aggregate;
mod assigned;
mod cells;
mod counter;
mod counts;
mod index;
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

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use agentx::{DisplayArcs, Oid, SubId, ValueRef};
use sidecar_config::{Valid, Violation};

pub use self::{
    assigned::Assignments,
    counts::{Count, Counts, Reason},
    pod::pod_index,
    region::Region,
};
use self::{object::Object, page::Page, rows::Single, table::Table};
use crate::{
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
    /// The arcs of its one instance, below the base.
    instance: Vec<SubId>,
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
            let object = Object::new(&scalar.name, scalar.syntax, &scalar.value, &path, source)?;
            scalars.push(Scalar { instance: [scalar.oid.as_slice(), &[0]].concat(), object });
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
        let mut suffix = Vec::with_capacity(Oid::MAX_LEN);
        let mut push = |suffix: &[SubId], value: ValueRef<'_>| {
            if let Err(error) = view.push(suffix, value) {
                let reason = if matches!(error, PushError::TooLong(_)) { Reason::RowTooLong } else { Reason::ViewFull };
                self.counts.add(reason, || DisplayArcs(suffix).to_string());
            }
        };
        for place in &self.order {
            match *place {
                Place::Scalar(i) => {
                    let Some(Scalar { instance, object }) = self.scalars.get(i) else { continue };
                    if let Some(value) = object.shows(0, fresh(object)) {
                        push(instance, value);
                    }
                }
                Place::Column(i, j) => {
                    let (Some(table), Some(rows)) = (self.tables.get(i), rows.get(i)) else { continue };
                    table.instances(j, rows, fresh, &mut suffix, &mut push);
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
