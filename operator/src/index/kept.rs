//! What is kept of objects: as little as will do, since there may be very many.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, Pod as CorePod, Secret as CoreSecret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::core::PartialObjectMeta;

/// The annotation of pods that have a sidecar.
pub const INJECTED: &str = "snmp-operator.dev/injected";
/// The annotation of pods that says which configuration they were told of.
pub const CONFIGURATION: &str = "snmp-operator.dev/configuration";
/// The label of Secrets and ConfigMaps that sources may name.
pub const READABLE: &str = "snmp-operator.dev/readable";
/// The label of who makes an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] on what the operator makes.
pub const OPERATOR: &str = "snmp-operator";

/// Labels, sorted by key.
pub type Labels = BTreeMap<String, String>;

/// A pod that is not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its labels, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Whether it has a sidecar.
    pub injected: bool,
    /// The configuration that it was told of.
    pub configuration: Option<Box<str>>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Pod {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let place = self.labels.binary_search_by(|(label, _)| (**label).cmp(key)).ok()?;
        self.labels.get(place).map(|(_, value)| &**value)
    }

    /// Whether it is the same but for the configuration that it was told of.
    #[must_use]
    pub fn is_alike(&self, other: &Self) -> bool {
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
pub struct KeptNamespace {
    /// Its labels.
    pub labels: Labels,
    /// Whether it is being deleted: nothing can be made in it any more.
    pub deleting: bool,
}

impl From<PartialObjectMeta<Namespace>> for KeptNamespace {
    fn from(namespace: PartialObjectMeta<Namespace>) -> Self {
        let ObjectMeta { labels, deletion_timestamp, .. } = namespace.metadata;
        Self { labels: labels.unwrap_or_default(), deleting: deletion_timestamp.is_some() }
    }
}

/// A Secret or ConfigMap. `Debug` shows names of keys alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// Its values by their keys.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Whether it bears the label that it is the operator's.
    pub ours: bool,
    /// Whether it bears the label that sources may name it.
    pub readable: bool,
    /// Uids of its owners, sorted.
    pub owners: Vec<String>,
}

impl Data {
    fn new(metadata: &ObjectMeta, data: BTreeMap<String, Vec<u8>>) -> Self {
        let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
        let owners = metadata.owner_references.iter().flatten().map(|owner| owner.uid.clone());
        let mut owners: Vec<_> = owners.collect();
        owners.sort_unstable();
        Self { data, ours: label(MANAGED_BY) == Some(OPERATOR), readable: label(READABLE) == Some("true"), owners }
    }

    /// The text of a key, if it is one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(|octets| std::str::from_utf8(octets).ok())
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data").field("keys", &self.data.keys()).field("ours", &self.ours).finish_non_exhaustive()
    }
}

impl From<CoreSecret> for Data {
    fn from(secret: CoreSecret) -> Self {
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        Self::new(&secret.metadata, data)
    }
}

impl From<ConfigMap> for Data {
    fn from(map: ConfigMap) -> Self {
        let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        let texts = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        Self::new(&map.metadata, binary.chain(texts).collect())
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn debug_shows_no_value_of_a_secret() {
        let data = [("token".to_owned(), ByteString(b"tell-no-one".to_vec()))].into();
        let secret = CoreSecret { data: Some(data), ..CoreSecret::default() };
        let debug = format!("{:?}", Data::from(secret));
        assert!(debug.contains("token") && !debug.contains("tell-no-one") && !debug.contains("116, 101"), "{debug}");
    }

    #[test]
    fn a_pods_labels_are_found_by_key() {
        let labels = [("b", "2"), ("a", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let annotations = [(INJECTED.to_owned(), "0.1.0".to_owned())].into();
        let metadata =
            ObjectMeta { labels: Some(labels.into()), annotations: Some(annotations), ..ObjectMeta::default() };
        let pod = Pod::from(PartialObjectMeta { metadata, ..PartialObjectMeta::default() });
        assert_eq!((pod.label("a"), pod.label("b"), pod.label("c")), (Some("1"), Some("2"), None));
        assert!(pod.injected && !pod.deleting);
    }
}
