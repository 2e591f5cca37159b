//! snmp-master: an AgentX master agent (RFC 2741) and SNMP engine (RFC 3411) that isolates tenants from each other.
//!
//! | module | content |
//! |---|---|
//! | `cli`, `commands`, `config` | the command line; `check` and `probe`; the document of contexts, access and listeners |
//! | `run` | starts the threads, wires the parts, and runs the main loop |
//! | `agent` | the agent thread: from a manager's datagram to its response |
//! | `io` | sockets: SNMP over UDP; AgentX over Unix sockets, TCP and TLS |
//! | `snmp` | the SNMP engine, without I/O |
//! | `subagents` | the AgentX master, without I/O: sessions, registrations, requests to subagents |
//! | `pdu` | types that `snmp` and `subagents` exchange: requests, responses, varbinds |
//! | `replication` | replicas in a Kubernetes cluster, of which one is active |
//! | `observability` | health, status and metrics over HTTP |

pub mod agent;
pub mod cli;
mod commands;
mod config;
pub mod io;
mod observability;
pub mod pdu;
mod replication;
pub mod run;
pub mod snmp;
pub mod subagents;
