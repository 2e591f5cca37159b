//! SnmpContext: a tenant.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, BaseOid, Cidr, Condition, ContextName, LabelSelector, Prose, SecretKey, SecretRef, SecurityLevel, UserName,
};

/// A tenant: who may publish what, and who may read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "snmp-operator.dev",
    version = "v1alpha1",
    kind = "SnmpContext",
    plural = "snmpcontexts",
    shortname = "snmpctx",
    category = "snmp",
    status = "SnmpContextStatus",
    derive = "PartialEq",
    doc = "An SnmpContext is a tenant: the namespaces and OIDs that belong to it, and the users that may read them.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextName"),
    printcolumn(name = "Subtrees", type_ = "integer", json_path = ".status.subtrees"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("has(self.spec.contextName) || self.metadata.name.size() <= 32")
        .message("a context's name has 32 characters at most: set contextName, or choose a shorter metadata.name"),
)]
pub struct SnmpContextSpec {
    /// The SNMP context's name; empty for the default context. Default: `metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_name: Option<ContextName>,
    /// The namespaces whose SnmpSubtrees may join.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// The OIDs under which they may register. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_subtrees: Vec<BaseOid>,
    /// Communities of SNMPv1 and SNMPv2c that read this context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub communities: Vec<Community>,
    /// Where this tenant's traps may go. Default: nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_targets: Vec<Cidr>,
    /// The context's own system group (RFC 3418).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemGroup>,
    /// Users of SNMPv3 that read this context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub users: Vec<ContextUser>,
}

/// Which namespaces may join, as Gateway API's `allowedRoutes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.selector) == (self.from == 'Selector')").message("selector goes with from: Selector"))]
pub struct AllowedNamespaces {
    /// All of them, those that `selector` selects, or none.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Selects namespaces by their labels. Each has the label `kubernetes.io/metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// From which namespaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// From all.
    All,
    /// From those that the selector selects.
    Selector,
    /// From none.
    #[default]
    None,
}

/// A community of SNMPv1 and SNMPv2c.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Community {
    /// Where the community's text is; in the operator's namespace.
    pub secret_ref: SecretKey,
    /// What it may do.
    #[serde(default)]
    pub access: Access,
    /// Networks from which it is taken. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub sources: Vec<Cidr>,
}

/// A user of SNMPv3 in a context. Its Secret, in the operator's namespace, holds `authProtocol`, `authPassphrase`,
/// `privProtocol` and `privPassphrase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextUser {
    /// The user's name.
    pub name: UserName,
    /// The Secret with protocols and passphrases.
    pub secret_ref: SecretRef,
    /// The least security of its requests.
    #[serde(default)]
    pub security_level: SecurityLevel,
    /// What it may do.
    #[serde(default)]
    pub access: Access,
}

/// The system group of a context (RFC 3418).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SystemGroup {
    /// sysName.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Prose>,
    /// sysContact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Prose>,
    /// sysLocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Prose>,
}

/// What became of an SnmpContext.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SnmpContextStatus {
    /// Accepted, ResolvedRefs, Programmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many SnmpSubtrees are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtrees: Option<i32>,
}
