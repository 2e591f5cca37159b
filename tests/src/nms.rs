//! The NMS: net-snmp's command-line tools, and the rows that they print.

pub(crate) mod client;
pub(crate) mod row;
