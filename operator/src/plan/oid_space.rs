//! Who holds which OIDs in which SNMP context.

use std::collections::{BTreeMap, HashMap};

use sidecar_config::Oid;

/// Subtrees by context. In each context no OID held lies below another.
#[derive(Debug, Default)]
pub(super) struct OidSpace {
    contexts: HashMap<String, BTreeMap<Oid, String>>,
}

impl OidSpace {
    /// Who holds an OID of `context` that is, or lies above or below, `oid`: the OID and its holder.
    pub(super) fn holder(&self, context: &str, oid: &Oid) -> Option<(&Oid, &str)> {
        let held = self.contexts.get(context)?;
        // Sorted, and none below another: only the neighbours can be above or below.
        let above = held.range(..=oid.clone()).next_back().filter(|(other, _)| oid.starts_with(other));
        let below = || held.range(oid.clone()..).next().filter(|(other, _)| other.starts_with(oid));
        above.or_else(below).map(|(other, holder)| (other, holder.as_str()))
    }

    /// Gives `oid` of `context` to `holder`. The caller has seen that no one holds it.
    pub(super) fn hold(&mut self, context: &str, oid: &Oid, holder: &str) {
        self.contexts.entry(context.to_owned()).or_default().insert(oid.clone(), holder.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_is_held_together_with_all_that_lies_above_and_below() {
        let oid = |text: &str| text.parse::<Oid>().unwrap();
        let mut space = OidSpace::default();
        space.hold("acme", &oid("1.3.6.5"), "a/five");
        space.hold("acme", &oid("1.3.6.7.1"), "a/seven");
        let cases = [
            ("1.3.6.5", Some("a/five")),
            ("1.3.6.5.1.2", Some("a/five")),
            ("1.3", Some("a/five")),
            ("1.3.6.7", Some("a/seven")),
            ("1.3.6.7.1.4", Some("a/seven")),
            ("1.3.6.50", None),
            ("1.3.6.6", None),
            ("1.3.6.7.2", None),
            ("1.3.6.4.5", None),
        ];
        for (text, holder) in cases {
            assert_eq!(space.holder("acme", &oid(text)).map(|(_, holder)| holder), holder, "{text}");
        }
        assert_eq!(space.holder("", &oid("1.3.6.5")), None, "contexts are apart");
    }
}
