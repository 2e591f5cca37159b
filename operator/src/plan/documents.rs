//! The documents of the sidecars, one ConfigMap for each namespace.

use std::collections::BTreeMap;

use super::{
    draft::Draft,
    object::{Kind, ObjectId},
    refusal::{Reason, Refusal},
    settings::MAX_OBJECT_OCTETS,
    subtree::Planned,
};

/// The name of the ConfigMap and of the Secret that hold the configuration of a namespace's sidecars.
pub(crate) const SIDECAR_CONFIGURATION: &str = "snmp-sidecar";
/// The key of the CA bundle by which sidecars verify the masters.
pub(crate) const CA_KEY: &str = "ca.crt";

/// The documents of one namespace: their texts by file name.
pub type Documents = BTreeMap<String, String>;

/// Returns the documents of each namespace, with `reserved` octets of each ConfigMap left free. Subtrees that do not
/// fit, the youngest first, are refused; the others are served.
pub(super) fn fit(draft: &mut Draft, reserved: usize) -> BTreeMap<String, Documents> {
    let mut namespaces = BTreeMap::<_, Documents>::new();
    let mut sizes = BTreeMap::<_, usize>::new();
    for planned in std::mem::take(&mut draft.subtrees) {
        let Planned { document, .. } = &planned;
        let key = sidecar_config::file_name(&document.name);
        let size = sizes.entry(document.namespace.clone()).or_insert(reserved);
        let (reason, message) = match serde_json::to_string_pretty(document) {
            Ok(text) => {
                let text = text + "\n";
                let grown = *size + key.len() + text.len();
                if grown <= MAX_OBJECT_OCTETS {
                    *size = grown;
                    namespaces.entry(document.namespace.clone()).or_default().insert(key, text);
                    draft.subtrees.push(planned);
                    continue;
                }
                let message = format!(
                    "with it, the ConfigMap {SIDECAR_CONFIGURATION} would have {grown} octets; the limit is {MAX_OBJECT_OCTETS}"
                );
                (Reason::TooLarge, message)
            }
            Err(error) => (Reason::Invalid, format!("the document cannot be written as JSON: {error}")),
        };
        let object =
            ObjectId { kind: Kind::SnmpSubtree, namespace: document.namespace.clone(), name: document.name.clone() };
        draft.refusals.push(Refusal { object, reason, path: "spec".to_owned(), message });
    }
    namespaces
}
