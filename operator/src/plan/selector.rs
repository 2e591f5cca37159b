//! Label selectors.

use crds::{LabelOperator, LabelRequirement, LabelSelector};

/// Returns whether the selector selects an object with these labels, by the rules of Kubernetes. An empty selector
/// selects everything.
pub(crate) fn selects<'a>(selector: &LabelSelector, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    let requirement = |LabelRequirement { key, operator, values }: &LabelRequirement| {
        let value = label(key);
        let among = value.is_some_and(|value| values.iter().any(|one| one.0 == value));
        match operator {
            LabelOperator::In => among,
            LabelOperator::NotIn => !among,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    };
    selector.match_labels.iter().all(|(key, value)| label(key) == Some(&**value))
        && selector.match_expressions.iter().all(requirement)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_follow_the_rules_of_kubernetes() {
        let label = |key: &str| match key {
            "app" => Some("web"),
            "empty" => Some(""),
            _ => None,
        };
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let cases = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "front"}}), false),
            (json!({"matchLabels": {"empty": ""}}), true),
            (json!({"matchLabels": {"absent": ""}}), false),
            (expression("app", "In", &["db", "web"]), true),
            (expression("absent", "In", &["web"]), false),
            (expression("app", "NotIn", &["web"]), false),
            (expression("absent", "NotIn", &["web"]), true),
            (expression("empty", "Exists", &[]), true),
            (expression("absent", "DoesNotExist", &[]), true),
        ];
        for (selector, expected) in cases {
            let read: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
            assert_eq!(selects(&read, label), expected, "{selector}");
        }
    }
}
