//! Numbering assigned to texts in the order in which they come, and kept.

use std::collections::{BTreeMap, HashSet};

use agentx::SubId;
use serde::{Deserialize, Serialize};

/// The highest number: index objects are Integer32 (RFC 2578 section 7.7).
const HIGHEST: SubId = i32::MAX.cast_unsigned();

/// How much one index remembers.
#[derive(Debug, Clone, Copy)]
struct Room {
    texts: usize,
    /// Of all texts together.
    octets: usize,
}

const ROOM: Room = Room { texts: 1 << 17, octets: 16 << 20 };

/// The numbers of all `Assigned` indexes of a subtree: what the state folder keeps across restarts.
///
/// An index counts up from 1 and never gives a number twice, so long as its texts are remembered: 131,072 of them, of
/// 16 MiB together. From there on the lowest numbers whose rows are gone make room.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assignments {
    /// By table and index object, as `connTable.connIndex`.
    indexes: BTreeMap<String, Numbering>,
    #[serde(skip)]
    changed: bool,
}

/// One index's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Numbering {
    /// The highest number given so far.
    highest: SubId,
    /// By text.
    numbers: BTreeMap<String, SubId>,
    /// Of all texts together.
    #[serde(skip)]
    octets: usize,
    /// Whether this scrape has found that nothing can make room.
    #[serde(skip)]
    full: bool,
}

impl Assignments {
    /// Whether numbers were assigned or forgotten since it was made, read or [`saved`](Self::saved).
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Notes that it has been saved as it is.
    pub fn saved(&mut self) {
        self.changed = false;
    }

    /// The number of `text` in `index`, where it has one.
    #[must_use]
    pub fn number(&self, index: &str, text: &str) -> Option<SubId> {
        self.indexes.get(index)?.numbers.get(text).copied()
    }

    /// How many texts have a number, by index.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        self.indexes.iter().map(|(index, numbers)| (index.as_str(), numbers.numbers.len()))
    }

    /// Keeps these indexes alone, and makes what was read from a file sound: numbers from 1, none twice, all at most
    /// the highest, no more texts than are remembered.
    pub(super) fn keep(&mut self, indexes: &[String]) {
        self.indexes.retain(|name, _| indexes.contains(name));
        for numbers in self.indexes.values_mut() {
            let mut given = HashSet::new();
            let known = std::mem::take(&mut numbers.numbers);
            numbers.octets = 0;
            for (text, number) in known {
                if (1..=HIGHEST).contains(&number) && numbers.has(ROOM, &text) && given.insert(number) {
                    numbers.insert(text, number);
                }
            }
            numbers.highest = given.into_iter().max().unwrap_or(0).max(numbers.highest).min(HIGHEST);
        }
    }

    /// Begins a scrape.
    pub(super) fn begin(&mut self) {
        for numbers in self.indexes.values_mut() {
            numbers.full = false;
        }
    }

    /// The number of `text` in `index`, given now if it has none. Where there is no room, numbers of texts that are not
    /// `used` are forgotten. `None`: no number is left.
    pub(super) fn assign(&mut self, index: &str, text: &str, used: impl FnOnce() -> HashSet<String>) -> Option<SubId> {
        self.assign_within(ROOM, index, text, used)
    }

    fn assign_within(
        &mut self,
        room: Room,
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
        if !numbers.has(room, text) && !numbers.full {
            let used = used();
            while !numbers.has(room, text) && !numbers.full {
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
    /// Whether there is room for `text`.
    fn has(&self, room: Room, text: &str) -> bool {
        self.numbers.len() < room.texts && self.octets + text.len() <= room.octets
    }

    fn insert(&mut self, text: String, number: SubId) {
        self.octets += text.len();
        self.numbers.insert(text, number);
    }

    /// Forgets an eighth of the texts, of those not `used` the ones with the lowest numbers. Whether there were any.
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
        assert_eq!(assignments.assign("t.other", "z", HashSet::new), Some(1), "each index counts on its own");
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
        after.saved();
        assert!(!after.changed());
    }

    #[test]
    fn a_file_that_makes_no_sense_is_made_sound() {
        let text =
            r#"{"indexes":{"t.i":{"highest":1,"numbers":{"a":2,"b":2,"c":0,"d":4294967295,"e":9}},"gone.i":{}}}"#;
        let mut assignments: Assignments = serde_json::from_str(text).unwrap();
        assignments.keep(&["t.i".to_owned()]);
        assert_eq!(assign(&mut assignments, &["a", "b", "e"]), [Some(2), Some(10), Some(9)]);
        assert_eq!(assignments.number("gone.i", "x"), None);
    }

    #[test]
    fn no_number_is_given_beyond_the_highest() {
        let text = r#"{"indexes":{"t.i":{"highest":2147483646,"numbers":{}}}}"#;
        let mut assignments: Assignments = serde_json::from_str(text).unwrap();
        assert_eq!(assign(&mut assignments, &["a", "b", "a"]), [Some(HIGHEST), None, Some(HIGHEST)]);
    }

    #[test]
    fn texts_whose_rows_are_gone_make_room_the_oldest_first_and_their_numbers_stay_unused() {
        let mut assignments = Assignments::default();
        let used = || HashSet::from(["a".to_owned()]);
        let mut assign = |text| assignments.assign_within(Room { texts: 3, ..ROOM }, "t.i", text, used);
        assert_eq!(["a", "b", "c", "d"].map(&mut assign), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(assign("a"), Some(1), "in use");
        assert_eq!(assign("b"), Some(5), "was forgotten");
        let mut full = Assignments::default();
        let used = || HashSet::from(["a".to_owned()]);
        assert_eq!(full.assign_within(Room { texts: 1, ..ROOM }, "t.i", "a", used), Some(1));
        assert_eq!(full.assign_within(Room { texts: 1, ..ROOM }, "t.i", "b", used), None, "nothing can make room");
        let not_again = || unreachable!("it was looked for in this scrape");
        assert_eq!(full.assign_within(Room { texts: 1, ..ROOM }, "t.i", "c", not_again), None);
        full.begin();
        assert_eq!(
            full.assign_within(Room { texts: 1, ..ROOM }, "t.i", "c", HashSet::new),
            Some(2),
            "the next scrape has room"
        );
    }

    #[test]
    fn long_texts_make_room_as_many_texts_do() {
        let room = Room { octets: 10, ..ROOM };
        let mut assignments = Assignments::default();
        let mut assign = |text| assignments.assign_within(room, "t.i", text, HashSet::new);
        assert_eq!(["aaaa", "bb", "cccc", "ddddddd"].map(&mut assign), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(assign("ddddddd"), Some(4), "is all that there is room for");
        assert_eq!(assign("elevenchars"), None, "is longer than all there is");
        let Numbering { numbers, octets, .. } = &assignments.indexes["t.i"];
        assert_eq!(*octets, numbers.keys().map(String::len).sum::<usize>());
    }
}
