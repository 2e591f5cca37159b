//! The configuration files of the components.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    files::ClusterFiles,
    image::PAUSE_IMAGE,
    network::{DNS_SERVICE, NODE, Network, PODS},
};

/// The socket of containerd, in the node's `/run`.
pub(super) const CONTAINERD: &str = "/run/containerd/containerd.sock";

pub(super) fn write(files: &ClusterFiles, network: &Network) -> Result<()> {
    let put = |file: &str, content: String| -> Result<()> {
        let file = files.configuration(file);
        fs::create_dir_all(file.parent().context("the file has no parent folder")?)?;
        fs::write(&file, content).with_context(|| file.display().to_string())
    };
    put("kubelet.json", serde_json::to_string_pretty(&kubelet(files, network))?)?;
    put("proxy.json", serde_json::to_string_pretty(&proxy(files))?)?;
    put("network/10-pods.conflist", serde_json::to_string_pretty(&pod_network())?)?;
    put("containerd.toml", containerd(files)?)?;
    put("Corefile", corefile(files))?;
    // The resolver of the node, which is the DNS of the cluster.
    put("resolv.conf", format!("nameserver {NODE}\n"))
}

fn kubelet(files: &ClusterFiles, network: &Network) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": files.credential("authority.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", network.cgroup()),
        "failCgroupV1": false,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        // Pods must not be evicted because this machine has little memory or disk space left.
        "evictionHard": { "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.inodesFree": "1%" },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "resolvConf": files.configuration("resolv.conf"),
        "syncFrequency": "5s",
        "volumePluginDir": "/run/volume-plugins",
        "registerNode": true,
        "serializeImagePulls": false,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    })
}

fn proxy(files: &ClusterFiles) -> serde_json::Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": files.kubeconfig("proxy") },
        "clusterCIDR": PODS,
        "hostnameOverride": "node",
        "mode": "iptables",
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        // The connection table belongs to this machine, so its size is not changed.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "iptables": { "minSyncPeriod": "0s" },
    })
}

/// Returns the CNI configuration. Pods are routed and not bridged, so that all packets pass the address translation of
/// Services, whether or not the kernel passes bridged packets to iptables.
fn pod_network() -> serde_json::Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": { "type": "host-local", "subnet": PODS, "routes": [{ "dst": "0.0.0.0/0" }], "dataDir": "/run/pod-addresses" },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
}

fn containerd(files: &ClusterFiles) -> Result<String> {
    let plugins = ["/usr/lib/cni", "/opt/cni/bin"].into_iter().find(|folder| Path::new(folder).join("ptp").exists());
    let plugins = plugins.context("the CNI plugin ptp is missing: apt-get install containernetworking-plugins")?;
    let networks: PathBuf = files.configuration("network");
    Ok(format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without the right to lower it, no container starts otherwise.
  restrict_oom_score_adj = true
  enable_unprivileged_ports = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{}"
"#,
        networks.display()
    ))
}

fn corefile(files: &ClusterFiles) -> String {
    format!(
        "cluster.local in-addr.arpa ip6.arpa {{
    bind {NODE}
    errors
    ready 127.0.0.1:8181
    kubernetes {{
        kubeconfig {} cluster
        pods verified
        ttl 5
    }}
}}
. {{
    bind {NODE}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
        files.kubeconfig("dns").display()
    )
}
