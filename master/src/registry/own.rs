//! The subtrees that the master itself serves, in every context and before all others.

use agentx::{Oid, Range, SubId};

use super::{
    Owner,
    region::{end_of, reaches_into},
    stretch::{By, Stretch, is_before},
};

/// Disjoint subtrees in order, each with the first name after it (empty: there is none).
#[derive(Debug)]
pub(super) struct OwnSubtrees(Vec<(Oid, Box<[SubId]>)>);

impl OwnSubtrees {
    pub(super) fn new(subtrees: &[Oid]) -> Self {
        let mut subtrees: Vec<_> = subtrees.iter().map(|subtree| (subtree.clone(), end_of(subtree))).collect();
        subtrees.sort_unstable();
        Self(subtrees)
    }

    /// The one at or under which a part of this region lies.
    pub(super) fn met_by(&self, subtree: &[SubId], range: Option<Range>) -> Option<&Oid> {
        self.0.iter().map(|(own, _)| own).find(|own| reaches_into(subtree, range, own))
    }

    /// The stretch that holds `name`: one of these subtrees, or what `others` has between them.
    pub(super) fn stretch<'a>(&'a self, name: &[SubId], others: impl FnOnce(&[SubId]) -> Stretch<'a>) -> Stretch<'a> {
        let (until, after) = self.0.split_at(self.0.partition_point(|(subtree, _)| subtree.as_slice() <= name));
        let before = until.last();
        if let Some((start, end)) = before.filter(|(_, end)| is_before(name, end)) {
            return Stretch { start, end, by: Some(By { owner: Owner::Master, timeout_s: 0, row: false }) };
        }
        let mut stretch = others(name);
        if let Some((_, end)) = before {
            stretch = stretch.not_before(end);
        }
        if let Some((start, _)) = after.first() {
            stretch = stretch.before(start);
        }
        stretch
    }
}
