//! The API objects that a plan is made of, and their identities.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use crds::{SnmpContext, SnmpSubtree, SnmpTrapTarget};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::secret::Secrets;

/// Everything that a plan is made of. Objects without a creation time are ordered as in these lists.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// SnmpSubtrees.
    pub subtrees: Vec<Arc<SnmpSubtree>>,
    /// SnmpContexts.
    pub contexts: Vec<Arc<SnmpContext>>,
    /// SnmpTrapTargets.
    pub trap_targets: Vec<Arc<SnmpTrapTarget>>,
    /// Labels of namespaces. A namespace that is not listed has its name as its only label.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Secrets of the operator's own namespace, at least.
    pub secrets: Secrets,
}

/// The kind of an object: a kind of the API, or Secret, which objects of the API refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names of kinds")]
pub enum Kind {
    Secret,
    SnmpContext,
    SnmpSubtree,
    SnmpTrapTarget,
}

/// The identity of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a cluster-scoped kind.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        write!(f, "{kind:?} {namespace}{}{name}", if namespace.is_empty() { "" } else { "/" })
    }
}

impl From<&SnmpSubtree> for ObjectId {
    fn from(subtree: &SnmpSubtree) -> Self {
        let namespace = subtree.metadata.namespace.clone().unwrap_or_default();
        Self { kind: Kind::SnmpSubtree, namespace, name: subtree.metadata.name.clone().unwrap_or_default() }
    }
}

impl From<&SnmpContext> for ObjectId {
    fn from(context: &SnmpContext) -> Self {
        let name = context.metadata.name.clone().unwrap_or_default();
        Self { kind: Kind::SnmpContext, namespace: String::new(), name }
    }
}

impl From<&SnmpTrapTarget> for ObjectId {
    fn from(target: &SnmpTrapTarget) -> Self {
        let namespace = target.metadata.namespace.clone().unwrap_or_default();
        Self { kind: Kind::SnmpTrapTarget, namespace, name: target.metadata.name.clone().unwrap_or_default() }
    }
}

/// Returns a sort key that puts older objects first. An object without a creation time counts as the youngest. Sorting
/// is stable, so objects of equal age keep the order of the input.
pub(super) fn age(metadata: &ObjectMeta) -> impl Ord + use<> {
    metadata.creation_timestamp.as_ref().map_or((true, None), |time| (false, Some(time.0)))
}

/// Returns the objects from the oldest to the youngest, each once.
pub(super) fn by_age<T: kube::ResourceExt>(objects: &[Arc<T>]) -> impl Iterator<Item = (ObjectId, &T)>
where
    for<'t> ObjectId: From<&'t T>,
{
    let mut objects: Vec<_> = objects.iter().map(Arc::as_ref).collect();
    objects.sort_by_key(|object| age(object.meta()));
    let mut seen = HashSet::new();
    objects.into_iter().filter_map(move |object| {
        let id = ObjectId::from(object);
        seen.insert(id.clone()).then_some((id, object))
    })
}
