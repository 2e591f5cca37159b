//! The text that a SET writes, plain or in the body of a request.

use serde::{Deserialize, Serialize};

/// A value in the form that an application reads. No `Debug`, because it may be a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ValueText {
    /// A number, `true`, `false` or a string.
    pub(super) value: String,
    /// The name of the value if the object's numbers have names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
}

impl ValueText {
    /// Returns the name if there is one, otherwise the value.
    pub(super) fn plain(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.value)
    }

    /// Returns the body of a request: the template with `${value}` and `${name}` replaced, or the value if there is no
    /// template. The replacements are escaped as within a JSON string (RFC 8259 section 7), which leaves numbers, `true`
    /// and `false` unchanged.
    pub(super) fn body(&self, template: Option<&str>) -> String {
        let Some(template) = template else { return self.value.clone() };
        let name = self.name.as_deref().unwrap_or(&self.value);
        let (mut body, mut rest) = (String::with_capacity(template.len() + self.value.len()), template);
        while let Some((before, after)) = rest.split_once("${") {
            body.push_str(before);
            rest = if let Some(after) = after.strip_prefix("value}") {
                body.push_str(&escaped(&self.value));
                after
            } else if let Some(after) = after.strip_prefix("name}") {
                body.push_str(&escaped(name));
                after
            } else {
                body.push_str("${");
                after
            };
        }
        body.push_str(rest);
        body
    }
}

/// Escapes a text for use between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn text(value: &str, name: Option<&str>) -> ValueText {
        ValueText { value: value.to_owned(), name: name.map(str::to_owned) }
    }

    #[rstest]
    #[case::number("7", None, Some(r#"{"limit": ${value}}"#), r#"{"limit": 7}"#)]
    #[case::name("2", Some("debug"), Some(r#"{"level": "${name}", "n": ${value}}"#), r#"{"level": "debug", "n": 2}"#)]
    #[case::number_without_a_name("9", None, Some("${name}"), "9")]
    #[case::value_with_quotes(
        r#"x", "admin": "1"#,
        None,
        Some(r#"{"host": "${value}"}"#),
        r#"{"host": "x\", \"admin\": \"1"}"#
    )]
    #[case::replacement_is_not_expanded_again("${name}${value}", None, Some(r#""${value}""#), r#""${name}${value}""#)]
    #[case::unknown_placeholder("1", None, Some("${other} $ ${"), "${other} $ ${")]
    #[case::no_template("a\"b", Some("n"), None, "a\"b")]
    fn body_contains_the_escaped_value(
        #[case] value: &str,
        #[case] name: Option<&str>,
        #[case] template: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(text(value, name).body(template), expected);
    }

    #[test]
    fn plain_text_is_the_name_if_there_is_one() {
        assert_eq!(text("2", Some("debug")).plain(), "debug");
        assert_eq!(text("2", None).plain(), "2");
    }

    proptest! {
        #[test]
        fn no_value_escapes_from_its_json_string(value in any::<String>()) {
            let body = text(&value, None).body(Some(r#"{"a": "${value}", "b": 1}"#));
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(json, serde_json::json!({"a": value, "b": 1}));
        }
    }
}
