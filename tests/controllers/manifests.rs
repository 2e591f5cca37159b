//! The manifests that the tests apply.

use serde_json::json;

/// Returns an SnmpSubtree with a Prometheus source and one scalar.
pub(crate) fn subtree(name: &str, oid: &str, context: &str) -> String {
    json!({
        "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree", "metadata": {"name": name},
        "spec": {
            "oid": oid,
            "contextRefs": [context],
            "selector": {"matchLabels": {"app": "web"}},
            "sources": [{"name": "app", "prometheus": {"port": 8080}}],
            "scalars": [{"name": "up", "oid": "1", "syntax": "Gauge32", "value": {"source": "app", "metric": "up"}}],
        },
    })
    .to_string()
}

/// Returns the spec of an SnmpContext that only this namespace may use.
pub(crate) fn admitting(namespace: &str) -> String {
    json!({
        "allowedNamespaces": {
            "from": "Selector",
            "selector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        },
        "allowedSubtrees": ["1.3.6.1.4.1.99999"],
    })
    .to_string()
}
