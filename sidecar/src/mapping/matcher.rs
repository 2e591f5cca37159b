//! Label matchers: which samples an object uses.

use regex_lite::Regex;
use sidecar_config::{MetricValue, Operator, Violation, whole_text};

use crate::sample::Labels;

/// The label requirements of one object. A sample must meet all of them.
#[derive(Debug, Default)]
pub(super) struct Matcher(Vec<(String, Requirement)>);

/// The requirement for one label. As in Prometheus, an absent label has the text `""`.
#[derive(Debug)]
enum Requirement {
    In(Vec<String>),
    NotIn(Vec<String>),
    Matches(Regex),
}

impl Matcher {
    /// Compiles the matchers of the value at `path`.
    ///
    /// # Errors
    /// Returns a violation if a regular expression is invalid.
    pub(super) fn new(value: &MetricValue, path: &str) -> Result<Self, Violation> {
        let mut requirements: Vec<_> = value
            .match_labels
            .iter()
            .map(|(label, text)| (label.clone(), Requirement::In(vec![text.clone()])))
            .collect();
        for (i, requirement) in value.match_expressions.iter().enumerate() {
            let empty = || vec![String::new()];
            let compiled = match requirement.operator {
                Operator::In => Requirement::In(requirement.values.clone()),
                Operator::NotIn => Requirement::NotIn(requirement.values.clone()),
                Operator::Exists => Requirement::NotIn(empty()),
                Operator::DoesNotExist => Requirement::In(empty()),
                Operator::Matches => {
                    let pattern = requirement.values.first().map_or("", String::as_str);
                    Requirement::Matches(whole_text(pattern).map_err(|error| Violation {
                        path: format!("{path}.matchExpressions[{i}].values[0]"),
                        message: format!("{pattern:?} is not a regular expression: {error}"),
                    })?)
                }
            };
            requirements.push((requirement.key.clone(), compiled));
        }
        Ok(Self(requirements))
    }

    /// Returns whether the labels meet all requirements.
    pub(super) fn matches(&self, labels: &Labels<'_>) -> bool {
        self.0.iter().all(|(label, requirement)| {
            let text = labels.get(label).unwrap_or_default();
            match requirement {
                Requirement::In(texts) => texts.iter().any(|t| t == text),
                Requirement::NotIn(texts) => texts.iter().all(|t| t != text),
                Requirement::Matches(regex) => regex.is_match(text),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Number, Samples};
    use rstest::rstest;
    use serde_json::json;

    fn matcher(mut value: serde_json::Value) -> Result<Matcher, Violation> {
        let mut whole = json!({"source": "app", "metric": "m"});
        whole.as_object_mut().unwrap().append(value.as_object_mut().unwrap());
        Matcher::new(&serde_json::from_value(whole).unwrap(), "scalars[0].value")
    }

    fn matches(value: serde_json::Value, labels: &[(&str, &str)]) -> bool {
        let mut samples = Samples::new();
        samples.push("m", labels.iter().copied(), Number::Signed(1)).unwrap();
        matcher(value).unwrap().matches(&samples.get(0).unwrap().labels)
    }

    #[rstest]
    #[case::without_matchers_all_samples_match(json!({}), &[("a", "1")], true)]
    #[case::a_label_matches_its_text(json!({"matchLabels": {"a": "1"}}), &[("a", "1"), ("b", "2")], true)]
    #[case::a_label_does_not_match_another_text(json!({"matchLabels": {"a": "1"}}), &[("a", "10")], false)]
    #[case::all_labels_must_match(json!({"matchLabels": {"a": "1", "b": "2"}}), &[("a", "1"), ("b", "3")], false)]
    #[case::an_absent_label_equals_an_empty_one(json!({"matchLabels": {"a": ""}}), &[], true)]
    #[case::an_empty_label_equals_an_absent_one(json!({"matchLabels": {"a": ""}}), &[("a", "")], true)]
    #[case::in_matches_any_of_its_values(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), &[("a", "2")], true)]
    #[case::in_does_not_match_other_values(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), &[("a", "3")], false)]
    #[case::in_with_the_empty_text_matches_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", ""]}]}), &[], true)]
    #[case::not_in_does_not_match_its_values(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}), &[("a", "1")], false)]
    #[case::not_in_matches_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}), &[], true)]
    #[case::exists_matches_a_label_with_text(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), &[("a", "x")], true)]
    #[case::exists_does_not_match_an_empty_label(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), &[("a", "")], false)]
    #[case::does_not_exist_matches_an_empty_label(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), &[("a", "")], true)]
    #[case::does_not_exist_does_not_match_a_label_with_text(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), &[("a", "x")], false)]
    #[case::a_pattern_matches(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["5.."]}]}), &[("a", "503")], true)]
    #[case::a_pattern_matches_the_whole_text_only(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["5.."]}]}), &[("a", "5034")], false)]
    #[case::each_side_of_an_alternative_is_anchored(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["b|c"]}]}), &[("a", "bc")], false)]
    #[case::a_pattern_for_the_empty_text_matches_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": [".*"]}]}), &[], true)]
    #[case::a_dot_matches_a_line_end(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["a.b"]}]}), &[("a", "a\nb")], true)]
    #[case::a_line_end_is_not_the_end_of_the_text(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["a"]}]}), &[("a", "a\n")], false)]
    #[case::all_requirements_must_be_met(json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}), &[("a", "1")], false)]
    fn samples_are_selected_by_their_labels(
        #[case] value: serde_json::Value,
        #[case] labels: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        assert_eq!(matches(value, labels), expected);
    }

    #[rstest]
    #[case("(")]
    #[case("a)|(b")]
    #[case("[z-a]")]
    fn an_invalid_pattern_is_a_violation_at_its_path(#[case] pattern: &str) {
        let value = json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": [pattern]}]});
        assert_eq!(matcher(value).unwrap_err().path, "scalars[0].value.matchExpressions[0].values[0]");
    }
}
