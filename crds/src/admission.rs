//! Local validation of objects as an API server does it: unknown fields, types, bounds, defaults and CEL rules.
//!
//! This module checks the structure keyword by keyword; the CEL evaluator of kube checks the rules. A file is therefore
//! rejected for the same reasons for which a cluster rejects it.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::cel::{ErrorKind, Validator, apply_defaults};
use regex::Regex;
use serde_json::{Map, Value as Json};

use crate::definition::{definitions, simplify};

/// A reason for which an API server rejects an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if .path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct AdmissionError {
    /// Path of the field, for example `spec.scalars[3].oid`. Empty for the object itself.
    pub path: String,
    /// Description of the problem.
    pub message: String,
}

/// Validator for objects of all kinds. Its patterns are compiled once.
#[derive(Debug)]
pub struct Admission {
    schemas: BTreeMap<String, Json>,
    patterns: HashMap<String, Regex>,
    validator: Validator,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Returns a validator for all kinds of [`definitions`].
    #[must_use]
    pub fn new() -> Self {
        let metadata = metadata_schema();
        let schemas: BTreeMap<_, _> = definitions()
            .into_iter()
            .filter_map(|definition| {
                let schema = definition.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()?;
                let mut schema = serde_json::to_value(schema).ok()?;
                let properties = schema.get_mut("properties")?.as_object_mut()?;
                properties.insert("metadata".to_owned(), metadata.clone());
                for field in ["apiVersion", "kind"] {
                    properties.insert(field.to_owned(), serde_json::json!({"type": "string"}));
                }
                Some((definition.spec.names.kind, schema))
            })
            .collect();
        let mut patterns = HashMap::new();
        for schema in schemas.values() {
            compile_patterns(schema, &mut patterns);
        }
        Self { schemas, patterns, validator: Validator::new() }
    }

    /// Returns whether `kind` is one of the kinds of this API.
    #[must_use]
    pub fn knows(&self, kind: &str) -> bool {
        self.schemas.contains_key(kind)
    }

    /// Validates `object` as a new object, or as an update of `old`, and returns it with its defaults.
    ///
    /// # Errors
    /// Returns all problems of the object if an API server would reject it. Problems of the structure come first, in the
    /// order of the object's fields, followed by violated CEL rules.
    pub fn admit(&self, kind: &str, object: &Json, old: Option<&Json>) -> Result<Json, Vec<AdmissionError>> {
        let Some(schema) = self.schemas.get(kind) else {
            let message = format!("unknown kind {kind}");
            return Err(vec![AdmissionError { path: "kind".to_owned(), message }]);
        };
        let mut structure = StructureCheck { patterns: &self.patterns, errors: Vec::new() };
        structure.check("", object, schema);
        let mut errors = structure.errors;
        let well_formed = errors.is_empty();
        let object = apply_defaults(schema, object);
        if let Err(violations) = self.validator.validate(schema, &object, old) {
            // In an object with a wrong structure, rules that cannot be evaluated add no information.
            let relevant =
                violations.into_iter().filter(|error| well_formed || error.kind == ErrorKind::ValidationFailure);
            errors.extend(relevant.map(|error| AdmissionError { path: error.field_path, message: error.message }));
        }
        if errors.is_empty() { Ok(object) } else { Err(errors) }
    }
}

/// Returns the schema of `metadata`. It includes the patterns of names, which an API server checks without a schema.
fn metadata_schema() -> Json {
    let settings = schemars::generate::SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings.with_transform(kube::core::schema::StructuralSchemaRewriter).into_generator();
    let mut schema = generator.into_root_schema_for::<ObjectMeta>().to_value();
    simplify(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        let label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?";
        let name =
            serde_json::json!({"type": "string", "maxLength": 253, "pattern": format!(r"^{label}(\.{label})*$")});
        properties.insert("name".to_owned(), name);
        let namespace = serde_json::json!({"type": "string", "maxLength": 63, "pattern": format!("^{label}$")});
        properties.insert("namespace".to_owned(), namespace);
    }
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("required".to_owned(), serde_json::json!(["name"]));
    }
    schema
}

fn compile_patterns(schema: &Json, patterns: &mut HashMap<String, Regex>) {
    match schema {
        Json::Object(fields) => {
            if let Some(Json::String(pattern)) = fields.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                patterns.insert(pattern.clone(), regex);
            }
            fields.values().for_each(|schema| compile_patterns(schema, patterns));
        }
        Json::Array(items) => items.iter().for_each(|schema| compile_patterns(schema, patterns)),
        _ => {}
    }
}

/// A comparison of an object with its schema, which collects the differences.
struct StructureCheck<'a> {
    patterns: &'a HashMap<String, Regex>,
    errors: Vec<AdmissionError>,
}

