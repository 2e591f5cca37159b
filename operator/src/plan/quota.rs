//! Quotas: how many objects of a kind a namespace can have.

use std::collections::BTreeMap;

use super::refusal::{FieldRefusal, Reason};

/// The quota of every namespace for one kind, so that no namespace uses up the space of the others.
pub(super) struct Quota {
    what: &'static str,
    limit: usize,
    used: BTreeMap<String, usize>,
}

impl Quota {
    /// Returns a quota of `limit` objects, which `what` names in the plural.
    pub(super) fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, used: BTreeMap::new() }
    }

    /// Counts one more object of `namespace`, or refuses it if the namespace already has `limit` of them.
    pub(super) fn acquire(&mut self, namespace: &str) -> Result<(), FieldRefusal> {
        let used = self.used.entry(namespace.to_owned()).or_default();
        if *used >= self.limit {
            let Self { what, limit, .. } = self;
            let message = format!("the namespace {namespace} already has {limit} older {what}, which is its quota");
            return Err(FieldRefusal::new(Reason::QuotaExceeded, "metadata.namespace", message));
        }
        *used += 1;
        Ok(())
    }
}
