//! Notifications: the rules that raise and clear alarms.

use std::collections::BTreeMap;

use agentx::Oid;
use notification::{EventType, Severity};
use serde::{Deserialize, Serialize};

/// A rule: the condition that raises an alarm, and the notifications that are sent then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// The descriptor of the notification.
    pub name: String,
    /// The whole OID of the notification, the value of snmpTrapOID.0.
    pub oid: Oid,
    /// The severity of the alarm.
    #[serde(default)]
    pub severity: Severity,
    /// Takes the severity from the value of an object instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_from: Option<SeverityFrom>,
    /// The type of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// The meaning of the notification, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The condition.
    pub when: When,
    /// Names of the objects that the notification carries: scalars, or columns of the table of `when.object`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// The notification that is sent when the condition has ended. Without it, nothing is sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<Clear>,
}

/// The severity of an alarm by the value of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeverityFrom {
    /// The name of the object: a scalar, or a column of the table of `when.object`.
    pub object: String,
    /// Severities by value. Values are numbers, texts, or names of an enumeration.
    pub map: BTreeMap<String, Severity>,
    /// The severity for all other values.
    #[serde(default)]
    pub default: Severity,
}

/// A condition on a scalar, or on each row of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// The name of the object.
    pub object: String,
    /// The comparison.
    pub test: Test,
    /// How long the comparison must hold before the alarm is raised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub for_ms: u64,
    /// How long the comparison must not hold before the alarm is cleared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clear_for_ms: u64,
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Test {
    /// The number is greater than `threshold`. The alarm ends when it is less than `clear`; by default when it is not greater
    /// than `threshold`.
    Above {
        /// The threshold.
        threshold: f64,
        /// The threshold for the end of the alarm, at most `threshold`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clear: Option<f64>,
    },
    /// The number is less than `threshold`. The alarm ends when it is greater than `clear`; by default when it is not less
    /// than `threshold`.
    Below {
        /// The threshold.
        threshold: f64,
        /// The threshold for the end of the alarm, at least `threshold`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clear: Option<f64>,
    },
    /// The value equals this number, text, or name of an enumeration.
    Equals {
        /// The value, as a text of the object's syntax.
        value: String,
    },
    /// The value differs from the previous one. This is an event, which never ends.
    Changes {},
    /// The object has no value.
    Absent {},
}

/// The notification that is sent when an alarm is cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clear {
    /// The descriptor of the notification.
    pub name: String,
    /// The whole OID of the notification.
    pub oid: Oid,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
