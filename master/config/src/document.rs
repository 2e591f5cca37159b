//! The document's types. Lengths of time are in milliseconds, sizes in octets.

use std::{net::SocketAddr, path::PathBuf};

use agentx::Oid;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Secret;

/// The version of the contract that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Everything that a master is told. One that is too large for a Secret comes in several, see [`Document::join`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// The contract's version, [`VERSION`].
    pub version: u32,
    /// Where the master listens. Read once, when it starts.
    #[serde(default)]
    pub listeners: Listeners,
    /// Bounds on what others may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// SNMP contexts: the tenants. Names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<Context>,
    /// Users of SNMPv3 (RFC 3414). Names are unique in the engine, whatever contexts they reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Where notifications go. Kept, and not delivered to yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
}

/// Where the master listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listeners {
    /// SNMP over UDP. At least one.
    pub snmp: Vec<SocketAddr>,
    /// AgentX over a Unix socket (RFC 2741 section 8.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_unix: Option<UnixSocket>,
    /// AgentX over TCP (RFC 2741 section 8.1): a loopback address, unless `agentxTcpExposed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_tcp: Option<SocketAddr>,
    /// Lets `agentxTcp` be any address. AgentX knows no passwords: whoever reaches it may register anything, in every
    /// context. So that no one opens it by a slip, an address by itself does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub agentx_tcp_exposed: bool,
    /// AgentX over TLS: for subagents that say who they are by a ServiceAccount's token, and may do what their namespace is
    /// granted ([`Context::grants`]). Any address, since nobody is trusted for reaching it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agentx_tls: Option<SocketAddr>,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnixSocket {
    /// Where it is.
    pub path: PathBuf,
    /// Its permissions in octal, as `0660`, which they are if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Its group, by name or number. The master's own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Bounds on what others may ask for. What is over one is refused and counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// AgentX sessions at once, in all.
    pub sessions: u32,
    /// AgentX sessions of one connection.
    pub sessions_per_connection: u32,
    /// Regions registered at once, in all; a range counts as the subtrees that it stands for.
    pub registrations: u32,
    /// Regions registered by one session.
    pub registrations_per_session: u32,
    /// Longest payload of an AgentX PDU, in octets.
    pub agentx_pdu_octets: u32,
    /// AgentX PDUs other than Responses that one connection may send in a second.
    pub agentx_pdus_per_second: u32,
    /// SNMP requests that are being answered at once.
    pub snmp_requests: u32,
    /// The longest SNMP message sent or taken, in octets (snmpEngineMaxMessageSize).
    pub snmp_message_octets: u32,
    /// How long a subagent that names no timeout has to answer.
    pub subagent_timeout_ms: u32,
    /// Connections over TLS, and AgentX sessions on them, of one namespace. A sidecar has two for a moment when it brings a
    /// new token.
    pub sessions_per_namespace: u32,
    /// Regions registered over TLS by one namespace; a range counts as the subtrees that it stands for.
    pub registrations_per_namespace: u32,
    /// AgentX PDUs other than Responses that all connections over TLS of one namespace may send in a second.
    pub agentx_pdus_per_second_per_namespace: u32,
}

/// A tenant: an SNMP context (RFC 3411 section 3.3.1), who publishes in it, and who reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The context's name, at most 32 octets; empty is the default context.
    pub name: String,
    /// Its own system group (RFC 3418).
    #[serde(default, skip_serializing_if = "System::is_empty")]
    pub system: System,
    /// Who may publish what in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Communities of SNMPv1 and SNMPv2c that reach it. A community reaches one context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<Community>,
    /// Users of SNMPv3 that reach it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<UserAccess>,
    /// Where this context's notifications may go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_targets: Vec<IpNet>,
}

/// What the system group of a context says. What is missing is the empty string.
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

/// A namespace may publish under these OIDs.
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
    /// Its text.
    pub community: Secret,
    /// What it may do.
    #[serde(default)]
    pub access: Access,
    /// Networks from which it is taken; any where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<IpNet>,
}

/// What an asker may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Get, GetNext and GetBulk.
    #[default]
    ReadOnly,
    /// Set too.
    ReadWrite,
}

/// A user of SNMPv3 in a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserAccess {
    /// The user's name, one of [`Document::users`].
    pub name: String,
    /// The least security of its requests.
    #[serde(default)]
    pub security_level: SecurityLevel,
    /// What it may do.
    #[serde(default)]
    pub access: Access,
}

/// A security level (RFC 3411 section 3.4.3), from the least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecurityLevel {
    /// Neither authentication nor privacy.
    NoAuthNoPriv,
    /// Authentication alone.
    AuthNoPriv,
    /// Authentication and privacy.
    #[default]
    AuthPriv,
}

/// A user of SNMPv3 (RFC 3414).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user's name, 1 to 32 octets.
    pub name: String,
    /// How its messages are authenticated. Without it the user has no passphrase at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// How its messages are kept private; only with `auth`.
    #[serde(rename = "priv", default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// Authentication of a user's messages.
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
    /// HMAC-MD5-96; broken, and only for devices that know nothing else.
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

/// Privacy of a user's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// The protocol.
    pub protocol: PrivProtocol,
    /// The passphrase, at least 8 octets.
    pub passphrase: Secret,
}

/// Privacy protocols (RFC 3414 section 8, RFC 3826; those with longer keys as net-snmp and most others have them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PrivProtocol {
    /// CBC-DES; broken, and only for devices that know nothing else.
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

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Namespace and name of the SnmpTrapTarget, as `acme/noc`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// Names of the contexts whose notifications it gets.
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
    /// Joins the lists of `others` to this one's. Listeners and limits are this one's.
    ///
    /// The rules are about the whole: what only the others say is checked when all are joined.
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
    /// The permissions that [`mode`](Self::mode) says; `None` where it is not octal.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        let Some(mode) = &self.mode else { return Some(0o660) };
        let digits = mode.strip_prefix('0').unwrap_or(mode);
        let octal = digits.len() == 3 && digits.bytes().all(|b| matches!(b, b'0'..=b'7'));
        octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    }
}

impl User {
    /// The most security that its messages can have.
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
