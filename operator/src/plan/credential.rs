//! Credentials: keys of Secrets and ConfigMaps that a sidecar reads as files beside its documents.

use std::{collections::BTreeMap, fmt};

use crds::{ConfigMapKey, SecretKey, SecretOrConfigMap};

/// The files that must exist, by name.
pub type Credentials = BTreeMap<String, Origin>;

/// The source of a file's content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A key of a Secret in the subtree's namespace.
    Secret(SecretKey),
    /// A key of a ConfigMap in the subtree's namespace.
    ConfigMap(ConfigMapKey),
}

impl Origin {
    /// Returns the name of the file, which is a valid key of a Secret. It is unique: names of objects contain no `_`, so
    /// the second dot ends the name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let (kind, name, key) = match self {
            Self::Secret(SecretKey { name, key }) => ("secret", name, key),
            Self::ConfigMap(ConfigMapKey { name, key }) => ("configmap", name, key),
        };
        format!("{kind}.{}.{key}", name.replace('.', "_"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(SecretKey { name, key }) => write!(f, "key {key} of Secret {name}"),
            Self::ConfigMap(ConfigMapKey { name, key }) => write!(f, "key {key} of ConfigMap {name}"),
        }
    }
}

impl From<&SecretKey> for Origin {
    fn from(key: &SecretKey) -> Self {
        Self::Secret(key.clone())
    }
}

/// Returns the origin of a reference. `None` if neither is set, which the schema forbids.
pub(super) fn either(reference: &SecretOrConfigMap) -> Option<Origin> {
    let SecretOrConfigMap { secret, config_map } = reference;
    secret.clone().map(Origin::Secret).or_else(|| config_map.clone().map(Origin::ConfigMap))
}

/// Adds the origin's file to `credentials`, and returns its name.
pub(super) fn file(credentials: &mut Credentials, origin: impl Into<Origin>) -> String {
    let origin = origin.into();
    let name = origin.file_name();
    credentials.insert(name.clone(), origin);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_own_file() {
        let secret = |name: &str, key: &str| Origin::Secret(SecretKey { name: name.into(), key: key.into() });
        assert_eq!(secret("api-key", "token").file_name(), "secret.api-key.token");
        assert_eq!(secret("a.b", "c").file_name(), "secret.a_b.c");
        assert_eq!(secret("a", "b.c").file_name(), "secret.a.b.c");
        let config_map = Origin::ConfigMap(ConfigMapKey { name: "a".into(), key: "b.c".into() });
        assert_eq!(config_map.file_name(), "configmap.a.b.c");
    }
}
