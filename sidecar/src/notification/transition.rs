//! Transitions of alarms, which become notifications in each context.

use std::time::{Duration, SystemTime};

use agentx::{Oid, Value, VarBind};
use notification::{AlarmId, Details, EventType, Notification, Severity, State, date_and_time};
use serde::{Deserialize, Serialize};

use super::saved;

/// The longest string in a varbind, in octets. Longer ones are cut.
const MAX_STRING: usize = 1024;
/// The most octets of all objects of a notification, so that the details fit too.
const MAX_OBJECTS: usize = 6 << 10;

/// An alarm that was raised, changed or cleared, or an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Transition {
    /// The OID of the notification.
    pub(super) oid: Oid,
    /// The notification that raises the alarm.
    pub(super) alarm_type: Oid,
    /// The object that raises the alarm, and the others.
    #[serde(with = "saved::varbinds")]
    pub(super) objects: Vec<VarBind>,
    pub(super) sequence: u32,
    #[serde(with = "saved::state")]
    pub(super) state: State,
    pub(super) severity: Severity,
    /// When it happened, in milliseconds of Unix time.
    pub(super) at_ms: u64,
    pub(super) text: String,
    pub(super) event_type: Option<EventType>,
}

impl Transition {
    /// Returns the OID of the instance that raises the alarm.
    pub(super) fn instance(&self) -> &[agentx::SubId] {
        self.objects.first().map(|object| &*object.name).unwrap_or_default()
    }

    /// Returns the id of the alarm in a context.
    pub(super) fn id(&self, context: &str) -> AlarmId {
        AlarmId::of(context.as_bytes(), &self.alarm_type, self.instance())
    }

    /// Returns the notification in a context.
    pub(super) fn notification(&self, context: &str, resource: &str) -> Notification {
        let details = Details {
            alarm_type: self.alarm_type.clone(),
            id: self.id(context),
            sequence: self.sequence,
            state: self.state,
            severity: self.severity,
            time: date_and_time(SystemTime::UNIX_EPOCH + Duration::from_millis(self.at_ms)).to_vec(),
            resource: resource.to_owned(),
            text: self.text.clone(),
            event_type: self.event_type,
        };
        Notification { oid: self.oid.clone(), objects: self.objects.clone(), details: Some(details) }
    }
}

/// Cuts long strings, and removes objects from the end until a notification can carry them. The first one always fits.
pub(super) fn limit(objects: &mut Vec<VarBind>) {
    let mut total = 0;
    let mut fitting = 0;
    for object in objects.iter_mut() {
        let value = match &mut object.value {
            Value::OctetString(octets) | Value::Opaque(octets) => {
                octets.truncate(MAX_STRING);
                octets.len()
            }
            Value::ObjectIdentifier(oid) => 4 * oid.len(),
            _ => 8,
        };
        total += 16 + 4 * object.name.len() + value;
        if total > MAX_OBJECTS {
            break;
        }
        fitting += 1;
    }
    objects.truncate(fitting);
}

#[cfg(test)]
mod tests {
    use notification::{MAX_OCTETS, MAX_VARBINDS};

    use super::*;

    #[test]
    fn the_longest_objects_fit_into_a_notification() {
        let name = Oid::new(vec![u32::MAX; Oid::MAX_LEN]).unwrap();
        let mut objects = vec![VarBind { name, value: Value::OctetString(vec![7; 65_000]) }; 33];
        limit(&mut objects);
        assert!((1..33).contains(&objects.len()), "{}", objects.len());
        let oid = Oid::new(vec![1; Oid::MAX_LEN]).unwrap();
        let transition = Transition {
            oid: oid.clone(),
            alarm_type: oid,
            objects,
            sequence: 1,
            state: State::Raised,
            severity: Severity::Major,
            at_ms: 0,
            text: "x".repeat(1024),
            event_type: Some(EventType::Equipment),
        };
        let varbinds = transition.notification("acme", &"r".repeat(600)).varbinds();
        assert!(varbinds.len() <= MAX_VARBINDS);
        let mut octets = Vec::new();
        let header =
            agentx::Header { byte_order: agentx::ByteOrder::Big, session_id: 1, transaction_id: 1, packet_id: 1 };
        let pdu = agentx::Pdu { header, context: "acme".into(), body: agentx::Body::Notify(varbinds.clone()) };
        agentx::encode(&pdu, &mut octets).unwrap();
        assert!(octets.len() <= MAX_OCTETS, "{}", octets.len());
        let read = Notification::parse(&varbinds).unwrap();
        assert!(read.has_own_id(b"acme"));
    }
}
