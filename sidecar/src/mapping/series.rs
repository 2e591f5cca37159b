//! What is remembered of each series from scrape to scrape, without its labels.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
};

use super::rows::Renumbering;
use crate::sample::{Labels, TEXT};

/// Of series that are gone so many are remembered, or as many as are there: labels that are others in each scrape take
/// no more memory than that.
pub(super) const GONE: usize = 1024;

/// State `T` for each of an object's series: one flat list in the order in which the series first came.
///
/// A series is known by a 64-bit hash of its labels, keyed at random, so that no one can make two meet. Pages keep
/// their order from scrape to scrape, so the next series is nearly always the next entry; an index is built only in a
/// scrape in which one is not, and dropped at its end.
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
    /// The row that it belongs to.
    pub(super) row: u32,
    /// How many scrapes have gone by without it: 0, it is in the current one.
    pub(super) unseen: u16,
    pub(super) state: T,
}

/// Where a sample stands among the series known.
pub(super) enum Found<'a, T> {
    /// Known, and now seen.
    Known(&'a mut T),
    /// Not known so far: added.
    New,
    /// Already seen in this scrape.
    Twice,
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

    /// Ends a scrape: drops what was needed for finding.
    pub(super) fn end(&mut self) {
        self.index = None;
        self.entries.shrink_to(self.entries.len() + self.entries.len() / 8);
    }

    /// Finds the series with these labels, or adds it with the state `new`.
    pub(super) fn find(&mut self, labels: &Labels<'_>, row: u32, new: impl FnOnce() -> T) -> Found<'_, T> {
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
            return Found::New;
        };
        self.next = position + 1;
        match self.entries.get_mut(position) {
            Some(entry) if entry.unseen > 0 => {
                entry.unseen = 0;
                entry.row = row;
                Found::Known(&mut entry.state)
            }
            _ => Found::Twice,
        }
    }

    fn index(&mut self) -> &mut HashMap<u64, usize> {
        let entries = &self.entries;
        self.index.get_or_insert_with(|| entries.iter().enumerate().map(|(i, entry)| (entry.key, i)).collect())
    }

    fn key(&self, labels: &Labels<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        // A text is what the sample holds, and not what it is known by.
        for label in labels.iter().filter(|(name, text)| !text.is_empty() && *name != TEXT) {
            label.hash(&mut hasher);
        }
        std::hash::Hasher::finish(&hasher)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// Forgets the series that `keep` does not keep.
    pub(super) fn retain(&mut self, keep: impl FnMut(&mut Entry<T>) -> bool) {
        self.entries.retain_mut(keep);
    }

    /// Follows the rows to their new numbers, and forgets the series of those that are gone.
    pub(super) fn renumber(&mut self, rows: &Renumbering) {
        self.entries.retain_mut(|entry| {
            let new = rows.number(entry.row);
            entry.row = new.unwrap_or(entry.row);
            new.is_some()
        });
    }

    /// How many scrapes a series may be gone at most, so that those gone are no more than are there, or [`GONE`].
    pub(super) fn patience(&self) -> Option<u16> {
        let there = self.entries.iter().filter(|entry| entry.unseen == 0).count();
        patience(self.entries.iter().map(|entry| entry.unseen), there.max(GONE))
    }
}

/// The most scrapes that something may have been `unseen` for no more than `limit` of them to stay; `None`, all may.
pub(super) fn patience(unseen: impl Iterator<Item = u16>, limit: usize) -> Option<u16> {
    let mut gone: Vec<u16> = unseen.filter(|unseen| *unseen > 0).collect();
    if gone.len() <= limit {
        return None;
    }
    // Those that go are exactly the ones beyond the limit or tied with the first of them.
    let (_, first_to_go, _) = gone.select_nth_unstable(limit);
    Some(first_to_go.saturating_sub(1))
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

    /// One scrape: what each sample found, as the text that the series came with first.
    fn scrape(series: &mut Series<String>, texts: &[&str]) -> Vec<String> {
        series.begin();
        let found = labelled(texts)
            .iter()
            .zip(texts)
            .map(|(sample, text)| match series.find(&sample.labels, 0, || (*text).to_owned()) {
                Found::Known(state) => state.clone(),
                Found::New => "new".to_owned(),
                Found::Twice => "twice".to_owned(),
            })
            .collect();
        series.end();
        found
    }

    #[test]
    fn a_series_is_found_again_whatever_the_order_of_the_page() {
        let mut series = Series::default();
        assert_eq!(scrape(&mut series, &["x", "y", "z"]), ["new", "new", "new"]);
        assert_eq!(scrape(&mut series, &["x", "y", "z"]), ["x", "y", "z"]);
        assert_eq!(scrape(&mut series, &["z", "x"]), ["z", "x"]);
        assert_eq!(scrape(&mut series, &["x", "w", "y", "z", "x"]), ["x", "new", "y", "z", "twice"]);
        assert_eq!(scrape(&mut series, &["x", "w", "y", "z"]), ["x", "w", "y", "z"]);
    }

    #[test]
    fn an_empty_label_is_an_absent_one() {
        let mut series = Series::default();
        assert_eq!(scrape(&mut series, &["x"]), ["new"]);
        let mut samples = Samples::new();
        samples.push("m", [("a", "x")], Number::Signed(0)).unwrap();
        series.begin();
        assert!(matches!(series.find(&samples.get(0).unwrap().labels, 0, String::new), Found::Known(_)));
    }

    #[test]
    fn of_those_gone_the_longest_gone_go_first() {
        let patience = |unseen: &[u16], limit| super::patience(unseen.iter().copied(), limit);
        assert_eq!(patience(&[0, 0, 3, 1], 2), None);
        assert_eq!(patience(&[0, 5, 3, 1], 2), Some(4), "5 goes, 1 and 3 stay");
        assert_eq!(patience(&[0, 3, 3, 3], 2), Some(2), "those that tie go together");
    }
}
