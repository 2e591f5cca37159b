//! Interop tests: snmp-sidecar under net-snmp's snmpd and under snmp-master, snmp-master with third-party subagents and
//! SNMP libraries, and the exposition parser beside that of Prometheus. net-snmp's tools play the NMS.
#![allow(clippy::expect_used, clippy::indexing_slicing)] // A panic fails the test, also in helper functions.

mod abuse;
mod agentx_over_tls;
mod big_table;
mod contexts;
mod examples;
mod exposition;
mod floods;
mod master;
mod page;
mod pods;
mod reload;
mod requests;
mod restarts;
mod sets;
mod several_masters;
mod sidecar_setup;
mod slow_responses;
mod soak;
mod sources;
mod sql;
mod system;
mod third_party_subagents;
mod tls_setup;
