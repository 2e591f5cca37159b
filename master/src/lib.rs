//! snmp-master: an AgentX master agent (RFC 2741) and SNMP engine (RFC 3411) that keeps tenants apart.

pub mod ber;
pub mod dispatch;
pub mod own_objects;
pub mod snmp;
pub mod statistics;
pub mod varbind_list;
