//! The fields that a document can have, so that others can be told. (Flattened and either-or types hide unknown
//! fields from serde. A test holds this table against a document in which every field is set.)

use serde_json::Value as Json;

/// What may stand at one place of a document.
enum Shape {
    /// Anything: a number, a text, a map with keys of the user's.
    Any,
    /// An object with these fields alone.
    Object(&'static [(&'static str, Shape)]),
    /// A list of such things.
    List(&'static Shape),
}

use Shape::{Any, List, Object};

const REQUIREMENT: Shape = Object(&[("key", Any), ("operator", Any), ("values", Any)]);

const AUTHORIZATION: Shape = Object(&[
    ("bearer", Object(&[("credentialsFile", Any)])),
    ("basic", Object(&[("usernameFile", Any), ("passwordFile", Any)])),
]);

const TLS: Shape =
    Object(&[("caFile", Any), ("certFile", Any), ("keyFile", Any), ("serverName", Any), ("insecureSkipVerify", Any)]);

const PROMETHEUS: Shape = Object(&[
    ("scheme", Any),
    ("host", Any),
    ("port", Any),
    ("path", Any),
    ("authorization", AUTHORIZATION),
    ("tls", TLS),
    ("bodySizeLimit", Any),
    ("sampleLimit", Any),
]);

const JSON: Shape = Object(&[
    ("scheme", Any),
    ("host", Any),
    ("port", Any),
    ("path", Any),
    ("authorization", AUTHORIZATION),
    ("tls", TLS),
    ("method", Any),
    ("headers", Any),
    ("body", Any),
    ("bodySizeLimit", Any),
    ("sampleLimit", Any),
    ("metrics", List(&Object(&[("name", Any), ("path", Any), ("labels", Any), ("value", Any), ("valueMap", Any)]))),
]);

const SQL: Shape = Object(&[
    ("driver", Any),
    ("dsnFile", Any),
    ("tls", TLS),
    ("sampleLimit", Any),
    ("queries", List(&Object(&[("name", Any), ("query", Any), ("values", Any), ("labels", Any)]))),
]);

const SOURCE: Shape = Object(&[
    ("name", Any),
    ("intervalMs", Any),
    ("timeoutMs", Any),
    ("staleAfterMs", Any),
    ("prometheus", PROMETHEUS),
    ("json", JSON),
    ("sql", SQL),
    ("system", Object(&[])),
    ("configMap", Object(&[("name", Any), ("keys", Any)])),
]);

const WRITE: Shape = Object(&[
    ("range", Object(&[("min", Any), ("max", Any)])),
    ("length", Object(&[("min", Any), ("max", Any)])),
    ("pattern", Any),
    (
        "http",
        Object(&[
            ("scheme", Any),
            ("host", Any),
            ("port", Any),
            ("path", Any),
            ("authorization", AUTHORIZATION),
            ("tls", TLS),
            ("method", Any),
            ("body", Any),
        ]),
    ),
    ("configMap", Object(&[("name", Any), ("key", Any)])),
]);

const VALUE: Shape = Object(&[
    ("constant", Any),
    ("source", Any),
    ("metric", Any),
    ("matchLabels", Any),
    ("matchExpressions", List(&REQUIREMENT)),
    ("label", Any),
    ("quantile", Any),
    ("rateMs", Any),
    ("aggregate", Any),
    ("scale", Any),
    ("offset", Any),
    ("round", Any),
    ("onMissing", Any),
    ("counterReset", Any),
]);

const SCALAR: Shape =
    Object(&[("name", Any), ("oid", Any), ("syntax", Any), ("enum", Any), ("value", VALUE), ("write", WRITE)]);

const COLUMN: Shape = Object(&[("name", Any), ("oid", Any), ("syntax", Any), ("enum", Any), ("value", VALUE)]);

const INDEX: Shape = Object(&[("name", Any), ("oid", Any), ("pod", Object(&[])), ("label", Any), ("as", Any)]);

const TABLE: Shape = Object(&[("name", Any), ("oid", Any), ("index", List(&INDEX)), ("columns", List(&COLUMN))]);

