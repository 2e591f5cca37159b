//! The rows of a table: which there are, and under which index.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    ops::Range,
};

use agentx::SubId;
use sidecar_config::{Index, IndexEncoding, IndexKind};

use super::{assigned::Assignments, counts::Counts, counts::Reason, index, series};
use crate::sample::Labels;

/// Rows that are gone and yet remembered, so that their counters go on when they come back, at the least.
const GONE: usize = 1024;

/// Finds the row that a sample belongs to.
pub(super) trait Locate {
    /// The row's number. `None`: the sample makes no row, which is counted.
    fn locate(&mut self, labels: &Labels<'_>, object: &str, counts: &mut Counts) -> Option<u32>;

    /// The index texts of a row, for people.
    fn describe(&self, row: u32) -> String;
}

/// The one row of a scalar.
pub(super) struct Single;

impl Locate for Single {
    fn locate(&mut self, _: &Labels<'_>, _: &str, _: &mut Counts) -> Option<u32> {
        Some(0)
    }

    fn describe(&self, _: u32) -> String {
        String::new()
    }
}

/// All rows of a table that are there or remembered, each known by the texts of its index labels.
#[derive(Debug)]
pub(super) struct Rows {
    parts: Vec<Part>,
    /// The most arcs that an index can have in this table.
    room: usize,
    hasher: RandomState,
    by_hash: HashMap<u64, u32>,
    known: Vec<Row>,
    /// Of each row the label texts, each followed by [`END`].
    keys: Vec<u8>,
    /// Of each row the index.
    arcs: Vec<SubId>,
    /// All rows by index, then by texts.
    order: Vec<u32>,
}

/// An octet that is in no UTF-8 text.
const END: u8 = 0xff;

#[derive(Debug)]
enum Part {
    Pod(SubId),
    Label {
        label: String,
        encoding: IndexEncoding,
        /// Its name among the [`Assignments`].
        index: String,
    },
}

#[derive(Debug, Clone)]
struct Row {
    hash: u64,
    key: Range<u32>,
    arcs: Range<u32>,
    /// How many scrapes have gone by without it.
    unseen: u16,
}

/// New numbers for rows, after some were forgotten.
pub(super) struct Renumbering(Vec<Option<u32>>);

impl Renumbering {
    /// The row's new number, if it is still there.
    pub(super) fn number(&self, row: u32) -> Option<u32> {
        self.0.get(row as usize).copied().flatten()
    }

    /// Keeps of a list with one item per row what is still there.
    pub(super) fn keep<T>(&self, items: &mut Vec<T>) {
        let mut new = self.0.iter();
        items.retain(|_| new.next().is_some_and(Option::is_some));
    }
}

/// The name of an index among the [`Assignments`].
pub(super) fn assignment_name(table: &str, index: &Index) -> String {
    format!("{table}.{}", index.name)
}

fn slice<'a, T>(arena: &'a [T], range: &Range<u32>) -> &'a [T] {
    arena.get(range.start as usize..range.end as usize).unwrap_or_default()
}

