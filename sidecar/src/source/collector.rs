//! Samples as a reading of JSON or of rows brings them: each series once, and no more than there is room for.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
};

use super::{Cause, reader::Reading};
use crate::sample::Number;

/// The most that the texts of all samples may take, in octets. A label's is there once for each sample.
pub(super) const TEXTS: usize = 8 << 20;

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Said<'a> {
    Number(Number),
    Text(&'a str),
}

/// Takes samples.
pub(super) struct Collector {
    reading: Reading,
    limit: u64,
    /// The octets of all texts so far.
    texts: usize,
    /// Hashes of the series so far.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Collector {
    /// At most `limit` samples.
    pub(super) fn new(limit: u64) -> Self {
        Self { reading: Reading::default(), limit, texts: 0, seen: HashSet::new(), hasher: RandomState::new() }
    }

    pub(super) fn into_reading(self) -> Reading {
        self.reading
    }

    /// Whether no series came before that is known by this; if one did, so many samples of this are passed over.
    pub(super) fn is_first(&mut self, series: &impl Hash, samples: usize) -> bool {
        let first = self.seen.insert(self.hasher.hash_one(series));
        if !first {
            let samples = u64::try_from(samples).unwrap_or(u64::MAX);
            self.reading.duplicates = self.reading.duplicates.saturating_add(samples);
        }
        first
    }

    /// Takes a sample.
    pub(super) fn push<'l>(
        &mut self,
        name: &str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        said: Said<'l>,
    ) -> Result<(), Cause> {
        let text = if let Said::Text(text) = said { text.len() } else { 0 };
        self.texts =
            labels.clone().fold(self.texts.saturating_add(text), |sum, (_, text)| sum.saturating_add(text.len()));
        if self.texts > TEXTS {
            return Err(Cause::TextsTooLong { limit: TEXTS });
        }
        let samples = &mut self.reading.samples;
        if u64::try_from(samples.len()).unwrap_or(u64::MAX) >= self.limit {
            return Err(Cause::TooManySamples { limit: self.limit });
        }
        match said {
            Said::Number(number) => samples.push(name, labels, number)?,
            Said::Text(text) => samples.push_text(name, labels, text)?,
        }
        Ok(())
    }
}
