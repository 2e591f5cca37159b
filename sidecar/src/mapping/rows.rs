//! The rows of a table and their indexes.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use agentx::SubId;
use sidecar_config::{Index, IndexEncoding, IndexKind};

use super::{
    assignments::Assignments,
    counts::{Counts, Reason},
    index,
    retention::{self, MIN_REMEMBERED, Renumbering},
};
use crate::sample::Labels;

/// The longest label text that makes a row, in octets. It bounds the memory of absent rows.
const MAX_LABEL_TEXT: usize = 1024;

/// A lookup of the rows of samples.
pub(super) trait LocateRow {
    /// Returns the number of the row that a sample with these labels belongs to. `None`: the sample makes no row. This
    /// is counted.
    fn locate(&mut self, labels: &Labels<'_>, object: &str, counts: &mut Counts) -> Option<u32>;

    /// Returns the index texts of a row, for messages.
    fn describe(&self, row: u32) -> String;
}

/// The single row of a scalar.
pub(super) struct ScalarRow;

impl LocateRow for ScalarRow {
    fn locate(&mut self, _: &Labels<'_>, _: &str, _: &mut Counts) -> Option<u32> {
        Some(0)
    }

    fn describe(&self, _: u32) -> String {
        String::new()
    }
}

/// All present and remembered rows of a table. The texts of the index labels identify a row.
#[derive(Debug)]
pub(super) struct Rows {
    parts: Vec<Part>,
    /// The maximum number of arcs of an index in this table.
    max_index_arcs: usize,
    hasher: RandomState,
    by_hash: HashMap<u64, u32>,
    entries: Vec<Row>,
    /// The label texts of all rows, each text followed by [`END`].
    keys: Vec<u8>,
    /// The indexes of all rows.
    arcs: Vec<SubId>,
    /// All row numbers, sorted by index, then by texts.
    order: Vec<u32>,
}

/// Terminates a text. This octet does not occur in UTF-8.
const END: u8 = 0xff;

#[derive(Debug)]
enum Part {
    Pod(SubId),
    Label {
        label: String,
        encoding: IndexEncoding,
        /// The name of the index in [`Assignments`].
        index: String,
    },
}

#[derive(Debug, Clone)]
struct Row {
    hash: u64,
    key: Range<u32>,
    arcs: Range<u32>,
    /// The number of scrapes since the row was last present.
    unseen: u16,
}

/// Returns the name of an index in [`Assignments`].
pub(super) fn assignment_name(table: &str, index: &Index) -> String {
    format!("{table}.{}", index.name)
}

fn slice<'a, T>(arena: &'a [T], range: &Range<u32>) -> &'a [T] {
    arena.get(range.start as usize..range.end as usize).unwrap_or_default()
}

impl Rows {
    /// Creates a table without rows, whose instances have `prefix` arcs before their index.
    pub(super) fn new(table: &str, indexes: &[Index], pod: SubId, prefix: usize) -> Self {
        let part = |index: &Index| match &index.kind {
            IndexKind::Pod {} => Part::Pod(pod),
            IndexKind::Label { label, encoding } => {
                Part::Label { label: label.clone(), encoding: *encoding, index: assignment_name(table, index) }
            }
        };
        Self {
            parts: indexes.iter().map(part).collect(),
            max_index_arcs: agentx::Oid::MAX_LEN.saturating_sub(prefix),
            hasher: RandomState::new(),
            by_hash: HashMap::new(),
            entries: Vec::new(),
            keys: Vec::new(),
            arcs: Vec::new(),
            order: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the index of the row.
    pub(super) fn index(&self, row: u32) -> &[SubId] {
        self.entries.get(row as usize).map(|row| slice(&self.arcs, &row.arcs)).unwrap_or_default()
    }

    fn key(&self, row: u32) -> &[u8] {
        self.entries.get(row as usize).map(|row| slice(&self.keys, &row.key)).unwrap_or_default()
    }

    /// Returns the label texts of a row, without the index of the pod.
    fn texts(&self, row: u32) -> impl Iterator<Item = &[u8]> {
        self.key(row).split_inclusive(|octet| *octet == END).map(|text| text.strip_suffix(&[END]).unwrap_or(text))
    }

    pub(super) fn describe(&self, row: u32) -> String {
        let texts: Vec<_> = self.texts(row).map(|text| format!("{:?}", String::from_utf8_lossy(text))).collect();
        texts.join(", ")
    }

    /// Returns the row with these labels. Adds it if it does not exist.
    fn locate(&mut self, labels: &Labels<'_>, assignments: &mut Assignments) -> Result<u32, Reason> {
        // `find` appends the key as for a new row. It is removed if no row was added.
        let start = self.keys.len();
        let found = self.find(start, labels, assignments);
        if found.is_err()
            || found.is_ok_and(|row| self.entries.get(row as usize).is_some_and(|row| row.key.start as usize != start))
        {
            self.keys.truncate(start);
        }
        found
    }

    fn find(&mut self, start: usize, labels: &Labels<'_>, assignments: &mut Assignments) -> Result<u32, Reason> {
        for part in &self.parts {
            if let Part::Label { label, .. } = part {
                let text = labels.get(label).ok_or(Reason::NoIndexLabel)?;
                if text.len() > MAX_LABEL_TEXT {
                    return Err(Reason::RowTooLong);
                }
                self.keys.extend_from_slice(text.as_bytes());
                self.keys.push(END);
            }
        }
        let key = self.keys.get(start..).unwrap_or_default();
        let hash = self.hasher.hash_one(key);
        match self.by_hash.get(&hash) {
            Some(row) if self.key(*row) == key => Ok(*row),
            // Two texts with the same 64-bit hash: practically impossible.
            Some(_) => Err(Reason::IndexCollision),
            None => self.add(start, hash, labels, assignments),
        }
    }

    fn add(
        &mut self,
        key_start: usize,
        hash: u64,
        labels: &Labels<'_>,
        assignments: &mut Assignments,
    ) -> Result<u32, Reason> {
        let mut arcs = Vec::new();
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Pod(pod) => arcs.push(*pod),
                Part::Label { label, encoding, index } => {
                    let text = labels.get(label).unwrap_or_default();
                    let assign = || assignments.assign(index, text, || self.texts_of_part(i));
                    if !index::encode(*encoding, text, assign, &mut arcs) {
                        let assigned = *encoding == IndexEncoding::Assigned;
                        return Err(if assigned { Reason::AssignmentsFull } else { Reason::BadIndex });
                    }
                }
            }
        }
        if arcs.len() > self.max_index_arcs {
            return Err(Reason::RowTooLong);
        }
        let full = |_| Reason::ViewFull;
        let row = u32::try_from(self.entries.len()).map_err(full)?;
        let arcs_start = u32::try_from(self.arcs.len()).map_err(full)?;
        let arcs_end = u32::try_from(self.arcs.len() + arcs.len()).map_err(full)?;
        let key = u32::try_from(key_start).map_err(full)?..u32::try_from(self.keys.len()).map_err(full)?;
        self.arcs.extend(arcs);
        self.entries.push(Row { hash, key, arcs: arcs_start..arcs_end, unseen: 0 });
        self.by_hash.insert(hash, row);
        Ok(row)
    }

