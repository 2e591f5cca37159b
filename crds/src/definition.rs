//! The CustomResourceDefinitions.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value as Json;

use crate::{SnmpContext, SnmpSubtree, SnmpTrapTarget};

/// The API group of all kinds.
pub const GROUP: &str = "snmp-operator.dev";
/// The API version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// OpenAPI formats that an API server knows. It warns about others, such as `uint16` from schemars.
const FORMATS: [&str; 5] = ["int32", "int64", "double", "float", "date-time"];

/// Returns the definitions of all kinds, as they are applied to a cluster.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    [SnmpSubtree::crd(), SnmpContext::crd(), SnmpTrapTarget::crd()].into_iter().map(finished).collect()
}

/// Returns the definitions as YAML, each with its file name.
///
/// # Errors
/// Returns an error if a definition cannot be serialized as YAML.
pub fn manifests() -> Result<Vec<(String, String)>, serde_saphyr::SerializeError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX, min_fold_chars: usize::MAX, compact_list_indent: true };
    let manifest = |definition: CustomResourceDefinition| {
        let yaml = serde_saphyr::to_string_with_options(&definition, options.clone())?;
        Ok((format!("{}.yaml", definition.spec.names.plural), yaml))
    };
    definitions().into_iter().map(manifest).collect()
}

/// Returns the definition with its schemas in the form that controller-gen writes.
fn finished(definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let Ok(mut json) = serde_json::to_value(&definition) else { return definition };
    if let Some(versions) = json.pointer_mut("/spec/versions").and_then(Json::as_array_mut) {
        versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")).for_each(simplify);
    }
    serde_json::from_value(json).unwrap_or(definition)
}

/// Removes keywords that are not part of a structural schema. `nullable` is removed too: optional fields are omitted,
/// never null, because `has` is true for a null in CEL.
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
