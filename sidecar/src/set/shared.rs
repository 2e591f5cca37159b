//! What all SET transactions share: the writable objects, their reservations, the journal and the backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agentx::{Oid, SubId, Value, ValueRef};
use arc_swap::ArcSwap;

use super::{
    backend::Backends,
    counts::SetCounts,
    journal::{Journal, JournalEntry},
    overlay::Overlay,
    target::Target,
};
use crate::{config::SubtreeName, state::StateDirectory, view::MibView};

/// The writable objects of a subtree.
pub(crate) struct WritableSubtree {
    /// The SNMP contexts of the subtree.
    pub(crate) contexts: Vec<String>,
    /// The base OID.
    pub(crate) base: Oid,
    /// The writable objects.
    pub(crate) targets: Vec<Arc<Target>>,
    /// The published view.
    pub(crate) view: Arc<ArcSwap<MibView>>,
    /// The written values that the source does not return yet.
    pub(crate) overlay: Arc<Overlay>,
    /// How long a written value is shown if the source never returns it.
    pub(crate) overlay_duration: Duration,
}

/// The state that is shared by all connections.
pub(super) struct Shared {
    writable: Mutex<BTreeMap<SubtreeName, Arc<WritableSubtree>>>,
    reserved: Mutex<BTreeSet<(SubtreeName, Oid)>>,
    pub(super) journal: Journal,
    pub(super) backends: Backends,
    pub(super) counts: Arc<SetCounts>,
}

/// The object that a varbind's name belongs to.
pub(super) struct Found {
    pub(super) subtree: Arc<WritableSubtree>,
    pub(super) target: Arc<Target>,
    /// Whether the name is that of the object's instance. Otherwise it is the object itself or another OID below it.
    pub(super) is_instance: bool,
}

impl Shared {
    pub(super) fn new(backends: Backends, state: StateDirectory) -> Self {
        Self {
            writable: Mutex::default(),
            reserved: Mutex::default(),
            journal: Journal::open(state),
            backends,
            counts: Arc::default(),
        }
    }

    /// Makes these objects of a subtree writable. They replace its previous writable objects.
    pub(super) fn publish(&self, name: SubtreeName, subtree: WritableSubtree) {
        self.writable().insert(name, Arc::new(subtree));
    }

    /// Makes a subtree read-only.
    pub(super) fn withdraw(&self, name: &SubtreeName) {
        self.writable().remove(name);
    }

    /// Returns the object that `name` is an instance of or lies below, in the subtree with the longest matching base.
    pub(super) fn find(&self, context: &[u8], name: &[SubId]) -> Option<Found> {
        let writable = self.writable();
        let matching = writable.values().filter(|subtree| {
            name.starts_with(&subtree.base) && subtree.contexts.iter().any(|own| own.as_bytes() == context)
        });
        let subtree = matching.max_by_key(|subtree| subtree.base.len())?;
        let below = name.strip_prefix(subtree.base.as_slice())?;
        let target = subtree.targets.iter().find(|target| below.starts_with(&target.object))?;
        let is_instance = below == target.instance();
        Some(Found { subtree: Arc::clone(subtree), target: Arc::clone(target), is_instance })
    }

    /// Returns the object of a journal entry, or `None` if it is not writable at present.
    pub(super) fn target(&self, entry: &JournalEntry) -> Option<Arc<Target>> {
        let writable = self.writable();
        writable.get(&entry.subtree)?.targets.iter().find(|target| target.object == entry.object).cloned()
    }

    /// Reserves an object. Returns `false` if it is reserved already.
    pub(super) fn reserve(&self, target: &Target) -> bool {
        self.reserve_object(&target.subtree, &target.object)
    }

    /// Reserves an object that may not be configured. Returns `false` if it is reserved already.
    pub(super) fn reserve_object(&self, subtree: &SubtreeName, object: &Oid) -> bool {
        self.reserved().insert((subtree.clone(), object.clone()))
    }

    pub(super) fn release(&self, subtree: &SubtreeName, object: &Oid) {
        self.reserved().remove(&(subtree.clone(), object.clone()));
    }

    fn writable(&self) -> MutexGuard<'_, BTreeMap<SubtreeName, Arc<WritableSubtree>>> {
        self.writable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserved(&self) -> MutexGuard<'_, BTreeSet<(SubtreeName, Oid)>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WritableSubtree {
    /// Returns the value that the view shows for an object.
    pub(super) fn value(&self, target: &Target) -> Option<Value> {
        let oid = [self.base.as_slice(), &target.instance()].concat();
        let view = self.view.load();
        match view.get(&oid) {
            ValueRef::NoSuchObject | ValueRef::NoSuchInstance => None,
            value => value.to_value().ok(),
        }
    }

    /// Shows `value` for an object at once. With `None` the object shows what its source returns at the next collection.
    pub(super) fn show(&self, target: &Target, value: Option<Value>) {
        let instance = target.instance();
        let Some(value) = value else { return self.overlay.remove(&instance) };
        let until = tokio::time::Instant::now().into_std() + self.overlay_duration;
        self.view.store(Arc::new(self.overlay.put(&self.view.load(), instance, value, until)));
    }
}
