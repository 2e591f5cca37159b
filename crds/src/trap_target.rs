//! SnmpTrapTarget: where notifications go.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Address, Condition, ContextRef, Duration, SecretKey, Severity, User};

/// Where the notifications of contexts go.
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
    doc = "An SnmpTrapTarget is a network management system that takes a tenant's traps or informs.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextRefs"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("self.version != 'V1' || self.kind == 'Trap'")
    .message("SNMPv1 has no informs: kind must be Trap").field_path(".kind"))]
#[x_kube(validation = Rule::new("(self.version == 'V3') == has(self.user)").message("user goes with version V3"))]
#[x_kube(validation = Rule::new("(self.version != 'V3') == has(self.communityRef)").message("communityRef goes with versions V1 and V2c"))]
pub struct SnmpTrapTargetSpec {
    /// Host and UDP port.
    pub address: Address,
    /// The protocol's version.
    #[serde(default)]
    pub version: SnmpVersion,
    /// Traps, or informs, which are acknowledged.
    #[serde(default)]
    pub kind: TrapKind,
    /// Names of SnmpContexts that this namespace is allowed in; in the operator's namespace, any.
    #[serde(default = "default_contexts")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub context_refs: Vec<ContextRef>,
    /// The user that V3 sends as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The community that V1 and V2c send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_ref: Option<SecretKey>,
    /// How long an inform waits for its answer.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// How often an inform is sent again before the target counts as down.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 100))]
    pub retries: i32,
    /// How long an inform is kept for a target that is down.
    #[serde(default = "default_max_age")]
    pub max_age: Duration,
    /// The least grave severity that is sent. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Time between notifications that say that the agent is there. Default: none are sent.
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
    /// Once, without an answer.
    #[default]
    Trap,
    /// Again until it is acknowledged.
    Inform,
}

/// What became of an SnmpTrapTarget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SnmpTrapTargetStatus {
    /// Accepted, ResolvedRefs, Programmed, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