const SUBTREE: Shape = Object(&[
    ("version", Any),
    ("namespace", Any),
    ("name", Any),
    ("module", Any),
    ("selector", Object(&[("matchLabels", Any), ("matchExpressions", List(&REQUIREMENT))])),
    ("oid", Any),
    ("contexts", Any),
    ("sources", List(&SOURCE)),
    ("scalars", List(&SCALAR)),
    ("tables", List(&TABLE)),
]);

/// Paths of the fields in `document` that this version does not know, in the document's order.
pub(crate) fn unknown(document: &Json) -> Vec<String> {
    let mut found = Vec::new();
    walk(document, &SUBTREE, "", &mut found);
    found
}

fn walk(value: &Json, shape: &Shape, path: &str, found: &mut Vec<String>) {
    match (shape, value) {
        (Object(known), Json::Object(fields)) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match known.iter().find(|(known, _)| known == name) {
                    Some((_, shape)) => walk(value, shape, &path, found),
                    None => found.push(path),
                }
            }
        }
        (List(shape), Json::Array(items)) => {
            for (i, item) in items.iter().enumerate() {
                walk(item, shape, &format!("{path}[{i}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: [&[u8]; 2] =
        [include_bytes!("../tests/golden/version-1.json"), include_bytes!("../tests/golden/version-1-kinds.json")];

    /// Places of types that stand at several: one of them shows every field.
    const SHOWN_ELSEWHERE: [&str; 6] =
        [".columns[].value.", ".json.authorization.", ".json.tls.", ".sql.tls.", ".http.authorization.", ".http.tls."];

    /// Every path of `shape`, lists as `[]`.
    fn paths(shape: &Shape, path: &str, all: &mut Vec<String>) {
        match shape {
            Any | Object([]) => all.push(path.to_owned()),
            List(item) => paths(item, &format!("{path}[]"), all),
            Object(fields) => fields.iter().for_each(|(name, shape)| paths(shape, &format!("{path}.{name}"), all)),
        }
    }

    /// Every path of `value` as far as `shape` goes.
    fn present(value: &Json, shape: &Shape, path: &str, all: &mut Vec<String>) {
        match (shape, value) {
            (Object([_, ..]), Json::Object(fields)) => {
                for (name, value) in fields {
                    let Object(known) = shape else { unreachable!() };
                    if let Some((_, shape)) = known.iter().find(|(known, _)| known == name) {
                        present(value, shape, &format!("{path}.{name}"), all);
                    }
                }
            }
            (List(shape), Json::Array(items)) => {
                for item in items {
                    present(item, shape, &format!("{path}[]"), all);
                }
            }
            _ => all.push(path.to_owned()),
        }
    }

    #[test]
    fn the_golden_documents_set_every_field_of_the_table() {
        let (mut known, mut set) = (Vec::new(), Vec::new());
        paths(&SUBTREE, "", &mut known);
        for golden in GOLDEN {
            present(&serde_json::from_slice(golden).unwrap(), &SUBTREE, "", &mut set);
        }
        let elsewhere = |path: &str| SHOWN_ELSEWHERE.iter().any(|place| path.contains(place));
        let missing: Vec<_> = known.iter().filter(|path| !set.contains(path) && !elsewhere(path)).collect();
        assert!(missing.is_empty(), "the golden documents do not set {missing:?}");
    }

    #[test]
    fn every_field_that_serde_writes_is_in_the_table() {
        for golden in GOLDEN {
            let golden: crate::Subtree = serde_json::from_slice(golden).unwrap();
            assert_eq!(unknown(&serde_json::to_value(golden).unwrap()), Vec::<String>::new());
        }
    }

    #[test]
    fn unknown_fields_are_named_by_path_wherever_they_stand() {
        let document = serde_json::json!({
            "version": 1, "colour": 1,
            "sources": [{"name": "a", "prometheus": {"port": 1, "tls": {"ca": 1}, "authorization": {"digest": {}}}}, {"yaml": {}}],
            "tables": [{"index": [{"pod": {"x": 1}}], "columns": [{}, {"value": {"matchExpressions": [{"op": 1}]}}]}],
            "selector": {"matchLabels": {"any": "thing"}},
        });
        assert_eq!(
            unknown(&document),
            [
                "colour",
                "sources[0].prometheus.authorization.digest",
                "sources[0].prometheus.tls.ca",
                "sources[1].yaml",
                "tables[0].columns[1].value.matchExpressions[0].op",
                "tables[0].index[0].pod.x",
            ]
        );
    }
}
