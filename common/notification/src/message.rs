//! The varbinds of a Notify.

use agentx::{Oid, Value, VarBind};

use crate::{
    AlarmId, Details,
    oids::{ALARM_MODULE, SNMP_TRAP_OID, SYNC, SYS_UP_TIME, own_notification},
};

/// A notification: the varbinds of a Notify without sysUpTime.0, which the master adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The value of snmpTrapOID.0.
    pub oid: Oid,
    /// The objects. If there are details, the first object is the one that raises the alarm.
    pub objects: Vec<VarBind>,
    /// The details of the alarm. Only sidecars send them; a notification without details is an event of another subagent.
    pub details: Option<Details>,
}

/// The alarms of a subtree in a context, which a sidecar sends when a session starts to serve the subtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The base OID of the subtree.
    pub base: Oid,
    /// The ids of its raised alarms. An alarm of the subtree that is not among them is cleared.
    pub raised: Vec<AlarmId>,
}

/// Why varbinds are no notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// RFC 2741 section 7.1.11 requires it.
    #[error("snmpTrapOID.0 is neither the first varbind, nor the second after sysUpTime.0")]
    NoTrapOid,
    /// The details are incomplete, out of order, or have wrong values.
    #[error("the varbinds that describe the alarm are not as SNMP-OPERATOR-MIB defines them")]
    Details,
    /// The alarm has no object.
    #[error("there is no object before the varbinds that describe the alarm")]
    NoObject,
}

impl Notification {
    /// Returns the varbinds: snmpTrapOID.0, the objects, the details.
    #[must_use]
    pub fn varbinds(&self) -> Vec<VarBind> {
        let trap_oid = VarBind { name: oid(&SNMP_TRAP_OID), value: Value::ObjectIdentifier(self.oid.clone()) };
        let details = self.details.iter().flat_map(Details::varbinds);
        std::iter::once(trap_oid).chain(self.objects.iter().cloned()).chain(details).collect()
    }

    /// Reads a notification. sysUpTime.0 before snmpTrapOID.0 is dropped, because the master sets it anew.
    ///
    /// # Errors
    /// Returns an error if snmpTrapOID.0 is missing, or if the details of an alarm are wrong.
    pub fn parse(varbinds: &[VarBind]) -> Result<Self, NotificationError> {
        let after_time = match varbinds {
            [VarBind { name, value: Value::TimeTicks(_) }, rest @ ..] if **name == SYS_UP_TIME => rest,
            varbinds => varbinds,
        };
        let (oid, rest) = match after_time {
            [VarBind { name, value: Value::ObjectIdentifier(oid) }, rest @ ..] if **name == SNMP_TRAP_OID => {
                (oid, rest)
            }
            _ => return Err(NotificationError::NoTrapOid),
        };
        let objects = rest.iter().take_while(|varbind| !Details::is_detail(varbind)).count();
        let (objects, details) = rest.split_at(objects);
        let details = match details {
            [] => None,
            details => Some(Details::parse(details).ok_or(NotificationError::Details)?),
        };
        if details.is_some() && objects.is_empty() {
            return Err(NotificationError::NoObject);
        }
        Ok(Self { oid: oid.clone(), objects: objects.to_vec(), details })
    }

    /// Returns whether the notification has the id that its context, type and first object give it. A notification without
    /// details has no id.
    #[must_use]
    pub fn has_own_id(&self, context: &[u8]) -> bool {
        let instance = self.objects.first().map(|object| &*object.name).unwrap_or_default();
        self.details.as_ref().is_none_or(|details| details.id == AlarmId::of(context, &details.alarm_type, instance))
    }
}

impl Sync {
    /// Returns the varbinds: snmpTrapOID.0, and the ids, eight octets each, as the value of the base OID.
    #[must_use]
    pub fn varbinds(&self) -> Vec<VarBind> {
        let ids = self.raised.iter().flat_map(|id| id.0).collect();
        vec![
            VarBind { name: oid(&SNMP_TRAP_OID), value: Value::ObjectIdentifier(oid(&own_notification(SYNC))) },
            VarBind { name: self.base.clone(), value: Value::OctetString(ids) },
        ]
    }

    /// Reads the varbinds. Returns `None` if they are no [`Sync`].
    #[must_use]
    pub fn parse(varbinds: &[VarBind]) -> Option<Self> {
        let [
            VarBind { name, value: Value::ObjectIdentifier(kind) },
            VarBind { name: base, value: Value::OctetString(ids) },
        ] = varbinds
        else {
            return None;
        };
        let (ids, rest) = ids.as_chunks();
        let is_sync = **name == SNMP_TRAP_OID && **kind == own_notification(SYNC) && rest.is_empty();
        let raised = ids.iter().map(|id| AlarmId(*id)).collect();
        (is_sync && !base.starts_with(&ALARM_MODULE)).then(|| Self { base: base.clone(), raised })
    }
}

