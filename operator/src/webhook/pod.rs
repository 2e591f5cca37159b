//! What a pod says, read from its JSON. What is of another type than the API's counts as missing: the API server itself
//! judges that.

use serde_json::{Map, Value as Json};

/// The list `field`; empty where it is missing.
pub(super) fn list<'a>(object: &'a Json, field: &str) -> &'a [Json] {
    object.get(field).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// The text at the JSON pointer.
pub(super) fn text<'a>(object: &'a Json, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Json::as_str)
}

/// The text at the JSON pointer of the metadata's map `map`, `labels` or `annotations`.
pub(super) fn metadata<'a>(pod: &'a Json, map: &str, key: &str) -> Option<&'a str> {
    pod.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// A pod's labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a>(Option<&'a Map<String, Json>>);

impl<'a> Labels<'a> {
    pub(super) fn of(pod: &'a Json) -> Self {
        Self(pod.pointer("/metadata/labels").and_then(Json::as_object))
    }

    /// The value of a label; `None` where there is none of that name.
    #[must_use]
    pub fn get(self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }
}

/// All containers that count for what a pod needs: init containers and containers.
pub(super) fn containers(spec: &Json) -> impl Iterator<Item = &Json> {
    list(spec, "initContainers").iter().chain(list(spec, "containers"))
}

/// The one of that name.
pub(super) fn named<'a>(mut items: impl Iterator<Item = &'a Json>, name: &str) -> Option<&'a Json> {
    items.find(|item| text(item, "/name") == Some(name))
}

/// Whether an init container is a native sidecar.
pub(super) fn is_sidecar(container: &Json) -> bool {
    text(container, "/restartPolicy") == Some("Always")
}

/// Whether the pod is for Windows nodes.
pub(super) fn is_windows(spec: &Json) -> bool {
    text(spec, "/os/name") == Some("windows") || text(spec, "/nodeSelector/kubernetes.io~1os") == Some("windows")
}

/// Whether the pod has its node's network.
pub(super) fn has_host_network(spec: &Json) -> bool {
    spec.get("hostNetwork").and_then(Json::as_bool) == Some(true)
}

/// Whether the pod is one that the kubelet itself started, or the API's picture of such a one.
pub(super) fn is_static(pod: &Json) -> bool {
    metadata(pod, "annotations", "kubernetes.io/config.mirror").is_some()
        || metadata(pod, "annotations", "kubernetes.io/config.source").is_some_and(|source| source != "api")
}
