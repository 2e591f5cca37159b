//! How long absent series and rows are remembered.

/// The number of absent series or rows that are remembered even if fewer are present. Labels that change with every
/// scrape take no more memory than this, or than the latest scrape.
pub(super) const MIN_REMEMBERED: usize = 1024;

/// Returns for how many scrapes an item may be absent so that at most `limit` absent items remain. `None`: all may
/// remain.
///
/// `unseen` has, for each item, how many scrapes ago it was last present.
pub(super) fn max_unseen(unseen: impl Iterator<Item = u16>, limit: usize) -> Option<u16> {
    let mut gone: Vec<u16> = unseen.filter(|unseen| *unseen > 0).collect();
    if gone.len() <= limit {
        return None;
    }
    // Items as old as the first one beyond the limit are forgotten too.
    let (_, first_to_go, _) = gone.select_nth_unstable(limit);
    Some(first_to_go.saturating_sub(1))
}

/// The new numbers of rows after some rows were forgotten.
pub(super) struct Renumbering(Vec<Option<u32>>);

impl Renumbering {
    /// Takes the new number of each row, in the order of the old numbers. `None`: the row was forgotten.
    pub(super) fn new(numbers: Vec<Option<u32>>) -> Self {
        Self(numbers)
    }

    /// Returns the new number of the row, or `None` if it was forgotten.
    pub(super) fn number(&self, row: u32) -> Option<u32> {
        self.0.get(row as usize).copied().flatten()
    }

    /// Removes the items of forgotten rows from a list with one item per row.
    pub(super) fn retain<T>(&self, items: &mut Vec<T>) {
        let mut new = self.0.iter();
        items.retain(|_| new.next().is_some_and(Option::is_some));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_longest_absent_items_are_forgotten_first() {
        let max_unseen = |unseen: &[u16], limit| super::max_unseen(unseen.iter().copied(), limit);
        assert_eq!(max_unseen(&[0, 0, 3, 1], 2), None);
        assert_eq!(max_unseen(&[0, 5, 3, 1], 2), Some(4), "5 is forgotten, 1 and 3 remain");
        assert_eq!(max_unseen(&[0, 3, 3, 3], 2), Some(2), "items of the same age are forgotten together");
    }
}
