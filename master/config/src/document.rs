//! The types of the document. Durations are in milliseconds, sizes in octets.

use std::{net::SocketAddr, path::PathBuf};

use agentx::Oid;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// The version of the contract that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The configuration of a master. If it is too large for a Secret, it is split into several, see [`Document::join`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The version of the contract, [`VERSION`].
    pub version: u32,
    /// The addresses on which the master listens. They are read once, at the start.
    #[serde(default)]
    pub listeners: Listeners,
    /// Limits for subagents and managers.
    #[serde(default)]
    pub limits: Limits,
    /// SNMP contexts, one for each tenant. Names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<Context>,
    /// SNMPv3 users (RFC 3414). Names are unique in the engine, across all contexts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// The targets of notifications. They are stored, but not used yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
}

/// The addresses on which the master listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listeners {
    /// SNMP over UDP. At least one.
    pub snmp: Vec<SocketAddr>,
    /// AgentX over a Unix socket (RFC 2741 section 8.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_unix: Option<UnixSocket>,
    /// AgentX over TCP (RFC 2741 section 8.1). It must be a loopback address unless `agentxTcpExposed` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_tcp: Option<SocketAddr>,
    /// Allows any address for `agentxTcp`. AgentX has no authentication: every client that can connect may register
    /// anything in every context. This separate field prevents that the port is exposed by mistake.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agentx_tcp_exposed: bool,
    /// AgentX over TLS, for subagents that authenticate with a ServiceAccount token. They may register what their
    /// namespace is granted ([`Context::grants`]). Any address is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_tls: Option<SocketAddr>,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnixSocket {
    /// The path of the socket.
    pub path: PathBuf,
    /// The file mode in octal. Default: `0660`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The group, by name or number. Default: the group of the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Limits for subagents and managers. What exceeds a limit is refused and counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// AgentX sessions at once.
    pub sessions: u32,
    /// AgentX sessions at once of one connection.
    pub sessions_per_connection: u32,
    /// Registered regions at once. A range counts as the number of subtrees in it.
    pub registrations: u32,
    /// Registered regions of one session.
    pub registrations_per_session: u32,
    /// The longest payload of an AgentX PDU, in octets.
    pub agentx_pdu_octets: u32,
    /// AgentX PDUs other than Responses that a connection may send per second.
    pub agentx_pdus_per_second: u32,
    /// SNMP requests in progress at once.
    pub snmp_requests: u32,
    /// The longest SNMP message that is sent or accepted, in octets (snmpEngineMaxMessageSize).
    pub snmp_message_octets: u32,
    /// The timeout for responses of subagents that do not specify one.
    pub subagent_timeout_ms: u32,
    /// TLS connections of one namespace, and AgentX sessions on them. A sidecar has two for a moment while it changes
    /// to a new token.
    pub sessions_per_namespace: u32,
    /// Regions that one namespace registered over TLS. A range counts as the number of subtrees in it.
    pub registrations_per_namespace: u32,
    /// AgentX PDUs other than Responses that all TLS connections of one namespace together may send per second.
    pub agentx_pdus_per_second_per_namespace: u32,
}

/// An SNMP context (RFC 3411 section 3.3.1) of a tenant: who may publish in it, and who may read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The name, at most 32 octets. The empty name is the default context.
    pub name: String,
    /// Its system group (RFC 3418).
    #[serde(default, skip_serializing_if = "System::is_empty")]
    pub system: System,
    /// What namespaces may register in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The SNMPv1 and SNMPv2c communities with access to it. A community belongs to one context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// The SNMPv3 users with access to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserAccess>,
    /// The networks to which notifications of this context may be sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_targets: Vec<IpNet>,
}

/// The system group of a context. Missing fields are empty strings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct System {
    /// sysName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// sysContact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// sysLocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// What a namespace may register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The Kubernetes namespace.
    pub namespace: String,
    /// The base OIDs of its accepted subtrees.
    pub subtrees: Vec<Oid>,
}

/// A community of SNMPv1 and SNMPv2c (RFC 3584 section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Community {
    /// The community string.
    pub community: Secret,
    /// Its access.
    #[serde(default)]
    pub access: Access,
    /// The networks that may use it. Empty: all networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<IpNet>,
}

/// The access of a community or user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Get, GetNext and GetBulk.
    #[default]
    ReadOnly,
    /// Also Set.
    ReadWrite,
}

/// The access of an SNMPv3 user to a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserAccess {
    /// The user's name, one of [`Document::users`].
    pub name: String,
    /// The minimum security level of its requests.
    #[serde(default)]
    pub security_level: SecurityLevel,
    /// Its access.
    #[serde(default)]
    pub access: Access,
}

