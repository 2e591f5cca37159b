//! A builder for the samples of JSON documents and rows, without duplicates and within limits.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
};

use super::{collection::Collection, error::SourceError};
use crate::sample::Number;

/// The maximum total length of all texts in one collection, in octets. The text of a label counts once per sample.
pub(super) const MAX_TEXTS: usize = 8 << 20;

/// The value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SampleValue<'a> {
    Number(Number),
    Text(&'a str),
}

/// A builder of a [`Collection`].
pub(super) struct CollectionBuilder {
    collection: Collection,
    limit: u64,
    /// The total length of all texts so far, in octets.
    text_octets: usize,
    /// The hashes of the series so far.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl CollectionBuilder {
    /// Creates a builder for at most `limit` samples.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            collection: Collection::default(),
            limit,
            text_octets: 0,
            seen: HashSet::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn build(self) -> Collection {
        self.collection
    }

    /// Returns whether `series` has not occurred before. If it has, counts `samples` as duplicates; the caller drops
    /// them.
    pub(super) fn is_first(&mut self, series: &impl Hash, samples: usize) -> bool {
        let first = self.seen.insert(self.hasher.hash_one(series));
        if !first {
            let samples = u64::try_from(samples).unwrap_or(u64::MAX);
            self.collection.duplicates = self.collection.duplicates.saturating_add(samples);
        }
        first
    }

    /// Adds a sample.
    pub(super) fn push<'l>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        value: SampleValue<'l>,
    ) -> Result<(), SourceError> {
        let text = if let SampleValue::Text(text) = value { text.len() } else { 0 };
        self.text_octets =
            labels.clone().fold(self.text_octets.saturating_add(text), |sum, (_, text)| sum.saturating_add(text.len()));
        if self.text_octets > MAX_TEXTS {
            return Err(SourceError::TextsTooLong { limit: MAX_TEXTS });
        }
        let samples = &mut self.collection.samples;
        if u64::try_from(samples.len()).unwrap_or(u64::MAX) >= self.limit {
            return Err(SourceError::TooManySamples { limit: self.limit });
        }
        match value {
            SampleValue::Number(number) => samples.push(name, labels, number)?,
            SampleValue::Text(text) => samples.push_text(name, labels, text)?,
        }
        Ok(())
    }
}