impl StructureCheck<'_> {
    fn refuse(&mut self, path: &str, message: String) {
        self.errors.push(AdmissionError { path: path.to_owned(), message });
    }

    fn check(&mut self, path: &str, value: &Json, schema: &Json) {
        let Some(schema) = schema.as_object() else { return };
        if !self.has_type(path, value, schema) {
            return;
        }
        match value {
            Json::Object(fields) => self.object(path, fields, schema),
            Json::Array(items) => self.list(path, items, schema),
            Json::String(text) => self.text(path, text, schema),
            Json::Number(number) => self.number(path, number, schema),
            Json::Null | Json::Bool(_) => {}
        }
        if let Some(allowed) = schema.get("enum").and_then(Json::as_array)
            && !allowed.contains(value)
        {
            let allowed: Vec<_> =
                allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            self.refuse(path, format!("{value} is not one of {}", allowed.join(", ")));
        }
    }

    fn has_type(&mut self, path: &str, value: &Json, schema: &Map<String, Json>) -> bool {
        let expected = match schema.get("type").and_then(Json::as_str) {
            Some(expected) => expected,
            None if schema.contains_key("x-kubernetes-int-or-string") => "integer or string",
            None => return true,
        };
        let integer = || value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|v| v.fract() == 0.0);
        let holds = match expected {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => integer(),
            _ => value.is_string() || integer(),
        };
        if !holds {
            let found = match value {
                Json::Null => "null",
                Json::Bool(_) => "a boolean",
                Json::Number(_) => "a number",
                Json::String(_) => "a string",
                Json::Array(_) => "a list",
                Json::Object(_) => "an object",
            };
            let article = if expected.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
            self.refuse(path, format!("must be {article} {expected}, not {found}"));
        }
        holds
    }

    fn object(&mut self, path: &str, fields: &Map<String, Json>, schema: &Map<String, Json>) {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties");
        for (name, value) in fields {
            let path = join(path, name);
            match (properties.and_then(|properties| properties.get(name)), others) {
                (Some(schema), _) | (None, Some(schema)) => self.check(&path, value, schema),
                (None, None) if properties.is_some() => self.refuse(&path, "unknown field".to_owned()),
                (None, None) => {}
            }
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !fields.contains_key(name) {
                self.refuse(&join(path, name), "is required".to_owned());
            }
        }
        self.size(path, fields.len(), schema, ("minProperties", "maxProperties"), "fields");
    }

    fn list(&mut self, path: &str, items: &[Json], schema: &Map<String, Json>) {
        if let Some(schema) = schema.get("items") {
            for (i, item) in items.iter().enumerate() {
                self.check(&format!("{path}[{i}]"), item, schema);
            }
        }
        self.size(path, items.len(), schema, ("minItems", "maxItems"), "items");
        let keys: Vec<_> = match schema.get("x-kubernetes-list-type").and_then(Json::as_str) {
            Some("map") => {
                let keys = schema.get("x-kubernetes-list-map-keys").and_then(Json::as_array);
                keys.into_iter().flatten().filter_map(Json::as_str).collect()
            }
            Some("set") => Vec::new(),
            _ => return,
        };
        let mut seen = HashSet::new();
        for (i, item) in items.iter().enumerate() {
            let identity = match keys.as_slice() {
                [] => item.to_string(),
                keys => keys
                    .iter()
                    .map(|key| item.get(key).unwrap_or(&Json::Null).to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            if let Some(identity) = seen.replace(identity) {
                self.refuse(&format!("{path}[{i}]"), format!("{identity} is already in the list"));
            }
        }
    }

    fn text(&mut self, path: &str, text: &str, schema: &Map<String, Json>) {
        self.size(path, text.chars().count(), schema, ("minLength", "maxLength"), "characters");
        if let Some(pattern) = schema.get("pattern").and_then(Json::as_str)
            && !self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
        {
            self.refuse(path, format!("{text:?} does not match {pattern}"));
        }
    }

    fn number(&mut self, path: &str, number: &serde_json::Number, schema: &Map<String, Json>) {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let bound = |keyword| schema.get(keyword).and_then(Json::as_f64);
        // `format: int32` implies bounds without a keyword.
        let (min, max) = match schema.get("format").and_then(Json::as_str) {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        if let Some(min) = bound("minimum").or(min)
            && value < min
        {
            self.refuse(path, format!("{number} is less than {min}"));
        }
        if let Some(max) = bound("maximum").or(max)
            && value > max
        {
            self.refuse(path, format!("{number} is greater than {max}"));
        }
    }

    /// Checks a count against the schema's keywords for minimum and maximum.
    fn size(&mut self, path: &str, size: usize, schema: &Map<String, Json>, keywords: (&str, &str), what: &str) {
        let bound = |keyword| schema.get(keyword).and_then(Json::as_u64).and_then(|bound| usize::try_from(bound).ok());
        if let Some(min) = bound(keywords.0)
            && size < min
        {
            self.refuse(path, format!("has {size} {what}, but the minimum is {min}"));
        }
        if let Some(max) = bound(keywords.1)
            && size > max
        {
            self.refuse(path, format!("has {size} {what}, but the maximum is {max}"));
        }
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords that do not affect validity, followed by those that this module checks.
    const KEYWORDS: [&str; 23] = [
        "default",
        "description",
        "title",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
        "additionalProperties",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
    ];

    fn unsupported_keywords(schema: &Json, found: &mut Vec<String>) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            match keyword.as_str() {
                "properties" => {
                    for schema in value.as_object().into_iter().flat_map(Map::values) {
                        unsupported_keywords(schema, found);
                    }
                }
                "items" | "additionalProperties" => unsupported_keywords(value, found),
                supported if KEYWORDS.contains(&supported) => {}
                unsupported => found.push(unsupported.to_owned()),
            }
        }
    }

    #[test]
    fn every_keyword_of_the_schemas_is_checked() {
        let admission = Admission::new();
        let mut found = Vec::new();
        for schema in admission.schemas.values() {
            unsupported_keywords(schema, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(admission.schemas.len(), 3);
    }
}
