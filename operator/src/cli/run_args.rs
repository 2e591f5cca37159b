//! Flags of `snmp-operator run`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use daemon::logging::LogArgs;

use super::listeners::MasterListeners;
use crate::{
    certificates::{self, Mode, parse_lifetime},
    plan::{SYSTEM_NAMESPACE, Settings},
    webhook::SidecarSettings,
};

/// The sidecar image that belongs to this version.
const SIDECAR_IMAGE: &str = concat!("ghcr.io/snmp-operator/sidecar:", env!("CARGO_PKG_VERSION"));

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The namespace of the operator and the masters, which holds the Secrets of SnmpContexts. Default: POD_NAMESPACE,
    /// or else snmp-system
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The name of this replica. Default: POD_NAME, or else the host name
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// The namespaces to watch. Default: all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) watch_namespaces: Vec<String>,
    /// Whether to create an SnmpContext `default`, with a random community, if there is none
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) default_context: bool,
    /// The minimum number of arcs in a subtree's base OID
    #[arg(long, value_name = "N", default_value_t = Settings::default().minimum_arcs)]
    pub(crate) minimum_arcs: usize,
    /// The maximum number of SnmpSubtrees in a namespace
    #[arg(long, value_name = "N", default_value_t = Settings::default().subtrees_per_namespace)]
    pub(crate) subtrees_per_namespace: usize,
    /// The maximum number of SnmpTrapTargets in a namespace
    #[arg(long, value_name = "N", default_value_t = Settings::default().targets_per_namespace)]
    pub(crate) targets_per_namespace: usize,
    /// Whether sources can use Secrets and ConfigMaps. Only those with the label snmp-operator.dev/readable=true are read
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub(crate) read_secrets: bool,
    /// Address for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7703")]
    pub(crate) listen: SocketAddr,
    /// Address for the admission webhooks, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub(crate) webhook_listen: SocketAddr,
    /// Additional names and addresses for the webhooks' certificate, for API servers that reach the webhooks by a URL
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) webhook_names: Vec<String>,
    /// Whether to accept objects with `write.configMap`, and to write ConfigMaps when a sidecar carries out a SET of such
    /// an object. Only ConfigMaps with the label snmp-operator.dev/writable=true are written. Needs additional RBAC rules
    /// and a Service, which the chart creates with writes.enabled
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub(crate) writes: bool,
    /// Address for the sidecars' requests to write ConfigMaps, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9444")]
    pub(crate) write_listen: SocketAddr,
    /// The URL to which sidecars send these requests. Default: port 9444 of snmp-operator-writes.NAMESPACE.svc
    #[arg(long, value_name = "URL")]
    pub(crate) write_url: Option<String>,
    /// The image of the sidecars that are injected into pods
    #[arg(long, value_name = "IMAGE", default_value = SIDECAR_IMAGE)]
    pub(crate) sidecar_image: String,
    /// When the kubelet pulls this image: Always, IfNotPresent or Never. Default: the default of Kubernetes
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(crate) sidecar_image_pull_policy: Option<String>,
    /// Who issues the certificates
    #[arg(long, value_enum, value_name = "WHO", default_value_t)]
    pub(crate) certificates: Mode,
    /// How long the operator's CA is valid, for example 8760h. It is replaced after two thirds of this time
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = parse_lifetime)]
    pub(crate) ca_lifetime: Duration,
    /// How long the certificates signed by this CA are valid. They are replaced after two thirds of this time
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = parse_lifetime)]
    pub(crate) certificate_lifetime: Duration,
    /// How long it takes until every program has read a new CA bundle or certificate
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_lifetime)]
    pub(crate) certificate_settle: Duration,
    /// The DNS domain of the cluster
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: String,
    /// The URL of the masters. Sidecars connect to it, and the operator asks the active master what is registered.
    /// Default: tls://snmp-master-agentx.NAMESPACE.svc:7705
    #[arg(long, value_name = "URL")]
    pub(crate) master_url: Option<String>,
    /// The file with the token that authenticates the operator to the masters
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/snmp-operator.dev/token")]
    pub(crate) master_token: PathBuf,
    /// Address on which the masters accept AgentX over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7705")]
    pub(crate) agentx_tls: SocketAddr,
    /// Where the masters listen.
    #[command(flatten)]
    pub(crate) listeners: MasterListeners,
    /// Flags for the log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl RunArgs {
    /// Returns the operator's own namespace.
    pub(crate) fn system_namespace(&self) -> String {
        let own = || std::env::var("POD_NAMESPACE").ok().filter(|name| !name.is_empty());
        self.namespace.clone().or_else(own).unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned())
    }

    /// Returns the settings of plans.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            minimum_arcs: self.minimum_arcs,
            system_namespace: self.system_namespace(),
            default_context: self.default_context,
            subtrees_per_namespace: self.subtrees_per_namespace,
            targets_per_namespace: self.targets_per_namespace,
            writes: self.writes,
        }
    }

    /// Returns the URL of the masters.
    pub(crate) fn master_url(&self) -> String {
        let default = || format!("tls://snmp-master-agentx.{}.svc:7705", self.system_namespace());
        self.master_url.clone().unwrap_or_else(default)
    }

    /// Returns the URL to which sidecars send writes of ConfigMaps. `None` if the operator writes none.
    pub(crate) fn write_url(&self) -> Option<String> {
        let default = || format!("https://{}.{}.svc:9444", certificates::WRITES_SERVICE, self.system_namespace());
        self.writes.then(|| self.write_url.clone().unwrap_or_else(default))
    }

    /// Returns the settings of injected sidecars.
    pub(crate) fn sidecar(&self) -> SidecarSettings {
        SidecarSettings {
            image: self.sidecar_image.clone(),
            image_pull_policy: self.sidecar_image_pull_policy.clone(),
            master_url: self.master_url(),
            operator_url: self.write_url(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system_namespace: self.system_namespace(),
        }
    }

    /// Returns the settings of certificates.
    pub(crate) fn certificate_settings(&self) -> certificates::Settings {
        certificates::Settings {
            mode: self.certificates,
            namespace: self.system_namespace(),
            cluster_domain: self.cluster_domain.clone(),
            ca_lifetime: self.ca_lifetime,
            certificate_lifetime: self.certificate_lifetime,
            settle: self.certificate_settle,
            webhook_names: self.webhook_names.clone(),
        }
    }

    /// Returns the namespaces to watch; a single `None` means all.
    pub(crate) fn scopes(&self) -> Vec<Option<String>> {
        let mut names: Vec<_> =
            self.watch_namespaces.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { vec![None] } else { names.into_iter().map(|name| Some(name.to_owned())).collect() }
    }
}
