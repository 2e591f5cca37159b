//! What to register with the master.

use std::fmt;

use agentx::{Oid, SubId};

/// A region of the tree, as a Register PDU names it (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// The subtree; with a range, the first of a sequence of subtrees.
    pub subtree: Oid,
    /// Which sub-identifier of `subtree` runs, counted from 1 (`r.range_subid`), and up to which value (`r.upper_bound`).
    pub range: Option<(u8, SubId)>,
}

impl Region {
    /// The whole subtree at `base`.
    pub(super) fn whole(base: &Oid) -> Self {
        Self { subtree: base.clone(), range: None }
    }

    /// In each of these columns (ascending) below `entry` the rows whose first index is `pod`: `entry`.column.`pod`.
    ///
    /// `None` where that has too many sub-identifiers, and so no row can exist.
    pub(super) fn rows(entry: &[SubId], columns: &[SubId], pod: SubId) -> Option<Self> {
        let (first, last) = (*columns.first()?, *columns.last()?);
        let subtree = Oid::new([entry, &[first, pod]].concat()).ok()?;
        let position = u8::try_from(entry.len() + 1).ok()?;
        Some(Self { subtree, range: (first < last).then_some((position, last)) })
    }
}

impl fmt::Display for Region {
    /// In dotted decimals, a range as `[first-last]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, arc) in (1_usize..).zip(self.subtree.iter()) {
            let dot = if position == 1 { "" } else { "." };
            match self.range {
                Some((ranged, last)) if usize::from(ranged) == position => write!(f, "{dot}[{arc}-{last}]")?,
                _ => write!(f, "{dot}{arc}")?,
            }
        }
        Ok(())
    }
}
