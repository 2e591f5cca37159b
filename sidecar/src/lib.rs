//! snmp-sidecar: an AgentX subagent in the application's pod.
//!
//! [`source`]s yield [`sample`]s; [`mapping`] turns them into [`mib_view`] snapshots; [`session`] answers the
//! master from those.

pub mod admin;
pub mod app;
pub mod cli;
pub mod commands;
pub mod config;
mod defect;
pub mod exports;
pub mod gates;
pub mod give_way;
pub mod labels;
pub mod mapping;
pub mod metrics;
pub mod mib_view;
pub mod pipeline;
pub mod pod;
pub mod sample;
pub mod session;
pub mod snapshot;
pub mod source;
pub mod state;
pub mod status;
pub mod subagent;
pub mod subtrees;
pub mod walk;
pub mod write;
