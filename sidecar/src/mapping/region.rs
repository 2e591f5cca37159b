//! Regions to register with the master.

use std::fmt;

use agentx::{Oid, SubId};

/// A region of the OID tree, as in a Register PDU (RFC 2741 section 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Region {
    /// The OID of the region. With a range, it is the first of a sequence of OIDs.
    pub(crate) subtree: Oid,
    /// The position of the ranged arc in `subtree`, counted from 1 (`r.range_subid`), and its last value
    /// (`r.upper_bound`).
    pub(crate) range: Option<(u8, SubId)>,
}

impl Region {
    /// Returns the region of the whole subtree at `base`.
    pub(super) fn whole(base: &Oid) -> Self {
        Self { subtree: base.clone(), range: None }
    }

    /// Returns the region of the rows whose first index is `pod`, in all of these columns (ascending) below `entry`:
    /// `entry`.column.`pod`.
    ///
    /// `None`: the OID would have too many arcs, so no row can exist.
    pub(super) fn rows(entry: &[SubId], columns: &[SubId], pod: SubId) -> Option<Self> {
        let (first, last) = (*columns.first()?, *columns.last()?);
        let subtree = Oid::new([entry, &[first, pod]].concat()).ok()?;
        let position = u8::try_from(entry.len() + 1).ok()?;
        Some(Self { subtree, range: (first < last).then_some((position, last)) })
    }
}

impl fmt::Display for Region {
    /// Writes the region in dotted decimal. A range is `[first-last]`.
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
