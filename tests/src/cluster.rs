//! A Kubernetes cluster of one node on this machine, in its own network, mount and process namespaces. Several clusters can
//! run at the same time, and a removed cluster leaves nothing behind.

mod component;
mod configuration;
mod credentials;
mod files;
mod image;
mod images;
mod kubernetes;
mod network;
mod node;
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
pub use files::valid_name;
pub use image::Image;
pub use images::{IMAGES, NODE_EXPORTER_IMAGE, POSTGRES_IMAGE, PYTHON_IMAGE, TOOLS_IMAGE};
pub use kubernetes::Namespace;
pub use turn::Turn;

use self::{files::ClusterFiles, network::Network, node::Node};

/// The environment variable with the name of the cluster for [`Cluster::attach`].
const NAME: &str = "CLUSTER_NAME";
const DEFAULT_NAME: &str = "e2e";

/// The kind of a cluster: which components run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// All components. Pods run, and Services and DNS work.
    Full,
    /// etcd, API server and controller manager. They are enough to test controllers, and start in seconds.
    ControlPlane,
}

/// The record of a cluster, which is written before anything else of it exists.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    number: u8,
    boot: String,
    kind: Kind,
}

/// A running cluster. Dropping this does not change the cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    files: ClusterFiles,
    network: Network,
    kind: Kind,
}

impl Cluster {
    /// Returns the running cluster whose name is in the environment variable `CLUSTER_NAME`; `e2e` if it is not set.
    pub fn attach() -> Result<Self> {
        Self::named(&std::env::var(NAME).unwrap_or_else(|_| DEFAULT_NAME.to_owned()))
    }

    /// Returns the running cluster with this name.
    pub fn named(name: &str) -> Result<Self> {
        let cluster = Self::recorded(name)?;
        let runs = !cluster.network.is_of_the_past()? && cluster.node().is_running();
        ensure!(runs, "the cluster {name} is no longer running: run `make cluster-down` first");
        Ok(cluster)
    }

    /// Returns the recorded cluster with this name, which may have stopped.
    fn recorded(name: &str) -> Result<Self> {
        let files = ClusterFiles::new(name)?;
        let record = std::fs::read(files.record())
            .with_context(|| format!("the cluster {name} does not exist: run `make cluster-up` or `make e2e`"))?;
        let record: Record = serde_json::from_slice(&record).context(files.record().display().to_string())?;
        Ok(Self { files, network: Network::new(record.number, record.boot), kind: record.kind })
    }

    fn record(&self) -> Result<()> {
        let record = Record { number: self.network.number(), boot: self.network.boot().to_owned(), kind: self.kind };
        Ok(std::fs::write(self.files.record(), serde_json::to_vec(&record)?)?)
    }

    fn node(&self) -> Node<'_> {
        Node::new(&self.files, &self.network)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.files.name()
    }

    /// Returns its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns a kubeconfig of an administrator, which works on this machine, on the node and on the NMS.
    pub fn kubeconfig(&self) -> PathBuf {
        self.files.kubeconfig("admin")
    }

    /// Returns the URL of the API server, which is reachable from this machine, from the node and from the NMS.
    pub fn api_server(&self) -> String {
        self.network.api_server()
    }

    /// Returns the address of the node and its node ports, as pods and the NMS see it.
    pub fn node_address(&self) -> &'static str {
        network::NODE
    }

    /// Returns the address of this machine as the cluster sees it, for servers that a test runs outside the cluster.
    pub fn host_address(&self) -> String {
        self.network.host_address()
    }

    /// Returns the address of the NMS, as pods and the node see it.
    pub fn nms_address(&self) -> &'static str {
        network::NMS
    }

    /// Returns the folder with the logs of the components.
    pub fn logs(&self) -> PathBuf {
        self.files.logs()
    }

    /// Returns a command that runs in all namespaces of the node.
    pub fn node_command(&self, program: &str) -> Result<Command> {
        self.node().command(program)
    }

    /// Returns a command that runs in the network of the NMS, outside the cluster. From there, the node is reachable, and
    /// through it Services and pods.
    pub fn nms_command(&self, program: &str) -> Command {
        let mut command = self.network.outside(program);
        self.environment(&mut command);
        command
    }

    /// Sets the environment of a command for this cluster: kubectl and helm in `PATH`, and their settings.
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
            command.env(variable, self.files.path(folder));
        }
    }
}
