//! The node: a process that holds the namespaces in which all of the cluster runs. With it, everything ends.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    network::Network,
    place::Place,
    programs::{built, installed},
    waiting::{POLL, patiently},
};

const CGROUPS: &str = "/sys/fs/cgroup";
const SETUP: &str = include_str!("node.sh");

/// The namespaces of a cluster's node.
#[derive(Debug)]
pub(super) struct Node<'a> {
    place: &'a Place,
    network: &'a Network,
}

impl<'a> Node<'a> {
    pub(super) fn new(place: &'a Place, network: &'a Network) -> Self {
        Self { place, network }
    }

    /// Makes the namespaces of mounts and processes, in the network namespace that is there already.
    pub(super) fn start(&self) -> Result<()> {
        self.make_cgroups()?;
        let log = OpenOptions::new().create(true).append(true).open(self.place.log("node"))?;
        let mut command = Command::new(installed("setsid")?);
        command
            .arg(installed("nsenter")?)
            .arg(format!("--net={}", self.network.file("node").display()))
            .arg(installed("unshare")?)
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["sh", "-c", SETUP, "node"])
            .arg(self.place.folder())
            .arg(built("pause")?)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let mut process = command.spawn().context("cannot start the node")?;
        fs::write(self.place.pid("node"), process.id().to_string())?;
        patiently("the node's mounts", || {
            if self.place.path("node/ready").exists() {
                return Ok(());
            }
            let ended = process.try_wait()?.map_or("it runs".to_owned(), |status| format!("it ended: {status}"));
            bail!("{ended}\n{}", fs::read_to_string(self.place.log("node"))?)
        })
    }

    /// The process that holds the namespaces, as this machine counts. Process ids are used again, so it is one that is in
    /// the node's network.
    fn holder(&self) -> Option<String> {
        let process = fs::read_to_string(self.place.pid("node")).ok()?;
        self.network.holds(&process).then_some(process)
    }

    pub(super) fn is_running(&self) -> bool {
        self.holder().is_some()
    }

    /// A program in all of the node's namespaces.
    pub(super) fn command(&self, program: &str) -> Result<Command> {
        let holder = self.holder().context("the cluster's node does not run")?;
        let mut command = Command::new(installed("nsenter")?);
        command
            .arg(format!("--net={}", self.network.file("node").display()))
            .arg(format!("--mount=/proc/{holder}/ns/mnt"))
            .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
            .args(["--", program]);
        Ok(command)
    }

    /// Kills everything that runs in the node and on the NMS, and waits until it is gone.
    pub(super) fn end(&self) -> Result<()> {
        if let Some(holder) = self.holder() {
            kill(holder.parse()?);
        }
        patiently("the cluster's processes to end", || {
            let processes = self.network.processes()?;
            if processes.is_empty() {
                return Ok(());
            }
            for process in &processes {
                kill(*process);
            }
            std::thread::sleep(POLL);
            bail!("processes {processes:?}")
        })
    }

    fn make_cgroups(&self) -> Result<()> {
        let root = Path::new(CGROUPS);
        // In the second version of cgroups, a controller works where the parent hands it down. One that it cannot hand down
        // kubelet does without, or says so.
        for controller in fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default().split_whitespace() {
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).ok();
        }
        for folder in cgroups(&self.network.cgroup()) {
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    /// Removes the pods' cgroups, which are empty but may need a moment to know it.
    pub(super) fn remove_cgroups(&self) -> Result<()> {
        patiently("the pods' cgroups to be empty", || {
            for folder in cgroups(&self.network.cgroup()) {
                remove_cgroup(&folder).with_context(|| folder.display().to_string())?;
            }
            Ok(())
        })
    }

    /// What there still is of it on this machine.
    pub(super) fn remains(&self) -> Result<Vec<String>> {
        let mut remains: Vec<String> =
            self.network.processes()?.iter().map(|process| format!("process {process}")).collect();
        for folder in cgroups(&self.network.cgroup()).into_iter().filter(|folder| folder.exists()) {
            remains.push(format!("cgroup {}", folder.display()));
        }
        let folder = self.place.folder().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        remains.extend(mounts.lines().filter(|mount| mount.contains(&folder)).map(|mount| format!("mount {mount}")));
        Ok(remains)
    }
}

/// One that has ended meanwhile is what is wanted.
fn kill(process: i32) {
    if let Some(process) = Pid::from_raw(process) {
        kill_process(process, Signal::KILL).ok();
    }
}

/// The folders of a cgroup: one, or one per controller where the machine has cgroups of the first version.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root.join(name)];
    }
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().filter_map(|entry| {
        // Names such as cpu may be links to cpu,cpuacct: those are not followed here.
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
