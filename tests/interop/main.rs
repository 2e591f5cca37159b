//! The sidecar as an AgentX subagent under net-snmp's snmpd and under our master, read by net-snmp's tools; and its exposition parser beside
//! another one.
#![allow(clippy::expect_used, clippy::indexing_slicing)] // Also in the tests' own functions, where a panic fails the test.

mod abuse;
mod agentx_over_tls;
mod big_table;
mod contexts;
mod examples;
mod exposition;
mod floods;
mod foreign_subagents;
mod master;
mod masters;
mod page;
mod pods;
mod reload;
mod requests;
mod restarts;
mod sets;
mod slow_answers;
mod soak;
mod sources;
mod sql;
mod system;
mod tls_world;
mod world;
