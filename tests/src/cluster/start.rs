//! Bringing a cluster up.

use anyhow::{Result, bail, ensure};

use super::{
    Cluster, Component, Kind, configuration, credentials,
    network::{DNS_SERVICE, NODE, Network},
    node::Node,
    place::Place,
    waiting::patiently,
};

impl Cluster {
    /// Starts a cluster under a name that is free, and waits until it can be used. What went wrong is left as it is for a
    /// look; [`Cluster::remove`] takes it down.
    pub fn start(name: &str, kind: Kind) -> Result<Self> {
        let place = Place::new(name)?;
        ensure!(!place.record().exists(), "a cluster {name} is there already: take it down first");
        place.make()?;
        let cluster = Self { network: Network::take()?, place, kind };
        cluster.record()?;
        cluster.network.connect()?;
        credentials::make(&cluster.place, &cluster.network)?;
        Node::new(&cluster.place, &cluster.network).start()?;
        if kind == Kind::Full {
            configuration::write(&cluster.place, &cluster.network)?;
            cluster.launch(Component::Containerd)?;
        }
        cluster.launch(Component::Etcd)?;
        cluster.wait_for_component(Component::Etcd)?;
        cluster.start_component(Component::ApiServer)?;
        cluster.launch(Component::ControllerManager)?;
        if kind == Kind::Full {
            cluster.start_node()?;
        }
        patiently("the ServiceAccount default", || {
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
        patiently("the node", || {
            let jsonpath = "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
            let condition = self.kubectl(&["get", "node", "node", jsonpath])?;
            if !condition.contains("\"status\":\"True\"") {
                bail!("{condition}");
            }
            Ok(())
        })
    }
}

/// What Kubernetes itself needs to be told: the cluster's DNS runs on the node, and may read what it tells.
fn system() -> String {
    include_str!("system.yaml").replace("DNS_SERVICE", DNS_SERVICE).replace("NODE_ADDRESS", NODE)
}
