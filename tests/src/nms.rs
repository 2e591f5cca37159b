//! The NMS: net-snmp's command-line tools, the rows that they print, and a receiver of notifications.

pub(crate) mod client;
pub(crate) mod row;
pub(crate) mod snmptrapd;
