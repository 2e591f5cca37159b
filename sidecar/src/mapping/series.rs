//! State per series that is kept from scrape to scrape, without the labels of the series.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
};

use super::retention::{self, MIN_REMEMBERED, Renumbering};
use crate::sample::{Labels, TEXT};

/// State `T` for each series of an object, in the order in which the series first appeared.
///
/// A series is identified by a 64-bit hash of its labels. The hash has a random key, so that an attacker cannot
/// construct a collision. Sources keep their order from scrape to scrape, so the next series is nearly always the next
/// entry. An index is built only during a scrape with another order, and is dropped at its end.
#[derive(Debug)]
pub(super) struct Series<T> {
    entries: Vec<Entry<T>>,
    /// The entry that is expected next.
    next: usize,
    index: Option<HashMap<u64, usize>>,
    hasher: RandomState,
}

/// One series.
#[derive(Debug)]
pub(super) struct Entry<T> {
    key: u64,
    /// The row that the series belongs to.
    pub(super) row: u32,
    /// The number of scrapes since the series was last seen. 0: it is in the current scrape.
    pub(super) unseen: u16,
    pub(super) state: T,
}

/// The result of looking up the series of a sample.
pub(super) enum Lookup<'a, T> {
    /// A remembered series, seen for the first time in this scrape.
    Known(&'a mut T),
    /// A new series, which was added.
    New,
    /// A series that was already seen in this scrape.
    Duplicate,
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: 0, index: None, hasher: RandomState::new() }
    }
}

impl<T> Series<T> {
    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        for entry in &mut self.entries {
            entry.unseen = entry.unseen.saturating_add(1);
        }
        self.next = 0;
    }

    /// Ends a scrape and drops the index.
    pub(super) fn end(&mut self) {
        self.index = None;
        self.entries.shrink_to(self.entries.len() + self.entries.len() / 8);
    }

    /// Finds the series with these labels, or adds it with the state that `new` returns.
    pub(super) fn find(&mut self, labels: &Labels<'_>, row: u32, new: impl FnOnce() -> T) -> Lookup<'_, T> {
        let key = self.key(labels);
        let position = match self.entries.get(self.next) {
            Some(entry) if entry.key == key => Some(self.next),
            _ => self.index().get(&key).copied(),
        };
        let Some(position) = position else {
            let added = self.entries.len();
            self.index().insert(key, added);
            self.entries.push(Entry { key, row, unseen: 0, state: new() });
            self.next = added + 1;
            return Lookup::New;
        };
        self.next = position + 1;
        match self.entries.get_mut(position) {
            Some(entry) if entry.unseen > 0 => {
                entry.unseen = 0;
                entry.row = row;
                Lookup::Known(&mut entry.state)
            }
            _ => Lookup::Duplicate,
        }
    }

    fn index(&mut self) -> &mut HashMap<u64, usize> {
        let entries = &self.entries;
        self.index.get_or_insert_with(|| entries.iter().enumerate().map(|(i, entry)| (entry.key, i)).collect())
    }

    fn key(&self, labels: &Labels<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        // The text of a sample is its value, not part of its identity.
        for label in labels.iter().filter(|(name, text)| !text.is_empty() && *name != TEXT) {
            label.hash(&mut hasher);
        }
        std::hash::Hasher::finish(&hasher)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// Forgets the series for which `keep` returns false.
    pub(super) fn retain(&mut self, keep: impl FnMut(&mut Entry<T>) -> bool) {
        self.entries.retain_mut(keep);
    }

    /// Applies the new row numbers, and forgets the series of rows that were forgotten.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        self.entries.retain_mut(|entry| {
            let new = rows.number(entry.row);
            entry.row = new.unwrap_or(entry.row);
            new.is_some()
        });
    }

    /// Returns for how many scrapes a series may be absent so that no more absent series remain than are present, or
    /// [`MIN_REMEMBERED`]. `None`: all may remain.
    pub(super) fn max_unseen(&self) -> Option<u16> {
        let present = self.entries.iter().filter(|entry| entry.unseen == 0).count();
        retention::max_unseen(self.entries.iter().map(|entry| entry.unseen), present.max(MIN_REMEMBERED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Number, Samples};

    fn labelled(texts: &[&str]) -> Samples {
        let mut samples = Samples::new();
        for text in texts {
            samples.push("m", [("a", *text), ("b", "")], Number::Signed(0)).unwrap();
        }
        samples
    }

    /// Runs one scrape. Returns for each sample what was found: the text with which the series was added.
    fn scrape(series: &mut Series<String>, texts: &[&str]) -> Vec<String> {
        series.begin();
        let found = labelled(texts)
            .iter()
            .zip(texts)
            .map(|(sample, text)| match series.find(&sample.labels, 0, || (*text).to_owned()) {
                Lookup::Known(state) => state.clone(),
                Lookup::New => "new".to_owned(),
                Lookup::Duplicate => "duplicate".to_owned(),
            })
            .collect();
        series.end();
        found
    }

    #[test]
    fn a_series_is_found_in_any_order_of_samples() {
        let mut series = Series::default();
        assert_eq!(scrape(&mut series, &["x", "y", "z"]), ["new", "new", "new"]);
        assert_eq!(scrape(&mut series, &["x", "y", "z"]), ["x", "y", "z"]);
        assert_eq!(scrape(&mut series, &["z", "x"]), ["z", "x"]);
        assert_eq!(scrape(&mut series, &["x", "w", "y", "z", "x"]), ["x", "new", "y", "z", "duplicate"]);
        assert_eq!(scrape(&mut series, &["x", "w", "y", "z"]), ["x", "w", "y", "z"]);
    }

    #[test]
    fn an_empty_label_counts_as_absent() {
        let mut series = Series::default();
        assert_eq!(scrape(&mut series, &["x"]), ["new"]);
        let mut samples = Samples::new();
        samples.push("m", [("a", "x")], Number::Signed(0)).unwrap();
        series.begin();
        assert!(matches!(series.find(&samples.get(0).unwrap().labels, 0, String::new), Lookup::Known(_)));
    }
}
