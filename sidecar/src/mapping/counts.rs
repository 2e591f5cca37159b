//! Counts of samples, values and rows that were withheld or changed, by reason and with an example.

use std::{collections::BTreeMap, fmt};

/// The reason why a row was withheld, or a value withheld or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub(crate) enum Reason {
    /// The number is out of the range of the syntax: the instance is withheld.
    OutOfRange,
    /// The number is NaN: the instance is withheld.
    NotANumber,
    /// The number is infinite and the syntax is not Gauge32: the instance is withheld.
    Infinite,
    /// The number of a Gauge32 is out of range: 0 or the maximum is shown.
    Latched,
    /// The text or number cannot be converted to the syntax of the object: the instance is withheld.
    Unreadable,
    /// The text is longer than the syntax allows: it is truncated.
    Cut,
    /// The text has characters that a DisplayString cannot hold: `?` is shown for each.
    Replaced,
    /// An instance has several texts: the smallest is shown.
    Ambiguous,
    /// The summary does not have the configured quantile: the value is missing.
    NoSuchQuantile,
    /// The histogram has no `+Inf` bucket or only that one: the value is missing. Or the `le` of a bucket is not a
    /// number: the bucket is ignored.
    BadHistogram,
    /// A series appears twice in one scrape: the first sample is used.
    Duplicate,
    /// The sample lacks an index label of the table: it makes no row.
    NoIndexLabel,
    /// The text of an index label cannot be encoded: the sample makes no row.
    BadIndex,
    /// An instance would have more than 128 arcs, or the text of an index label has more than 1,024 octets:
    /// the row is withheld.
    RowTooLong,
    /// Several rows have the same index, for example because two texts have the same hash: all but the first in text
    /// order are withheld.
    IndexCollision,
    /// An `Assigned` index has no number left: the row is withheld.
    AssignmentsFull,
    /// The view has reached its maximum size: the instance is withheld.
    ViewFull,
}

impl Reason {
    /// Returns a short name, for use as a metric label.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
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
            Self::OutOfRange => "the number is out of the range of the syntax",
            Self::NotANumber => "the number is NaN",
            Self::Infinite => "the number is infinite",
            Self::Latched => "the number is out of the range of Gauge32; the nearest end of the range is shown",
            Self::Unreadable => "the value cannot be converted to the syntax of the object",
            Self::Cut => "the text is too long and was truncated",
            Self::Replaced => "characters that a DisplayString cannot hold were replaced by ?",
            Self::Ambiguous => "the instance has several texts; the smallest is shown",
            Self::NoSuchQuantile => "the summary does not have the configured quantile",
            Self::BadHistogram => "the histogram has no +Inf bucket, only that bucket, or an le that is not a number",
            Self::Duplicate => "the series appears twice in one scrape",
            Self::NoIndexLabel => "the sample lacks an index label",
            Self::BadIndex => "the text of an index label cannot be encoded as an index",
            Self::RowTooLong => {
                "the index is too long: more than 128 sub-identifiers, or a text of more than 1,024 octets"
            }
            Self::IndexCollision => "another row has the same index",
            Self::AssignmentsFull => "the index has no number left to assign",
            Self::ViewFull => "the view has reached its maximum size",
        })
    }
}

/// How often something happened, and an example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// The number of affected samples, instances or rows, added over all scrapes.
    pub(crate) total: u64,
    /// The first one in the latest scrape that had any: the object, and the index texts of the row if there is one.
    pub(crate) example: String,
}

/// The counts of everything that was withheld or changed, by reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    by_reason: BTreeMap<Reason, Count>,
    /// The reasons that already have an example from the current scrape.
    with_example: Vec<Reason>,
}

/// The maximum length of an example, in octets.
const MAX_EXAMPLE: usize = 200;

impl Counts {
    /// Returns the counts of all reasons that have occurred.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Reason, &Count)> {
        self.by_reason.iter().map(|(reason, count)| (*reason, count))
    }

    /// Returns how often `reason` has occurred.
    #[cfg(test)]
    pub(super) fn total(&self, reason: Reason) -> u64 {
        self.by_reason.get(&reason).map_or(0, |count| count.total)
    }

    /// Begins a scrape: each reason gets a new example.
    pub(super) fn begin(&mut self) {
        self.with_example.clear();
    }

    /// Counts one. `example` is called only for the first of a scrape.
    pub(super) fn add(&mut self, reason: Reason, example: impl FnOnce() -> String) {
        let count = self.by_reason.entry(reason).or_default();
        count.total += 1;
        if !self.with_example.contains(&reason) {
            self.with_example.push(reason);
            count.example = example();
            count.example.truncate(count.example.floor_char_boundary(MAX_EXAMPLE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scrape_has_a_new_example_and_totals_add_up() {
        let mut counts = Counts::default();
        counts.add(Reason::Cut, || "a".to_owned());
        counts.add(Reason::Cut, || unreachable!("only one example per scrape"));
        counts.begin();
        counts.add(Reason::Cut, || "b".to_owned());
        let all: Vec<_> = counts.iter().collect();
        assert_eq!(all, [(Reason::Cut, &Count { total: 3, example: "b".to_owned() })]);
        assert_eq!(counts.total(Reason::Latched), 0);
    }

    #[test]
    fn an_example_is_truncated_at_a_character_boundary() {
        let mut counts = Counts::default();
        counts.add(Reason::Cut, || "é".repeat(10_000));
        let (_, count) = counts.iter().next().unwrap();
        assert!(count.example.len() <= MAX_EXAMPLE && count.example.chars().all(|c| c == 'é'));
    }
}
