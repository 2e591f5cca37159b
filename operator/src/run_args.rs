//! Flags of the operator as it runs in a cluster.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};
use daemon::logging::LogArgs;

use crate::{
    certificates::{self, Mode, parse_lifetime},
    cli::MasterListeners,
    plan::{SYSTEM_NAMESPACE, Settings},
    webhook::SidecarSettings,
};

/// The sidecar's image of this version.
const SIDECAR_IMAGE: &str = concat!("ghcr.io/snmp-operator/sidecar:", env!("CARGO_PKG_VERSION"));

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
    /// Address of the admission webhooks, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub webhook_listen: SocketAddr,
    /// Further names and addresses in the webhooks' certificate, for API servers that reach them by a URL
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub webhook_names: Vec<String>,
    /// Whether to let objects with `write` pass, and to write ConfigMaps for sidecars, those with the label
    /// snmp-operator.dev/writable=true alone. It takes rights and a Service; sidecars do not carry out SETs yet
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set)]
    pub writes: bool,
    /// Address at which sidecars ask for that, over TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9444")]
    pub write_listen: SocketAddr,
    /// Where sidecars ask for that. Default: port 9444 of snmp-operator-writes.NAMESPACE.svc
    #[arg(long, value_name = "URL")]
    pub write_url: Option<String>,
    /// Image of the sidecars that pods get
    #[arg(long, value_name = "IMAGE", default_value = SIDECAR_IMAGE)]
    pub sidecar_image: String,
    /// When the kubelet pulls it: Always, IfNotPresent or Never. Default: Kubernetes' own
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub sidecar_image_pull_policy: Option<String>,
    /// Who makes certificates: the operator, or someone else, as cert-manager
    #[arg(long, value_enum, value_name = "WHO", default_value_t)]
    pub certificates: Mode,
    /// How long the operator's CA is valid, as 8760h; a new one is made when two thirds of that are over
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = parse_lifetime)]
    pub ca_lifetime: Duration,
    /// How long the certificates that it signs are valid, likewise
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = parse_lifetime)]
    pub certificate_lifetime: Duration,
    /// How long until everyone has read a CA bundle or a certificate that was written
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_lifetime)]
    pub certificate_settle: Duration,
    /// Domain of the cluster's Services
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,
    /// The masters, which sidecars serve, and of which the active one is asked what is registered. Default:
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
            writes: self.writes,
        }
    }

    /// Where the masters are.
    #[must_use]
    pub fn master_url(&self) -> String {
        let default = || format!("tls://snmp-master-agentx.{}.svc:7705", self.system_namespace());
        self.master_url.clone().unwrap_or_else(default)
    }

    /// Where sidecars ask for ConfigMaps to be written, if they are.
    #[must_use]
    pub fn write_url(&self) -> Option<String> {
        let default = || format!("https://{}.{}.svc:9444", certificates::WRITES_SERVICE, self.system_namespace());
        self.writes.then(|| self.write_url.clone().unwrap_or_else(default))
    }

    /// What sidecars are made of.
    #[must_use]
    pub fn sidecar(&self) -> SidecarSettings {
        SidecarSettings {
            image: self.sidecar_image.clone(),
            image_pull_policy: self.sidecar_image_pull_policy.clone(),
            master_url: self.master_url(),
            operator_url: self.write_url(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            system_namespace: self.system_namespace(),
        }
    }

    /// What certificates are made by.
    #[must_use]
    pub fn certificate_settings(&self) -> certificates::Settings {
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
