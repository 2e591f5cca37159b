//! What a SET writes, as text: by itself, and in the body of a request.

use serde::{Deserialize, Serialize};

/// A value as an application reads it. No `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// A number, `true` or `false`, or a text.
    pub value: String,
    /// The name of an enumerated value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Text {
    /// The value alone: an enumerated one by its name.
    #[must_use]
    pub fn plain(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.value)
    }

    /// The body of a request. `${value}` and `${name}` stand as between the quotes of a JSON string (RFC 8259 section 7), which
    /// for a number, `true` and `false` is as they are. Without a template it is the value alone.
    #[must_use]
    pub fn body(&self, template: Option<&str>) -> String {
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

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn text(value: &str, name: Option<&str>) -> Text {
        Text { value: value.to_owned(), name: name.map(str::to_owned) }
    }

    #[rstest]
    #[case::a_number("7", None, Some(r#"{"limit": ${value}}"#), r#"{"limit": 7}"#)]
    #[case::a_name("2", Some("debug"), Some(r#"{"level": "${name}", "n": ${value}}"#), r#"{"level": "debug", "n": 2}"#)]
    #[case::a_number_without_a_name("9", None, Some("${name}"), "9")]
    #[case::hostile(r#"x", "admin": "1"#, None, Some(r#"{"host": "${value}"}"#), r#"{"host": "x\", \"admin\": \"1"}"#)]
    #[case::a_template_is_not_read_twice("${name}${value}", None, Some(r#""${value}""#), r#""${name}${value}""#)]
    #[case::what_is_no_placeholder("1", None, Some("${other} $ ${"), "${other} $ ${")]
    #[case::no_template("a\"b", Some("n"), None, "a\"b")]
    fn a_body_holds_the_value(
        #[case] value: &str,
        #[case] name: Option<&str>,
        #[case] template: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(text(value, name).body(template), expected);
    }

    #[test]
    fn by_itself_a_value_is_its_name_if_it_has_one() {
        assert_eq!(text("2", Some("debug")).plain(), "debug");
        assert_eq!(text("2", None).plain(), "2");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_string(value in any::<String>()) {
            let body = text(&value, None).body(Some(r#"{"a": "${value}", "b": 1}"#));
            let json: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(json, serde_json::json!({"a": value, "b": 1}));
        }
    }
}
