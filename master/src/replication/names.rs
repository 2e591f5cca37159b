//! Names of the Secrets, the Lease and the pods of a master. All derive from the value of `--secret`.

use std::{fmt, fs, str::FromStr};

/// Number of Secrets that a document can be split into.
pub(super) const SHARDS: usize = 8;
/// Longest name of an object, minus the suffix that is appended to it here.
const MAX_NAME: usize = 253 - "-engine".len();
/// Longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// Namespace and name, as `snmp-system/snmp-master`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of all objects.
    pub namespace: String,
    /// The name of the Lease, and the prefix of the names of the Secrets.
    pub name: String,
}

/// The text is not of the form `NAMESPACE/NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form NAMESPACE/NAME with valid Kubernetes names")]
pub struct NameError;

impl Names {
    /// Returns the name of the Secret with a part of the document.
    pub(crate) fn shard(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// Returns the name of the Secret with the engine.
    pub(crate) fn engine(&self) -> String {
        format!("{}-engine", self.name)
    }

    /// Returns namespace and name of an object, for messages.
    pub(crate) fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }
}

impl FromStr for Names {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text.split_once('/').ok_or(NameError)?;
        // RFC 1123: a namespace is one label, a name is labels separated by dots.
        let is_label = |label: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            let ends = [label.bytes().next(), label.bytes().last()];
            ends.into_iter().all(|end| end.is_some_and(inner)) && label.bytes().all(|b| inner(b) || b == b'-')
        };
        let is_namespace = namespace.len() <= MAX_NAMESPACE && is_label(namespace);
        if !is_namespace || name.len() > MAX_NAME || !name.split('.').all(is_label) {
            return Err(NameError);
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Returns the name of this process's pod: the value of `POD_NAME`, or the host name, which is the pod's name.
///
/// # Errors
/// Returns an error if the host name cannot be read.
pub(crate) fn pod_name() -> std::io::Result<String> {
    match std::env::var("POD_NAME") {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Ok(fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn all_names_derive_from_the_secret() {
        let names: Names = "snmp-system/snmp-master".parse().unwrap();
        assert_eq!((names.shard(0), names.engine()), ("snmp-master-0".to_owned(), "snmp-master-engine".to_owned()));
        assert_eq!(
            (names.full("x"), names.to_string()),
            ("snmp-system/x".to_owned(), "snmp-system/snmp-master".to_owned())
        );
    }

    #[rstest]
    #[case("")]
    #[case("snmp-master")]
    #[case("/snmp-master")]
    #[case("snmp-system/")]
    #[case("a/b/c")]
    #[case("Snmp/master")]
    #[case("snmp/mas ter")]
    #[case("snmp/-master")]
    #[case("snmp/master.")]
    #[case("snmp.system/master")]
    #[case(&format!("{}/master", "n".repeat(64)))]
    #[case(&format!("snmp/{}", "n".repeat(250)))]
    fn an_invalid_name_is_an_error(#[case] text: &str) {
        assert_eq!(text.parse::<Names>(), Err(NameError));
    }
}
