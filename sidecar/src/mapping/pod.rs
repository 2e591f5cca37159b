//! The index of the pod in tables that are shared by several pods.

use std::collections::BTreeMap;

use agentx::SubId;

use super::index;

/// The label with the ordinal of a StatefulSet's pod.
const ORDINAL: &str = "apps.kubernetes.io/pod-index";

/// Returns the index of the pod in tables whose first index is `pod`, from 1 to 2³¹ − 1.
///
/// It is the StatefulSet ordinal from the label `apps.kubernetes.io/pod-index`, plus 1. Without that label it is the
/// hash of the pod name, computed as for a `Hash` index.
#[must_use]
pub(crate) fn pod_index(labels: &BTreeMap<String, String>, pod_name: &str) -> SubId {
    let ordinal = labels.get(ORDINAL).and_then(|text| index::integer(text));
    ordinal.filter(|ordinal| *ordinal < index::HIGHEST).map_or_else(|| index::hash(pod_name), |ordinal| ordinal + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ordinal(text: &str) -> SubId {
        pod_index(&BTreeMap::from([(ORDINAL.to_owned(), text.to_owned())]), "web-0")
    }

    #[test]
    fn the_index_of_a_stateful_set_pod_is_its_ordinal_plus_one() {
        assert_eq!(with_ordinal("0"), 1);
        assert_eq!(with_ordinal("41"), 42);
        assert_eq!(with_ordinal("2147483646"), 2_147_483_647);
    }

    #[test]
    fn the_index_of_another_pod_is_the_hash_of_its_name() {
        let hash = index::hash("web-0");
        assert_eq!(pod_index(&BTreeMap::new(), "web-0"), hash);
        for text in ["", "x", "-1", "2147483647", "99999999999"] {
            assert_eq!(with_ordinal(text), hash, "{text:?}");
        }
    }
}
