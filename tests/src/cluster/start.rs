//! The start of a cluster.

use anyhow::{Result, bail, ensure};

use super::{
    Cluster, Component, Kind, configuration, credentials,
    files::ClusterFiles,
    network::{DNS_SERVICE, NODE, Network},
    node::Node,
    waiting::wait_until,
};

impl Cluster {
    /// Starts a cluster with an unused name, and waits until it can be used. After an error everything stays as it is, so that
    /// it can be examined; [`Cluster::remove`] removes it.
    pub fn start(name: &str, kind: Kind) -> Result<Self> {
        let files = ClusterFiles::new(name)?;
        ensure!(!files.record().exists(), "the cluster {name} exists already: remove it first");
        files.make()?;
        let cluster = Self { network: Network::take()?, files, kind };
        cluster.record()?;
        cluster.network.connect()?;
        credentials::make(&cluster.files, &cluster.network)?;
        Node::new(&cluster.files, &cluster.network).start()?;
        if kind == Kind::Full {
            configuration::write(&cluster.files, &cluster.network)?;
            cluster.launch(Component::Containerd)?;
        }
        cluster.launch(Component::Etcd)?;
        cluster.wait_for_component(Component::Etcd)?;
        cluster.start_component(Component::ApiServer)?;
        cluster.launch(Component::ControllerManager)?;
        if kind == Kind::Full {
            cluster.start_node()?;
        }
        wait_until("the ServiceAccount default", || {
            cluster.kubectl(&["get", "serviceaccount", "default", "--namespace=default"])
        })?;
        Ok(cluster)
    }

    fn start_node(&self) -> Result<()> {
        self.apply(&system())?;
        self.wait_for_component(Component::Containerd)?;
        self.load_pause()?;
        for component in [Component::Scheduler, Component::Kubelet, Component::KubeProxy, Component::CoreDns] {
            self.launch(component)?;
        }
        for component in [Component::KubeProxy, Component::CoreDns] {
            self.wait_for_component(component)?;
        }
        wait_until("the node", || {
            let jsonpath = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
            let condition = self.kubectl(&["get", "node", "node", jsonpath])?;
            if !condition.contains("\"status\":\"True\"") {
                bail!("{condition}");
            }
            Ok(())
        })
    }
}

/// Returns the manifests of the cluster's DNS, which runs on the node: its Service and its privileges.
fn system() -> String {
    include_str!("system.yaml").replace("DNS_SERVICE", DNS_SERVICE).replace("NODE_ADDRESS", NODE)
}
