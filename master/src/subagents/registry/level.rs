//! The subtrees of one length in one context, and their holders.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use agentx::SubId;
use identity::Identity;

use super::{
    Owner, SessionId,
    region::Interval,
    stretch::{Server, is_before},
};

/// Subtrees of one length. Adjacent subtrees with the same holders are merged into one segment. So a level depends only
/// on its registrations, not on their history.
#[derive(Debug, Default)]
pub(super) struct Level(BTreeMap<Box<[SubId]>, Segment>);

/// An interval of names that starts at its key in the map.
#[derive(Debug)]
struct Segment {
    /// The first name after the segment. Empty if there is none.
    end: Box<[SubId]>,
    /// The holders, at least one, in ascending order of priority. Holders of the same priority belong to one namespace,
    /// in the order of their queue.
    holders: Vec<Holder>,
}

/// The holder of a subtree: the session that registered it, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) priority: u8,
    pub(super) session: SessionId,
    pub(super) timeout_s: u8,
    pub(super) row: bool,
    pub(super) member: Option<Arc<Identity>>,
}

impl Holder {
    /// Returns whether `other` may not hold the same subtree.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.priority == other.priority && (self.session == other.session || !self.has_namespace_of(other))
    }

    /// Returns whether the two are in one queue.
    pub(super) fn queues(&self, other: &Self) -> bool {
        self.priority == other.priority && self.has_namespace_of(other)
    }

    fn has_namespace_of(&self, other: &Self) -> bool {
        let members = self.member.as_ref().zip(other.member.as_ref());
        members.is_some_and(|(one, other)| one.namespace == other.namespace)
    }

    fn has_pod_of(&self, other: &Self) -> bool {
        let members = self.member.as_ref().zip(other.member.as_ref());
        members.is_some_and(|(one, other)| {
            one.namespace == other.namespace && !one.pod_uid.is_empty() && one.pod_uid == other.pod_uid
        })
    }
}

/// The position of a name in a level.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Within a segment.
    Served { start: &'a [SubId], end: &'a [SubId], server: Server },
    /// Between segments.
    Between {
        /// The end of the segment before it.
        after: Option<&'a [SubId]>,
        /// The start of the segment after it.
        before: Option<&'a [SubId]>,
    },
}

impl Level {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, name: &[SubId]) -> Found<'_> {
        let until = self.0.range::<[SubId], _>((Bound::Unbounded, Bound::Included(name))).next_back();
        if let Some((start, segment)) = until
            && is_before(name, &segment.end)
            && let Some(best) = segment.holders.first()
        {
            let server = Server { owner: Owner::Session(best.session), timeout_s: best.timeout_s, row: best.row };
            return Found::Served { start, end: &segment.end, server };
        }
        let next = self.0.range::<[SubId], _>((Bound::Excluded(name), Bound::Unbounded)).next();
        Found::Between { after: until.map(|(_, segment)| &*segment.end), before: next.map(|(start, _)| &**start) }
    }

    /// Returns whether a part of the interval has a holder that `is` accepts.
    pub(super) fn any(&self, interval: &Interval, is: impl Fn(&Holder) -> bool) -> bool {
        self.within(interval).any(|segment| segment.holders.iter().any(&is))
    }

    /// Returns whether `is` accepts the first holder of all segments of the interval.
    pub(super) fn is_led(&self, interval: &Interval, is: impl Fn(&Holder) -> bool) -> bool {
        self.within(interval).all(|segment| segment.holders.first().is_some_and(&is))
    }

    /// Returns the segments that overlap the interval.
    fn within(&self, interval: &Interval) -> impl Iterator<Item = &Segment> {
        let within = (Bound::Excluded(&*interval.start), upper(&interval.end));
        let first = self.0.range::<[SubId], _>((Bound::Unbounded, Bound::Included(&*interval.start))).next_back();
        let first = first.filter(|(_, segment)| is_before(&interval.start, &segment.end));
        first.into_iter().chain(self.0.range::<[SubId], _>(within)).map(|(_, segment)| segment)
    }

    /// Adds a holder to the whole interval, behind the last holder of its pod at its priority, or else behind all
    /// others.
    pub(super) fn add(&mut self, interval: &Interval, holder: &Holder) {
        self.edit(interval, |holders| {
            let of_pod = |other: &Holder| other.priority == holder.priority && other.has_pod_of(holder);
            let last = || holders.partition_point(|other| other.priority <= holder.priority);
            let at = holders.iter().rposition(of_pod).map_or_else(last, |at| at + 1);
            holders.reserve_exact(1);
            holders.insert(at, holder.clone());
        });
    }

    /// Removes the holder with this session and priority from the whole interval.
    pub(super) fn remove(&mut self, interval: &Interval, session: SessionId, priority: u8) {
        self.edit(interval, |holders| {
            holders.retain(|holder| holder.session != session || holder.priority != priority);
        });
    }

    /// Applies `change` to the holders of the whole interval, including parts without holders.
    fn edit(&mut self, Interval { start, end }: &Interval, change: impl Fn(&mut Vec<Holder>)) {
        self.split(start);
        self.split(end);
        let within = (Bound::Included(start.clone()), upper(end).map(Box::from));
        let held: Vec<_> = self.0.extract_if(within, |_, _| true).collect();
        let mut at = start.clone();
        for (start, segment) in held {
            if at != start {
                self.append_changed(at, Segment { end: start.clone(), holders: Vec::new() }, &change);
            }
            let end = segment.end.clone();
            self.append_changed(start, segment, &change);
            at = end;
        }
        if at != *end {
            self.append_changed(at, Segment { end: end.clone(), holders: Vec::new() }, &change);
        }
        if let Some((start, segment)) = self.0.remove_entry(end) {
            self.append(start, segment);
        }
    }

    /// Splits the segment around `name`, if there is one.
    fn split(&mut self, name: &[SubId]) {
        let before = self.0.range_mut::<[SubId], _>((Bound::Unbounded, Bound::Excluded(name))).next_back();
        if let Some((_, segment)) = before
            && !name.is_empty()
            && is_before(name, &segment.end)
        {
            let rest =
                Segment { end: std::mem::replace(&mut segment.end, name.into()), holders: segment.holders.clone() };
            self.0.insert(name.into(), rest);
        }
    }

    fn append_changed(&mut self, start: Box<[SubId]>, mut segment: Segment, change: &impl Fn(&mut Vec<Holder>)) {
        change(&mut segment.holders);
        if !segment.holders.is_empty() {
            self.append(start, segment);
        }
    }

    /// Inserts a segment. Merges it with the segment before it if the two are adjacent and have the same holders.
    fn append(&mut self, start: Box<[SubId]>, segment: Segment) {
        let before = self.0.range_mut::<[SubId], _>((Bound::Unbounded, Bound::Excluded(&*start))).next_back();
        match before {
            Some((_, before)) if before.end == start && before.holders == segment.holders => before.end = segment.end,
            _ => {
                self.0.insert(start, segment);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn segments(&self) -> usize {
        self.0.len()
    }
}

/// Returns the upper bound of names before `end`. An empty `end` means that there is no end.
fn upper(end: &[SubId]) -> Bound<&[SubId]> {
    if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(end) }
}
