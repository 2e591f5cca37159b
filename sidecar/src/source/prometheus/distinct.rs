//! Samples of which no two have the same name and labels.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::sample::{Number, Sample, Samples, TooLarge};

/// Samples, and what it takes to find one among them. The hash has a random seed: a page's labels are often chosen
/// by strangers.
#[derive(Debug, Default)]
pub(super) struct DistinctSamples {
    samples: Samples,
    /// Hash and index of each sample.
    table: HashTable<(u64, usize)>,
    seed: DefaultHashBuilder,
}

impl DistinctSamples {
    /// Appends a sample unless its like is there, and says whether it did. The labels are sorted by name.
    pub(super) fn push<'l>(
        &mut self,
        name: &'l str,
        labels: impl Iterator<Item = (&'l str, &'l str)> + Clone,
        value: Number,
    ) -> Result<bool, TooLarge> {
        let mut hasher = self.seed.build_hasher();
        name.hash(&mut hasher);
        labels.clone().for_each(|label| label.hash(&mut hasher));
        let hash = hasher.finish();
        let same_labels = |s: Sample<'_>| {
            let theirs = s.labels.iter();
            theirs.len() == labels.clone().count()
                && theirs.zip(labels.clone()).all(|(theirs, ours)| theirs.0 == ours.0 && theirs.1 == ours.1)
        };
        let same = |entry: &(u64, usize)| {
            entry.0 == hash && self.samples.get(entry.1).is_some_and(|s| s.name == name && same_labels(s))
        };
        match self.table.entry(hash, same, |entry| entry.0) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(vacant) => {
                vacant.insert((hash, self.samples.len()));
                self.samples.push(name, labels, value)?;
                Ok(true)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn into_samples(self) -> Samples {
        self.samples
    }
}
