//! The network of a cluster: a network namespace for the node and one for the NMS outside, and a connection to this machine.
//! All clusters use the same addresses inside. The number of a cluster determines its names and addresses on this machine.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::programs::installed;
use crate::process::program::run;

/// The address of the node.
pub(super) const NODE: &str = "192.168.213.1";
/// The address of the NMS.
pub(super) const NMS: &str = "192.168.213.2";
/// The prefix length of the network of node and NMS.
const LAN: u8 = 24;
/// The address range of pods.
pub(super) const PODS: &str = "10.244.0.0/24";
/// The address range of Services.
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// The Service through which pods reach the API server.
pub(super) const API_SERVICE: &str = "10.96.0.1";
/// The Service of the cluster's DNS.
pub(super) const DNS_SERVICE: &str = "10.96.0.10";
pub(super) const API_PORT: u16 = 6443;
/// The maximum number of clusters on this machine.
const NUMBERS: u8 = 200;

/// The network namespaces of a cluster, by its number since the boot of this machine.
#[derive(Debug, Clone)]
pub(super) struct Network {
    number: u8,
    boot: String,
}

impl Network {
    pub(super) fn new(number: u8, boot: String) -> Self {
        Self { number, boot }
    }

    /// Returns whether this machine was rebooted since the cluster was started. A reboot removes all namespaces, and another
    /// cluster may have the number now.
    pub(super) fn is_of_the_past(&self) -> Result<bool> {
        Ok(self.boot != this_boot()?)
    }

    /// Creates the namespace of the node with the first free number, which reserves the number.
    pub(super) fn take() -> Result<Self> {
        let ip = installed("ip")?;
        let mut last = String::new();
        for number in 1..=NUMBERS {
            let network = Self::new(number, this_boot()?);
            if network.file("node").exists() {
                continue;
            }
            let output = Command::new(&ip).args(["netns", "add", &network.namespace("node")]).output()?;
            if output.status.success() {
                return Ok(network);
            }
            last = String::from_utf8_lossy(&output.stderr).into_owned();
            if !last.contains("exists") {
                break;
            }
        }
        bail!("no network namespace for a cluster: {last}(it takes root)")
    }

    /// Connects the node with this machine and with the NMS.
    pub(super) fn connect(&self) -> Result<()> {
        let (node, nms, uplink) = (self.namespace("node"), self.namespace("nms"), self.interface());
        ip(&["netns", "add", &nms])?;
        ip(&["link", "add", &uplink, "type", "veth", "peer", "name", "host0", "netns", &node])?;
        ip(&["address", "add", &format!("{}/30", self.host_address()), "dev", &uplink])?;
        ip(&["link", "set", &uplink, "up"])?;
        let inside = |arguments: &[&str]| ip(&[&["-n", &node], arguments].concat());
        inside(&["link", "set", "lo", "up"])?;
        inside(&["address", "add", &format!("{}/30", self.node_address_for_host()), "dev", "host0"])?;
        inside(&["link", "set", "host0", "up"])?;
        // A bridge, so that a test can add more machines to it.
        inside(&["link", "add", "lan0", "type", "bridge"])?;
        inside(&["address", "add", &format!("{NODE}/{LAN}"), "dev", "lan0"])?;
        inside(&["link", "add", "nms0", "type", "veth", "peer", "name", "eth0", "netns", &nms])?;
        inside(&["link", "set", "nms0", "master", "lan0", "up"])?;
        inside(&["link", "set", "lan0", "up"])?;
        // kube-proxy translates requests of the node to Services, but only if there is a route for them.
        inside(&["route", "add", SERVICES, "dev", "lan0"])?;
        let outside = |arguments: &[&str]| ip(&[&["-n", &nms], arguments].concat());
        outside(&["link", "set", "lo", "up"])?;
        outside(&["address", "add", &format!("{NMS}/{LAN}"), "dev", "eth0"])?;
        outside(&["link", "set", "eth0", "up"])?;
        outside(&["route", "add", "default", "via", NODE])
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn boot(&self) -> &str {
        &self.boot
    }

    fn interface(&self) -> String {
        format!("kc{}", self.number)
    }

    /// Returns the cgroup of all pods.
    pub(super) fn cgroup(&self) -> String {
        self.interface()
    }

    fn namespace(&self, machine: &str) -> String {
        format!("kc{}-{machine}", self.number)
    }

    /// Returns the file of a network namespace.
    pub(super) fn file(&self, machine: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(machine))
    }

    pub(super) fn host_address(&self) -> String {
        // 198.18.0.0/15 is reserved for network tests (RFC 2544).
        format!("198.18.{}.1", self.number)
    }

    pub(super) fn node_address_for_host(&self) -> String {
        format!("198.18.{}.2", self.number)
    }

    pub(super) fn api_server(&self) -> String {
        format!("https://{}:{API_PORT}", self.node_address_for_host())
    }

    /// Returns a command that runs on the NMS.
    pub(super) fn outside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file("nms").display())).arg("--").arg(program);
        command
    }

    /// Returns whether a process is in the network of the node or the NMS.
    pub(super) fn holds(&self, process: &str) -> bool {
        let own = fs::metadata(format!("/proc/{process}/ns/net"));
        let own = own.map(|file| (file.dev(), file.ino())).ok();
        let namespaces = ["node", "nms"].map(|machine| fs::metadata(self.file(machine)));
        namespaces.iter().flatten().any(|file| Some((file.dev(), file.ino())) == own)
    }

    /// Returns the processes in both networks, by their ids on this machine.
    pub(super) fn processes(&self) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(process) = name.parse()
                && self.holds(&name)
            {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// Removes the namespaces and links that exist.
    pub(super) fn remove(&self) -> Result<()> {
        if self.interface_exists() {
            ip(&["link", "delete", &self.interface()])?;
        }
        // The namespace of the node comes last, because it reserves the number.
        for machine in ["nms", "node"] {
            if self.file(machine).exists() {
                ip(&["netns", "delete", &self.namespace(machine)])?;
            }
        }
        Ok(())
    }

    /// Returns what is left of the network on this machine.
    pub(super) fn remains(&self) -> Vec<String> {
        let mut remains = Vec::new();
        if self.interface_exists() {
            remains.push(format!("network interface {}", self.interface()));
        }
        for machine in ["node", "nms"] {
            if self.file(machine).exists() {
                remains.push(format!("network namespace {}", self.namespace(machine)));
            }
        }
        remains
    }

    fn interface_exists(&self) -> bool {
        Path::new("/sys/class/net").join(self.interface()).exists()
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new(installed("ip")?).args(arguments)).map(drop)
}

/// Returns the boot id of the kernel.
fn this_boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
