//! Notifications: the condition that raises one, and the objects that it carries.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Descriptor, Duration, Prose, RelativeOid, Shown};

/// Severity of a notification (X.733), most severe first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "X.733 defines them")]
pub enum Severity {
    Critical,
    Major,
    Minor,
    #[default]
    Warning,
    Indeterminate,
}

/// A notification that the sidecar raises when a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.clear) || !has(self.when.changes)")
    .message("clear is not valid with changes, because a change never ends").field_path(".clear"))]
pub struct Notification {
    /// Descriptor (name) of the notification, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the notification below the base OID.
    pub oid: RelativeOid,
    /// Severity (X.733).
    #[serde(default)]
    pub severity: Severity,
    /// Meaning of the notification, for people; the DESCRIPTION clause of the MIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Condition that raises the notification.
    pub when: When,
    /// Names of the objects that the notification carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub objects: Vec<Descriptor>,
    /// Notification that is sent when the condition no longer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
}

/// A condition on a scalar, or on a column in each row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.above), has(self.below), has(self.equals), has(self.changes), has(self.absent)].exists_one(set, set)")
    .message("exactly one of above, below, equals, changes and absent must be set"))]
#[x_kube(validation = Rule::new("!has(self.clearBelow) || (has(self.above) && self.clearBelow <= self.above)")
    .message("clearBelow requires above and must not be greater than it").field_path(".clearBelow"))]
#[x_kube(validation = Rule::new("!has(self.clearAbove) || (has(self.below) && self.clearAbove >= self.below)")
    .message("clearAbove requires below and must not be less than it").field_path(".clearAbove"))]
#[x_kube(validation = Rule::new("!has(self.__for__) || !has(self.changes)").message("for is not valid with changes").field_path(".for"))]
pub struct When {
    /// Name of the object that is compared.
    pub object: Descriptor,
    /// The condition holds while the value is greater than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// With `above`: the condition ends when the value is less than this. Default: when the value is not above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_below: Option<f64>,
    /// The condition holds while the value is less than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// With `below`: the condition ends when the value is greater than this. Default: when the value is not below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_above: Option<f64>,
    /// The condition holds while the value equals this text, which is parsed according to the object's syntax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Shown>,
    /// The condition holds whenever the value differs from the previous value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true or omitted"))]
    pub changes: Option<bool>,
    /// The condition holds while the object has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true or omitted"))]
    pub absent: Option<bool>,
    /// Time that the condition must hold before the notification is raised. Default: none.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// Notification that is sent when the condition of another one ends. It carries the same objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Clear {
    /// Descriptor (name) of the notification, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the notification below the base OID.
    pub oid: RelativeOid,
}
