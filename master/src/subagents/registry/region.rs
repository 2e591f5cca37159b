//! Regions: one subtree, or several subtrees that differ in one arc (RFC 2741 section 6.2.3).

use std::{cmp::Ordering, ops::RangeInclusive};

use agentx::{Oid, Range, SubId};

use super::{RegistrationError, Registry};

/// A region. Regions with the same subtrees are equal: a range of one arc equals no range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Region {
    /// The first subtree.
    subtree: Box<[SubId]>,
    /// The position, from 0, of the arc in which the subtrees differ. The last position if there is only one subtree.
    position: usize,
    /// The arcs at that position.
    arcs: RangeInclusive<SubId>,
}

/// All names from `start` to before `end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) start: Box<[SubId]>,
    /// Empty if there is no end.
    pub(super) end: Box<[SubId]>,
}

impl Region {
    pub(super) fn new(subtree: &Oid, range: Option<Range>) -> Result<Self, RegistrationError> {
        let last = *subtree.last().ok_or(RegistrationError::Null)?;
        let single = (subtree.len() - 1, last..=last);
        let (position, arcs) = match range {
            None => single,
            Some(Range { position, upper_bound }) => {
                let at = usize::from(position).checked_sub(1).and_then(|at| Some((at, *subtree.get(at)?)));
                let (at, first) = at.ok_or(RegistrationError::RangePosition { position, len: subtree.len() })?;
                match first.cmp(&upper_bound) {
                    Ordering::Less => (at, first..=upper_bound),
                    Ordering::Equal => single,
                    Ordering::Greater => return Err(RegistrationError::RangeReversed { first, last: upper_bound }),
                }
            }
        };
        let region = Self { subtree: subtree.as_slice().into(), position, arcs };
        if !region.is_contiguous() && region.subtrees() > Registry::MAX_SUBTREES_APART {
            return Err(RegistrationError::RangeTooWide { subtrees: region.subtrees() });
        }
        Ok(region)
    }

    /// Returns the first subtree, and the range if there are several.
    pub(super) fn to_range(&self) -> (Oid, Option<Range>) {
        // It was a valid OID.
        let subtree = Oid::new(self.subtree.to_vec()).unwrap_or_default();
        let position = u8::try_from(self.position + 1).unwrap_or(u8::MAX);
        let range = Range { position, upper_bound: *self.arcs.end() };
        (subtree, Some(range).filter(|_| self.arcs.start() < self.arcs.end()))
    }

    /// Returns the number of arcs of each subtree.
    pub(super) fn depth(&self) -> usize {
        self.subtree.len()
    }

    /// Returns the number of subtrees.
    pub(super) fn subtrees(&self) -> u64 {
        u64::from(*self.arcs.end()) - u64::from(*self.arcs.start()) + 1
    }

    /// Returns whether the subtrees are adjacent.
    fn is_contiguous(&self) -> bool {
        self.position + 1 == self.subtree.len()
    }

    /// Returns the intervals of names in the region, in ascending order.
    pub(super) fn intervals(&self) -> impl Iterator<Item = Interval> {
        let (first, last) = (*self.arcs.start(), *self.arcs.end());
        (first..=if self.is_contiguous() { first } else { last }).map(move |arc| Interval {
            start: self.with(arc),
            end: end_of(&self.with(if self.is_contiguous() { last } else { arc })),
        })
    }

    fn with(&self, arc: SubId) -> Box<[SubId]> {
        let mut subtree = self.subtree.clone();
        if let Some(at) = subtree.get_mut(self.position) {
            *at = arc;
        }
        subtree
    }
}

/// Returns whether a subtree of the region equals `above` or lies in it.
pub(crate) fn reaches_into(subtree: &[SubId], range: Option<Range>, above: &[SubId]) -> bool {
    let Some(head) = subtree.get(..above.len()) else { return false };
    head.iter().zip(above).zip(1..).all(|((arc, above), position)| {
        let last =
            range.filter(|range| usize::from(range.position) == position).map_or(*arc, |range| range.upper_bound);
        (*arc..=last.max(*arc)).contains(above)
    })
}

/// Returns the first name after all names in `subtree`, or an empty name if there is none.
pub(super) fn end_of(subtree: &[SubId]) -> Box<[SubId]> {
    let mut end = subtree.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end.into()
}
