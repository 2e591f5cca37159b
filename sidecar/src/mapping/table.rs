//! A conceptual table: its rows and columns.

use std::time::Duration;

use agentx::{SubId, ValueRef};
use sidecar_config::{IndexEncoding, IndexKind, Subtree, Table as Declared, Violation};

use super::{
    assigned::Assignments,
    counts::{Counts, Reason},
    object::Object,
    page::Page,
    region::Region,
    rows::{self, Rows},
};

/// A table, with its values.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    /// The arcs of the entry, below the subtree's base.
    entry: Vec<SubId>,
    rows: Rows,
    /// In ascending order.
    columns: Vec<Column>,
    /// The pod's index, where that is the first of the table's.
    pod: Option<SubId>,
}

/// A column: its arc below the entry, and its values.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) arc: SubId,
    pub(super) object: Object,
}

impl Table {
    /// Compiles the table at `path` of the document.
    ///
    /// # Errors
    /// Those of its columns.
    pub(super) fn new(
        subtree: &Subtree,
        table: &Declared,
        path: &str,
        pod_index: SubId,
        source: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, Violation> {
        let mut columns = Vec::with_capacity(table.columns.len());
        for (i, column) in table.columns.iter().enumerate() {
            let path = format!("{path}.columns[{i}].value");
            let object = Object::new(&column.name, column.syntax, &column.enumeration, &column.value, &path, &source)?;
            columns.push(Column { arc: column.oid, object });
        }
        columns.sort_by_key(|column| column.arc);
        let entry = [table.oid.as_slice(), &[1]].concat();
        let prefix = subtree.oid.len() + entry.len() + 1;
        let by_pod = matches!(table.index.first().map(|index| &index.kind), Some(IndexKind::Pod {}));
        Ok(Self {
            name: table.name.clone(),
            rows: Rows::new(&table.name, &table.index, pod_index, prefix),
            entry,
            columns,
            pod: by_pod.then_some(pod_index),
        })
    }

    /// The names of its `Assigned` indexes among the [`Assignments`].
    pub(super) fn assignment_names(table: &Declared) -> impl Iterator<Item = String> {
        let assigned = |kind: &IndexKind| matches!(kind, IndexKind::Label { encoding: IndexEncoding::Assigned, .. });
        table
            .index
            .iter()
            .filter(move |index| assigned(&index.kind))
            .map(|index| rows::assignment_name(&table.name, index))
    }

    pub(super) fn entry(&self) -> &[SubId] {
        &self.entry
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Takes over rows and values of a table that was declared as this one is.
    pub(super) fn inherit(&mut self, before: Self) {
        let before_columns = before.columns.into_iter().map(|column| column.object);
        for (column, mut object) in self.columns.iter_mut().zip(before_columns) {
            object.set_source(column.object.source());
            column.object = object;
        }
        self.rows = before.rows;
    }

    /// Takes the samples that one column has in a scrape.
    pub(super) fn observe(
        &mut self,
        column: usize,
        page: &Page<'_>,
        at: Duration,
        assignments: &mut Assignments,
        counts: &mut Counts,
    ) {
        let mut rows = rows::Reading { rows: &mut self.rows, assignments };
        if let Some(column) = self.columns.get_mut(column) {
            column.object.observe(page, at, &mut rows, counts);
        }
    }

    /// Ends a scrape: forgets what has long been gone, and counts the rows that collide.
    pub(super) fn end(&mut self, counts: &mut Counts) {
        let there = self.there(|_| true);
        if let Some(renumbering) = self.rows.end(&there) {
            for column in &mut self.columns {
                column.object.renumber(&renumbering);
            }
        }
        let there = self.there(|_| true);
        self.rows.shown(&there, |row| {
            counts.add(Reason::IndexCollision, || format!("{} of {}", self.name, self.rows.describe(row)));
        });
    }

    /// Which rows are there, given which objects are fresh.
    fn there(&self, fresh: impl Fn(&Object) -> bool) -> Vec<bool> {
        let mut there = vec![false; self.rows.len()];
        for column in &self.columns {
            let fresh = fresh(&column.object);
            for (row, there) in (0..).zip(&mut there) {
                *there = *there || column.object.has_row(row, fresh);
            }
        }
        there
    }

    /// The rows to show, by index, given which objects are fresh.
    pub(super) fn shown(&self, fresh: impl Fn(&Object) -> bool) -> Vec<u32> {
        self.rows.shown(&self.there(fresh), |_| {})
    }

    /// Pushes the instances of a column in these rows, given which objects are fresh: the column's arcs below the
    /// subtree's base, in the buffer `arcs`, the row's index, and the value.
    pub(super) fn instances(
        &self,
        column: usize,
        rows: &[u32],
        fresh: impl Fn(&Object) -> bool,
        arcs: &mut Vec<SubId>,
        mut push: impl FnMut(&[SubId], &[SubId], ValueRef<'_>),
    ) {
        let Some(Column { arc, object }) = self.columns.get(column) else { return };
        let fresh = fresh(object);
        arcs.clear();
        arcs.extend_from_slice(&self.entry);
        arcs.push(*arc);
        for row in rows {
            if let Some(value) = object.shows(*row, fresh) {
                push(arcs, self.rows.index(*row), value);
            }
        }
    }

    /// How many rows there are and are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.rows.len()
    }

    /// The region of this pod's rows, where pods share the table.
    pub(super) fn region(&self, base: &[SubId]) -> Option<Region> {
        let columns: Vec<_> = self.columns.iter().map(|column| column.arc).collect();
        Region::rows(&[base, &self.entry].concat(), &columns, self.pod?)
    }
}