    /// Returns the texts of all rows at one part of the index.
    fn texts_of_part(&self, part: usize) -> HashSet<String> {
        let label = self.parts.iter().take(part).filter(|part| matches!(part, Part::Label { .. })).count();
        let rows = 0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        rows.filter_map(|row| Some(String::from_utf8_lossy(self.texts(row).nth(label)?).into_owned())).collect()
    }

    /// Ends a scrape. `present` has for each row whether it is present.
    ///
    /// No more absent rows are remembered than are present, or [`MIN_REMEMBERED`]. If rows are forgotten, returns the
    /// new numbers of the others.
    pub(super) fn end(&mut self, present: &[bool]) -> Option<Renumbering> {
        for (i, row) in self.entries.iter_mut().enumerate() {
            row.unseen = if present.get(i).is_some_and(|present| *present) { 0 } else { row.unseen.saturating_add(1) };
        }
        let limit = present.iter().filter(|present| **present).count().max(MIN_REMEMBERED);
        let renumbering = retention::max_unseen(self.entries.iter().map(|row| row.unseen), limit)
            .map(|max_unseen| self.forget(max_unseen));
        if self.order.len() != self.entries.len() || renumbering.is_some() {
            self.sort();
        }
        renumbering
    }

    fn forget(&mut self, max_unseen: u16) -> Renumbering {
        let keys = std::mem::take(&mut self.keys);
        let arcs = std::mem::take(&mut self.arcs);
        let old = std::mem::take(&mut self.entries);
        self.by_hash.clear();
        let new = old.into_iter().map(|row| {
            let kept = row.unseen <= max_unseen;
            kept.then(|| {
                let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                let key = append(&mut self.keys, slice(&keys, &row.key));
                let arcs = append(&mut self.arcs, slice(&arcs, &row.arcs));
                self.by_hash.insert(row.hash, number);
                self.entries.push(Row { key, arcs, ..row });
                number
            })
        });
        Renumbering::new(new.collect())
    }

    fn sort(&mut self) {
        let mut order: Vec<_> = (0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by(|a, b| {
            self.index(*a).cmp(self.index(*b)).then_with(|| self.texts(*a).cmp(self.texts(*b)))
        });
        self.order = order;
    }

    /// Returns the present rows to show, sorted by index. If several rows have the same index, the first in text order
    /// is shown; `withheld` is called with the others.
    pub(super) fn shown(&self, present: &[bool], mut withheld: impl FnMut(u32)) -> Vec<u32> {
        let mut shown: Vec<u32> = Vec::with_capacity(self.order.len());
        for row in self.order.iter().copied().filter(|row| present.get(*row as usize).is_some_and(|present| *present)) {
            if shown.last().is_some_and(|last| self.index(*last) == self.index(row)) {
                withheld(row);
            } else {
                shown.push(row);
            }
        }
        shown
    }
}

/// Appends to an arena. It never exceeds `u32`, because it is not longer than the arena that the items come from.
fn append<T: Copy>(arena: &mut Vec<T>, items: &[T]) -> Range<u32> {
    let start = u32::try_from(arena.len()).unwrap_or(u32::MAX);
    arena.extend_from_slice(items);
    start..u32::try_from(arena.len()).unwrap_or(u32::MAX)
}

/// The rows of a table while a scrape is processed.
pub(super) struct TableRows<'a> {
    pub(super) rows: &'a mut Rows,
    pub(super) assignments: &'a mut Assignments,
}

impl LocateRow for TableRows<'_> {
    fn locate(&mut self, labels: &Labels<'_>, object: &str, counts: &mut Counts) -> Option<u32> {
        self.rows
            .locate(labels, self.assignments)
            .map_err(|reason| {
                counts.add(reason, || {
                    let labels: Vec<_> = labels.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
                    format!("{object} of {{{}}}", labels.join(", "))
                });
            })
            .ok()
    }

    fn describe(&self, row: u32) -> String {
        self.rows.describe(row)
    }
}
