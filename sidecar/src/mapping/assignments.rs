//! Numbers assigned to index texts in the order of first appearance, and saved.

use std::collections::{BTreeMap, HashSet};

use agentx::SubId;
use serde::{Deserialize, Serialize};

/// The highest number. Index objects are Integer32 (RFC 2578 section 7.7).
const HIGHEST: SubId = i32::MAX.cast_unsigned();

/// The maximum size of one index.
#[derive(Debug, Clone, Copy)]
struct Limits {
    texts: usize,
    /// The total length of all texts.
    octets: usize,
}

const LIMITS: Limits = Limits { texts: 1 << 17, octets: 16 << 20 };

/// The numbers of all `Assigned` indexes of a subtree. They are saved in the state directory and survive restarts.
///
/// Each index counts up from 1 and never assigns a number twice while it remembers the text. It remembers up to 131,072
/// texts with a total of 16 MiB. Beyond that, the lowest numbers of texts without a row are forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Assignments {
    /// By table and index object, for example `connTable.connIndex`.
    indexes: BTreeMap<String, Numbering>,
    #[serde(skip)]
    changed: bool,
}

/// The numbers of one index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Numbering {
    /// The highest number that was ever assigned.
    highest: SubId,
    /// The numbers by text.
    numbers: BTreeMap<String, SubId>,
    /// The total length of all texts.
    #[serde(skip)]
    octets: usize,
    /// Whether this scrape found that no text can be forgotten.
    #[serde(skip)]
    full: bool,
}

impl Assignments {
    /// Returns whether numbers were assigned since the creation, deserialization or last call of
    /// [`mark_saved`](Self::mark_saved).
    #[must_use]
    pub(crate) fn changed(&self) -> bool {
        self.changed
    }

    /// Records that the current numbers have been saved.
    pub(crate) fn mark_saved(&mut self) {
        self.changed = false;
    }

    /// Returns the number of `text` in `index`, if it has one.
    #[cfg(test)]
    fn number(&self, index: &str, text: &str) -> Option<SubId> {
        self.indexes.get(index)?.numbers.get(text).copied()
    }

    /// Returns the number of texts of each index.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.indexes.iter().map(|(index, numbers)| (index.as_str(), numbers.numbers.len()))
    }

    /// Removes all other indexes, and repairs the content of a damaged file: removes numbers out of range, numbers that
    /// appear twice, and texts beyond the limits.
    pub(super) fn retain(&mut self, indexes: &[String]) {
        self.indexes.retain(|name, _| indexes.contains(name));
        for numbers in self.indexes.values_mut() {
            let mut seen = HashSet::new();
            let loaded = std::mem::take(&mut numbers.numbers);
            numbers.octets = 0;
            for (text, number) in loaded {
                if (1..=HIGHEST).contains(&number) && numbers.has_room(LIMITS, &text) && seen.insert(number) {
                    numbers.insert(text, number);
                }
            }
            numbers.highest = seen.into_iter().max().unwrap_or(0).max(numbers.highest).min(HIGHEST);
        }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        for numbers in self.indexes.values_mut() {
            numbers.full = false;
        }
    }

    /// Returns the number of `text` in `index`, and assigns one if it has none. If a limit is reached, forgets texts
    /// that are not in `used`. `None`: no number is left.
    pub(super) fn assign(&mut self, index: &str, text: &str, used: impl FnOnce() -> HashSet<String>) -> Option<SubId> {
        self.assign_within(LIMITS, index, text, used)
    }

    fn assign_within(
        &mut self,
        limits: Limits,
        index: &str,
        text: &str,
        used: impl FnOnce() -> HashSet<String>,
    ) -> Option<SubId> {
        if !self.indexes.contains_key(index) {
            self.indexes.insert(index.to_owned(), Numbering::default());
        }
        let numbers = self.indexes.get_mut(index)?;
        if let Some(number) = numbers.numbers.get(text) {
            return Some(*number);
        }
        if !numbers.has_room(limits, text) && !numbers.full {
            let used = used();
            while !numbers.has_room(limits, text) && !numbers.full {
                numbers.full = !numbers.forget(&used);
            }
        }
        if numbers.full || numbers.highest >= HIGHEST {
            return None;
        }
        numbers.highest += 1;
        numbers.insert(text.to_owned(), numbers.highest);
        self.changed = true;
        Some(numbers.highest)
    }
}

impl Numbering {
    /// Returns whether `text` can be added within the limits.
    fn has_room(&self, limits: Limits, text: &str) -> bool {
        self.numbers.len() < limits.texts && self.octets + text.len() <= limits.octets
    }

    fn insert(&mut self, text: String, number: SubId) {
        self.octets += text.len();
        self.numbers.insert(text, number);
    }

