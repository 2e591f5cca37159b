//! The ConfigMap of a namespace's sidecars.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use crate::plan::{ObjectId, Plan, Planned, Reason, Refusal};

/// The name of a namespace's ConfigMap and Secret for its sidecars.
pub const NAME: &str = "snmp-sidecar";
/// The key of the certificates by which sidecars know the masters.
pub const CA: &str = "ca.crt";
/// The most that a ConfigMap holds, in bytes of keys and values.
const MAX_SIZE: usize = 1 << 20;

/// Documents of one namespace: file names and their text.
pub type Documents = BTreeMap<String, String>;

/// The documents of each namespace. The subtrees with which a namespace's ConfigMap would be too large, the youngest,
/// are refused, and the others go on.
///
/// # Errors
/// A document that cannot be written as JSON.
pub fn documents(plan: &mut Plan) -> Result<BTreeMap<String, Documents>, serde_json::Error> {
    documents_beside(plan, 0)
}

/// The same where each ConfigMap holds something else as well, of `reserved` bytes.
///
/// # Errors
/// A document that cannot be written as JSON.
pub fn documents_beside(plan: &mut Plan, reserved: usize) -> Result<BTreeMap<String, Documents>, serde_json::Error> {
    let mut namespaces = BTreeMap::<_, Documents>::new();
    let mut sizes = BTreeMap::<_, usize>::new();
    let mut kept = Vec::new();
    for planned in std::mem::take(&mut plan.subtrees) {
        let Planned { document, .. } = &planned;
        let key = sidecar_config::file_name(&document.name);
        let text = serde_json::to_string_pretty(document)? + "\n";
        let size = sizes.entry(document.namespace.clone()).or_insert(reserved);
        let grown = *size + key.len() + text.len();
        if grown > MAX_SIZE {
            let message = format!("the ConfigMap {NAME} would hold {grown} bytes with it, more than {MAX_SIZE}");
            let object = ObjectId {
                kind: crate::plan::Kind::SnmpSubtree,
                namespace: document.namespace.clone(),
                name: document.name.clone(),
            };
            plan.refusals.push(Refusal { object, reason: Reason::TooLarge, path: "spec".to_owned(), message });
        } else {
            *size = grown;
            namespaces.entry(document.namespace.clone()).or_default().insert(key, text);
            kept.push(planned);
        }
    }
    plan.subtrees = kept;
    Ok(namespaces)
}

/// The ConfigMap that the sidecars of `namespace` mount.
#[must_use]
pub fn build(namespace: &str, documents: &Documents) -> ConfigMap {
    let labels = [("app.kubernetes.io/managed-by", "snmp-operator"), ("app.kubernetes.io/name", NAME)];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some(documents.clone()),
        ..ConfigMap::default()
    }
}
