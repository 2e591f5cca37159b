//! Flags of the operator as it runs in a cluster.

use std::{net::SocketAddr, path::PathBuf};

use clap::{ArgAction, Args, ValueEnum};
use daemon::logging::LogArgs;

use crate::{
    cli::MasterListeners,
    plan::{SYSTEM_NAMESPACE, Settings},
};

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The operator's own namespace: of the masters, and of the Secrets of SnmpContexts. Default: that of its pod,
    /// POD_NAMESPACE, or else snmp-system
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// This replica's name. Default: POD_NAME, or else the host's
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// The namespaces to watch; all where none is named
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Whether to make an SnmpContext `default`, with a random community, where there is none
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub default_context: bool,
    /// The fewest arcs of a subtree's OID
    #[arg(long, value_name = "N", default_value_t = Settings::default().minimum_arcs)]
    pub minimum_arcs: usize,
    /// The most SnmpSubtrees of a namespace
    #[arg(long, value_name = "N", default_value_t = Settings::default().subtrees_per_namespace)]
    pub subtrees_per_namespace: usize,
    /// The most SnmpTrapTargets of a namespace
    #[arg(long, value_name = "N", default_value_t = Settings::default().targets_per_namespace)]
    pub targets_per_namespace: usize,
    /// Whether sources may name Secrets and ConfigMaps; those with the label snmp-operator.dev/readable=true alone
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub read_secrets: bool,
    /// Address of /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7703")]
    pub listen: SocketAddr,
    /// Who makes certificates
    #[arg(long, value_enum, value_name = "WHO", default_value_t = Certificates::Operator)]
    pub certificates: Certificates,
    /// The masters, of which the active one is asked what is registered. Default:
    /// tls://snmp-master-agentx.NAMESPACE.svc:7705
    #[arg(long, value_name = "URL")]
    pub master_url: Option<String>,
    /// The token to ask the masters with
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/snmp-operator.dev/token")]
    pub master_token: PathBuf,
    /// AgentX of the masters over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7705")]
    pub agentx_tls: SocketAddr,
    /// Where the masters listen.
    #[command(flatten)]
    pub listeners: MasterListeners,
    /// Flags about the log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Who makes certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Certificates {
    /// The operator, with a CA of its own.
    Operator,
    /// Someone else, as cert-manager: the operator reads them.
    Given,
}

impl RunArgs {
    /// The operator's own namespace.
    #[must_use]
    pub fn system_namespace(&self) -> String {
        let own = || std::env::var("POD_NAMESPACE").ok().filter(|name| !name.is_empty());
        self.namespace.clone().or_else(own).unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned())
    }

    /// What to plan by.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            minimum_arcs: self.minimum_arcs,
            system_namespace: self.system_namespace(),
            default_context: self.default_context,
            subtrees_per_namespace: self.subtrees_per_namespace,
            targets_per_namespace: self.targets_per_namespace,
        }
    }

    /// The namespaces to watch; `None` for all of them, as one scope.
    #[must_use]
    pub fn scopes(&self) -> Vec<Option<String>> {
        let mut names: Vec<_> =
            self.watch_namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { vec![None] } else { names.into_iter().map(|name| Some(name.to_owned())).collect() }
    }
}
