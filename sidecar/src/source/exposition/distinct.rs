//! Samples without duplicates.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::sample_line::SampleLine;
use crate::sample::{CapacityError, FamilyId, Number, Samples};

/// Samples without duplicates, with an index. Its hash has a random seed, because label values often come from
/// untrusted users.
#[derive(Debug, Default)]
pub(super) struct DistinctSamples {
    samples: Samples,
    /// Half of the hash, and the index, of each sample.
    table: HashTable<(u32, u32)>,
    seed: DefaultHashBuilder,
    last: Option<LastFamily>,
}

/// The family of the last sample.
#[derive(Debug, Clone, Copy)]
struct LastFamily {
    /// The number of the line's label names; `None` if it cannot be compared.
    names_number: Option<u64>,
    family: FamilyId,
    /// The hash of the name and label names.
    hash: u64,
}

impl DistinctSamples {
    /// Appends the sample of a line unless it is a duplicate. Returns whether it was appended.
    pub(super) fn push(&mut self, line: &SampleLine, text: &str, value: Number) -> Result<bool, CapacityError> {
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
        vacant.insert((half, u32::try_from(self.samples.len()).map_err(|_| CapacityError)?));
        self.samples.push_appended(family, texts, value);
        Ok(true)
    }

    /// Returns the family of a line. It is mostly that of the line before.
    fn family(&mut self, line: &SampleLine, text: &str) -> Result<LastFamily, CapacityError> {
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

/// Returns half of a hash. This is enough to find a sample of a page, and takes half the memory.
fn halve(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or_default()
}

/// Returns a hash whose high and low bits are both those of the half. The table uses both.
fn widen(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}
