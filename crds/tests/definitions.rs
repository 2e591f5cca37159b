//! The generated definitions: the committed files are up to date and complete.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail as tests do"
)]

use std::path::Path;

use serde_json::Value as Json;

#[test]
fn the_committed_manifests_match_the_types() {
    for (file, yaml) in crds::manifests().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == yaml, "crds/{file} is out of date: run `make generate`");
    }
}

/// Calls `visit` with every schema in `schema`, and its path.
fn each_schema(path: &str, schema: &Json, visit: &mut dyn FnMut(&str, &Json)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each_schema(&format!("{path}.{name}"), property, visit);
    }
    for (keyword, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[keyword].is_object() {
            each_schema(&format!("{path}{suffix}"), &schema[keyword], visit);
        }
    }
}

fn specs() -> Vec<(String, Json)> {
    let definitions = serde_json::to_value(crds::definitions()).unwrap();
    let schema = |definition: &Json| {
        definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap().clone()
    };
    let kind = |definition: &Json| definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
    definitions.as_array().unwrap().iter().map(|definition| (kind(definition), schema(definition))).collect()
}

#[test]
fn every_list_map_and_string_is_bounded_and_every_field_is_described() {
    let mut problems = Vec::new();
    for (kind, spec) in specs() {
        each_schema(&format!("{kind}.spec"), &spec, &mut |path, schema| {
            let bound = match schema["type"].as_str() {
                Some("array") => "maxItems",
                Some("string") if schema["enum"].is_null() => "maxLength",
                Some("object") if schema["additionalProperties"].is_object() => "maxProperties",
                None if schema["x-kubernetes-int-or-string"] == true => "maxLength",
                Some(_) | None => return,
            };
            if schema[bound].is_null() {
                problems.push(format!("{path} has no {bound}"));
            }
        });
        each_schema(&format!("{kind}.spec"), &spec, &mut |path, schema| {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if property["description"].is_null() {
                    problems.push(format!("{path}.{name} has no description"));
                }
            }
        });
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn lists_of_named_things_merge_by_name_and_ordered_ones_whole() {
    let mut merges = Vec::new();
    for (kind, spec) in specs() {
        each_schema(&kind, &spec, &mut |path, schema| {
            if schema["type"] == "array" {
                let keys = schema["x-kubernetes-list-map-keys"]
                    .as_array()
                    .map(|keys| keys.iter().map(|k| k.as_str().unwrap()).collect::<Vec<_>>().join(","));
                merges.push(
                    format!(
                        "{path} {} {}",
                        schema["x-kubernetes-list-type"].as_str().unwrap_or("?"),
                        keys.unwrap_or_default()
                    )
                    .trim_end()
                    .to_owned(),
                );
            }
        });
    }
    insta::assert_snapshot!(merges.join("\n"));
}

#[test]
fn the_kinds_have_their_names_and_printer_columns() {
    let names: Vec<_> = crds::definitions()
        .into_iter()
        .map(|definition| {
            let (names, version) = (definition.spec.names, &definition.spec.versions[0]);
            let columns = version.additional_printer_columns.iter().flatten().map(|column| column.name.clone());
            format!(
                "{} {} {} {:?} {:?} {}: {}",
                definition.spec.scope,
                names.kind,
                names.plural,
                names.short_names.unwrap(),
                names.categories.unwrap(),
                version.name,
                columns.collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            r#"Namespaced SnmpSubtree snmpsubtrees ["subtree"] ["snmp"] v1alpha1: Context OID Accepted Ready Reason Age"#,
            r#"Cluster SnmpContext snmpcontexts ["snmpctx"] ["snmp"] v1alpha1: Context Subtrees Accepted Reason Age"#,
            r#"Namespaced SnmpTrapTarget snmptraptargets ["traptarget"] ["snmp"] v1alpha1: Context Address Accepted Ready Reason Age"#,
        ]
    );
}
