//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use master_config::{Listeners, UnixSocket};

use crate::plan::SYSTEM_NAMESPACE;

/// Turns SnmpSubtree manifests into the configuration of sidecars and masters.
///
/// Exit status: 0 when all is well, 1 when something is refused (every reason is listed, and nothing is written),
/// 2 for a wrong command line.
#[derive(Debug, Parser)]
#[command(name = "snmp-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the configuration of the sidecars, by namespace, and of the master.
    ///
    /// The folder is replaced as a whole: either all of it is new, or nothing has changed. Files of an earlier render
    /// that are no longer needed go; files that others have put there stay. The master's file holds the communities and
    /// passphrases that SnmpContexts refer to, and can be read by its owner alone.
    #[command(after_help = "Examples:\n  \
        snmp-operator render -f manifests/ -o rendered/ && kubectl apply -R -f rendered/\n  \
        kubectl get snmpsubtrees,snmpcontexts -A -o yaml | snmp-operator render -f - -f secrets.yaml -o rendered/\n  \
        snmp-operator render -f subtree.yaml -f context/ -o rendered/ --format mounted --agentx-unix /run/agentx.sock")]
    Render {
        /// Where manifests come from.
        #[command(flatten)]
        input: Input,
        /// The folder to write: new, empty, or of an earlier render.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// The form to write.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Where the master listens.
        #[command(flatten)]
        listeners: MasterListeners,
    },
    /// Say what is wrong with manifests, and write nothing.
    ///
    /// Applies what an API server would (structure, bounds, CEL rules) and what the operator would: that contexts admit
    /// the namespaces and OIDs, that objects do not overlap, that names lead somewhere, to Secrets too.
    Check {
        /// Where manifests come from.
        #[command(flatten)]
        input: Input,
    },
    /// Print the CustomResourceDefinitions, or write them to a folder.
    Crds {
        /// The folder to write them to, a file for each; printed where it is left out.
        #[arg(short, long, value_name = "DIR")]
        output: Option<PathBuf>,
    },
}

/// Where manifests come from.
#[derive(Debug, Args)]
pub struct Input {
    /// A file, a folder (*.yaml, *.yml and *.json in it and below), or - for standard input. May come again.
    ///
    /// Objects of other groups than snmp-operator.dev are passed by, but for Namespaces, whose labels count where an
    /// SnmpContext selects namespaces, and Secrets, to which SnmpContexts refer.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// The namespace of manifests that name none.
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// The operator's own namespace: of the Secrets of SnmpContexts, and of the master
    #[arg(long, value_name = "NAME", default_value = SYSTEM_NAMESPACE)]
    pub system_namespace: String,
}

/// Where the master listens.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where the master listens")]
pub struct MasterListeners {
    /// SNMP over UDP. May come again
    #[arg(long, value_name = "ADDRESS", default_values_t = Listeners::default().snmp)]
    pub snmp_listen: Vec<SocketAddr>,
    /// AgentX over a Unix socket
    #[arg(long, value_name = "PATH")]
    pub agentx_unix: Option<PathBuf>,
    /// AgentX over TCP. Whoever reaches it may register anything: a loopback address
    #[arg(long, value_name = "ADDRESS")]
    pub agentx_tcp: Option<SocketAddr>,
    /// Let --agentx-tcp be any address
    #[arg(long, requires = "agentx_tcp")]
    pub agentx_tcp_exposed: bool,
}

impl From<MasterListeners> for Listeners {
    fn from(listeners: MasterListeners) -> Self {
        let MasterListeners { snmp_listen, agentx_unix, agentx_tcp, agentx_tcp_exposed } = listeners;
        let agentx_unix = agentx_unix.map(|path| UnixSocket { path, mode: None, group: None });
        Self { snmp: snmp_listen, agentx_unix, agentx_tcp, agentx_tcp_exposed, ..Self::default() }
    }
}

/// The form of a rendered folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For kubectl: DIR/NAMESPACE/configmap-snmp-sidecar.yaml, DIR/snmp-master/secret-snmp-master-0.yaml.
    #[default]
    Manifests,
    /// As it is mounted: DIR/NAMESPACE/snmp-sidecar/subtree.NAME.json, DIR/snmp-master/master.json.
    Mounted,
}
