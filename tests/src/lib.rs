//! The harness of the tests across processes and of the demo. It starts real programs on loopback, with free ports and
//! temporary folders, waits for them with deadlines, and ends them with the test, also when the test fails.
//!
//! | Type | What it stands for |
//! |---|---|
//! | [`Sandbox`] | the temporary folder of one test, with the logs of its programs |
//! | [`Process`] | a program that ends with the test |
//! | [`Sidecar`] | the program `snmp-sidecar` |
//! | [`MasterProgram`] | the program `snmp-master` |
//! | [`Snmpd`] | net-snmp's `snmpd`, another AgentX master |
//! | [`SnmpAgent`] | either of these two masters, for tests that must pass under both |
//! | [`ScriptedMaster`] | an AgentX master whose PDUs the test chooses |
//! | [`ScriptedSubagent`] | an AgentX subagent whose PDUs the test chooses |
//! | [`Client`] | net-snmp's command-line tools, in the role of the NMS |
//! | [`Exporter`] | an application with a metrics endpoint whose replies the test chooses |
//! | [`Application`] | the application of an example |
//! | [`Cluster`] | a Kubernetes cluster on this machine |
#![allow(clippy::missing_errors_doc)] // Each function returns an error if it cannot do what its name says.

mod agents;
pub mod cluster;
pub mod http;
mod nms;
mod process;
mod relay;
mod scripted;
mod services;
pub mod soak;

pub use agents::master_program::MasterProgram;
pub use agents::render::{mount, render};
pub use agents::sidecar::{Sidecar, SidecarOptions};
pub use agents::snmp_agent::{
    AUTH_PASSPHRASE, AgentProcess, COMMUNITY, CONTEXT_COMMUNITY, MasterKind, PRIV_PASSPHRASE, SnmpAgent, USER,
    USER_NAME,
};
pub use agents::snmpd::{Snmpd, SnmpdOptions};
pub use agents::third_party_subagents::{start_bgpd, start_c_subagent, start_python_subagent};
pub use cluster::{
    Cluster, Component, Image, Kind as ClusterKind, Namespace, POSTGRES_IMAGE, PYTHON_IMAGE, TOOLS_IMAGE,
};
pub use nms::client::{Client, Walk};
pub use nms::row::{Row, oids_and_types, parse_rows};
pub use process::Process;
pub use process::memory::Memory;
pub use process::port::free_port;
pub use process::program::{built, compile, debian, python, repository, run};
pub use process::sandbox::{DEADLINE, Sandbox};
pub use relay::Relay;
pub use rustix::process::Signal;
pub use scripted::master_fault::MasterFault;
pub use scripted::mib::Mib;
pub use scripted::random::Random;
pub use scripted::scripted_master::{ScriptedMaster, ScriptedMasterListener};
pub use scripted::scripted_subagent::{BackgroundSubagent, ScriptedSubagent};
pub use scripted::source_fault::SourceFault;
pub use scripted::subagent_fault::SubagentFault;
pub use services::application::{Application, example};
pub use services::certificate_authority::{CertificateAuthority, ServerCertificate};
pub use services::exporter::{Exporter, Reply};
pub use services::labels::pod_labels;
pub use services::pod_token::PodToken;
pub use services::token_reviewer::TokenReviewer;
