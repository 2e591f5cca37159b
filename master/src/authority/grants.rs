//! What namespaces may publish.

use std::{collections::HashMap, sync::Arc};

use agentx::{Oid, Range, SubId};
use master_config::Context;

use super::Denial;

/// What each namespace may publish in which contexts. What two namespaces may has nothing in common: the document is
/// refused otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(HashMap<Arc<str>, HashMap<Box<[u8]>, Granted>>);

/// The subtrees of one namespace in one context: in order, and none within another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Granted(Vec<Oid>);

impl Grants {
    /// Those of a document.
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
            // What lies in another subtree follows it.
            subtrees.sort_unstable();
            subtrees.dedup_by(|next, before| next.starts_with(before));
        }
        Self(grants)
    }

    /// What a namespace may in a context; none if nothing.
    pub(super) fn of(&self, namespace: &str, context: &[u8]) -> Option<&Granted> {
        self.0.get(namespace)?.get(context)
    }

    /// The namespaces that may other things by `other`.
    pub(super) fn differing(&self, other: &Self) -> Vec<Arc<str>> {
        let changed = self.0.keys().filter(|namespace| self.0.get(*namespace) != other.0.get(*namespace));
        let new = other.0.keys().filter(|namespace| !self.0.contains_key(*namespace));
        changed.chain(new).cloned().collect()
    }
}

impl Granted {
    /// Whether all of a region lies in these subtrees: each of the subtrees that a range stands for, in whichever.
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
                // Bases that hold some of it hold no two the same: none of them lies in another.
                let held = self.0.iter().map(|base| held_by(base, subtree, at, first, last));
                held.fold(0, u64::saturating_add) == subtrees
            }
        };
        if held { Ok(()) } else { Err(outside()) }
    }
}

/// How many subtrees `base` holds of those that `subtree` stands for with `first` to `last` at one place.
fn held_by(base: &[SubId], subtree: &[SubId], at: usize, first: SubId, last: SubId) -> u64 {
    let Some(head) = subtree.get(..base.len()) else { return 0 };
    let agrees =
        |(place, (arc, base)): (usize, (&SubId, &SubId))| place == at && (first..=last).contains(base) || arc == base;
    if !head.iter().zip(base).enumerate().all(agrees) {
        0
    } else if at < base.len() {
        1
    } else {
        u64::from(last) - u64::from(first) + 1
    }
}
