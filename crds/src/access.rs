//! Secrets, users, and what they may do.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigMapName, DataKey, UserName};

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
pub struct SecretKey {
    /// The Secret's name.
    pub name: ConfigMapName,
    /// The key in it.
    pub key: DataKey,
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
pub struct ConfigMapKey {
    /// The ConfigMap's name.
    pub name: ConfigMapName,
    /// The key in it.
    pub key: DataKey,
}

/// A Secret as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SecretRef {
    /// The Secret's name.
    pub name: ConfigMapName,
}

/// What a user or community may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Get, GetNext and GetBulk.
    #[default]
    ReadOnly,
    /// Set too.
    ReadWrite,
}

/// A security level of SNMPv3 (RFC 3411 section 3.4.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityLevel {
    /// Neither authentication nor privacy.
    NoAuthNoPriv,
    /// Authentication alone.
    AuthNoPriv,
    /// Authentication and privacy.
    #[default]
    AuthPriv,
}

/// A user of SNMPv3. Its Secret holds `authProtocol`, `authPassphrase`, `privProtocol` and `privPassphrase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's name.
    pub name: UserName,
    /// The Secret with protocols and passphrases.
    pub secret_ref: SecretRef,
    /// The least security of its requests, or the security of what is sent in its name.
    #[serde(default)]
    pub security_level: SecurityLevel,
}
