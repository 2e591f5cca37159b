//! Parsing of requests. Pure.

use std::{collections::BTreeMap, fmt};

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::refusal::Refusal;

/// The maximum length of a name in Kubernetes.
const MAX_NAME: usize = 253;
/// The maximum length of a resource version.
const MAX_VERSION: usize = 64;
/// The maximum number of keys in a change.
const MAX_KEYS: usize = 256;

/// The request in an HTTP head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConfigMapRequest {
    /// Read the ConfigMap with this name.
    Read(String),
    /// Change the ConfigMap with this name.
    Change(String),
}

impl ConfigMapRequest {
    /// Parses a method and a path.
    ///
    /// # Errors
    /// Returns an error if there is no such resource or method.
    pub(super) fn parse(method: &Method, path: &str) -> Result<Self, Refusal> {
        let name = path.strip_prefix("/v1/configmaps/");
        let Some(name) = name.filter(|name| is_name(name)) else {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not found: use /v1/configmaps/NAME, with the name of a ConfigMap",
            ));
        };
        match *method {
            Method::GET => Ok(Self::Read(name.to_owned())),
            Method::PATCH => Ok(Self::Change(name.to_owned())),
            _ => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method not allowed: use GET to read and PATCH to change",
            )),
        }
    }

    /// Returns the name of the ConfigMap.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Read(name) | Self::Change(name) => name,
        }
    }
}

/// Returns whether the text is a valid name of a ConfigMap (RFC 1123 subdomain). Such a name is safe in a path.
fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label =
        |label: &str| label.bytes().all(|b| inner(b) || b == b'-') && !label.starts_with('-') && !label.ends_with('-');
    name.len() <= MAX_NAME && name.split('.').all(|label| !label.is_empty() && is_label(label))
}

/// A change of a ConfigMap. `Debug` shows only the names of its keys.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    /// The version that the ConfigMap must have. `None` for any.
    #[serde(default)]
    pub(super) resource_version: Option<String>,
    /// The new texts by key. A key without a text is removed.
    pub(super) data: BTreeMap<String, Option<String>>,
}

impl Change {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// Returns an error if the body is invalid. The message does not quote it, because it can contain values.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let change: Self = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let expected =
                r#"{"resourceVersion": TEXT, "data": {KEY: TEXT or null}}, where resourceVersion is optional"#;
            Refusal::malformed(format!("line {line}, column {column} of the body: expected {expected}"))
        })?;
        if change.data.is_empty() || change.data.len() > MAX_KEYS {
            return Err(Refusal::malformed(format!("data: has {} keys, must have 1 to {MAX_KEYS}", change.data.len())));
        }
        let is_version = |version: &String| {
            (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !change.resource_version.as_ref().is_none_or(is_version) {
            return Err(Refusal::malformed("resourceVersion: is not a valid version"));
        }
        Ok(change)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn requests_are_parsed() {
        let of = |method: Method| ConfigMapRequest::parse(&method, "/v1/configmaps/check-out.settings-1");
        assert_eq!(of(Method::GET), Ok(ConfigMapRequest::Read("check-out.settings-1".to_owned())));
        assert_eq!(of(Method::PATCH), Ok(ConfigMapRequest::Change("check-out.settings-1".to_owned())));
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            assert_eq!(of(method).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[rstest]
    fn invalid_paths_are_refused(
        #[values(
            "",
            "/",
            "/v1/configmaps",
            "/v1/configmaps/",
            "/v1/configmaps/.",
            "/v1/configmaps/..",
            "/v1/configmaps/a/b",
            "/v1/configmaps/a%2fb",
            "/v1/configmaps/A",
            "/v1/configmaps/-a",
            "/v1/configmaps/a..b",
            "/v1/secrets/a",
            "/v1/configmaps/a?x",
            "/v2/configmaps/a",
            "/v1/configmaps/a\n"
        )]
        path: &str,
    ) {
        assert_eq!(ConfigMapRequest::parse(&Method::PATCH, path).unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn changes_are_parsed() {
        let change = Change::parse(br#"{"resourceVersion": "42", "data": {"a": "1", "b": null}}"#).unwrap();
        assert_eq!(change.resource_version.as_deref(), Some("42"));
        assert_eq!(change.data, [("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)].into());
        assert_eq!(Change::parse(br#"{"data": {"a": ""}}"#).unwrap().resource_version, None);
        assert_eq!(Change::parse(br#"{"resourceVersion": null, "data": {"a": ""}}"#).unwrap().resource_version, None);
    }

    #[rstest]
    #[case(r#"{"data": {"password": 1234567}}"#)]
    #[case(r#"{"data": {"password": ["tell-no-one"]}}"#)]
    #[case(r#"{"data": "tell-no-one"}"#)]
    #[case(r#"{"data": {}, "tell-no-one": 1}"#)]
    #[case(r#"{"data": {}}"#)]
    #[case(r#"{"data": {"a": "tell-no-one"}, "metadata": {}}"#)]
    #[case(r#"{"resourceVersion": "", "data": {"a": "tell-no-one"}}"#)]
    #[case(r#"{"resourceVersion": "tell no one", "data": {"a": "b"}}"#)]
    #[case(r#"{"resourceVersion": 7, "data": {"a": "b"}}"#)]
    #[case(r#"{"data": {"a": "tell-no-one"}"#)]
    #[case("tell-no-one")]
    #[case("")]
    fn errors_do_not_quote_the_body(#[case] body: &str) {
        let refusal = Change::parse(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        for part in ["tell", "1234567"] {
            assert!(!refusal.message.contains(part), "{refusal}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let change = Change::parse(br#"{"data": {"motd": "tell-no-one"}}"#).unwrap();
        let debug = format!("{change:?}");
        assert!(debug.contains("motd") && !debug.contains("tell"), "{debug}");
    }

    proptest! {
        #[test]
        fn any_input_is_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), path: String) {
            let _ = Change::parse(&body);
            if let Ok(request) = ConfigMapRequest::parse(&Method::GET, &path) {
                prop_assert!(request.name().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'));
            }
        }
    }
}
