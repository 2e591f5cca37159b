//! One scrape's samples, found by name.

use std::{collections::HashMap, ops::Range};

use crate::{
    give_way::GiveWay,
    sample::{Sample, Samples},
};

/// The samples of a scrape, with an index of their names.
pub(super) struct Page<'a> {
    samples: &'a Samples,
    /// Where the samples of each name are: one run, on a page that keeps its families together.
    runs: HashMap<&'a str, Vec<Range<usize>>>,
}

impl<'a> Page<'a> {
    pub(super) fn new(samples: &'a Samples) -> Self {
        let mut runs: HashMap<&str, Vec<Range<usize>>> = HashMap::new();
        let mut begin = 0;
        let mut current: Option<&str> = None;
        let mut give_way = GiveWay::default();
        for (i, sample) in samples.iter().enumerate() {
            give_way.step();
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

    /// The samples with this name, in the order of the page.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = Sample<'a>> + use<'a, '_> {
        let samples = self.samples;
        let runs = self.runs.get(name).map(Vec::as_slice).unwrap_or_default();
        let mut give_way = GiveWay::default();
        runs.iter().cloned().flatten().filter_map(move |i| {
            give_way.step();
            samples.get(i)
        })
    }

    /// Where the first sample with this name is; behind all others where there is none.
    pub(super) fn position(&self, name: &str) -> usize {
        self.runs.get(name).and_then(|runs| runs.first()).map_or(usize::MAX, |run| run.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Number;

    #[test]
    fn samples_are_found_by_name_also_where_families_are_torn() {
        let mut samples = Samples::new();
        for (i, name) in ["b", "b", "a", "b", "c"].into_iter().enumerate() {
            samples.push(name, [], Number::Signed(i64::try_from(i).unwrap())).unwrap();
        }
        let page = Page::new(&samples);
        let values = |name| page.named(name).map(|sample| sample.value.as_f64()).collect::<Vec<_>>();
        assert_eq!(values("a"), [2.0]);
        assert_eq!(values("b"), [0.0, 1.0, 3.0]);
        assert_eq!(values("c"), [4.0]);
        assert_eq!(values("d"), [0.0; 0]);
        assert_eq!(["b", "a", "c", "d"].map(|name| page.position(name)), [0, 2, 4, usize::MAX]);
        assert_eq!(Page::new(&Samples::new()).named("a").count(), 0);
    }
}
