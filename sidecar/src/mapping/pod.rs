//! The pod's own index.

use std::collections::BTreeMap;

use agentx::SubId;

use super::index;

/// The label that a StatefulSet's pods bear.
const ORDINAL: &str = "apps.kubernetes.io/pod-index";

/// The pod's index in tables whose first index is `pod`: its StatefulSet ordinal + 1, from the label
/// `apps.kubernetes.io/pod-index`, or else a hash of its name as of a `Hash` index; always 1 to 2³¹ − 1.
#[must_use]
pub fn pod_index(labels: &BTreeMap<String, String>, pod_name: &str) -> SubId {
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
    fn a_pod_of_a_stateful_set_counts_from_one() {
        assert_eq!(with_ordinal("0"), 1);
        assert_eq!(with_ordinal("41"), 42);
        assert_eq!(with_ordinal("2147483646"), 2_147_483_647);
    }

    #[test]
    fn any_other_pod_has_the_hash_of_its_name() {
        let hash = index::hash("web-0");
        assert_eq!(pod_index(&BTreeMap::new(), "web-0"), hash);
        for text in ["", "x", "-1", "2147483647", "99999999999"] {
            assert_eq!(with_ordinal(text), hash, "{text:?}");
        }
    }
}
