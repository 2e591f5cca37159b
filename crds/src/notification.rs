//! Notifications: what is raised, when, and with which objects.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Descriptor, Duration, Prose, RelativeOid, Shown};

/// Severities of X.733, from the gravest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "X.733 says it")]
pub enum Severity {
    Critical,
    Major,
    Minor,
    #[default]
    Warning,
    Indeterminate,
}

/// A notification that the sidecar raises by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.clear) || !has(self.when.changes)")
    .message("what changes is never cleared").field_path(".clear"))]
pub struct Notification {
    /// Its descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arcs below the base OID.
    pub oid: RelativeOid,
    /// How grave it is.
    #[serde(default)]
    pub severity: Severity,
    /// What it is, for people: the DESCRIPTION clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// When it is raised.
    pub when: When,
    /// Names of the objects that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub objects: Vec<Descriptor>,
    /// The notification that says it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
}

/// A condition on a scalar, or on a column row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.above), has(self.below), has(self.equals), has(self.changes), has(self.absent)].exists_one(set, set)")
    .message("exactly one of above, below, equals, changes and absent must be set"))]
#[x_kube(validation = Rule::new("!has(self.clearBelow) || (has(self.above) && self.clearBelow <= self.above)")
    .message("clearBelow goes with above, and is not greater").field_path(".clearBelow"))]
#[x_kube(validation = Rule::new("!has(self.clearAbove) || (has(self.below) && self.clearAbove >= self.below)")
    .message("clearAbove goes with below, and is not less").field_path(".clearAbove"))]
#[x_kube(validation = Rule::new("!has(self.__for__) || !has(self.changes)").message("a change takes no time").field_path(".for"))]
pub struct When {
    /// Name of the object.
    pub object: Descriptor,
    /// The value is greater than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// It is over when the value is less than this. Default: not above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_below: Option<f64>,
    /// The value is less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// It is over when the value is greater than this. Default: not below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_above: Option<f64>,
    /// The value is this text, read as the object's syntax asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Shown>,
    /// The value is another than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("either true or left out"))]
    pub changes: Option<bool>,
    /// There is no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("either true or left out"))]
    pub absent: Option<bool>,
    /// How long it must hold before it counts. Default: at once.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// The notification that says that another is over. It carries the same objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Clear {
    /// Its descriptor, unique in the subtree.
    pub name: Descriptor,
    /// Its arcs below the base OID.
    pub oid: RelativeOid,
}
