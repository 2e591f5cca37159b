//! Authorization of the contents of notifications (RFC 2741 section 6.2.10, RFC 3416 section 4.2.6).

use agentx::{Oid, SubId, Value, VarBind};

use super::{Denial, grants::Granted};
use crate::snmp::PRODUCT_OID;

/// sysUpTime.0 and snmpTrapOID.0 (RFC 3418): the first varbinds of a notification. The first of them is optional.
const SYS_UP_TIME: [SubId; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
const SNMP_TRAP_OID: [SubId; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// snmpTrapEnterprise.0 (RFC 3418), and snmpTrapAddress.0, which proxies add (RFC 3584). snmpTrapCommunity.0 is not
/// allowed, because it is a secret.
const SNMP_TRAP_ENTERPRISE: [SubId; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 3, 0];
const SNMP_TRAP_ADDRESS: [SubId; 10] = [1, 3, 6, 1, 6, 3, 18, 1, 3, 0];

/// Returns whether the first varbind is snmpTrapOID.0, or the first two are sysUpTime.0 and snmpTrapOID.0 (RFC 2741
/// section 7.1.11).
pub(crate) fn is_notification(varbinds: &[VarBind]) -> bool {
    let after_time = match varbinds {
        [VarBind { name, value: Value::TimeTicks(_) }, rest @ ..] if name.as_slice() == SYS_UP_TIME => rest,
        varbinds => varbinds,
    };
    let is_trap_oid = |name: &Oid| name.as_slice() == SNMP_TRAP_OID;
    matches!(after_time, [VarBind { name, value: Value::ObjectIdentifier(_) }, ..] if is_trap_oid(name))
}

/// Checks the varbinds of a tenant's notification. Allowed are objects within its grants, objects of this product, and
/// the standard objects above. OIDs as values of these must lie within its grants or this product's objects.
pub(super) fn authorize(granted: &Granted, varbinds: &[VarBind]) -> Result<(), Denial> {
    let own = |oid: &Oid| if oid.starts_with(PRODUCT_OID) { Ok(()) } else { granted.hold(oid, None) };
    varbinds.iter().try_for_each(|VarBind { name, value }| match (name.as_slice(), value) {
        (name, Value::TimeTicks(_)) if name == SYS_UP_TIME => Ok(()),
        (name, Value::IpAddress(_)) if name == SNMP_TRAP_ADDRESS => Ok(()),
        (name, Value::ObjectIdentifier(what)) if name == SNMP_TRAP_OID || name == SNMP_TRAP_ENTERPRISE => own(what),
        _ => own(name),
    })
}
