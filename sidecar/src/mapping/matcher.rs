//! Which samples an object takes: label matchers.

use regex_lite::Regex;
use sidecar_config::{MetricValue, Operator, Violation, whole_text};

use crate::sample::Labels;

/// The label requirements of one object, all of which a sample must meet.
#[derive(Debug, Default)]
pub(super) struct Matcher(Vec<(String, Test)>);

/// What is asked of one label. An absent label has the text `""`, as in Prometheus.
#[derive(Debug)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Matches(Regex),
}

impl Matcher {
    /// Compiles the matchers of the value at `path`.
    ///
    /// # Errors
    /// A regular expression that does not compile.
    pub(super) fn new(value: &MetricValue, path: &str) -> Result<Self, Violation> {
        let mut tests: Vec<_> =
            value.match_labels.iter().map(|(label, text)| (label.clone(), Test::In(vec![text.clone()]))).collect();
        for (i, requirement) in value.match_expressions.iter().enumerate() {
            let empty = || vec![String::new()];
            let test = match requirement.operator {
                Operator::In => Test::In(requirement.values.clone()),
                Operator::NotIn => Test::NotIn(requirement.values.clone()),
                Operator::Exists => Test::NotIn(empty()),
                Operator::DoesNotExist => Test::In(empty()),
                Operator::Matches => {
                    let pattern = requirement.values.first().map_or("", String::as_str);
                    Test::Matches(whole_text(pattern).map_err(|error| Violation {
                        path: format!("{path}.matchExpressions[{i}].values[0]"),
                        message: format!("{pattern:?} is not a regular expression: {error}"),
                    })?)
                }
            };
            tests.push((requirement.key.clone(), test));
        }
        Ok(Self(tests))
    }

    pub(super) fn matches(&self, labels: &Labels<'_>) -> bool {
        self.0.iter().all(|(label, test)| {
            let text = labels.get(label).unwrap_or_default();
            match test {
                Test::In(texts) => texts.iter().any(|t| t == text),
                Test::NotIn(texts) => texts.iter().all(|t| t != text),
                Test::Matches(regex) => regex.is_match(text),
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
    #[case::no_matcher_takes_all(json!({}), &[("a", "1")], true)]
    #[case::a_label_matches_its_text(json!({"matchLabels": {"a": "1"}}), &[("a", "1"), ("b", "2")], true)]
    #[case::and_no_other(json!({"matchLabels": {"a": "1"}}), &[("a", "10")], false)]
    #[case::all_labels_must_match(json!({"matchLabels": {"a": "1", "b": "2"}}), &[("a", "1"), ("b", "3")], false)]
    #[case::an_absent_label_equals_an_empty_one(json!({"matchLabels": {"a": ""}}), &[], true)]
    #[case::an_empty_label_equals_an_absent_one(json!({"matchLabels": {"a": ""}}), &[("a", "")], true)]
    #[case::in_takes_any_of_its_values(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), &[("a", "2")], true)]
    #[case::in_leaves_others(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}), &[("a", "3")], false)]
    #[case::in_with_the_empty_text_takes_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", ""]}]}), &[], true)]
    #[case::not_in_leaves_its_values(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}), &[("a", "1")], false)]
    #[case::not_in_takes_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}), &[], true)]
    #[case::exists_takes_a_label_with_text(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), &[("a", "x")], true)]
    #[case::exists_leaves_an_empty_one(json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), &[("a", "")], false)]
    #[case::does_not_exist_takes_an_empty_one(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), &[("a", "")], true)]
    #[case::does_not_exist_leaves_one_with_text(json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}), &[("a", "x")], false)]
    #[case::a_pattern_matches(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["5.."]}]}), &[("a", "503")], true)]
    #[case::a_pattern_matches_the_whole_text_only(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["5.."]}]}), &[("a", "5034")], false)]
    #[case::each_side_of_an_alternative_is_anchored(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["b|c"]}]}), &[("a", "bc")], false)]
    #[case::a_pattern_for_the_empty_text_takes_an_absent_label(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": [".*"]}]}), &[], true)]
    #[case::a_dot_matches_a_line_end(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["a.b"]}]}), &[("a", "a\nb")], true)]
    #[case::an_end_of_line_is_not_the_end(json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": ["a"]}]}), &[("a", "a\n")], false)]
    #[case::requirements_add_up(json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}), &[("a", "1")], false)]
    fn samples_are_chosen_by_their_labels(
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
    fn a_bad_pattern_is_a_violation_at_its_place(#[case] pattern: &str) {
        let value = json!({"matchExpressions": [{"key": "a", "operator": "Matches", "values": [pattern]}]});
        assert_eq!(matcher(value).unwrap_err().path, "scalars[0].value.matchExpressions[0].values[0]");
    }
}
