//! The OIDs of the product.

use agentx::SubId;

/// The product's subtree. It lies in net-snmp's experimental subtree until the product has an enterprise number.
pub(crate) const PRODUCT_OID: &[SubId] = &[1, 3, 6, 1, 4, 1, 8072, 9999, 9999, 2741];

/// The arc of the master below [`PRODUCT_OID`]. Together they are its sysObjectID.
pub(crate) const MASTER: SubId = 1;
