//! Where the product's own objects are.

use agentx::SubId;

/// The product's place: in net-snmp's playpen, until a number of its own is assigned.
pub const PRODUCT_OID: &[SubId] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741];

/// What the master is: its sysObjectID, below [`PRODUCT_OID`].
pub const MASTER: SubId = 1;
