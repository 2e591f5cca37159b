//! The programs that speak SNMP or AgentX: ours, net-snmp's, and subagents of others.

pub(crate) mod master_program;
pub(crate) mod render;
pub(crate) mod sidecar;
pub(crate) mod snmp_agent;
pub(crate) mod snmpd;
pub(crate) mod third_party_subagents;
