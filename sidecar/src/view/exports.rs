//! The exports: everything that the sessions serve, collected from all subtrees.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agentx::Oid;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::mib_view::MibView;
use crate::{config::SubtreeName, mapping::Region};

/// One subtree that is served in one context.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// The SNMP context; empty is the default context.
    pub(crate) context: String,
    /// The subtree's base OID. All instances lie below it.
    pub(crate) base: Oid,
    /// The regions to register.
    pub(crate) regions: Vec<Region>,
    /// The latest view.
    pub(crate) view: Arc<ArcSwap<MibView>>,
    /// The description for the master's sysORTable, if any.
    pub(crate) capabilities: Option<String>,
    /// Whether any object is writable.
    pub(crate) writable: bool,
}

/// Everything that is served.
pub(crate) type Exports = Arc<Vec<Export>>;

/// The exports of each subtree. Clones share the table.
#[derive(Debug, Clone)]
pub(crate) struct ExportTable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    by_subtree: Mutex<BTreeMap<SubtreeName, Vec<Export>>>,
    all: watch::Sender<Exports>,
}

impl ExportTable {
    /// Creates an empty table.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { by_subtree: Mutex::default(), all: watch::Sender::new(Exports::default()) }))
    }

    /// Returns a receiver of the latest exports, for a session.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Exports> {
        self.0.all.subscribe()
    }

    /// Replaces the exports of a subtree.
    pub(crate) fn set(&self, subtree: SubtreeName, exports: Vec<Export>) {
        let mut by_subtree = self.lock();
        by_subtree.insert(subtree, exports);
        self.publish(&by_subtree);
    }

    /// Removes the exports of a subtree.
    pub(crate) fn remove(&self, subtree: &SubtreeName) {
        let mut by_subtree = self.lock();
        if by_subtree.remove(subtree).is_some() {
            self.publish(&by_subtree);
        }
    }

    /// Returns the names of all contexts with exports.
    pub(crate) fn contexts(&self) -> BTreeSet<String> {
        self.0.all.borrow().iter().map(|export| export.context.clone()).collect()
    }

    /// Returns the exports in `context`, sorted by base OID.
    pub(crate) fn in_context(&self, context: &str) -> Vec<Export> {
        let mut exports: Vec<_> = self.0.all.borrow().iter().filter(|e| e.context == context).cloned().collect();
        exports.sort_by(|a, b| a.base.cmp(&b.base));
        exports
    }

    /// Returns the number of regions to register.
    pub(crate) fn regions(&self) -> usize {
        self.0.all.borrow().iter().map(|export| export.regions.len()).sum()
    }

    fn publish(&self, by_subtree: &BTreeMap<SubtreeName, Vec<Export>>) {
        // While two subtrees exchange their OIDs, both may briefly have the same ones.
        let mut seen = BTreeSet::new();
        let first = |export: &&Export| seen.insert((export.context.clone(), export.base.clone()));
        let all = by_subtree.values().flatten().filter(first).cloned().collect();
        self.0.all.send_replace(Arc::new(all));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SubtreeName, Vec<Export>>> {
        self.0.by_subtree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ExportTable {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;

    use super::*;

    fn export(context: &str, base: &str) -> Export {
        let (context, base) = (context.to_owned(), base.parse().unwrap());
        Export {
            context,
            base,
            regions: Vec::new(),
            view: Arc::new(ArcSwap::default()),
            capabilities: None,
            writable: false,
        }
    }

    fn name(name: &str) -> SubtreeName {
        SubtreeName { namespace: "acme".to_owned(), name: name.to_owned() }
    }

    fn shown(exports: &[Export]) -> Vec<String> {
        exports.iter().map(|e| format!("{}:{}", e.context, e.base)).collect()
    }

    #[test]
    fn receivers_see_the_exports_of_all_subtrees() {
        let table = ExportTable::new();
        let mut sessions = table.subscribe();
        table.set(name("b"), vec![export("", "1.3.1"), export("x", "1.3.1")]);
        table.set(name("a"), vec![export("", "1.3.2")]);
        assert!(sessions.has_changed().unwrap());
        assert_eq!(shown(&sessions.borrow_and_update()), [":1.3.2", ":1.3.1", "x:1.3.1"]);
        assert_eq!(shown(&table.in_context("")), [":1.3.1", ":1.3.2"]);
        assert_eq!(table.contexts(), BTreeSet::from([String::new(), "x".to_owned()]));
        table.remove(&name("b"));
        assert_eq!(shown(&sessions.borrow_and_update()), [":1.3.2"]);
        table.remove(&name("b"));
        assert!(!sessions.has_changed().unwrap(), "nothing changed");
    }

    #[test]
    fn same_oids_of_two_subtrees_are_exported_once() {
        let table = ExportTable::new();
        table.set(name("a"), vec![export("", "1.3.1")]);
        table.set(name("b"), vec![export("", "1.3.1"), export("x", "1.3.1")]);
        assert_eq!(shown(&table.subscribe().borrow()), [":1.3.1", "x:1.3.1"]);
    }
}
