//! Reduced forms of objects. They contain only what the operator needs, because there can be very many.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Pod as CorePod, Secret as CoreSecret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{ResourceExt, core::PartialObjectMeta};

/// The annotation of pods with a sidecar.
pub(crate) const INJECTED: &str = "snmp-operator.dev/injected";
/// The annotation of pods with the fingerprint of the configuration for which they were last touched.
pub(crate) const CONFIGURATION: &str = "snmp-operator.dev/configuration";
/// The label of Secrets and ConfigMaps that sources can refer to.
pub(crate) const READABLE: &str = "snmp-operator.dev/readable";
/// The label that names the program that manages an object.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on objects of the operator.
pub(crate) const OPERATOR: &str = "snmp-operator";

/// Labels, sorted by key.
pub(crate) type Labels = BTreeMap<String, String>;

/// A pod that has not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    /// The labels, sorted by key.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// Whether the pod has a sidecar.
    pub(crate) injected: bool,
    /// The value of the annotation [`CONFIGURATION`].
    pub(crate) configuration: Option<Box<str>>,
    /// Whether the pod is being deleted.
    pub(crate) deleting: bool,
}

impl Pod {
    /// Returns the value of a label.
    #[must_use]
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        let index = self.labels.binary_search_by(|(label, _)| (**label).cmp(key)).ok()?;
        self.labels.get(index).map(|(_, value)| &**value)
    }

    /// Returns whether the pods are equal, apart from [`Self::configuration`].
    #[must_use]
    pub(crate) fn equals_except_configuration(&self, other: &Self) -> bool {
        let Self { labels, injected, configuration: _, deleting } = self;
        *labels == other.labels && *injected == other.injected && *deleting == other.deleting
    }
}

impl From<PartialObjectMeta<CorePod>> for Pod {
    fn from(pod: PartialObjectMeta<CorePod>) -> Self {
        let ObjectMeta { labels, annotations, deletion_timestamp, .. } = pod.metadata;
        let boxed = |(key, value): (String, String)| (key.into_boxed_str(), value.into_boxed_str());
        let annotations = annotations.unwrap_or_default();
        Self {
            labels: labels.unwrap_or_default().into_iter().map(boxed).collect(),
            injected: annotations.contains_key(INJECTED),
            configuration: annotations.get(CONFIGURATION).map(|text| text.as_str().into()),
            deleting: deletion_timestamp.is_some(),
        }
    }
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamespaceInfo {
    /// The labels.
    pub(crate) labels: Labels,
    /// Whether the namespace is being deleted. Nothing can be created in it any more.
    pub(crate) deleting: bool,
}

impl From<PartialObjectMeta<Namespace>> for NamespaceInfo {
    fn from(namespace: PartialObjectMeta<Namespace>) -> Self {
        let ObjectMeta { labels, deletion_timestamp, .. } = namespace.metadata;
        Self { labels: labels.unwrap_or_default(), deleting: deletion_timestamp.is_some() }
    }
}

/// A Secret or ConfigMap. `Debug` shows only the names of its keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct DataObject {
    /// The values by key.
    pub(crate) data: BTreeMap<String, Vec<u8>>,
    /// Whether its label says that the operator manages it.
    pub(crate) ours: bool,
    /// Whether its label says that sources can refer to it.
    pub(crate) readable: bool,
    /// The uids of its owners, sorted.
    pub(crate) owners: Vec<String>,
}

impl DataObject {
    fn new(metadata: &ObjectMeta, data: BTreeMap<String, Vec<u8>>) -> Self {
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
        let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone());
        let mut owners: Vec<_> = owners.collect();
        owners.sort_unstable();
        Self { data, ours: label(MANAGED_BY) == Some(OPERATOR), readable: label(READABLE) == Some("true"), owners }
    }

    /// Returns the value of a key as text. `None` if the key does not exist or its value is not UTF-8.
    #[must_use]
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|octets| std::str::from_utf8(octets).ok())
    }
}

impl fmt::Debug for DataObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataObject").field("keys", &self.data.keys()).field("ours", &self.ours).finish_non_exhaustive()
    }
}

impl From<CoreSecret> for DataObject {
    fn from(secret: CoreSecret) -> Self {
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        Self::new(&secret.metadata, data)
    }
}

impl From<ConfigMap> for DataObject {
    fn from(map: ConfigMap) -> Self {
        let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        let texts = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        Self::new(&map.metadata, binary.chain(texts).collect())
    }
}

/// Returns the object without large metadata that the operator does not read.
pub(crate) fn slim<K: ResourceExt>(mut object: K) -> Arc<K> {
    object.meta_mut().managed_fields = None;
    // A copy of the whole object, by kubectl.
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
    Arc::new(object)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn debug_shows_no_value_of_a_secret() {
        let data = [("token".to_owned(), ByteString(b"tell-no-one".to_vec()))].into();
        let secret = CoreSecret { data: Some(data), ..CoreSecret::default() };
        let debug = format!("{:?}", DataObject::from(secret));
        assert!(debug.contains("token") && !debug.contains("tell-no-one") && !debug.contains("116, 101"), "{debug}");
    }

    #[test]
    fn labels_of_a_pod_are_found_by_key() {
        let labels = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let annotations = [(INJECTED.to_owned(), "0.1.0".to_owned())].into();
        let metadata =
            ObjectMeta { labels: Some(labels.into()), annotations: Some(annotations), ..ObjectMeta::default() };
        let pod = Pod::from(PartialObjectMeta { metadata, ..PartialObjectMeta::default() });
        assert_eq!((pod.label("a"), pod.label("b"), pod.label("c")), (Some("1"), Some("2"), None));
        assert!(pod.injected && !pod.deleting);
    }
}
