//! The network of a cluster: a namespace that is the node, one that is the NMS outside, and this machine, which reaches
//! the node. Inside, all clusters have the same addresses; the number tells apart what this machine sees of them.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::programs::installed;
use crate::program::run;

/// The node's own address.
pub(super) const NODE: &str = "192.168.213.1";
/// The NMS's address.
pub(super) const NMS: &str = "192.168.213.2";
/// The length of the prefix that node and NMS share.
const LAN: u8 = 24;
/// What pods have addresses of.
pub(super) const PODS: &str = "10.244.0.0/24";
/// What Services have addresses of.
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// The Service through which pods reach the API server.
pub(super) const API_SERVICE: &str = "10.96.0.1";
/// The Service of the cluster's DNS.
pub(super) const DNS_SERVICE: &str = "10.96.0.10";
pub(super) const API_PORT: u16 = 6443;
/// How many clusters fit on one machine.
const NUMBERS: u8 = 200;

/// The network namespaces of the cluster that has this number since the machine was started.
#[derive(Debug, Clone)]
pub(super) struct Network {
    number: u8,
    boot: String,
}

impl Network {
    pub(super) fn new(number: u8, boot: String) -> Self {
        Self { number, boot }
    }

    /// Whether the machine was started anew, after which nothing is left and the number may be another's.
    pub(super) fn is_of_the_past(&self) -> Result<bool> {
        Ok(self.boot != this_boot()?)
    }

    /// Makes the node's namespace under the first number that is free: making it is what takes the number.
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

    /// Joins the node with this machine and with the NMS.
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
        // What the node itself asks of a Service is sent on by kube-proxy, if only there is a way for it to begin with.
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

    /// The cgroup that all pods are under.
    pub(super) fn cgroup(&self) -> String {
        self.interface()
    }

    fn namespace(&self, machine: &str) -> String {
        format!("kc{}-{machine}", self.number)
    }

    /// The file by which a namespace is entered.
    pub(super) fn file(&self, machine: &str) -> PathBuf {
        Path::new("/run/netns").join(self.namespace(machine))
    }

    pub(super) fn host_address(&self) -> String {
        // 198.18.0.0/15 is set apart for tests of networks (RFC 2544).
        format!("198.18.{}.1", self.number)
    }

    pub(super) fn node_address_for_host(&self) -> String {
        format!("198.18.{}.2", self.number)
    }

    pub(super) fn api_server(&self) -> String {
        format!("https://{}:{API_PORT}", self.node_address_for_host())
    }

    /// A program on the NMS.
    pub(super) fn outside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file("nms").display())).arg("--").arg(program);
        command
    }

    /// Whether a process is in the network of the node or of the NMS.
    pub(super) fn holds(&self, process: &str) -> bool {
        let own = fs::metadata(format!("/proc/{process}/ns/net"));
        let own = own.map(|file| (file.dev(), file.ino())).ok();
        let namespaces = ["node", "nms"].map(|machine| fs::metadata(self.file(machine)));
        namespaces.iter().flatten().any(|file| Some((file.dev(), file.ino())) == own)
    }

    /// The processes in both networks, as this machine counts them.
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

    /// Removes whatever there is of it.
    pub(super) fn remove(&self) -> Result<()> {
        if self.interface_exists() {
            ip(&["link", "delete", &self.interface()])?;
        }
        // The node's comes last: it is what holds the number.
        for machine in ["nms", "node"] {
            if self.file(machine).exists() {
                ip(&["netns", "delete", &self.namespace(machine)])?;
            }
        }
        Ok(())
    }

    /// What there still is of it on this machine.
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

/// What the kernel calls the time since the machine was started.
fn this_boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
