//! Flags for the addresses on which the master listens.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use master_config::{Listeners, UnixSocket};

/// The addresses on which the master listens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where the master listens")]
pub(crate) struct MasterListeners {
    /// Address for SNMP over UDP. Can be repeated
    #[arg(long, value_name = "ADDRESS", default_values_t = Listeners::default().snmp)]
    pub(crate) snmp_listen: Vec<SocketAddr>,
    /// Path of the Unix socket for AgentX
    #[arg(long, value_name = "PATH")]
    pub(crate) agentx_unix: Option<PathBuf>,
    /// Address for AgentX over TCP. Anyone who can reach it can register anything, so it must be a loopback address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) agentx_tcp: Option<SocketAddr>,
    /// Allow an --agentx-tcp address that is not loopback
    #[arg(long, requires = "agentx_tcp")]
    pub(crate) agentx_tcp_exposed: bool,
}

impl From<MasterListeners> for Listeners {
    fn from(listeners: MasterListeners) -> Self {
        let MasterListeners { snmp_listen, agentx_unix, agentx_tcp, agentx_tcp_exposed } = listeners;
        let agentx_unix = agentx_unix.map(|path| UnixSocket { path, mode: None, group: None });
        Self { snmp: snmp_listen, agentx_unix, agentx_tcp, agentx_tcp_exposed, ..Self::default() }
    }
}
