//! The OIDs of the product.

use agentx::SubId;
pub(crate) use notification::oids::PRODUCT_OID;

/// The arc of the master below [`PRODUCT_OID`]. Together they are its sysObjectID.
pub(crate) const MASTER: SubId = 1;
