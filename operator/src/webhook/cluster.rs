//! What the webhooks read of the cluster.

use super::pod::Labels;
use crate::{
    index::{SharedIndex, lock},
    plan::Objects,
};

/// The cluster as the webhooks see it. Every review reads it, so it answers from memory.
pub(crate) trait Cluster: Send + Sync + 'static {
    /// Returns whether a subtree of the namespace that is served selects a pod with these labels.
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool;
    /// Returns everything that a plan is made of.
    fn objects(&self) -> Objects;
}

/// The cluster as the operator's index holds it.
#[derive(Debug, Clone)]
pub(crate) struct IndexedCluster {
    /// The index, which watches keep up to date.
    pub(crate) index: SharedIndex,
    /// The operator's own namespace.
    pub(crate) system_namespace: String,
}

impl Cluster for IndexedCluster {
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool {
        lock(&self.index, |index| index.selects(namespace, |key| labels.get(key)))
    }

    fn objects(&self) -> Objects {
        let inputs = lock(&self.index, |index| index.inputs());
        inputs.objects(&self.system_namespace)
    }
}
