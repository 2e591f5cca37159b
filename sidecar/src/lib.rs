//! snmp-sidecar: an AgentX subagent in the application's pod.
//!
//! [`source`]s yield [`sample`]s; [`mapping`] turns them into [`mib_view`] snapshots; [`session`] answers the
//! master from those.

pub mod app;
pub mod config;
pub mod labels;
pub mod mapping;
pub mod mib_view;
pub mod sample;
pub mod session;
pub mod source;
pub mod state;
pub mod subagent;
pub mod walk;
