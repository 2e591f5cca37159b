//! The OIDs that subtrees hold in each SNMP context.

use std::collections::{BTreeMap, HashMap};

use sidecar_config::Oid;

/// The base OIDs in each context, with their holders. In a context, no base OID is below another.
#[derive(Debug, Default)]
pub(super) struct OidSpace {
    contexts: HashMap<String, BTreeMap<Oid, String>>,
}

impl OidSpace {
    /// Returns a base OID of `context` that is equal to `oid`, above it or below it, and its holder.
    pub(super) fn holder(&self, context: &str, oid: &Oid) -> Option<(&Oid, &str)> {
        let held = self.contexts.get(context)?;
        // The OIDs are sorted and none is below another, so only the neighbours can be above or below.
        let above = held.range(..=oid.clone()).next_back().filter(|(other, _)| oid.starts_with(other));
        let below = || held.range(oid.clone()..).next().filter(|(other, _)| other.starts_with(oid));
        above.or_else(below).map(|(other, holder)| (other, holder.as_str()))
    }

    /// Records `holder` as the holder of `oid` in `context`. The caller has checked that nobody else holds it.
    pub(super) fn hold(&mut self, context: &str, oid: &Oid, holder: &str) {
        self.contexts.entry(context.to_owned()).or_default().insert(oid.clone(), holder.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_excludes_oids_above_and_below() {
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
        assert_eq!(space.holder("", &oid("1.3.6.5")), None, "contexts are independent");
    }
}
