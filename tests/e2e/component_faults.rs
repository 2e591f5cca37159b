//! Killed components of Kubernetes, which are started again.

use anyhow::{Result, ensure};
use harness::{Cluster, Component};
use rstest::rstest;

use crate::test_cluster::tools_pod;

#[rstest]
#[case::etcd(Component::Etcd)]
#[case::api_server(Component::ApiServer)]
#[case::controller_manager(Component::ControllerManager)]
#[case::kubelet(Component::Kubelet)]
#[case::containerd(Component::Containerd)]
fn a_killed_component_can_be_started_again_while_pods_run(#[case] component: Component) -> Result<()> {
    let cluster = Cluster::alone()?;
    let namespace = cluster.namespace("killed")?;
    namespace.apply(&tools_pod("before", &["sleep", "1000000"]).to_string())?;
    namespace.wait_for_pod("before")?;

    cluster.kill(component)?;
    ensure!(!cluster.runs(component)?, "{} is still running", component.name());
    cluster.start_component(component)?;
    cluster.wait_for("the API server to be ready", || cluster.kubectl(&["get", "--raw", "/readyz"]))?;

    cluster.wait_for("another pod to be accepted", || {
        namespace.apply(&tools_pod("after", &["sleep", "1000000"]).to_string())
    })?;
    namespace.wait_for_pod("after")?;
    assert_eq!(namespace.get("pod/before", "{.status.containerStatuses[0].restartCount}")?, "0");
    Ok(())
}
