//! Samples of which no two have the same name and labels.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::sample_line::SampleLine;
use crate::sample::{LabelNames, Number, Sample, Samples, TooLarge};

/// Samples, and what it takes to find one among them. The hash has a random seed: a page's labels are often chosen
/// by strangers.
#[derive(Debug, Default)]
pub(super) struct DistinctSamples {
    samples: Samples,
    /// Half of its hash, and the index, of each sample.
    table: HashTable<(u32, u32)>,
    seed: DefaultHashBuilder,
    names: Option<LastNames>,
}

/// The label names of the last sample.
#[derive(Debug)]
struct LastNames {
    /// That of the line.
    number: u64,
    hash: u64,
    /// Where the samples have them.
    names: LabelNames,
}

impl DistinctSamples {
    /// Appends the line's sample unless its like is there, and says whether it did.
    pub(super) fn push(&mut self, line: &SampleLine, text: &str, value: Number) -> Result<bool, TooLarge> {
        let (name, labels) = (line.name(text), line.labels(text));
        let part = line.values_in_text(text);
        let names_hash = match &self.names {
            Some(names) if part.is_some() && names.number == line.names_number() => names.hash,
            _ => self.hash(labels.clone().map(|(name, _)| name.as_bytes())),
        };
        let half =
            halve(self.hash([name.as_bytes(), &names_hash.to_le_bytes()].into_iter().chain(line.value_bytes(text))));
        let same_labels = |s: Sample<'_>| {
            let theirs = s.labels.iter();
            theirs.len() == labels.clone().count()
                && theirs.zip(labels.clone()).all(|(theirs, ours)| theirs.0 == ours.0 && theirs.1 == ours.1)
        };
        let same = |entry: &(u32, u32)| {
            entry.0 == half && self.samples.get(entry.1 as usize).is_some_and(|s| s.name == name && same_labels(s))
        };
        let Entry::Vacant(vacant) = self.table.entry(widen(half), same, |entry| widen(entry.0)) else {
            return Ok(false);
        };
        vacant.insert((half, u32::try_from(self.samples.len()).map_err(|_| TooLarge)?));
        let Some((part, values)) = part else {
            self.samples.push(name, labels, value)?;
            return Ok(true);
        };
        let number = line.names_number();
        let names = match &self.names {
            Some(names) if names.number == number => names.names,
            _ => self.samples.add_label_names(labels.map(|(name, _)| name))?,
        };
        self.names = Some(LastNames { number, hash: names_hash, names });
        self.samples.push_part(name, names, part, values, value)?;
        Ok(true)
    }

    fn hash<'l>(&self, parts: impl Iterator<Item = &'l [u8]>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        parts.for_each(|part| hasher.write(part));
        hasher.finish()
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn into_samples(self) -> Samples {
        self.samples
    }
}

/// Half of a hash: enough to find a sample among those of a page, in half the memory.
fn halve(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// A hash whose high and low bits, of which the table looks at both, are those of the half.
fn widen(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}
