//! The objects that `render` writes as manifests.

use std::path::PathBuf;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::plan::{
    Documents, MAX_OBJECT_OCTETS, SIDECAR_CONFIGURATION,
    shards::{KEY, NAME, secret_name},
};

/// The master's document does not fit into one Secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Secret {} would have {octets} octets; the limit is {MAX_OBJECT_OCTETS}. Render with --format mounted instead",
    secret_name(0)
)]
pub(super) struct SecretTooLargeError {
    octets: usize,
}

/// Returns the ConfigMap that the sidecars of `namespace` mount.
pub(super) fn config_map(namespace: &str, documents: &Documents) -> ConfigMap {
    ConfigMap {
        metadata: metadata(namespace, SIDECAR_CONFIGURATION, SIDECAR_CONFIGURATION),
        data: Some(documents.clone()),
        ..ConfigMap::default()
    }
}

/// Returns the file of the master's Secret in a render.
pub(super) fn master_secret_file() -> PathBuf {
    PathBuf::from(NAME).join(format!("secret-{}.yaml", secret_name(0)))
}

/// Returns the Secret in `namespace` that the masters watch.
///
/// # Errors
/// Returns an error if the document is larger than a Secret can be.
pub(super) fn master_secret(namespace: &str, document: &str) -> Result<Secret, SecretTooLargeError> {
    let octets = KEY.len() + document.len();
    if octets > MAX_OBJECT_OCTETS {
        return Err(SecretTooLargeError { octets });
    }
    Ok(Secret {
        metadata: metadata(namespace, &secret_name(0), NAME),
        data: Some([(KEY.to_owned(), ByteString(document.as_bytes().to_vec()))].into()),
        ..Secret::default()
    })
}

fn metadata(namespace: &str, name: &str, app: &str) -> ObjectMeta {
    let labels = [("app.kubernetes.io/managed-by", "snmp-operator"), ("app.kubernetes.io/name", app)];
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}