/// A security level (RFC 3411 section 3.4.3), in ascending order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// Neither authentication nor privacy.
    NoAuthNoPriv,
    /// Authentication without privacy.
    AuthNoPriv,
    /// Authentication and privacy.
    #[default]
    AuthPriv,
}

/// An SNMPv3 user (RFC 3414).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's name, 1 to 32 octets.
    pub name: String,
    /// Authentication of its messages. Without it, the user has no passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// Privacy of its messages. It requires `auth`.
    #[serde(rename = "priv", default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// Authentication of the messages of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Auth {
    /// The protocol.
    pub protocol: AuthProtocol,
    /// The passphrase, at least 8 octets.
    pub passphrase: Secret,
}

/// Authentication protocols (RFC 3414 section 6, RFC 7860).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthProtocol {
    /// HMAC-MD5-96. It is broken; use it only for devices that support nothing else.
    #[serde(rename = "MD5")]
    Md5,
    /// HMAC-SHA-96.
    #[serde(rename = "SHA-1")]
    Sha1,
    /// HMAC-128-SHA-224.
    #[serde(rename = "SHA-224")]
    Sha224,
    /// HMAC-192-SHA-256.
    #[serde(rename = "SHA-256")]
    Sha256,
    /// HMAC-256-SHA-384.
    #[serde(rename = "SHA-384")]
    Sha384,
    /// HMAC-384-SHA-512.
    #[serde(rename = "SHA-512")]
    Sha512,
}

/// Privacy of the messages of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// The protocol.
    pub protocol: PrivProtocol,
    /// The passphrase, at least 8 octets.
    pub passphrase: Secret,
}

/// Privacy protocols (RFC 3414 section 8, RFC 3826; with longer keys as in net-snmp and most other implementations).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrivProtocol {
    /// CBC-DES. It is broken; use it only for devices that support nothing else.
    #[serde(rename = "DES")]
    Des,
    /// CFB128-AES-128.
    #[serde(rename = "AES-128", alias = "AES")]
    Aes128,
    /// CFB128-AES-192, its key extended as in draft-blumenthal-aes-usm-04.
    #[serde(rename = "AES-192")]
    Aes192,
    /// CFB128-AES-256, its key extended as in draft-blumenthal-aes-usm-04.
    #[serde(rename = "AES-256")]
    Aes256,
    /// CFB128-AES-192, its key extended as in draft-reeder-snmpv3-usm-3desede-00 (Cisco).
    #[serde(rename = "AES-192-C")]
    Aes192Cisco,
    /// CFB128-AES-256, its key extended as in draft-reeder-snmpv3-usm-3desede-00 (Cisco).
    #[serde(rename = "AES-256-C")]
    Aes256Cisco,
}

/// A target of notifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Namespace and name of the SnmpTrapTarget, for example `acme/noc`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Names of the contexts whose notifications it receives.
    pub contexts: Vec<String>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            snmp: vec![SocketAddr::from(([0, 0, 0, 0], 1161))],
            agentx_unix: None,
            agentx_tcp: None,
            agentx_tcp_exposed: false,
            agentx_tls: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 20_000,
            sessions_per_connection: 16,
            registrations: 200_000,
            registrations_per_session: 100_000,
            agentx_pdu_octets: 1 << 20,
            agentx_pdus_per_second: 10_000,
            snmp_requests: 4_096,
            snmp_message_octets: 65_507,
            subagent_timeout_ms: 5_000,
            sessions_per_namespace: 5_000,
            registrations_per_namespace: 50_000,
            agentx_pdus_per_second_per_namespace: 20_000,
        }
    }
}

impl Document {
    /// Appends the lists of `others` to the lists of this document. Listeners and limits are taken from this document.
    ///
    /// Check the result, because the rules apply to the whole configuration.
    #[must_use]
    pub fn join(mut self, others: impl IntoIterator<Item = Self>) -> Self {
        for Self { version: _, listeners: _, limits: _, contexts, users, targets } in others {
            self.contexts.extend(contexts);
            self.users.extend(users);
            self.targets.extend(targets);
        }
        self
    }
}

impl UnixSocket {
    /// Returns the permissions for [`mode`](Self::mode); `None` if it is not a valid octal mode.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        let Some(mode) = &self.mode else { return Some(0o660) };
        let digits = mode.strip_prefix('0').unwrap_or(mode);
        let octal = digits.len() == 3 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    }
}

impl User {
    /// Returns the highest security level of its messages.
    #[must_use]
    pub fn security_level(&self) -> SecurityLevel {
        match (&self.auth, &self.privacy) {
            (Some(_), Some(_)) => SecurityLevel::AuthPriv,
            (Some(_), None) => SecurityLevel::AuthNoPriv,
            (None, _) => SecurityLevel::NoAuthNoPriv,
        }
    }
}

impl System {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
