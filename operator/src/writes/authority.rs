//! Authorization of writes. Pure.

use std::collections::BTreeSet;

use crds::SnmpSubtree;

use crate::{conditions::ACCEPTED, index::Index};

/// Returns the keys of the ConfigMap `namespace`/`name` that accepted subtrees of the namespace can write.
pub(super) fn keys(index: &Index, namespace: &str, name: &str) -> BTreeSet<String> {
    let accepted =
        index.subtrees.in_namespace(namespace).map(|(_, subtree)| subtree).filter(|subtree| is_accepted(subtree));
    let scalars = accepted.flat_map(|subtree| &subtree.spec.scalars);
    let written = scalars.filter_map(|scalar| scalar.write.as_ref()?.config_map.as_ref());
    written.filter(|target| target.name.0 == name).map(|target| target.key.0.clone()).collect()
}

/// Returns whether the leader has accepted the current generation of the subtree. After a change, a subtree cannot write
/// until it is accepted again.
fn is_accepted(subtree: &SnmpSubtree) -> bool {
    let conditions = subtree.status.iter().flat_map(|status| &status.conditions);
    let accepted = conditions.filter(|condition| condition.type_ == ACCEPTED && condition.status == "True");
    let mut current = accepted.filter(|condition| condition.observed_generation == subtree.metadata.generation);
    subtree.metadata.deletion_timestamp.is_none() && current.next().is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::index::{key, version};

    /// Returns a subtree of acme in generation 3 that writes keys of ConfigMaps.
    fn subtree(name: &str, writes: &[(&str, &str)]) -> Json {
        let scalars = writes.iter().enumerate().map(|(i, (map, key))| {
            json!({
                "name": format!("object{i}"), "oid": (i + 1).to_string(), "syntax": "DisplayString",
                "value": {"source": "settings", "metric": key},
                "write": {"configMap": {"name": map, "key": key}},
            })
        });
        json!({
            "apiVersion": "snmp-operator.dev/v1alpha1", "kind": "SnmpSubtree",
            "metadata": {"namespace": "acme", "name": name, "uid": name, "resourceVersion": "1", "generation": 3},
            "spec": {"oid": "1.3.6.1.4.1.9.9.9.1", "selector": {}, "scalars": scalars.collect::<Vec<_>>()},
            "status": {"conditions": [{
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 3,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        })
    }

    fn index(subtrees: impl IntoIterator<Item = Json>) -> Index {
        let mut index = Index::default();
        for json in subtrees {
            let subtree: SnmpSubtree = serde_json::from_value(json).unwrap();
            index.subtrees.apply(key(&subtree), version(&subtree), Arc::new(subtree));
        }
        index
    }

    #[test]
    fn keys_are_those_of_all_subtrees_of_the_namespace() {
        let index = index([
            subtree("one", &[("settings", "log_level"), ("other", "secret")]),
            subtree("two", &[("settings", "motd"), ("settings", "log_level")]),
        ]);
        assert_eq!(keys(&index, "acme", "settings"), ["log_level".to_owned(), "motd".to_owned()].into());
        assert!(keys(&index, "acme", "nothing").is_empty());
        assert!(keys(&index, "globex", "settings").is_empty(), "keys of another namespace");
        assert!(keys(&index, "", "settings").is_empty());
    }

    #[rstest]
    #[case::refused("/status/conditions/0/status", json!("False"))]
    #[case::unknown("/status/conditions/0/status", json!("Unknown"))]
    #[case::of_an_earlier_generation("/status/conditions/0/observedGeneration", json!(2))]
    #[case::of_another_condition("/status/conditions/0/type", json!("Ready"))]
    #[case::without_conditions("/status/conditions", json!([]))]
    #[case::being_deleted("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))]
    fn a_subtree_that_is_not_accepted_writes_nothing(#[case] pointer: &str, #[case] value: Json) {
        let mut json = subtree("one", &[("settings", "log_level")]);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match json.pointer_mut(parent).unwrap() {
            Json::Object(object) => _ = object.insert(field.to_owned(), value),
            other => panic!("{other}"),
        }
        assert!(keys(&index([json]), "acme", "settings").is_empty());
    }
}
