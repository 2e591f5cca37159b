//! The OIDs of the product's notifications, and the standard ones that every notification uses.

use agentx::SubId;

/// The product's subtree. It lies in net-snmp's experimental subtree until the product has an enterprise number.
pub const PRODUCT_OID: &[SubId] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741];

/// The module of alarms, SNMP-OPERATOR-MIB: everything below is defined in it.
pub const ALARM_MODULE: [SubId; 11] = below(2);
/// The product's own notifications: [`HEARTBEAT`] and the following arcs, with the arc 0 that SNMPv1 needs (RFC 2578 section
/// 8.5).
pub const NOTIFICATIONS: [SubId; 12] = in_module(0);
/// The alarm table.
pub const ALARM_TABLE: [SubId; 12] = in_module(1);
/// The objects that describe an alarm in a notification. Their instances end in 0.
pub const DETAILS: [SubId; 12] = in_module(2);
/// Scalars with the number of alarms.
pub const COUNTS: [SubId; 12] = in_module(3);

/// Arc below [`NOTIFICATIONS`]: the agent is alive.
pub const HEARTBEAT: SubId = 1;
/// Arc below [`NOTIFICATIONS`]: notifications to this target were lost.
pub const NOTIFICATIONS_LOST: SubId = 2;
/// Arc below [`NOTIFICATIONS`]: a sidecar lists the alarms of a subtree. The master never forwards it.
pub const SYNC: SubId = 3;

/// sysUpTime.0 (RFC 3418).
pub const SYS_UP_TIME: [SubId; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
/// snmpTrapOID.0 (RFC 3418).
pub const SNMP_TRAP_OID: [SubId; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// snmpTrapEnterprise.0 (RFC 3418).
pub const SNMP_TRAP_ENTERPRISE: [SubId; 11] = [1, 3, 6, 1, 6, 3, 1, 1, 4, 3, 0];
/// snmpTrapAddress.0 (RFC 3584), which only the master sets.
pub const SNMP_TRAP_ADDRESS: [SubId; 10] = [1, 3, 6, 1, 6, 3, 18, 1, 3, 0];

const fn below(arc: SubId) -> [SubId; 11] {
    [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741, arc]
}

const fn in_module(arc: SubId) -> [SubId; 12] {
    [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741, 2, arc]
}

/// Returns the OID of one of the product's own notifications, for example [`HEARTBEAT`].
#[must_use]
pub const fn own_notification(arc: SubId) -> [SubId; 13] {
    [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741, 2, 0, arc]
}

/// Returns the name of a varbind that describes an alarm: the instance of the object `arc` below [`DETAILS`].
#[must_use]
pub const fn detail(arc: SubId) -> [SubId; 14] {
    [1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741, 2, 2, arc, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_oids_are_below_the_oid_of_the_product() {
        assert!(ALARM_MODULE.starts_with(PRODUCT_OID));
        for oid in [NOTIFICATIONS, ALARM_TABLE, DETAILS, COUNTS] {
            assert!(oid.starts_with(&ALARM_MODULE), "{oid:?}");
        }
        assert!(own_notification(HEARTBEAT).starts_with(&NOTIFICATIONS));
        assert!(detail(1).starts_with(&DETAILS));
    }
}