impl Rows {
    /// No rows so far, of a table whose instances have `prefix` arcs before their index.
    pub(super) fn new(table: &str, indexes: &[Index], pod: SubId, prefix: usize) -> Self {
        let part = |index: &Index| match &index.kind {
            IndexKind::Pod {} => Part::Pod(pod),
            IndexKind::Label { label, encoding } => {
                Part::Label { label: label.clone(), encoding: *encoding, index: assignment_name(table, index) }
            }
        };
        Self {
            parts: indexes.iter().map(part).collect(),
            room: agentx::Oid::MAX_LEN.saturating_sub(prefix),
            hasher: RandomState::new(),
            by_hash: HashMap::new(),
            known: Vec::new(),
            keys: Vec::new(),
            arcs: Vec::new(),
            order: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The row's index.
    pub(super) fn index(&self, row: u32) -> &[SubId] {
        self.known.get(row as usize).map(|row| slice(&self.arcs, &row.arcs)).unwrap_or_default()
    }

    fn key(&self, row: u32) -> &[u8] {
        self.known.get(row as usize).map(|row| slice(&self.keys, &row.key)).unwrap_or_default()
    }

    /// The label texts of a row, the pod's own index left out.
    fn texts(&self, row: u32) -> impl Iterator<Item = &[u8]> {
        self.key(row).split_inclusive(|octet| *octet == END).map(|text| text.strip_suffix(&[END]).unwrap_or(text))
    }

    pub(super) fn describe(&self, row: u32) -> String {
        let texts: Vec<_> = self.texts(row).map(|text| format!("{:?}", String::from_utf8_lossy(text))).collect();
        texts.join(", ")
    }

    /// The row of these labels, made if there is none yet.
    fn locate(&mut self, labels: &Labels<'_>, assignments: &mut Assignments) -> Result<u32, Reason> {
        // The key is written where it would stay, and taken back where the row is known.
        let start = self.keys.len();
        let found = self.find(start, labels, assignments);
        if found.is_err()
            || found.is_ok_and(|row| self.known.get(row as usize).is_some_and(|row| row.key.start as usize != start))
        {
            self.keys.truncate(start);
        }
        found
    }

    fn find(&mut self, start: usize, labels: &Labels<'_>, assignments: &mut Assignments) -> Result<u32, Reason> {
        for part in &self.parts {
            if let Part::Label { label, .. } = part {
                self.keys.extend_from_slice(labels.get(label).ok_or(Reason::NoIndexLabel)?.as_bytes());
                self.keys.push(END);
            }
        }
        let key = self.keys.get(start..).unwrap_or_default();
        let hash = self.hasher.hash_one(key);
        match self.by_hash.get(&hash) {
            Some(row) if self.key(*row) == key => Ok(*row),
            // Two texts with one 64-bit hash: as good as never.
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
        if arcs.len() > self.room {
            return Err(Reason::RowTooLong);
        }
        let full = |_| Reason::ViewFull;
        let row = u32::try_from(self.known.len()).map_err(full)?;
        let arcs_start = u32::try_from(self.arcs.len()).map_err(full)?;
        let arcs_end = u32::try_from(self.arcs.len() + arcs.len()).map_err(full)?;
        let key = u32::try_from(key_start).map_err(full)?..u32::try_from(self.keys.len()).map_err(full)?;
        self.arcs.extend(arcs);
        self.known.push(Row { hash, key, arcs: arcs_start..arcs_end, unseen: 0 });
        self.by_hash.insert(hash, row);
        Ok(row)
    }

    /// The texts that all rows have at one part of the index.
    fn texts_of_part(&self, part: usize) -> HashSet<String> {
        let label = self.parts.iter().take(part).filter(|part| matches!(part, Part::Label { .. })).count();
        let rows = 0..u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        rows.filter_map(|row| Some(String::from_utf8_lossy(self.texts(row).nth(label)?).into_owned())).collect()
    }

    /// Ends a scrape after which these rows are there. Of those gone no more are remembered than are there, or [`GONE`];
    /// where some are forgotten, the others' new numbers.
    pub(super) fn end(&mut self, there: &[bool]) -> Option<Renumbering> {
        for (i, row) in self.known.iter_mut().enumerate() {
            row.unseen = if there.get(i).is_some_and(|there| *there) { 0 } else { row.unseen.saturating_add(1) };
        }
        let limit = there.iter().filter(|there| **there).count().max(GONE);
        let renumbering =
            series::patience(self.known.iter().map(|row| row.unseen), limit).map(|patience| self.forget(patience));
        if self.order.len() != self.known.len() || renumbering.is_some() {
            self.sort();
        }
        renumbering
    }

    fn forget(&mut self, patience: u16) -> Renumbering {
        let keys = std::mem::take(&mut self.keys);
        let arcs = std::mem::take(&mut self.arcs);
        let old = std::mem::take(&mut self.known);
        self.by_hash.clear();
        let new = old.into_iter().map(|row| {
            let kept = row.unseen <= patience;
            kept.then(|| {
                let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
                let key = append(&mut self.keys, slice(&keys, &row.key));
                let arcs = append(&mut self.arcs, slice(&arcs, &row.arcs));
                self.by_hash.insert(row.hash, number);
                self.known.push(Row { key, arcs, ..row });
                number
            })
        });
        Renumbering(new.collect())
    }

    fn sort(&mut self) {
        let mut order: Vec<_> = (0..u32::try_from(self.known.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by(|a, b| {
            self.index(*a).cmp(self.index(*b)).then_with(|| self.texts(*a).cmp(self.texts(*b)))
        });
        self.order = order;
    }

    /// The rows to show, of those that are `there`, by index. Of rows with one index the first in text order is shown;
    /// `withheld` gets the others.
    pub(super) fn shown(&self, there: &[bool], mut withheld: impl FnMut(u32)) -> Vec<u32> {
        let mut shown: Vec<u32> = Vec::with_capacity(self.order.len());
        for row in self.order.iter().copied().filter(|row| there.get(*row as usize).is_some_and(|there| *there)) {
            if shown.last().is_some_and(|last| self.index(*last) == self.index(row)) {
                withheld(row);
            } else {
                shown.push(row);
            }
        }
        shown
    }
}

/// Appends to an arena that is no longer than the one that the items come from.
fn append<T: Copy>(arena: &mut Vec<T>, items: &[T]) -> Range<u32> {
    let start = u32::try_from(arena.len()).unwrap_or(u32::MAX);
    arena.extend_from_slice(items);
    start..u32::try_from(arena.len()).unwrap_or(u32::MAX)
}

/// A table's rows while a scrape is read.
pub(super) struct Reading<'a> {
    pub(super) rows: &'a mut Rows,
    pub(super) assignments: &'a mut Assignments,
}

impl Locate for Reading<'_> {
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
