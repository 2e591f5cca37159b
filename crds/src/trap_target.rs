//! SnmpTrapTarget: a destination of notifications.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Address, Condition, ContextRef, Duration, SecretKey, Severity, User};

/// Destination of the notifications of one or more contexts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "snmp-operator.dev",
    version = "v1alpha1",
    kind = "SnmpTrapTarget",
    plural = "snmptraptargets",
    namespaced,
    shortname = "traptarget",
    category = "snmp",
    status = "SnmpTrapTargetStatus",
    derive = "PartialEq",
    doc = "An SnmpTrapTarget is a network management system that receives the traps or informs of a tenant.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextRefs"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.version != 'V1' || self.kind == 'Trap'")
    .message("SNMPv1 has no informs: kind must be Trap").field_path(".kind"))]
#[x_kube(validation = Rule::new("(self.version == 'V3') == has(self.user)").message("user is required with version V3, and only valid with it"))]
#[x_kube(validation = Rule::new("(self.version != 'V3') == has(self.communityRef)").message("communityRef is required with versions V1 and V2c, and only valid with them"))]
pub struct SnmpTrapTargetSpec {
    /// Host and UDP port, for example `noc.example:162`.
    pub address: Address,
    /// SNMP version of the messages.
    #[serde(default)]
    pub version: SnmpVersion,
    /// Traps, or informs, which the receiver acknowledges.
    #[serde(default)]
    pub kind: TrapKind,
    /// Names of the SnmpContexts whose notifications are sent. Their `allowedNamespaces` must include this namespace. In the
    /// operator's namespace, any SnmpContext is allowed.
    #[serde(default = "default_contexts")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub context_refs: Vec<ContextRef>,
    /// SNMPv3 user that sends the notifications. Required with V3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// Key of a Secret with the community. Required with V1 and V2c.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_ref: Option<SecretKey>,
    /// Time to wait for the acknowledgement of an inform.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Number of times that an inform is sent again before the target is considered down.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: i32,
    /// Time that an inform is kept for a target that is down.
    #[serde(default = "default_max_age")]
    pub max_age: Duration,
    /// Lowest severity that is sent. Default: all severities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Interval of heartbeat notifications, which show that the agent is alive. Default: none are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_interval: Option<Duration>,
}

fn default_contexts() -> Vec<ContextRef> {
    vec!["default".into()]
}

fn default_timeout() -> Duration {
    "5s".into()
}

fn default_retries() -> i32 {
    5
}

fn default_max_age() -> Duration {
    "24h".into()
}

/// A version of SNMP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SnmpVersion {
    /// SNMPv1 (RFC 1157).
    V1,
    /// SNMPv2c (RFC 1901).
    V2c,
    /// SNMPv3 (RFC 3411 and following).
    #[default]
    V3,
}

/// How a notification is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrapKind {
    /// Sent once, without acknowledgement.
    #[default]
    Trap,
    /// Sent again until it is acknowledged.
    Inform,
}

/// Observed state of an SnmpTrapTarget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SnmpTrapTargetStatus {
    /// Conditions of the types Accepted, ResolvedRefs, Programmed and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
