//! What belongs to this master in the cluster: everything is named after the Secret that it is started with.

use std::{fmt, fs, str::FromStr};

/// How many Secrets a document may be spread over.
pub(super) const SHARDS: usize = 8;
/// The longest name of an object, but for what is appended to it here.
const MAX_NAME: usize = 253 - "-engine".len();
/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// Namespace and name, as `snmp-system/snmp-master`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of all of it.
    pub namespace: String,
    /// The name of the Lease, and what the names of the Secrets begin with.
    pub name: String,
}

/// It is no namespace and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form NAMESPACE/NAME, with names as Kubernetes has them")]
pub struct NameError;

impl Names {
    /// The Secret of a part of the document.
    #[must_use]
    pub fn shard(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    /// The Secret that the engine is kept in.
    #[must_use]
    pub fn engine(&self) -> String {
        format!("{}-engine", self.name)
    }

    /// The same with its namespace, for people.
    #[must_use]
    pub fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }
}

impl FromStr for Names {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text.split_once('/').ok_or(NameError)?;
        // RFC 1123: a label; labels with dots between them.
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

/// The name of the pod that this process is in: `POD_NAME`, or the host's name, which is the pod's.
///
/// # Errors
/// The system's, when the host has no name.
pub fn pod_name() -> std::io::Result<String> {
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
    fn everything_is_named_after_the_secret() {
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
    fn what_is_no_name_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Names>(), Err(NameError));
    }
}
