//! The lookup table of a session: which export of a context serves which part of the tree.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use agentx::{Oid, SubId, ValueRef};
use arc_swap::{ArcSwap, Guard};

use crate::view::{self, Instance, MibView, exports::Export};

/// The exports of every context, cut into segments that do not overlap.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    contexts: BTreeMap<Vec<u8>, Context>,
}

/// The exports of one context.
#[derive(Debug, Default)]
struct Context {
    views: Vec<Arc<ArcSwap<MibView>>>,
    /// Sorted and disjoint. A subtree within another one cuts it in two, as in a master's registry: the longer base is
    /// authoritative (RFC 2741 section 7.1.5).
    segments: Vec<Segment>,
}

/// The OIDs from `lower` (inclusive) to `upper` (exclusive; empty for no end), and the number of their view.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    lower: Vec<SubId>,
    upper: Vec<SubId>,
    view: usize,
}

/// Returns the smallest OID after everything below `base`, or an empty one if there is none.
fn end_of(base: &[SubId]) -> Vec<SubId> {
    let mut end = base.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

impl Catalogue {
    /// Builds the table. If two exports have the same context and base, the first one is used.
    pub(super) fn new(exports: &[Export]) -> Self {
        let mut by_context: BTreeMap<Vec<u8>, BTreeMap<&Oid, &Export>> = BTreeMap::new();
        for export in exports {
            let bases = by_context.entry(export.context.clone().into_bytes()).or_default();
            bases.entry(&export.base).or_insert(export);
        }
        let contexts = by_context.into_iter().map(|(name, bases)| {
            let views = bases.values().map(|export| Arc::clone(&export.view)).collect();
            (name, Context { views, segments: segments(bases.into_keys()) })
        });
        Self { contexts: contexts.collect() }
    }

    /// Returns the views of `context` for one PDU. They are kept in `loaded`, which is cleared first.
    pub(super) fn snapshot<'a>(&'a self, context: &[u8], loaded: &'a mut LoadedViews) -> Snapshot<'a> {
        loaded.0.clear();
        let context = self.contexts.get(context);
        loaded.0.resize_with(context.map_or(0, |context| context.views.len()), OnceCell::new);
        Snapshot { context, loaded: &loaded.0 }
    }
}

fn segments<'a>(bases: impl Iterator<Item = &'a Oid>) -> Vec<Segment> {
    let mut segments = Vec::new();
    // The bases around the next OID, outermost first, and the start of the innermost one's remaining part.
    let mut within: Vec<(&Oid, usize)> = Vec::new();
    let mut lower: Vec<SubId> = Vec::new();
    let mut cut = |lower: &[SubId], upper: &[SubId], view| {
        if upper.is_empty() || lower < upper {
            segments.push(Segment { lower: lower.to_vec(), upper: upper.to_vec(), view });
        }
    };
    let mut leave = |within: &mut Vec<(&Oid, usize)>, lower: &mut Vec<SubId>, next: Option<&Oid>| {
        while let Some(&(base, view)) = within.last() {
            if next.is_some_and(|next| next.starts_with(base)) {
                if let Some(next) = next {
                    cut(lower, next, view);
                }
                return;
            }
            let end = end_of(base);
            // Here an empty `lower` is the end of all OIDs, where every base around this one ends as well.
            if !lower.is_empty() || base.is_empty() {
                cut(lower, &end, view);
            }
            *lower = end;
            within.pop();
        }
    };
    for (view, base) in bases.enumerate() {
        leave(&mut within, &mut lower, Some(base));
        lower = base.to_vec();
        within.push((base, view));
    }
    leave(&mut within, &mut lower, None);
    segments
}

/// The views of one PDU. The memory is reused for the next PDU.
#[derive(Default)]
pub(super) struct LoadedViews(Vec<OnceCell<Guard<Arc<MibView>>>>);

impl LoadedViews {
    /// Releases the views.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// One context at one moment. Each view is loaded once, when it is first needed.
#[derive(Clone, Copy)]
pub(super) struct Snapshot<'a> {
    context: Option<&'a Context>,
    loaded: &'a [OnceCell<Guard<Arc<MibView>>>],
}

impl<'a> Snapshot<'a> {
    fn view(&self, index: usize) -> Option<&'a MibView> {
        let view = self.context?.views.get(index)?;
        Some(self.loaded.get(index)?.get_or_init(|| view.load()))
    }

    fn segments(&self) -> &'a [Segment] {
        self.context.map_or(&[][..], |context| &context.segments)
    }

    /// Returns the last segment that begins at or before `oid`, and its number.
    fn segment_before(&self, oid: &[SubId]) -> Option<(usize, &'a Segment)> {
        let segments = self.segments();
        let number = segments.partition_point(|segment| segment.lower.as_slice() <= oid).checked_sub(1)?;
        Some((number, segments.get(number)?))
    }

    /// Returns the value at exactly `oid`, or the exception for a Get (RFC 2741 section 7.2.3.1).
    pub(super) fn get(&self, oid: &[SubId]) -> ValueRef<'a> {
        self.segment_before(oid)
            .filter(|(_, segment)| segment.upper.is_empty() || oid < &segment.upper)
            .and_then(|(_, segment)| self.view(segment.view))
            .map_or(ValueRef::NoSuchObject, |view| view.get(oid))
    }

    /// Returns the first instance after `start`, or at it if `include` is set, and before `end` unless that is empty (RFC 2741
    /// section 7.2.3.2).
    pub(super) fn next(&self, start: &[SubId], include: bool, end: &[SubId]) -> Option<Instance<'a>> {
        self.take(&mut self.seek(start, include), end)
    }

    /// Returns a cursor at the first instance after `start`, or at it if `include` is set.
    pub(super) fn seek(&self, start: &[SubId], include: bool) -> Cursor {
        let Some((number, segment)) = self.segment_before(start) else { return Cursor::default() };
        let view = self.view(segment.view);
        Cursor { segment: number, within: view.map(|view| view.seek(start, include)) }
    }

    /// Returns the instance at `cursor` and advances the cursor, if the instance lies before `end` or `end` is empty.
    pub(super) fn take(&self, cursor: &mut Cursor, end: &[SubId]) -> Option<Instance<'a>> {
        loop {
            let segment = self.segments().get(cursor.segment)?;
            if !end.is_empty() && segment.lower.as_slice() >= end {
                return None;
            }
            let view = self.view(segment.view)?;
            let mut within = cursor.within.unwrap_or_else(|| view.seek(&segment.lower, true));
            match view.take(&mut within).filter(|instance| instance.is_before(&segment.upper)) {
                Some(instance) if instance.is_before(end) => {
                    cursor.within = Some(within);
                    return Some(instance);
                }
                Some(_) => return None,
                None => *cursor = Cursor { segment: cursor.segment + 1, within: None },
            }
        }
    }
}

/// A position in a [`Snapshot`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    segment: usize,
    /// The position in the segment's view; `None` for the start of the segment.
    within: Option<view::Cursor>,
}
