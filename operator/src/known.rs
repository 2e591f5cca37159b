//! What the webhooks know of the cluster: the index of the controllers.

use crate::{
    controller::lock,
    plan::Objects,
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
    fn selects(&self, namespace: &str, labels: Labels<'_>) -> bool {
        lock(&self.index, |index| index.selects(namespace, |key| labels.get(key)))
    }

    fn objects(&self) -> Objects {
        let inputs = lock(&self.index, |index| index.inputs());
        inputs.objects(&self.system_namespace)
    }
}
