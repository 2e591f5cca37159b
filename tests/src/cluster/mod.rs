//! A real Kubernetes of one node, in network, mount and process namespaces of its own: several of them run side by side
//! on one machine, and nothing of any is left when it is taken down.

mod component;
mod configuration;
mod credentials;
mod image;
mod images;
mod kubernetes;
mod network;
mod node;
mod place;
mod programs;
mod removal;
mod service_account;
mod start;
mod turn;
mod waiting;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

pub use component::Component;
pub use image::Image;
pub use images::{IMAGES, NODE_EXPORTER_IMAGE, POSTGRES_IMAGE, PYTHON_IMAGE, TOOLS_IMAGE};
pub use kubernetes::Namespace;
pub use place::valid_name;
pub use turn::Turn;

use self::{network::Network, node::Node, place::Place};

/// Names the cluster that [`Cluster::attach`] finds.
const NAME: &str = "CLUSTER_NAME";
const DEFAULT_NAME: &str = "e2e";

/// How much of Kubernetes runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// All of it: pods run, Services and names resolve.
    Full,
    /// etcd, API server and controller manager: enough for a controller under test, and there in seconds.
    ControlPlane,
}

/// What is written of a cluster as soon as anything of it exists.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    number: u8,
    boot: String,
    kind: Kind,
}

/// A running cluster, by its name. Dropping this leaves the cluster as it is.
#[derive(Debug, Clone)]
pub struct Cluster {
    place: Place,
    network: Network,
    kind: Kind,
}

impl Cluster {
    /// The running cluster that the environment variable `CLUSTER_NAME` names, `e2e` where it is not set.
    pub fn attach() -> Result<Self> {
        Self::named(&std::env::var(NAME).unwrap_or_else(|_| DEFAULT_NAME.to_owned()))
    }

    /// The running cluster of this name.
    pub fn named(name: &str) -> Result<Self> {
        let cluster = Self::recorded(name)?;
        let runs = !cluster.network.is_of_the_past()? && cluster.node().is_running();
        ensure!(runs, "the cluster {name} is not up any more: take it down first");
        Ok(cluster)
    }

    /// What was started under this name, be it running or not.
    fn recorded(name: &str) -> Result<Self> {
        let place = Place::new(name)?;
        let record = std::fs::read(place.record())
            .with_context(|| format!("no cluster {name} is up: run `make cluster-up` or `make e2e`"))?;
        let record: Record = serde_json::from_slice(&record).context(place.record().display().to_string())?;
        Ok(Self { place, network: Network::new(record.number, record.boot), kind: record.kind })
    }

    fn record(&self) -> Result<()> {
        let record = Record { number: self.network.number(), boot: self.network.boot().to_owned(), kind: self.kind };
        Ok(std::fs::write(self.place.record(), serde_json::to_vec(&record)?)?)
    }

    fn node(&self) -> Node<'_> {
        Node::new(&self.place, &self.network)
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        self.place.name()
    }

    /// How much of Kubernetes runs.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A kubeconfig of an administrator. Its address is reachable from this machine, from the node and from the NMS.
    pub fn kubeconfig(&self) -> PathBuf {
        self.place.kubeconfig("admin")
    }

    /// The API server's URL, reachable from where the kubeconfig is.
    pub fn api_server(&self) -> String {
        self.network.api_server()
    }

    /// The node's address, at which NodePorts are found, as pods and the NMS see it.
    pub fn node_address(&self) -> &'static str {
        network::NODE
    }

    /// The address of this machine as the cluster sees it, for a webhook or a receiver that a test runs outside.
    pub fn host_address(&self) -> String {
        self.network.host_address()
    }

    /// The address of the NMS, outside the cluster, as pods and the node see it.
    pub fn nms_address(&self) -> &'static str {
        network::NMS
    }

    /// Where the logs of the components are.
    pub fn logs(&self) -> PathBuf {
        self.place.logs()
    }

    /// A program on the node: in its network, its mounts and beside its processes.
    pub fn node_command(&self, program: &str) -> Result<Command> {
        self.node().command(program)
    }

    /// A program on a machine outside the cluster, from which the node, and through it Services and pods, are reached:
    /// where the management system stands.
    pub fn nms_command(&self, program: &str) -> Command {
        let mut command = self.network.outside(program);
        self.environment(&mut command);
        command
    }

    /// Has a command find the cluster: kubectl and helm in `PATH`, and their settings.
    pub fn environment(&self, command: &mut Command) {
        let folder = programs::folder();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path)));
        if let Ok(path) = path {
            command.env("PATH", path);
        }
        command.env("KUBECONFIG", self.kubeconfig()).env(NAME, self.name());
        for (variable, folder) in [
            ("KUBECACHEDIR", "kubectl"),
            ("HELM_CACHE_HOME", "helm/cache"),
            ("HELM_CONFIG_HOME", "helm/config"),
            ("HELM_DATA_HOME", "helm/data"),
        ] {
            command.env(variable, self.place.path(folder));
        }
    }
}
