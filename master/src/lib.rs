//! snmp-master: an AgentX master agent (RFC 2741) and SNMP engine (RFC 3411) that keeps tenants apart.

pub mod authority;
pub mod ber;
pub mod capabilities;
pub mod dispatch;
pub mod index_allocation;
pub mod own_objects;
pub mod registry;
pub mod statistics;
pub mod varbind_list;
