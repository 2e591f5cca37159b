//! SnmpSubtree: what a workload shows under which OIDs.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    BaseOid, Condition, ContextRef, Descriptor, LabelSelector, ModuleName, Notification, Prose, Scalar, Source, Table,
};

/// What the pods of a workload show, and under which object identifiers.
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
    doc = "An SnmpSubtree shows what the pods of a workload measure as objects of an SNMP agent.",
    printcolumn(name = "Context", type_ = "string", json_path = ".spec.contextRefs"),
    printcolumn(name = "OID", type_ = "string", json_path = ".spec.oid"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 240").message("the name of an SnmpSubtree has 240 characters at most"),
)]
#[x_kube(validation = Rule::new("(has(self.scalars) && self.scalars.size() > 0) || (has(self.tables) && self.tables.size() > 0)")
    .message("neither scalars nor tables are there: nothing to serve"))]
pub struct SnmpSubtreeSpec {
    /// The base OID: all objects lie below it. Immutable.
    #[x_kube(validation = Rule::new("self == oldSelf").message("oid is immutable: make another SnmpSubtree"))]
    pub oid: BaseOid,
    /// Names of the SnmpContexts to serve it in.
    #[serde(default = "default_contexts")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub context_refs: Vec<ContextRef>,
    /// The pods that serve it. An empty selector selects every pod of the namespace.
    pub selector: LabelSelector,
    /// Names for the MIB module.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mib: Option<Mib>,
    /// Where values come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sources: Vec<Source>,
    /// Objects with one instance each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub scalars: Vec<Scalar>,
    /// Conceptual tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tables: Vec<Table>,
    /// Notifications that are raised as traps and informs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub notifications: Vec<Notification>,
}

fn default_contexts() -> Vec<ContextRef> {
    vec!["default".into()]
}

/// Names for the MIB module that is made of a subtree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mib {
    /// The module's name.
    pub module: ModuleName,
    /// The descriptor of the base OID. Default: made of the module's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Descriptor>,
    /// The ORGANIZATION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<Prose>,
    /// The CONTACT-INFO clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_info: Option<Prose>,
    /// The DESCRIPTION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
}

/// What became of an SnmpSubtree.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnmpSubtreeStatus {
    /// Accepted, ResolvedRefs, Programmed, Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The pods that the selector selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// How many scalars and columns are served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<i32>,
}

/// Counts of pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Pods {
    /// Pods that the selector selects.
    pub matched: i32,
    /// Those among them that have a sidecar.
    pub injected: i32,
}
