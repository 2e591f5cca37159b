//! A conceptual table with its rows and columns.

use std::time::Duration;

use agentx::{SubId, ValueRef};
use sidecar_config::{IndexEncoding, IndexKind, Subtree, Table as Declared, Violation};

use super::{
    assignments::Assignments,
    counts::{Counts, Reason},
    object::Object,
    region::Region,
    rows::{self, Rows},
    samples_by_name::SamplesByName,
};

/// A table and its values.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    /// The arcs of the entry, below the base OID.
    entry: Vec<SubId>,
    rows: Rows,
    /// In ascending order.
    columns: Vec<Column>,
    /// The index of the pod, if it is the first index of the table.
    pod: Option<SubId>,
}

/// A column: its arc below the entry, and its object.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) arc: SubId,
    pub(super) object: Object,
}

impl Table {
    /// Compiles the table at `path` of the document.
    ///
    /// # Errors
    /// Returns the first violation in one of the columns.
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

    /// Returns the names of the table's `Assigned` indexes in [`Assignments`].
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

    /// Takes over the rows and values of a table with the same declaration.
    pub(super) fn inherit(&mut self, before: Self) {
        let before_columns = before.columns.into_iter().map(|column| column.object);
        for (column, mut object) in self.columns.iter_mut().zip(before_columns) {
            object.set_source(column.object.source());
            column.object = object;
        }
        self.rows = before.rows;
    }

    /// Processes the samples of one column in a scrape.
    pub(super) fn observe(
        &mut self,
        column: usize,
        samples: &SamplesByName<'_>,
        at: Duration,
        assignments: &mut Assignments,
        counts: &mut Counts,
    ) {
        let mut rows = rows::TableRows { rows: &mut self.rows, assignments };
        if let Some(column) = self.columns.get_mut(column) {
            column.object.observe(samples, at, &mut rows, counts);
        }
    }

    /// Ends a scrape: forgets rows that have been absent too long, and counts rows with the same index.
    pub(super) fn end(&mut self, counts: &mut Counts) {
        let present = self.present(|_| true);
        if let Some(renumbering) = self.rows.end(&present) {
            for column in &mut self.columns {
                column.object.renumber(&renumbering);
            }
        }
        let present = self.present(|_| true);
        self.rows.shown(&present, |row| {
            counts.add(Reason::IndexCollision, || format!("{} of {}", self.name, self.rows.describe(row)));
        });
    }

    /// Returns for each row whether it is present. `fresh` returns whether the samples of an object are still valid.
    fn present(&self, fresh: impl Fn(&Object) -> bool) -> Vec<bool> {
        let mut present = vec![false; self.rows.len()];
        for column in &self.columns {
            let fresh = fresh(&column.object);
            for (row, present) in (0..).zip(&mut present) {
                *present = *present || column.object.has_row(row, fresh);
            }
        }
        present
    }

    /// Returns the rows to show, sorted by index. `fresh` returns whether the samples of an object are still valid.
    pub(super) fn shown(&self, fresh: impl Fn(&Object) -> bool) -> Vec<u32> {
        self.rows.shown(&self.present(fresh), |_| {})
    }

    /// Calls `push` with each instance of a column in these rows: the arcs of the column below the base OID, the index
    /// of the row, and the value. `fresh` returns whether the samples of an object are still valid. `arcs` is a buffer.
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
            if let Some(value) = object.value(*row, fresh) {
                push(arcs, self.rows.index(*row), value);
            }
        }
    }

    /// Returns the number of present and remembered rows.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.rows.len()
    }

    /// Returns the region of this pod's rows, if the table is shared by several pods.
    pub(super) fn region(&self, base: &[SubId]) -> Option<Region> {
        let columns: Vec<_> = self.columns.iter().map(|column| column.arc).collect();
        Region::rows(&[base, &self.entry].concat(), &columns, self.pod?)
    }
}