fn oid(arcs: &[u32]) -> Oid {
    Oid::try_from(arcs).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{EventType, Severity, State};

    fn notification(state: State, event_type: Option<EventType>) -> Notification {
        let (alarm_type, instance) = (oid(&[1, 3, 9, 0, 1]), oid(&[1, 3, 9, 1, 0]));
        let id = AlarmId::of(b"acme", &alarm_type, &instance);
        let severity = if state == State::Cleared { Severity::Indeterminate } else { Severity::Major };
        let time = crate::date_and_time(std::time::UNIX_EPOCH).to_vec();
        let (resource, text) = ("acme/checkout/checkout-0".to_owned(), "Too many errors".to_owned());
        let details = Details { alarm_type, id, sequence: 7, state, severity, time, resource, text, event_type };
        let objects = vec![VarBind { name: instance, value: Value::Gauge32(81) }];
        Notification { oid: oid(&[1, 3, 9, 0, 2]), objects, details: Some(details) }
    }

    #[test]
    fn a_notification_is_read_as_it_was_written() {
        for state in State::ALL {
            for event_type in EventType::ALL.map(Some).into_iter().chain([None]) {
                let written = notification(state, event_type);
                assert_eq!(Notification::parse(&written.varbinds()), Ok(written.clone()));
                assert!(written.has_own_id(b"acme") && !written.has_own_id(b"globex"));
                let time = VarBind { name: oid(&SYS_UP_TIME), value: Value::TimeTicks(5) };
                let with_time: Vec<_> = std::iter::once(time).chain(written.varbinds()).collect();
                assert_eq!(Notification::parse(&with_time), Ok(written));
            }
        }
    }

    #[test]
    fn incomplete_or_reordered_details_are_refused() {
        let varbinds = notification(State::Raised, Some(EventType::Equipment)).varbinds();
        for i in 2..varbinds.len() - 1 {
            let mut without = varbinds.clone();
            without.remove(i);
            assert_eq!(Notification::parse(&without), Err(NotificationError::Details), "without varbind {i}");
            let mut swapped = varbinds.clone();
            swapped.swap(i, i + 1);
            assert_eq!(
                Notification::parse(&swapped),
                Err(NotificationError::Details),
                "with varbind {i} after the next"
            );
        }
        let mut longer = varbinds.clone();
        longer.extend(varbinds.last().cloned());
        assert_eq!(Notification::parse(&longer), Err(NotificationError::Details));
        let mut no_object = varbinds;
        no_object.remove(1);
        assert_eq!(Notification::parse(&no_object), Err(NotificationError::NoObject));
    }

    #[test]
    fn a_severity_fits_its_state() {
        let (raised, cleared) = (notification(State::Raised, None), notification(State::Cleared, None));
        for (notification, severity) in [(raised, Severity::CLEARED), (cleared, Severity::Major.number())] {
            let mut varbinds = notification.varbinds();
            varbinds[6].value = Value::Integer(severity);
            assert_eq!(Notification::parse(&varbinds), Err(NotificationError::Details));
        }
    }

    #[test]
    fn the_trap_oid_comes_first_or_after_the_time() {
        let trap = VarBind { name: oid(&SNMP_TRAP_OID), value: Value::ObjectIdentifier(oid(&[1, 3])) };
        let object = VarBind { name: oid(&[1, 3, 1, 0]), value: Value::Integer(1) };
        let event = Notification { oid: oid(&[1, 3]), objects: vec![object.clone()], details: None };
        assert_eq!(Notification::parse(&[trap.clone(), object.clone()]), Ok(event));
        for varbinds in [vec![], vec![object.clone()], vec![object, trap]] {
            assert_eq!(Notification::parse(&varbinds), Err(NotificationError::NoTrapOid));
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut long = notification(State::Raised, None);
        if let Some(details) = &mut long.details {
            details.text = "é".repeat(200);
        }
        let read = Notification::parse(&long.varbinds()).unwrap();
        assert_eq!(read.details.unwrap().text, "é".repeat(127));
    }

    #[test]
    fn a_sync_is_read_as_it_was_written() {
        for raised in [vec![], vec![AlarmId([1; 8])], vec![AlarmId([1; 8]), AlarmId([2; 8])]] {
            let sync = Sync { base: oid(&[1, 3, 9]), raised };
            assert_eq!(Sync::parse(&sync.varbinds()), Some(sync));
        }
        let mut odd = Sync { base: oid(&[1, 3, 9]), raised: vec![] }.varbinds();
        odd[1].value = Value::OctetString(vec![1; 9]);
        assert_eq!(Sync::parse(&odd), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let arcs = prop::collection::vec(0..4_u32, 0..4);
        prop_oneof![
            any::<i32>().prop_map(Value::Integer),
            (0..8).prop_map(Value::Integer),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::OctetString),
            any::<u32>().prop_map(Value::Gauge32),
            arcs.prop_map(|arcs| Value::ObjectIdentifier(oid(&arcs))),
            Just(Value::Null),
        ]
    }

    proptest! {
        /// Parsing never fails in another way, and what is read is written as it was.
        #[test]
        fn any_varbinds_are_read_or_refused(place in 0..10_usize, value in value()) {
            let mut varbinds = notification(State::Raised, Some(EventType::Equipment)).varbinds();
            varbinds[place].value = value;
            if let Ok(read) = Notification::parse(&varbinds) {
                prop_assert_eq!(read.varbinds(), varbinds);
            }
        }
    }
}
