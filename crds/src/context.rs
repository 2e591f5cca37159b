//! SnmpContext: an SNMP context with its grants and its users.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Access, BaseOid, Cidr, Condition, ContextName, LabelSelector, Prose, SecretKey, SecretRef, SecurityLevel, UserName,
};

/// A tenant: the namespaces that may publish, the OIDs that they may publish, and the users that may read.
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
        .message("the name of an SNMP context must not be longer than 32 characters: set contextName, or use a shorter metadata.name"),
)]
pub struct SnmpContextSpec {
    /// Name of the SNMP context. Empty for the default context. Default: `metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_name: Option<ContextName>,
    /// Namespaces whose SnmpSubtrees may publish in this context.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// OIDs at or below which SnmpSubtrees may publish. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_subtrees: Vec<BaseOid>,
    /// Communities of SNMPv1 and SNMPv2c that give access to this context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub communities: Vec<Community>,
    /// Networks that notifications of this context may be sent to. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_targets: Vec<Cidr>,
    /// System group (RFC 3418) of this context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemGroup>,
    /// SNMPv3 users that have access to this context.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub users: Vec<ContextUser>,
}

/// Namespaces that may publish in a context. The fields follow `allowedRoutes` of Gateway API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.selector) == (self.from == 'Selector')").message("selector is required with from: Selector, and only valid with it"))]
pub struct AllowedNamespaces {
    /// All namespaces, those that `selector` selects, or none.
    #[serde(default)]
    pub from: FromNamespaces,
    /// Selects namespaces by their labels. Each namespace has the label `kubernetes.io/metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Choice of namespaces in [`AllowedNamespaces`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// All namespaces.
    All,
    /// The namespaces that the selector selects.
    Selector,
    /// No namespace.
    #[default]
    None,
}

/// A community of SNMPv1 and SNMPv2c.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Community {
    /// Key of a Secret, in the operator's namespace, with the community's text.
    pub secret_ref: SecretKey,
    /// Operations that the community allows.
    #[serde(default)]
    pub access: Access,
    /// Networks from which the community is accepted. Default: any network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub sources: Vec<Cidr>,
}

/// An SNMPv3 user with access to a context. Its Secret, in the operator's namespace, has the keys `authProtocol`,
/// `authPassphrase`, `privProtocol` and `privPassphrase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextUser {
    /// Name of the user.
    pub name: UserName,
    /// Secret with the user's protocols and passphrases.
    pub secret_ref: SecretRef,
    /// Minimum security level of the user's requests.
    #[serde(default)]
    pub security_level: SecurityLevel,
    /// Operations that the user may perform.
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

/// Observed state of an SnmpContext.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SnmpContextStatus {
    /// Conditions of the types Accepted, ResolvedRefs and Programmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Number of SnmpSubtrees that publish in this context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtrees: Option<i32>,
}
