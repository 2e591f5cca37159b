//! Notifications: the condition that raises one, and the objects that it carries.

use std::collections::BTreeMap;

use kube::{KubeSchema, core::Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{BaseOid, Descriptor, Duration, NotificationOid, Prose, Shown};

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

/// Type of the event that raises an alarm (X.733).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "X.733 defines them")]
pub enum EventType {
    Communications,
    QualityOfService,
    ProcessingError,
    Equipment,
    Environmental,
}

/// Returns the rule that a notification has one OID.
fn one_oid() -> Rule {
    Rule::new("has(self.oid) != has(self.absoluteOID)").message("exactly one of oid and absoluteOID must be set")
}

/// A notification that the sidecar raises when a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.clear) || !has(self.when.changes)")
    .message("clear is not valid with changes, because a change never ends").field_path(".clear"), validation = one_oid())]
pub struct Notification {
    /// Descriptor (name) of the notification, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the notification below the base OID: `0.N`, the form that SNMPv1 needs (RFC 2578 section 8.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<NotificationOid>,
    /// Whole OID of the notification, for a notification of a MIB that exists already. It may be outside of the base OID,
    /// but must be below the `allowedSubtrees` of each context, and no other SnmpSubtree may hold it.
    #[serde(rename = "absoluteOID", skip_serializing_if = "Option::is_none")]
    pub absolute_oid: Option<BaseOid>,
    /// Severity (X.733).
    #[serde(default)]
    pub severity: Severity,
    /// Takes the severity from the value of an object instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity_from: Option<SeverityFrom>,
    /// Type of the event (X.733). Default: none is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// Meaning of the notification, for people: the text of the alarm, and the DESCRIPTION clause of the MIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// Condition that raises the notification.
    pub when: When,
    /// Names of the objects that the notification carries: scalars, or columns of the table of `when.object`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub objects: Vec<Descriptor>,
    /// Notification that is sent when the condition no longer holds. Without it, nothing is sent then, and the notification is
    /// sent again the next time that the condition holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
}

/// Severity of an alarm by the value of an object, for example of a label of the monitoring system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct SeverityFrom {
    /// Name of the object: a scalar, or a column of the table of `when.object`.
    pub object: Descriptor,
    /// Severities by value: by number, text, or name of an enumeration.
    #[schemars(extend("maxProperties" = 64, "minProperties" = 1))]
    pub map: BTreeMap<String, Severity>,
    /// Severity for all other values.
    #[serde(default)]
    pub default: Severity,
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
#[x_kube(validation = Rule::new("!has(self.clearFor) || !has(self.changes)")
    .message("clearFor is not valid with changes").field_path(".clearFor"))]
pub struct When {
    /// Name of the object that is compared: a scalar, or a column, which is compared in each row. `above` and `below` need a
    /// number that is not a counter; compare the rate of a counter instead (`rate`).
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
    /// Time that the condition must have ended before the notification is cleared. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_for: Option<Duration>,
}

/// Notification that is sent when the condition of another one ends. It carries the same objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = one_oid())]
pub struct Clear {
    /// Descriptor (name) of the notification, unique in the subtree.
    pub name: Descriptor,
    /// Arcs of the notification below the base OID: `0.N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oid: Option<NotificationOid>,
    /// Whole OID of the notification, as of the one that it clears.
    #[serde(rename = "absoluteOID", skip_serializing_if = "Option::is_none")]
    pub absolute_oid: Option<BaseOid>,
}
