//! The grants of namespaces.

use std::{collections::HashMap, sync::Arc};

use agentx::{Oid, Range, SubId};
use master_config::Context;

use super::Denial;

/// The subtrees that each namespace may publish in each context. Subtrees of two namespaces never overlap, because such
/// a document is invalid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(HashMap<Arc<str>, HashMap<Box<[u8]>, Granted>>);

/// The subtrees of one namespace in one context, sorted. None of them lies within another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Granted(Vec<Oid>);

impl Grants {
    /// Returns the grants of a document.
    pub fn new(contexts: &[Context]) -> Self {
        let mut grants: HashMap<Arc<str>, HashMap<Box<[u8]>, Granted>> = HashMap::new();
        for context in contexts {
            for grant in &context.grants {
                let namespace = grants.entry(grant.namespace.as_str().into()).or_default();
                let Granted(subtrees) = namespace.entry(context.name.as_bytes().into()).or_default();
                subtrees.extend(grant.subtrees.iter().cloned());
            }
        }
        for Granted(subtrees) in grants.values_mut().flat_map(HashMap::values_mut) {
            // A subtree that lies within another one follows it.
            subtrees.sort_unstable();
            subtrees.dedup_by(|next, before| next.starts_with(before));
        }
        Self(grants)
    }

    /// Returns the grants of a namespace in a context, if there are any.
    pub(super) fn of(&self, namespace: &str, context: &[u8]) -> Option<&Granted> {
        self.0.get(namespace)?.get(context)
    }

    /// Returns the namespaces whose grants differ from those in `other`.
    pub(super) fn differing(&self, other: &Self) -> Vec<Arc<str>> {
        let changed = self.0.keys().filter(|namespace| self.0.get(*namespace) != other.0.get(*namespace));
        let new = other.0.keys().filter(|namespace| !self.0.contains_key(*namespace));
        changed.chain(new).cloned().collect()
    }
}

impl Granted {
    /// Checks that the whole region lies within these subtrees. Each subtree of a range may lie within another one of
    /// them.
    pub(super) fn hold(&self, subtree: &Oid, range: Option<Range>) -> Result<(), Denial> {
        let outside = || Denial::Outside(subtree.clone());
        let ranged = range.and_then(|range| {
            let at = usize::from(range.position).checked_sub(1)?;
            Some((at, *subtree.get(at)?, range.upper_bound))
        });
        let held = match ranged {
            None => self.0.iter().any(|base| subtree.starts_with(base)),
            Some((_, first, last)) if last < first => false,
            Some((at, first, last)) => {
                let subtrees = u64::from(last) - u64::from(first) + 1;
                // None of the bases lies within another, so no subtree of the region is counted twice.
                let held = self.0.iter().map(|base| held_by(base, subtree, at, first, last));
                held.fold(0, u64::saturating_add) == subtrees
            }
        };
        if held { Ok(()) } else { Err(outside()) }
    }
}

/// Returns how many subtrees of a range lie within `base`: `subtree` with the arcs `first` to `last` at the position
/// `at`.
fn held_by(base: &[SubId], subtree: &[SubId], at: usize, first: SubId, last: SubId) -> u64 {
    let Some(head) = subtree.get(..base.len()) else { return 0 };
    let agrees = |(position, (arc, base)): (usize, (&SubId, &SubId))| {
        position == at && (first..=last).contains(base) || arc == base
    };
    if !head.iter().zip(base).enumerate().all(agrees) {
        0
    } else if at < base.len() {
        1
    } else {
        u64::from(last) - u64::from(first) + 1
    }
}
