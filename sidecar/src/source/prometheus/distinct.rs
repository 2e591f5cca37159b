//! Samples of which no two have the same name and labels.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::sample_line::SampleLine;
use crate::sample::{FamilyNumber, Number, Samples, TooLarge};

/// Samples, and what it takes to find one among them. The hash has a random seed: a page's labels are often chosen
/// by strangers.
#[derive(Debug, Default)]
pub(super) struct DistinctSamples {
    samples: Samples,
    /// Half of its hash, and the index, of each sample.
    table: HashTable<(u32, u32)>,
    seed: DefaultHashBuilder,
    last: Option<LastFamily>,
}

/// The family of the last sample.
#[derive(Debug, Clone, Copy)]
struct LastFamily {
    /// The number of the line's label names; `None` if none has it again.
    names_number: Option<u64>,
    family: FamilyNumber,
    /// That of its name and label names.
    hash: u64,
}

impl DistinctSamples {
    /// Appends the line's sample unless its like is there, and says whether it did.
    pub(super) fn push(&mut self, line: &SampleLine, text: &str, value: Number) -> Result<bool, TooLarge> {
        let LastFamily { family, hash, .. } = self.family(line, text)?;
        let texts = self.samples.append_texts(line.values(text))?;
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(hash);
        hasher.write(self.samples.appended(texts).as_bytes());
        let half = halve(hasher.finish());
        let same = |entry: &(u32, u32)| entry.0 == half && self.samples.is_like(entry.1, family, texts);
        let Entry::Vacant(vacant) = self.table.entry(widen(half), same, |entry| widen(entry.0)) else {
            self.samples.remove_appended(texts);
            return Ok(false);
        };
        vacant.insert((half, u32::try_from(self.samples.len()).map_err(|_| TooLarge)?));
        self.samples.push_appended(family, texts, value);
        Ok(true)
    }

    /// The line's family, which mostly is that of the line before.
    fn family(&mut self, line: &SampleLine, text: &str) -> Result<LastFamily, TooLarge> {
        let (name, names_number) = (line.name(text), line.names_number());
        let is_same = |last: &LastFamily| {
            names_number.is_some() && last.names_number == names_number && self.samples.family_name(last.family) == name
        };
        if let Some(last) = self.last.filter(is_same) {
            return Ok(last);
        }
        let label_names = line.labels(text).map(|(name, _)| name);
        let mut hasher = self.seed.build_hasher();
        for name in [name].into_iter().chain(label_names.clone()) {
            hasher.write(name.as_bytes());
        }
        let family = self.samples.add_family(name, label_names)?;
        let last = LastFamily { names_number, family, hash: hasher.finish() };
        self.last = Some(last);
        Ok(last)
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
