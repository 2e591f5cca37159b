//! An alarm, and what a session has said about it.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use agentx::{Oid, Value};
use data_encoding::HEXLOWER;
use notification::{Notification, Severity, State};

use super::{Key, Namespace};
use crate::notify::table::Row;

/// Longest text of a value in the alarm table, in octets.
const MAX_VALUE: usize = 255;

/// A raised alarm.
#[derive(Debug)]
pub(super) struct Alarm {
    /// The last notification about it.
    pub(super) notification: Notification,
    /// The namespace that owns it.
    pub(super) namespace: Namespace,
    /// Whether a token proves the namespace.
    pub(super) proven: bool,
    /// The session that serves it.
    pub(super) owner: Option<u32>,
    /// When it lapses, while it has no owner.
    pub(super) lapses: Option<Instant>,
    /// Whether it has had no owner for a while.
    pub(super) lost: bool,
    /// Its highest severity since it was raised. Targets that have heard of the raise hear of what follows, too.
    pub(super) worst: Severity,
    /// Its row in the alarm table.
    pub(super) row: Arc<Row>,
}

/// What a session has said.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) namespace: Namespace,
    pub(super) proven: bool,
    /// The alarms that it has raised.
    pub(super) records: BTreeMap<Key, Record>,
}

/// An alarm that a session has raised.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) notification: Notification,
    /// Whether the session serves the instance.
    pub(super) serves: bool,
}

impl Alarm {
    /// Creates an alarm of its last notification. `since` is when it was raised, and its highest severity, if it was raised
    /// before. Returns `None` if the
    /// notification has no details.
    pub(super) fn new(
        notification: &Notification,
        namespace: Namespace,
        proven: bool,
        owner: Option<u32>,
        since: Option<(Vec<u8>, Severity)>,
    ) -> Option<Self> {
        let details = notification.details.clone()?;
        let object = notification.objects.first()?;
        let (raised, worst) = since.unzip();
        let severity = details.severity;
        let worst = match worst {
            Some(worst) if worst == Severity::Indeterminate || !severity.is_at_least(worst) => worst,
            _ => severity,
        };
        let row = Row {
            index: Row::index_of(details.id),
            alarm_type: details.alarm_type,
            object: object.name.clone(),
            value: value_text(&object.value),
            severity: details.severity,
            state: if raised.is_some() { details.state } else { State::Raised }.number(),
            sequence: details.sequence,
            raised: raised.unwrap_or_else(|| details.time.clone()),
            changed: details.time,
            resource: details.resource,
            text: details.text,
        };
        let notification = notification.clone();
        Some(Self { notification, namespace, proven, owner, lapses: None, lost: false, worst, row: Arc::new(row) })
    }

    pub(super) fn sequence(&self) -> u32 {
        self.row.sequence
    }

    /// Returns the instance that raised it.
    pub(super) fn instance(&self) -> &Oid {
        &self.row.object
    }
}

impl Session {
    /// Returns whether the session may speak for an alarm. Peers without a token are trusted with all alarms of such peers.
    pub(super) fn owns(&self, alarm: &Alarm) -> bool {
        self.proven == alarm.proven && (!self.proven || self.namespace == alarm.namespace)
    }

    pub(super) fn identity(&self) -> (Namespace, bool) {
        (self.namespace.clone(), self.proven)
    }
}

impl Record {
    pub(super) fn sequence(&self) -> u32 {
        self.notification.details.as_ref().map_or(0, |details| details.sequence)
    }

    /// Returns the instance that raised the alarm. It exists, because details are refused without an object.
    pub(super) fn instance(&self) -> &[agentx::SubId] {
        self.notification.objects.first().map(|object| object.name.as_slice()).unwrap_or_default()
    }
}

/// Returns a value as text.
fn value_text(value: &Value) -> String {
    let mut text = match value {
        Value::Integer(number) => number.to_string(),
        Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => number.to_string(),
        Value::Counter64(number) => number.to_string(),
        Value::ObjectIdentifier(oid) => oid.to_string(),
        Value::IpAddress([a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        Value::OctetString(octets) => match std::str::from_utf8(octets) {
            Ok(text) => text.to_owned(),
            Err(_) => hexadecimal(octets),
        },
        Value::Opaque(octets) => hexadecimal(octets),
        Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => String::new(),
    };
    text.truncate(text.floor_char_boundary(MAX_VALUE));
    text
}

fn hexadecimal(octets: &[u8]) -> String {
    HEXLOWER.encode(octets.get(..MAX_VALUE / 2).unwrap_or(octets))
}
