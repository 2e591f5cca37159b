//! What the webhooks know of the cluster: the index of the controllers.

use crate::{
    controller::lock,
    plan::{self, Objects},
    watches::SharedIndex,
    webhook::{Cluster, Labels},
};

/// The index, as the webhooks ask it.
#[derive(Debug, Clone)]
pub struct Known {
    /// What is kept up to date from watches.
    pub index: SharedIndex,
    /// The operator's own namespace.
    pub system_namespace: String,
}

impl Cluster for Known {
    /// One that is not served yet counts as well: a pod gets no sidecar later.
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool {
        lock(&self.index, |index| {
            let mut standing = index.subtrees.of(namespace).filter(|(_, it)| it.metadata.deletion_timestamp.is_none());
            standing.any(|(_, subtree)| plan::selects(&subtree.spec.selector, |key| labels.get(key)))
        })
    }

    fn objects(&self) -> Objects {
        let inputs = lock(&self.index, |index| index.inputs());
        inputs.objects(&self.system_namespace)
    }
}
