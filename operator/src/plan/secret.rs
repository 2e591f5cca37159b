//! Secrets of the operator's own namespace, which SnmpContexts refer to.

use std::{collections::BTreeMap, fmt, str};

use master_config::Secret;

/// Secrets (core v1) by namespace and name. `Debug` shows only the names of their keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<(String, String), BTreeMap<String, Vec<u8>>>);

impl Secrets {
    /// Adds a Secret.
    pub fn insert(&mut self, namespace: &str, name: &str, data: BTreeMap<String, Vec<u8>>) {
        self.0.insert((namespace.to_owned(), name.to_owned()), data);
    }

    /// Returns the Secret `namespace`/`name`.
    ///
    /// # Errors
    /// Returns a message if it does not exist.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Result<Keys<'_>, String> {
        let data = self.0.get(&(namespace.to_owned(), name.to_owned()));
        let full_name = format!("{namespace}/{name}");
        data.map(|data| Keys { full_name: full_name.clone(), data })
            .ok_or_else(|| format!("there is no Secret {full_name}"))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = |data: &BTreeMap<String, Vec<u8>>| data.keys().cloned().collect::<Vec<_>>();
        f.debug_map().entries(self.0.iter().map(|(name, data)| (name, keys(data)))).finish()
    }
}

/// The content of one Secret.
pub(super) struct Keys<'a> {
    /// The namespace and name.
    pub(super) full_name: String,
    data: &'a BTreeMap<String, Vec<u8>>,
}

impl Keys<'_> {
    /// Returns the text of `key`. `None` if the key does not exist.
    ///
    /// # Errors
    /// Returns a message if the value is not UTF-8.
    pub(super) fn text(&self, key: &str) -> Result<Option<Secret>, String> {
        let text = |octets| str::from_utf8(octets).map(Secret::new);
        let text = self.data.get(key).map(|octets| text(octets)).transpose();
        text.map_err(|_| format!("key {key} of Secret {} is not UTF-8", self.full_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let mut secrets = Secrets::default();
        let data = [("community".to_owned(), b"tell-no-one".to_vec())];
        secrets.insert("snmp-system", "acme", data.into());
        assert_eq!(format!("{secrets:?}"), r#"{("snmp-system", "acme"): ["community"]}"#);
    }
}
