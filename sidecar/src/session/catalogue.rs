//! What a session serves: in each context, which subtree holds which part of the tree.

use std::{cell::OnceCell, collections::BTreeMap, sync::Arc};

use agentx::{Oid, SubId, ValueRef};
use arc_swap::{ArcSwap, Guard};

use super::Export;
use crate::mib_view::{self, Instance, MibView};

/// The exports of every context, cut into segments that do not overlap.
#[derive(Debug, Default)]
pub struct Catalogue {
    contexts: BTreeMap<Vec<u8>, Context>,
}

/// One context's exports.
#[derive(Debug, Default)]
struct Context {
    views: Vec<Arc<ArcSwap<MibView>>>,
    /// Sorted and disjoint. A subtree within another's cuts it in two, as in a master's registry: the longer base
    /// is authoritative (RFC 2741 section 7.1.5).
    segments: Vec<Segment>,
}

/// OIDs from `lower`, included, to `upper`, excluded (empty: without end), and the view that holds them.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    lower: Vec<SubId>,
    upper: Vec<SubId>,
    view: usize,
}

/// The least OID behind everything below `base`; empty where there is none.
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
    /// The exports, sorted. Of two with the same context and base the first counts.
    #[must_use]
    pub fn new(exports: &[Export]) -> Self {
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

    /// The views of `context` for one PDU. They are kept in `loaded`, which is cleared first.
    pub fn snapshot<'a>(&'a self, context: &[u8], loaded: &'a mut Loaded) -> Snapshot<'a> {
        loaded.0.clear();
        let context = self.contexts.get(context);
        loaded.0.resize_with(context.map_or(0, |context| context.views.len()), OnceCell::new);
        Snapshot { context, loaded: &loaded.0 }
    }
}

fn segments<'a>(bases: impl Iterator<Item = &'a Oid>) -> Vec<Segment> {
    let mut segments = Vec::new();
    // The bases that the next OID lies in, outermost first, and where the innermost's uncut rest begins.
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
            // An empty `lower` is the end of all OIDs here: whatever contains this base ends there, too.
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

/// Memory for the views of one PDU, used again for the next.
#[derive(Default)]
pub struct Loaded(Vec<OnceCell<Guard<Arc<MibView>>>>);

impl Loaded {
    /// Lets go of the views.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// One context as it is at one moment: each view is loaded once, when it is first asked for.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
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

    /// The last segment that begins at or before `oid`: its number and itself.
    fn segment_before(&self, oid: &[SubId]) -> Option<(usize, &'a Segment)> {
        let segments = self.segments();
        let number = segments.partition_point(|segment| segment.lower.as_slice() <= oid).checked_sub(1)?;
        Some((number, segments.get(number)?))
    }

    /// The value at exactly `oid`, or the exception that a Get gets (RFC 2741 section 7.2.3.1).
    #[must_use]
    pub fn get(&self, oid: &[SubId]) -> ValueRef<'a> {
        self.segment_before(oid)
            .filter(|(_, segment)| segment.upper.is_empty() || oid < &segment.upper)
            .and_then(|(_, segment)| self.view(segment.view))
            .map_or(ValueRef::NoSuchObject, |view| view.get(oid))
    }

    /// The first instance behind `start`, or at it where `include` says so, and before `end` where that is not
    /// empty (RFC 2741 section 7.2.3.2).
    #[must_use]
    pub fn next(&self, start: &[SubId], include: bool, end: &[SubId]) -> Option<Instance<'a>> {
        self.take(&mut self.seek(start, include), end)
    }

    /// Where a search begins that starts behind `start`, or at it where `include` says so.
    #[must_use]
    pub fn seek(&self, start: &[SubId], include: bool) -> Cursor {
        let Some((number, segment)) = self.segment_before(start) else { return Cursor::default() };
        let view = self.view(segment.view);
        Cursor { segment: number, within: view.map(|view| view.seek(start, include)) }
    }

    /// The instance at `cursor`, which goes on to the next, if it lies before `end`; an empty one ends nothing.
    pub fn take(&self, cursor: &mut Cursor, end: &[SubId]) -> Option<Instance<'a>> {
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

/// Where a search stands in a [`Snapshot`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor {
    segment: usize,
    /// The place in the segment's view; `None`, where the segment begins.
    within: Option<mib_view::Cursor>,
}
