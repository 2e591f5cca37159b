//! Reads manifests of Secrets (core v1). No message contains a value of a Secret.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value as Json;

/// The path of an invalid field, and what is wrong with it.
pub(super) type FieldError = (String, &'static str);

/// Returns the values of a Secret by key. As in an API server, `stringData` overrides `data`.
///
/// # Errors
/// Returns all invalid fields.
pub(super) fn read(secret: &Json) -> Result<BTreeMap<String, Vec<u8>>, Vec<FieldError>> {
    let mut values = BTreeMap::new();
    let mut errors = Vec::new();
    for field in ["data", "stringData"] {
        let entries = match secret.get(field) {
            None | Some(Json::Null) => continue,
            Some(Json::Object(entries)) => entries,
            Some(_) => {
                errors.push((field.to_owned(), "is not a map of strings"));
                continue;
            }
        };
        for (key, value) in entries {
            let octets = match (value.as_str(), field) {
                (None, _) => Err("is not a string"),
                (Some(text), "data") => BASE64.decode(text.as_bytes()).map_err(|_| "is not base64"),
                (Some(text), _) => Ok(text.as_bytes().to_vec()),
            };
            match octets {
                Ok(octets) => _ = values.insert(key.clone(), octets),
                Err(message) => errors.push((format!("{field}.{key}"), message)),
            }
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn string_data_overrides_data() {
        let secret = json!({"data": {"a": "cHVibGlj", "b": "AP8="}, "stringData": {"a": "private"}, "type": "Opaque"});
        let values = read(&secret).unwrap();
        assert_eq!(values, [("a".to_owned(), b"private".to_vec()), ("b".to_owned(), vec![0, 255])].into());
        assert_eq!(read(&json!({"data": null})).unwrap(), BTreeMap::new());
    }

    #[test]
    fn invalid_fields_are_refused_without_showing_values() {
        let secret = json!({"data": {"a": "tell-no-one", "b": 12_345_678}, "stringData": ["tell-no-one"]});
        let errors = read(&secret).unwrap_err();
        let errors: Vec<_> = errors.iter().map(|(path, message)| (path.as_str(), *message)).collect();
        assert_eq!(
            errors,
            [("data.a", "is not base64"), ("data.b", "is not a string"), ("stringData", "is not a map of strings"),]
        );
    }
}
