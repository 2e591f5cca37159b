//! Fields of a pod, read from its JSON. A field of the wrong type counts as missing; the API server refuses it later.

use serde_json::{Map, Value as Json};

/// Returns the list `field`. Empty if it is missing.
pub(super) fn list<'a>(object: &'a Json, field: &str) -> &'a [Json] {
    object.get(field).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// Returns the string at the JSON pointer.
pub(super) fn text<'a>(object: &'a Json, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Json::as_str)
}

/// Returns the value of `key` in the map `map` of the metadata, which is `labels` or `annotations`.
pub(super) fn metadata<'a>(pod: &'a Json, map: &str, key: &str) -> Option<&'a str> {
    pod.get("metadata")?.get(map)?.get(key)?.as_str()
}

/// The labels of a pod.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Labels<'a>(Option<&'a Map<String, Json>>);

impl<'a> Labels<'a> {
    pub(super) fn of(pod: &'a Json) -> Self {
        Self(pod.pointer("/metadata/labels").and_then(Json::as_object))
    }

    /// Returns the value of a label.
    #[must_use]
    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }
}

/// Returns the init containers and the containers, whose resources count for the pod.
pub(super) fn containers(spec: &Json) -> impl Iterator<Item = &Json> {
    list(spec, "initContainers").iter().chain(list(spec, "containers"))
}

/// Returns the item with that name.
pub(super) fn named<'a>(mut items: impl Iterator<Item = &'a Json>, name: &str) -> Option<&'a Json> {
    items.find(|item| text(item, "/name") == Some(name))
}

/// Returns whether an init container is a native sidecar.
pub(super) fn is_sidecar(container: &Json) -> bool {
    text(container, "/restartPolicy") == Some("Always")
}

/// Returns whether the pod is for Windows nodes.
pub(super) fn is_windows(spec: &Json) -> bool {
    text(spec, "/os/name") == Some("windows") || text(spec, "/nodeSelector/kubernetes.io~1os") == Some("windows")
}

/// Returns whether the pod uses the network of its node.
pub(super) fn has_host_network(spec: &Json) -> bool {
    spec.get("hostNetwork").and_then(Json::as_bool) == Some(true)
}

/// Returns whether the pod is a static pod of a kubelet, or the mirror pod of one.
pub(super) fn is_static(pod: &Json) -> bool {
    metadata(pod, "annotations", "kubernetes.io/config.mirror").is_some()
        || metadata(pod, "annotations", "kubernetes.io/config.source").is_some_and(|source| source != "api")
}
