//! The node: a process that holds the namespaces of the cluster. When it ends, the whole cluster ends.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    files::ClusterFiles,
    network::Network,
    programs::{built, installed},
    waiting::{POLL, wait_until},
};

const CGROUPS: &str = "/sys/fs/cgroup";
const SETUP: &str = include_str!("node.sh");

/// The node of a cluster.
#[derive(Debug)]
pub(super) struct Node<'a> {
    files: &'a ClusterFiles,
    network: &'a Network,
}

impl<'a> Node<'a> {
    pub(super) fn new(files: &'a ClusterFiles, network: &'a Network) -> Self {
        Self { files, network }
    }

    /// Creates the mount and process namespaces in the existing network namespace.
    pub(super) fn start(&self) -> Result<()> {
        self.make_cgroups()?;
        let log = OpenOptions::new().create(true).append(true).open(self.files.log("node"))?;
        let mut command = Command::new(installed("setsid")?);
        command
            .arg(installed("nsenter")?)
            .arg(format!("--net={}", self.network.file("node").display()))
            .arg(installed("unshare")?)
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SETUP, "node"])
            .arg(self.files.folder())
            .arg(built("pause")?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut process = command.spawn().context("cannot start the node")?;
        fs::write(self.files.pid("node"), process.id().to_string())?;
        wait_until("the node's mounts", || {
            if self.files.path("node/ready").exists() {
                return Ok(());
            }
            let ended = process.try_wait()?.map_or("it runs".to_owned(), |status| format!("it ended: {status}"));
            bail!("{ended}\n{}", fs::read_to_string(self.files.log("node"))?)
        })
    }

    /// Returns the process that holds the namespaces, by its id on this machine. Process ids are reused, so the process must
    /// be in the network of the node.
    fn holder(&self) -> Option<String> {
        let process = fs::read_to_string(self.files.pid("node")).ok()?;
        self.network.holds(&process).then_some(process)
    }

    pub(super) fn is_running(&self) -> bool {
        self.holder().is_some()
    }

    /// Returns a command that runs in all namespaces of the node.
    pub(super) fn command(&self, program: &str) -> Result<Command> {
        let holder = self.holder().context("the node of the cluster is not running")?;
        let mut command = Command::new(installed("nsenter")?);
        command
            .arg(format!("--net={}", self.network.file("node").display()))
            .arg(format!("--mount=/proc/{holder}/ns/mnt"))
            .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
            .args(["--", program]);
        Ok(command)
    }

    /// Kills all processes on the node and on the NMS, and waits until they have ended.
    pub(super) fn end(&self) -> Result<()> {
        if let Some(holder) = self.holder() {
            kill(holder.parse()?);
        }
        wait_until("the cluster's processes to end", || {
            let processes = self.network.processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            for process in &processes {
                kill(*process);
            }
            std::thread::sleep(POLL);
            bail!("the processes {processes:?} are still running")
        })
    }

    fn make_cgroups(&self) -> Result<()> {
        let root = Path::new(CGROUPS);
        // In cgroups v2, the parent must delegate each controller. The kubelet works without a missing controller, or reports
        // it.
        for controller in fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default().split_whitespace() {
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).ok();
        }
        for folder in cgroups(&self.network.cgroup()) {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    /// Removes the cgroups of pods. They are empty, but the kernel may need a moment to notice.
    pub(super) fn remove_cgroups(&self) -> Result<()> {
        wait_until("the pods' cgroups to be empty", || {
            for folder in cgroups(&self.network.cgroup()) {
                remove_cgroup(&folder).with_context(|| folder.display().to_string())?;
            }
            Ok(())
        })
    }

    /// Returns what is left of the node on this machine.
    pub(super) fn remains(&self) -> Result<Vec<String>> {
        let mut remains: Vec<String> =
            self.network.processes()?.iter().map(|process| format!("process {process}")).collect();
        for folder in cgroups(&self.network.cgroup()).into_iter().filter(|folder| folder.exists()) {
            remains.push(format!("cgroup {}", folder.display()));
        }
        let folder = self.files.folder().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        remains.extend(mounts.lines().filter(|mount| mount.contains(&folder)).map(|mount| format!("mount {mount}")));
        Ok(remains)
    }
}

/// Kills a process. It is no error if it has already ended.
fn kill(process: i32) {
    if let Some(process) = Pid::from_raw(process) {
        kill_process(process, Signal::KILL).ok();
    }
}

/// Returns the folders of a cgroup: a single one, or one for each controller in cgroups v1.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root.join(name)];
    }
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().filter_map(|entry| {
        // Names such as cpu may be links to cpu,cpuacct, which are skipped here.
        let is_own = entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != "unified";
        is_own.then(|| entry.path().join(name))
    });
    hierarchies.collect()
}

fn remove_cgroup(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
