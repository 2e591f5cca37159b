//! What could not be shown as it came: how often, why, and where for example.

use std::{collections::BTreeMap, fmt};

/// Why a row was withheld, or a value withheld or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A number that the syntax has no room for: the instance is withheld.
    OutOfRange,
    /// NaN: the instance is withheld.
    NotANumber,
    /// An infinity, but for Gauge32: the instance is withheld.
    Infinite,
    /// A Gauge32 beyond its range: shown at 0 or its maximum.
    Latched,
    /// Text, or a number, that does not read as the object's syntax: the instance is withheld.
    Unreadable,
    /// Text longer than the syntax allows: cut.
    Cut,
    /// Characters that a DisplayString cannot hold: shown as `?`.
    Replaced,
    /// Several label texts for one instance: the smallest is shown.
    Ambiguous,
    /// A summary without the quantile that is asked for: as with no sample.
    NoSuchQuantile,
    /// A histogram without a `+Inf` bucket or with that one alone, or a bucket whose `le` is no number: as with no sample.
    BadHistogram,
    /// The same series twice on one page: the first counts.
    Duplicate,
    /// A sample without one of the table's index labels: it makes no row.
    NoIndexLabel,
    /// A label's text that does not encode as the index asks: the sample makes no row.
    BadIndex,
    /// An instance would have more than 128 sub-identifiers, or an index label's text has more than 1,024 octets: the row
    /// is withheld.
    RowTooLong,
    /// Two rows with one index, as when two texts have one hash: all but the first in text order are withheld.
    IndexCollision,
    /// No number is left for an `Assigned` index: the row is withheld.
    AssignmentsFull,
    /// The view has grown beyond what it can address: the instance is withheld.
    ViewFull,
}

impl Reason {
    /// A short name, as for a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfRange => "out_of_range",
            Self::NotANumber => "not_a_number",
            Self::Infinite => "infinite",
            Self::Latched => "latched",
            Self::Unreadable => "unreadable",
            Self::Cut => "cut",
            Self::Replaced => "replaced",
            Self::Ambiguous => "ambiguous",
            Self::NoSuchQuantile => "no_such_quantile",
            Self::BadHistogram => "bad_histogram",
            Self::Duplicate => "duplicate",
            Self::NoIndexLabel => "no_index_label",
            Self::BadIndex => "bad_index",
            Self::RowTooLong => "row_too_long",
            Self::IndexCollision => "index_collision",
            Self::AssignmentsFull => "assignments_full",
            Self::ViewFull => "view_full",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "the number is out of the syntax's range",
            Self::NotANumber => "the number is NaN",
            Self::Infinite => "the number is infinite",
            Self::Latched => "the gauge is at the end of its range",
            Self::Unreadable => "the value does not read as the object's syntax",
            Self::Cut => "the text is too long and was cut",
            Self::Replaced => "characters that are not ASCII were replaced",
            Self::Ambiguous => "several label texts for one instance",
            Self::NoSuchQuantile => "the summary does not have the quantile",
            Self::BadHistogram => "the histogram's buckets cannot be read",
            Self::Duplicate => "the same series came twice",
            Self::NoIndexLabel => "a sample lacks an index label",
            Self::BadIndex => "a label's text does not encode as an index",
            Self::RowTooLong => {
                "the index is too long: more than 128 sub-identifiers, or a text of more than 1,024 octets"
            }
            Self::IndexCollision => "another row has the same index",
            Self::AssignmentsFull => "no number is left to assign",
            Self::ViewFull => "the view is full",
        })
    }
}

/// How often something happened, and the last place where it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// How often, over all scrapes: one per scrape and sample, instance or row that it happened to.
    pub total: u64,
    /// The first place in the latest scrape that had one: the object, and the row's index texts where there is a row.
    pub example: String,
}

/// All that was withheld or changed, by reason.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    by_reason: BTreeMap<Reason, Count>,
    /// The reasons that have an example from the current scrape.
    named: Vec<Reason>,
}

/// Examples are cut to about this many octets.
const EXAMPLE: usize = 200;

impl Counts {
    /// The reasons that have happened, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, &Count)> {
        self.by_reason.iter().map(|(reason, count)| (*reason, count))
    }

    /// How often `reason` has happened.
    #[must_use]
    pub fn total(&self, reason: Reason) -> u64 {
        self.by_reason.get(&reason).map_or(0, |count| count.total)
    }

    /// Begins a scrape: from here each reason takes a new example.
    pub(super) fn begin(&mut self) {
        self.named.clear();
    }

    /// Counts one; `place` is asked for the scrape's first only.
    pub(super) fn add(&mut self, reason: Reason, place: impl FnOnce() -> String) {
        let count = self.by_reason.entry(reason).or_default();
        count.total += 1;
        if !self.named.contains(&reason) {
            self.named.push(reason);
            count.example = place();
            count.example.truncate(count.example.floor_char_boundary(EXAMPLE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scrape_gives_a_new_example_and_totals_go_on() {
        let mut counts = Counts::default();
        counts.add(Reason::Cut, || "a".to_owned());
        counts.add(Reason::Cut, || unreachable!("one example a scrape"));
        counts.begin();
        counts.add(Reason::Cut, || "b".to_owned());
        let all: Vec<_> = counts.iter().collect();
        assert_eq!(all, [(Reason::Cut, &Count { total: 3, example: "b".to_owned() })]);
        assert_eq!(counts.total(Reason::Latched), 0);
    }

    #[test]
    fn an_example_is_bounded_and_stays_whole_characters() {
        let mut counts = Counts::default();
        counts.add(Reason::Cut, || "é".repeat(10_000));
        let (_, count) = counts.iter().next().unwrap();
        assert!(count.example.len() <= EXAMPLE && count.example.chars().all(|c| c == 'é'));
    }
}
