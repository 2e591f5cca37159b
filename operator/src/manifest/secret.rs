//! What a manifest of a Secret (core v1) holds. Nothing that is told of one holds a value of it.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value as Json;

/// A field that is at fault, and what is wrong with it.
pub(super) type Fault = (String, &'static str);

/// The values of a Secret by their keys: `data`, and `stringData` over it, as an API server joins them.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(secret: &Json) -> Result<BTreeMap<String, Vec<u8>>, Vec<Fault>> {
    let mut values = BTreeMap::new();
    let mut faults = Vec::new();
    for field in ["data", "stringData"] {
        let entries = match secret.get(field) {
            None | Some(Json::Null) => continue,
            Some(Json::Object(entries)) => entries,
            Some(_) => {
                faults.push((field.to_owned(), "is not a map of keys and texts"));
                continue;
            }
        };
        for (key, value) in entries {
            let octets = match (value.as_str(), field) {
                (None, _) => Err("is not a text"),
                (Some(text), "data") => BASE64.decode(text.as_bytes()).map_err(|_| "is not base64"),
                (Some(text), _) => Ok(text.as_bytes().to_vec()),
            };
            match octets {
                Ok(octets) => _ = values.insert(key.clone(), octets),
                Err(message) => faults.push((format!("{field}.{key}"), message)),
            }
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_texts_come_over_encoded_ones() {
        let secret = json!({"data": {"a": "cHVibGlj", "b": "AP8="}, "stringData": {"a": "private"}, "type": "Opaque"});
        let values = read(&secret).unwrap();
        assert_eq!(values, [("a".to_owned(), b"private".to_vec()), ("b".to_owned(), vec![0, 255])].into());
        assert_eq!(read(&json!({"data": null})).unwrap(), BTreeMap::new());
    }

    #[test]
    fn what_an_api_server_refuses_is_refused_without_a_value() {
        let secret = json!({"data": {"a": "tell-no-one", "b": 12_345_678}, "stringData": ["tell-no-one"]});
        let faults = read(&secret).unwrap_err();
        let faults: Vec<_> = faults.iter().map(|(path, message)| (path.as_str(), *message)).collect();
        assert_eq!(
            faults,
            [
                ("data.a", "is not base64"),
                ("data.b", "is not a text"),
                ("stringData", "is not a map of keys and texts"),
            ]
        );
    }
}
