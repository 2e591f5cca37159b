//! The subtrees that the master itself serves in every context, with precedence over all registrations.

use agentx::{Oid, Range, SubId};

use super::{
    Owner,
    region::{end_of, reaches_into},
    stretch::{Server, Stretch, is_before},
};

/// Disjoint subtrees in ascending order, each with the first name after it, which is empty if there is none.
#[derive(Debug)]
pub(super) struct OwnSubtrees(Vec<(Oid, Box<[SubId]>)>);

impl OwnSubtrees {
    pub(super) fn new(subtrees: &[Oid]) -> Self {
        let mut subtrees: Vec<_> = subtrees.iter().map(|subtree| (subtree.clone(), end_of(subtree))).collect();
        subtrees.sort_unstable();
        Self(subtrees)
    }

    /// Returns the subtree that contains a part of the region, if there is one.
    pub(super) fn find(&self, subtree: &[SubId], range: Option<Range>) -> Option<&Oid> {
        self.0.iter().map(|(own, _)| own).find(|own| reaches_into(subtree, range, own))
    }

    /// Returns the interval that contains `name`: one of these subtrees, or the part of an interval of `others` between
    /// them.
    pub(super) fn stretch<'a>(&'a self, name: &[SubId], others: impl FnOnce(&[SubId]) -> Stretch<'a>) -> Stretch<'a> {
        let (until, after) = self.0.split_at(self.0.partition_point(|(subtree, _)| subtree.as_slice() <= name));
        let before = until.last();
        if let Some((start, end)) = before.filter(|(_, end)| is_before(name, end)) {
            return Stretch { start, end, server: Some(Server { owner: Owner::Master, timeout_s: 0, row: false }) };
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
