//! The machine itself, under node_exporter's names: from /proc, /sys and statvfs.
//!
//! | collector | names |
//! |---|---|
//! | processors | `node_cpu_seconds_total`, `node_cpu_guest_seconds_total`, `system_cpu_percent`, `system_processor_percent` |
//! | kernel | `node_boot_time_seconds`, `node_context_switches_total`, `node_forks_total`, `node_intr_total`, `node_procs_running`, `node_procs_blocked`, `node_load1`, `node_load5`, `node_load15`, `node_filefd_*`, `node_entropy_*`, `node_vmstat_*`, `node_uname_info`, `node_time_seconds` |
//! | memory | `node_memory_*`, `system_memory_percent`, `system_swap_percent` |
//! | file systems | `node_filesystem_*`, `system_filesystem_percent` |
//! | disks | `node_disk_*` |
//! | network | `node_network_*` |
//! | protocols | `node_netstat_*`, `node_sockstat_*` |
//! | pressure | `node_pressure_*` |
//! | control group | `system_cgroup_*`: that of the sidecar's own container |
//!
//! What begins with `system_` node_exporter does not have. A file that is not there, as on a kernel without it, gives no
//! samples; one that cannot be understood fails the reading, and is told with its line.

mod cgroup;
mod disks;
mod filesystems;
mod kernel;
mod memory;
mod network;
mod pressure;
mod processors;
mod protocols;
mod sink;

#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::{Cause, NameFilter, Phase, reader::Reading};
use crate::{defect::resume_panic, sample::Samples};
use sink::{Files, Sink};

/// Where the machine is seen: the system's own places, unless others are mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// In place of /proc.
    pub proc: PathBuf,
    /// In place of /sys.
    pub sys: PathBuf,
    /// What stands before the mount points of file systems.
    pub root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }
}

/// The machine.
pub(super) struct Machine {
    wanted: Arc<NameFilter>,
    roots: Roots,
    files: Arc<Mutex<FromFiles>>,
    /// The thread that reads the files, also of a reading that was given up.
    thread: Option<JoinHandle<Result<Samples, Cause>>>,
    filesystems: filesystems::Mounts,
}

impl Machine {
    pub(super) fn new(wanted: NameFilter, roots: Roots) -> Self {
        let (processors, cgroup) = (processors::Before::default(), cgroup::Before::default());
        let wanted = Arc::new(wanted);
        let files = FromFiles { wanted: Arc::clone(&wanted), roots: roots.clone(), processors, cgroup };
        let files = Arc::new(Mutex::new(files));
        Self { wanted, roots, files, thread: None, filesystems: filesystems::Mounts::default() }
    }

    pub(super) fn location() -> String {
        "the machine".to_owned()
    }

    /// Reads what is wanted, and no other file. Whoever calls gives up after `timeout`.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Reading, Cause> {
        *phase = Phase::ReadingFiles;
        let samples = self.read_files().await?;
        let files = Files { roots: &self.roots };
        let mut sink = Sink::continuing(samples, &self.wanted);
        self.filesystems.collect(timeout, &files, &mut sink).await?;
        Ok(Reading { samples: sink.into_samples(), duplicates: 0 })
    }

    /// The kernel answers at once; but what is mounted over /proc, as by LXCFS, may hang, and then only its thread does.
    /// There is one at a time.
    async fn read_files(&mut self) -> Result<Samples, Cause> {
        if let Some(late) = &mut self.thread {
            // What it read is of another time.
            drop(end(late).await);
        }
        let files = Arc::clone(&self.files);
        let thread = self.thread.insert(spawn_blocking(move || {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.read()
        }));
        let read = end(thread).await;
        self.thread = None;
        read
    }
}

async fn end(thread: &mut JoinHandle<Result<Samples, Cause>>) -> Result<Samples, Cause> {
    match thread.await {
        Ok(read) => read,
        Err(error) => {
            resume_panic(Err(error));
            // Without a panic it ends so only when the process does.
            std::future::pending().await
        }
    }
}

/// What is read from files, and what was before where percentages are of a time.
struct FromFiles {
    wanted: Arc<NameFilter>,
    roots: Roots,
    processors: processors::Before,
    cgroup: cgroup::Before,
}

impl FromFiles {
    fn read(&mut self) -> Result<Samples, Cause> {
        let files = Files { roots: &self.roots };
        let mut sink = Sink::new(&self.wanted);
        processors::collect(&files, &mut sink, &mut self.processors)?;
        kernel::collect(&files, &mut sink)?;
        memory::collect(&files, &mut sink)?;
        disks::collect(&files, &mut sink)?;
        network::collect(&files, &mut sink)?;
        protocols::collect(&files, &mut sink)?;
        pressure::collect(&files, &mut sink)?;
        cgroup::collect(&files, &mut sink, &mut self.cgroup)?;
        Ok(sink.into_samples())
    }
}
