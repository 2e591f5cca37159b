//! An index of the samples of one scrape by name.

use std::{collections::HashMap, ops::Range};

use crate::{
    sample::{Sample, Samples},
    task::Cooperate,
};

/// The samples of a scrape, indexed by name.
pub(super) struct SamplesByName<'a> {
    samples: &'a Samples,
    /// The ranges of the samples of each name: one range if the source keeps its families together.
    runs: HashMap<&'a str, Vec<Range<usize>>>,
}

impl<'a> SamplesByName<'a> {
    pub(super) fn new(samples: &'a Samples) -> Self {
        let mut runs: HashMap<&str, Vec<Range<usize>>> = HashMap::new();
        let mut begin = 0;
        let mut current: Option<&str> = None;
        let mut cooperate = Cooperate::default();
        for (i, sample) in samples.iter().enumerate() {
            cooperate.step();
            if current != Some(sample.name) {
                if let Some(name) = current {
                    runs.entry(name).or_default().push(begin..i);
                }
                (begin, current) = (i, Some(sample.name));
            }
        }
        if let Some(name) = current {
            runs.entry(name).or_default().push(begin..samples.len());
        }
        Self { samples, runs }
    }

    /// Returns the samples with this name, in their order in the scrape.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = Sample<'a>> + use<'a, '_> {
        let samples = self.samples;
        let runs = self.runs.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut cooperate = Cooperate::default();
        runs.iter().cloned().flatten().filter_map(move |i| {
            cooperate.step();
            samples.get(i)
        })
    }

    /// Returns the position of the first sample with this name, or `usize::MAX` if there is none.
    pub(super) fn position(&self, name: &str) -> usize {
        self.runs.get(name).and_then(|runs| runs.first()).map_or(usize::MAX, |run| run.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Number;

    #[test]
    fn samples_of_interleaved_families_are_found_by_name() {
        let mut samples = Samples::new();
        for (i, name) in ["b", "b", "a", "b", "c"].into_iter().enumerate() {
            samples.push(name, [], Number::Signed(i64::try_from(i).unwrap())).unwrap();
        }
        let index = SamplesByName::new(&samples);
        let values = |name| index.named(name).map(|sample| sample.value.as_f64()).collect::<Vec<_>>();
        assert_eq!(values("a"), [2.0]);
        assert_eq!(values("b"), [0.0, 1.0, 3.0]);
        assert_eq!(values("c"), [4.0]);
        assert_eq!(values("d"), [0.0; 0]);
        assert_eq!(["b", "a", "c", "d"].map(|name| index.position(name)), [0, 2, 4, usize::MAX]);
        assert_eq!(SamplesByName::new(&Samples::new()).named("a").count(), 0);
    }
}
