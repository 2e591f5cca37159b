//! What the tests across processes and the demo stand on: real programs, started on loopback with ports and folders of
//! their own, waited for with deadlines, and gone when the test is over, however it ends.
#![allow(clippy::missing_errors_doc)] // Each function has one way to fail: what it is for did not happen; the error says why.

mod agent;
mod application;
mod authority;
mod client;
pub mod cluster;
mod exporter;
mod foreign_subagent;
pub mod http;
mod labels;
mod master;
mod master_fault;
mod memory;
mod mib;
mod operator;
mod pod_token;
mod port;
mod postgres;
mod process;
mod program;
mod random;
mod relay;
mod row;
mod sandbox;
mod sidecar;
mod snmp_master;
mod snmpd;
pub mod soak;
mod source_fault;
mod subagent;
mod subagent_fault;
mod token_reviewer;

pub use agent::{
    AUTH_PASSPHRASE, Agent, AgentProcess, COMMUNITY, CONTEXT_COMMUNITY, MasterKind, PRIV_PASSPHRASE, USER, USER_NAME,
};
pub use application::{Application, example};
pub use authority::{Authority, Certified};
pub use client::{Client, Walk};
pub use cluster::{
    Cluster, Component, Image, Kind as ClusterKind, Namespace, POSTGRES_IMAGE, PYTHON_IMAGE, TOOLS_IMAGE,
};
pub use exporter::{Exporter, Reply};
pub use foreign_subagent::{start_bgpd, start_c_subagent, start_python_subagent};
pub use labels::pod_labels;
pub use master::{Master, MasterSocket};
pub use master_fault::MasterFault;
pub use memory::Memory;
pub use mib::Mib;
pub use operator::{mount, render};
pub use pod_token::PodToken;
pub use port::free_port;
pub use process::Process;
pub use program::{built, compile, debian, python, repository, run};
pub use random::Random;
pub use relay::Relay;
pub use row::{Row, oids_and_types, parse_rows};
pub use rustix::process::Signal;
pub use sandbox::{DEADLINE, Sandbox};
pub use sidecar::{Sidecar, SidecarOptions};
pub use snmp_master::SnmpMaster;
pub use snmpd::{Snmpd, SnmpdOptions};
pub use source_fault::SourceFault;
pub use subagent::{ServedSubagent, Subagent};
pub use subagent_fault::SubagentFault;
pub use token_reviewer::TokenReviewer;
