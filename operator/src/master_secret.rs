//! The Secret of the masters.

use std::path::PathBuf;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};

/// The folder of a render that is the masters', and the label of what belongs to them.
pub const NAME: &str = "snmp-master";
/// The Secret's name.
pub const SECRET: &str = "snmp-master-0";
/// The key of the document in it, and the document's file where it is mounted.
pub const KEY: &str = "master.json";
/// The most that a Secret holds, in octets of keys and values.
const MAX_OCTETS: usize = 1 << 20;

/// The document does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Secret {SECRET} would hold {octets} octets, more than {MAX_OCTETS}: render with --format mounted")]
pub struct TooLarge {
    /// How much it would hold.
    pub octets: usize,
}

/// The file of the Secret in a render.
#[must_use]
pub fn file() -> PathBuf {
    PathBuf::from(NAME).join(format!("secret-{SECRET}.yaml"))
}

/// The Secret in `namespace` that the masters watch.
///
/// # Errors
/// [`TooLarge`].
pub fn build(namespace: &str, document: &str) -> Result<Secret, TooLarge> {
    let octets = KEY.len() + document.len();
    if octets > MAX_OCTETS {
        return Err(TooLarge { octets });
    }
    let labels = [("app.kubernetes.io/managed-by", "snmp-operator"), ("app.kubernetes.io/name", NAME)];
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(document.as_bytes().to_vec()))].into()),
        ..Secret::default()
    })
}
