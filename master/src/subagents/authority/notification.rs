//! Authorization of the contents of notifications (RFC 2741 section 6.2.10, RFC 3416 section 4.2.6).

use agentx::{Oid, SubId, Value, VarBind};
use notification::{
    Notification, Sync,
    oids::{PRODUCT_OID, SNMP_TRAP_ADDRESS, SNMP_TRAP_ENTERPRISE, SNMP_TRAP_OID},
};

use super::{Denial, grants::Granted};
use crate::pdu::notice::Content;

/// Objects that nobody may send: snmpTrapAddress.0 is set by the master, and a second snmpTrapOID.0 would contradict the
/// first one.
const RESERVED_OBJECTS: [&[SubId]; 2] = [&SNMP_TRAP_ADDRESS, &SNMP_TRAP_OID];

/// Checks what applies to all peers: no notification or object of the product itself, other than the details of an alarm,
/// whose id must be the one that its context, type and object give it.
pub(super) fn authorize(context: &[u8], notify: &Content) -> Result<(), Denial> {
    match notify {
        Content::Sync(Sync { base, .. }) => foreign(base),
        Content::Notification(notification) => {
            let Notification { oid, objects, details } = notification;
            foreign(oid)?;
            details.iter().try_for_each(|details| foreign(&details.alarm_type))?;
            objects.iter().try_for_each(|VarBind { name, .. }| {
                foreign(name)?;
                let is_reserved = RESERVED_OBJECTS.contains(&name.as_slice());
                if is_reserved { Err(Denial::Reserved(name.clone())) } else { Ok(()) }
            })?;
            if notification.has_own_id(context) { Ok(()) } else { Err(Denial::AlarmId) }
        }
    }
}

/// Checks what applies to a tenant: the notification, the type of its alarm and its objects lie within the grants.
pub(super) fn authorize_tenant(granted: &Granted, content: &Content) -> Result<(), Denial> {
    match content {
        Content::Sync(Sync { base, .. }) => granted.hold(base, None),
        Content::Notification(Notification { oid, objects, details }) => {
            granted.hold(oid, None)?;
            details.iter().try_for_each(|details| granted.hold(&details.alarm_type, None))?;
            objects.iter().try_for_each(|VarBind { name, value }| match value {
                Value::ObjectIdentifier(enterprise) if name.as_slice() == SNMP_TRAP_ENTERPRISE => {
                    granted.hold(enterprise, None)
                }
                _ => granted.hold(name, None),
            })
        }
    }
}

/// Refuses OIDs of the product itself.
fn foreign(oid: &Oid) -> Result<(), Denial> {
    if oid.starts_with(PRODUCT_OID) { Err(Denial::Reserved(oid.clone())) } else { Ok(()) }
}
