//! References to Secrets and ConfigMaps, SNMPv3 users, and access levels.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigMapName, DataKey, UserName};

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
pub struct SecretKey {
    /// Name of the Secret.
    pub name: ConfigMapName,
    /// Key in its data.
    pub key: DataKey,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
pub struct ConfigMapKey {
    /// Name of the ConfigMap.
    pub name: ConfigMapName,
    /// Key in its data.
    pub key: DataKey,
}

/// A Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    pub name: ConfigMapName,
}

/// Operations that a user or community may perform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Get, GetNext and GetBulk.
    #[default]
    ReadOnly,
    /// Get, GetNext, GetBulk and Set.
    ReadWrite,
}

/// Security level of SNMPv3 (RFC 3411 section 3.4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityLevel {
    /// Neither authentication nor privacy.
    NoAuthNoPriv,
    /// Authentication without privacy.
    AuthNoPriv,
    /// Authentication and privacy.
    #[default]
    AuthPriv,
}

/// An SNMPv3 user. Its Secret has the keys `authProtocol`, `authPassphrase`, `privProtocol` and `privPassphrase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Name of the user.
    pub name: UserName,
    /// Secret with the user's protocols and passphrases.
    pub secret_ref: SecretRef,
    /// Security level of the messages that the user sends.
    #[serde(default)]
    pub security_level: SecurityLevel,
}
