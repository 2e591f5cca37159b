//! Keys of Secrets and ConfigMaps, as files beside a sidecar's documents.

use std::{collections::BTreeMap, fmt};

use crds::{ConfigMapKey, SecretKey, SecretOrConfigMap};

/// Files that must be there, by name.
pub type Credentials = BTreeMap<String, Origin>;

/// Where a file's content is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// In a Secret of the subtree's namespace.
    Secret(SecretKey),
    /// In a ConfigMap of the subtree's namespace.
    ConfigMap(ConfigMapKey),
}

impl Origin {
    /// The file's name, a valid key of a Secret. No two origins share one: names of objects hold no `_`, so that the
    /// second dot ends the name.
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

/// `None` where neither is set, which the schema refuses.
pub(super) fn either(reference: &SecretOrConfigMap) -> Option<Origin> {
    let SecretOrConfigMap { secret, config_map } = reference;
    secret.clone().map(Origin::Secret).or_else(|| config_map.clone().map(Origin::ConfigMap))
}

/// The name of the origin's file, which must be there from now on.
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
    fn no_two_keys_share_a_file() {
        let secret = |name: &str, key: &str| Origin::Secret(SecretKey { name: name.into(), key: key.into() });
        assert_eq!(secret("api-key", "token").file_name(), "secret.api-key.token");
        assert_eq!(secret("a.b", "c").file_name(), "secret.a_b.c");
        assert_eq!(secret("a", "b.c").file_name(), "secret.a.b.c");
        let config_map = Origin::ConfigMap(ConfigMapKey { name: "a".into(), key: "b.c".into() });
        assert_eq!(config_map.file_name(), "configmap.a.b.c");
    }
}
