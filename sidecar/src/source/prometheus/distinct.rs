//! Samples of which no two have the same name and labels.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use super::sample_line::SampleLine;
use crate::sample::{LabelNames, Number, Samples, TooLarge};

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

/// The label names of the last sample that was appended, where no label was empty.
#[derive(Debug, Clone, Copy)]
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
        let name = line.name(text);
        let LastNames { hash: names_hash, names, .. } = self.label_names(line, text)?;
        let texts = self.samples.append_texts(line.values(text))?;
        let appended = self.samples.appended(texts);
        let half = halve(self.hash([name.as_bytes(), &names_hash.to_le_bytes(), appended.as_bytes()]));
        let same = |entry: &(u32, u32)| entry.0 == half && self.samples.is_like(entry.1, name, names, texts);
        let Entry::Vacant(vacant) = self.table.entry(widen(half), same, |entry| widen(entry.0)) else {
            self.samples.remove_appended(texts);
            return Ok(false);
        };
        vacant.insert((half, u32::try_from(self.samples.len()).map_err(|_| TooLarge)?));
        self.samples.push_appended(name, names, texts, value)?;
        Ok(true)
    }

    /// The names of the line's labels, which mostly are those of the line before.
    fn label_names(&mut self, line: &SampleLine, text: &str) -> Result<LastNames, TooLarge> {
        let number = line.names_number();
        match self.names {
            Some(names) if number == Some(names.number) => Ok(names),
            _ => {
                let names = line.labels(text).map(|(name, _)| name);
                let mut hasher = self.seed.build_hasher();
                names.clone().for_each(|name| hasher.write(name.as_bytes()));
                let hash = hasher.finish();
                let names =
                    LastNames { number: number.unwrap_or_default(), hash, names: self.samples.add_label_names(names)? };
                self.names = number.map(|_| names);
                Ok(names)
            }
        }
    }

    fn hash<const N: usize>(&self, parts: [&[u8]; N]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        for part in parts {
            hasher.write(part);
        }
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
