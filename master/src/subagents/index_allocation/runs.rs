//! Sets of numbers that are mostly consecutive.

use std::collections::BTreeMap;

/// A set of numbers from 1, stored as the first and the last number of each run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Runs(BTreeMap<u32, u32>);

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    /// Adds a number. Returns whether it was absent.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        if self.contains(number) {
            return false;
        }
        let after = number.checked_add(1).and_then(|next| self.0.remove(&next));
        let end = after.unwrap_or(number);
        match self.0.range_mut(..number).next_back() {
            Some((_, last)) if *last + 1 == number => *last = end,
            _ => {
                self.0.insert(number, end);
            }
        }
        true
    }

    pub(super) fn remove(&mut self, number: u32) {
        let run = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = run.filter(|(_, last)| number <= *last) else { return };
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
    }

    /// Returns the lowest absent number.
    pub(super) fn first_absent(&self) -> Option<u32> {
        self.0.get(&1).map_or(Some(1), |last| last.checked_add(1))
    }

    /// Returns the number of runs.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Fills the lowest gaps until there are at most `runs` runs.
    pub(super) fn fill_to(&mut self, runs: usize) {
        while self.0.len() > runs.max(1) {
            let (Some((first, _)), Some((_, last))) = (self.0.pop_first(), self.0.pop_first()) else { return };
            self.0.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn runs_behave_like_a_set(steps in vec((any::<bool>(), prop_oneof![1..12_u32, (u32::MAX - 3)..=u32::MAX]), 0..60)) {
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            for (add, number) in steps {
                if add {
                    prop_assert_eq!(runs.insert(number), set.insert(number));
                } else {
                    runs.remove(number);
                    set.remove(&number);
                }
                let numbers: Vec<_> = runs.0.iter().flat_map(|(first, last)| *first..=*last).collect();
                prop_assert_eq!(&numbers, &set.iter().copied().collect::<Vec<_>>());
                let are_separate = runs.0.values().zip(runs.0.keys().skip(1)).all(|(last, next)| last + 1 < *next);
                prop_assert!(are_separate, "adjacent runs are merged: {:?}", runs);
                prop_assert_eq!(runs.first_absent(), (1..=u32::MAX).find(|number| !set.contains(number)));
                prop_assert_eq!(runs.is_empty(), set.is_empty());
            }
            let last = set.last().copied();
            runs.fill_to(2);
            prop_assert!(runs.0.len() <= 2);
            prop_assert!(set.iter().all(|number| runs.contains(*number)));
            prop_assert_eq!(runs.0.last_key_value().map(|(_, last)| *last), last);
        }
    }

    #[test]
    fn a_full_set_has_no_absent_number() {
        assert_eq!(Runs(BTreeMap::from([(1, u32::MAX)])).first_absent(), None);
    }
}
