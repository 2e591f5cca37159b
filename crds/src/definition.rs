//! The CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value as Json;

use crate::{SnmpContext, SnmpSubtree, SnmpTrapTarget};

/// The API group of all kinds.
pub const GROUP: &str = "snmp-operator.dev";
/// The API version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// The formats of OpenAPI that an API server knows. It warns of others, as schemars' `uint16`.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// The definitions of all kinds, as they are applied to a cluster.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [SnmpSubtree::crd(), SnmpContext::crd(), SnmpTrapTarget::crd()].into_iter().map(finished).collect()
}

/// The definitions as YAML, each with the name of its file.
///
/// # Errors
/// A definition that cannot be written as YAML.
pub fn manifests() -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX, min_fold_chars: usize::MAX, compact_list_indent: true };
    let manifest = |definition: CustomResourceDefinition| {
        let yaml = serde_saphyr::to_string_with_options(&definition, options.clone())?;
        Ok((format!("{}.yaml", definition.spec.names.plural), yaml))
    };
    definitions().into_iter().map(manifest).collect()
}

/// The definition with its schemas as controller-gen would write them.
fn finished(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let Ok(mut json) = serde_json::to_value(&definition) else { return definition };
    if let Some(versions) = json.pointer_mut("/spec/versions").and_then(Json::as_array_mut) {
        versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")).for_each(simplify);
    }
    serde_json::from_value(json).unwrap_or(definition)
}

/// Takes out what does not belong in a structural schema. Optional fields are left out, never null: in CEL, `has` is
/// true of a null.
pub(crate) fn simplify(schema: &mut Json) {
    match schema {
        Json::Object(fields) => {
            if fields.get("nullable") == Some(&Json::Bool(true)) {
                fields.remove("nullable");
            }
            if fields.get("format").and_then(Json::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
                fields.remove("format");
            }
            fields.values_mut().for_each(simplify);
        }
        Json::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}
