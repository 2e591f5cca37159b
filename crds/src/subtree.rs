//! SnmpSubtree: the objects that a workload publishes, and their OIDs.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    BaseOid, Condition, ContextRef, Descriptor, LabelSelector, ModuleName, Notification, Prose, Scalar, Source, Table,
};

/// Objects that the pods of a workload publish below one OID.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "snmp-operator.dev",
    version = "v1alpha1",
    kind = "SnmpSubtree",
    plural = "snmpsubtrees",
    namespaced,
    shortname = "subtree",
    category = "snmp",
    status = "SnmpSubtreeStatus",
    derive = "PartialEq",
    doc = "An SnmpSubtree publishes values of the pods of a workload as objects of an SNMP agent.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextRefs"),
    printcolumn(name = "OID", type_ = "string", json_path = ".spec.oid"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 240").message("the name of an SnmpSubtree must not be longer than 240 characters"),
)]
#[x_kube(validation = Rule::new("(has(self.scalars) && self.scalars.size() > 0) || (has(self.tables) && self.tables.size() > 0)")
    .message("at least one scalar or table is required"))]
pub struct SnmpSubtreeSpec {
    /// Base OID. All objects are below it. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("oid is immutable: create another SnmpSubtree instead"))]
    pub oid: BaseOid,
    /// Names of the SnmpContexts in which the objects are published.
    #[serde(default = "default_contexts")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub context_refs: Vec<ContextRef>,
    /// Pods that publish the objects. An empty selector selects every pod of the namespace.
    pub selector: LabelSelector,
    /// Names and texts for the MIB module of this subtree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mib: Option<Mib>,
    /// Sources that values come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sources: Vec<Source>,
    /// Scalars: objects with one instance each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub scalars: Vec<Scalar>,
    /// Tables: objects with one instance for each row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tables: Vec<Table>,
    /// Notifications, sent as traps or informs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub notifications: Vec<Notification>,
}

fn default_contexts() -> Vec<ContextRef> {
    vec!["default".into()]
}

/// Names and texts for the MIB module of a subtree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mib {
    /// Name of the MIB module.
    pub module: ModuleName,
    /// Descriptor of the base OID. Default: derived from the module's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Descriptor>,
    /// ORGANIZATION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<Prose>,
    /// CONTACT-INFO clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_info: Option<Prose>,
    /// DESCRIPTION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
}

/// Observed state of an SnmpSubtree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnmpSubtreeStatus {
    /// Conditions of the types Accepted, ResolvedRefs, Programmed and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Numbers of selected pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// Number of scalars and columns that are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<i32>,
}

/// Numbers of selected pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Pods {
    /// Number of pods that the selector selects.
    pub matched: i32,
    /// Number of selected pods that have a sidecar.
    pub injected: i32,
}