    /// Forgets an eighth of the texts: those with the lowest numbers that are not in `used`. Returns whether any was
    /// forgotten.
    fn forget(&mut self, used: &HashSet<String>) -> bool {
        let mut unused: Vec<_> =
            self.numbers.iter().filter(|(text, _)| !used.contains(*text)).map(|(_, number)| *number).collect();
        unused.sort_unstable();
        unused.truncate((self.numbers.len() / 8).max(1));
        let forgotten: HashSet<_> = unused.into_iter().collect();
        self.numbers.retain(|_, number| !forgotten.contains(number));
        self.octets = self.numbers.keys().map(String::len).sum();
        !forgotten.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(assignments: &mut Assignments, texts: &[&str]) -> Vec<Option<SubId>> {
        texts.iter().map(|text| assignments.assign("t.i", text, HashSet::new)).collect()
    }

    #[test]
    fn numbers_count_from_one_in_the_order_of_first_appearance() {
        let mut assignments = Assignments::default();
        assert_eq!(assign(&mut assignments, &["b", "a", "b", "c"]), [Some(1), Some(2), Some(1), Some(3)]);
        assert_eq!(assignments.assign("t.other", "z", HashSet::new), Some(1), "each index counts independently");
    }

    #[test]
    fn numbers_survive_a_restart() {
        let mut before = Assignments::default();
        assign(&mut before, &["b", "a"]);
        assert!(before.changed());
        let text = serde_json::to_string(&before).unwrap();
        assert_eq!(text, r#"{"indexes":{"t.i":{"highest":2,"numbers":{"a":2,"b":1}}}}"#);
        let mut after: Assignments = serde_json::from_str(&text).unwrap();
        assert!(!after.changed());
        assert_eq!(assign(&mut after, &["c", "a", "b"]), [Some(3), Some(2), Some(1)]);
        assert!(after.changed());
        after.mark_saved();
        assert!(!after.changed());
    }

    #[test]
    fn a_damaged_file_is_repaired() {
        let text =
            r#"{"indexes":{"t.i":{"highest":1,"numbers":{"a":2,"b":2,"c":0,"d":4294967295,"e":9}},"gone.i":{}}}"#;
        let mut assignments: Assignments = serde_json::from_str(text).unwrap();
        assignments.retain(&["t.i".to_owned()]);
        assert_eq!(assign(&mut assignments, &["a", "b", "e"]), [Some(2), Some(10), Some(9)]);
        assert_eq!(assignments.number("gone.i", "x"), None);
    }

    #[test]
    fn no_number_above_the_highest_is_assigned() {
        let text = r#"{"indexes":{"t.i":{"highest":2147483646,"numbers":{}}}}"#;
        let mut assignments: Assignments = serde_json::from_str(text).unwrap();
        assert_eq!(assign(&mut assignments, &["a", "b", "a"]), [Some(HIGHEST), None, Some(HIGHEST)]);
    }

    #[test]
    fn unused_texts_are_forgotten_oldest_first_and_their_numbers_are_not_reused() {
        let mut assignments = Assignments::default();
        let used = || HashSet::from(["a".to_owned()]);
        let mut assign = |text| assignments.assign_within(Limits { texts: 3, ..LIMITS }, "t.i", text, used);
        assert_eq!(["a", "b", "c", "d"].map(&mut assign), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(assign("a"), Some(1), "it is in use");
        assert_eq!(assign("b"), Some(5), "it was forgotten");
        let mut full = Assignments::default();
        let used = || HashSet::from(["a".to_owned()]);
        assert_eq!(full.assign_within(Limits { texts: 1, ..LIMITS }, "t.i", "a", used), Some(1));
        assert_eq!(
            full.assign_within(Limits { texts: 1, ..LIMITS }, "t.i", "b", used),
            None,
            "no text can be forgotten"
        );
        let not_again = || unreachable!("this scrape already searched for an unused text");
        assert_eq!(full.assign_within(Limits { texts: 1, ..LIMITS }, "t.i", "c", not_again), None);
        full.begin();
        assert_eq!(
            full.assign_within(Limits { texts: 1, ..LIMITS }, "t.i", "c", HashSet::new),
            Some(2),
            "the next scrape can forget a text"
        );
    }

    #[test]
    fn the_total_length_of_texts_is_limited() {
        let limits = Limits { octets: 10, ..LIMITS };
        let mut assignments = Assignments::default();
        let mut assign = |text| assignments.assign_within(limits, "t.i", text, HashSet::new);
        assert_eq!(["aaaa", "bb", "cccc", "ddddddd"].map(&mut assign), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(assign("ddddddd"), Some(4), "it takes nearly all of the limit");
        assert_eq!(assign("elevenchars"), None, "it is longer than the limit");
        let Numbering { numbers, octets, .. } = &assignments.indexes["t.i"];
        assert_eq!(*octets, numbers.keys().map(String::len).sum::<usize>());
    }
}
