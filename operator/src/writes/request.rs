//! What is asked for. Pure.

use std::{collections::BTreeMap, fmt};

use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::refusal::Refusal;

/// The longest name of anything in Kubernetes.
const MAX_NAME: usize = 253;
/// The longest version of an object that is taken for one.
const MAX_VERSION: usize = 64;
/// The most keys that one change names.
const MAX_KEYS: usize = 256;

/// What a request's head asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// The ConfigMap of this name, read.
    Read(String),
    /// The ConfigMap of this name, changed.
    Change(String),
}

impl Asked {
    /// Of a method and a path.
    ///
    /// # Errors
    /// There is no such thing to ask for.
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        let name = path.strip_prefix("/v1/configmaps/");
        let Some(name) = name.filter(|name| is_name(name)) else {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "there is /v1/configmaps/NAME, with the name of a ConfigMap",
            ));
        };
        match *method {
            Method::GET => Ok(Self::Read(name.to_owned())),
            Method::PATCH => Ok(Self::Change(name.to_owned())),
            _ => Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "ConfigMaps are read by GET and changed by PATCH")),
        }
    }

    /// The ConfigMap's name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Read(name) | Self::Change(name) => name,
        }
    }
}

/// A name as those of ConfigMaps are (RFC 1123 subdomain), so that it can stand in a path.
fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label =
        |label: &str| label.bytes().all(|b| inner(b) || b == b'-') && !label.starts_with('-') && !label.ends_with('-');
    name.len() <= MAX_NAME && name.split('.').all(|label| !label.is_empty() && is_label(label))
}

/// What a ConfigMap is to become. `Debug` shows names of keys alone.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Change {
    /// The version that must be there.
    #[serde(default)]
    pub(super) resource_version: Option<String>,
    /// Texts by key; a key without one goes.
    pub(super) data: BTreeMap<String, Option<String>>,
}

impl Change {
    /// Of a request's body.
    ///
    /// # Errors
    /// Where it is not understood: without what stands there, which may be a value.
    pub(super) fn of(body: &[u8]) -> Result<Self, Refusal> {
        let change: Self = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let expected =
                r#"{"resourceVersion": TEXT, "data": {KEY: TEXT or null}}, the version if it must be that one"#;
            Refusal::malformed(format!("line {line}, column {column} of the body: it is not as {expected}"))
        })?;
        if change.data.is_empty() || change.data.len() > MAX_KEYS {
            return Err(Refusal::malformed(format!("data: 1 to {MAX_KEYS} keys, and not {}", change.data.len())));
        }
        let is_version = |version: &String| {
            (1..=MAX_VERSION).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if !change.resource_version.as_ref().is_none_or(is_version) {
            return Err(Refusal::malformed("resourceVersion: is no version of an object"));
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
    fn a_config_map_is_read_and_changed_by_its_name() {
        let of = |method: Method| Asked::of(&method, "/v1/configmaps/check-out.settings-1");
        assert_eq!(of(Method::GET), Ok(Asked::Read("check-out.settings-1".to_owned())));
        assert_eq!(of(Method::PATCH), Ok(Asked::Change("check-out.settings-1".to_owned())));
        for method in [Method::PUT, Method::POST, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            assert_eq!(of(method).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[rstest]
    fn what_is_no_name_leads_nowhere(
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
        assert_eq!(Asked::of(&Method::PATCH, path).unwrap_err().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_change_names_keys_and_may_name_a_version() {
        let change = Change::of(br#"{"resourceVersion": "42", "data": {"a": "1", "b": null}}"#).unwrap();
        assert_eq!(change.resource_version.as_deref(), Some("42"));
        assert_eq!(change.data, [("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)].into());
        assert_eq!(Change::of(br#"{"data": {"a": ""}}"#).unwrap().resource_version, None);
        assert_eq!(Change::of(br#"{"resourceVersion": null, "data": {"a": ""}}"#).unwrap().resource_version, None);
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
    fn what_is_not_understood_is_told_without_what_it_says(#[case] body: &str) {
        let refusal = Change::of(body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        for part in ["tell", "1234567"] {
            assert!(!refusal.message.contains(part), "{refusal}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let change = Change::of(br#"{"data": {"motd": "tell-no-one"}}"#).unwrap();
        let debug = format!("{change:?}");
        assert!(debug.contains("motd") && !debug.contains("tell"), "{debug}");
    }

    proptest! {
        #[test]
        fn any_octets_are_understood_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200), path: String) {
            let _ = Change::of(&body);
            if let Ok(asked) = Asked::of(&Method::GET, &path) {
                prop_assert!(asked.name().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'));
            }
        }
    }
}
