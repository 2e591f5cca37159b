//! `system` sources: metrics of the host from /proc, /sys and statvfs, with the names of node_exporter.
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
//! | control group | `system_cgroup_*`: the control group of the sidecar's container |
//!
//! node_exporter does not have the metrics that begin with `system_`. A file that does not exist, for example because
//! the kernel does not have it, gives no samples. A file that cannot be parsed fails the collection; the error has its
//! line.

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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    collection::Collection,
    error::{Phase, SourceError},
    name_filter::NameFilter,
    settings::Roots,
};
use crate::{sample::Samples, task::resume_panic};
use sink::{Files, Sink};

/// A `system` source.
pub(super) struct SystemReader {
    wanted: Arc<NameFilter>,
    roots: Roots,
    files: Arc<Mutex<FileCollectors>>,
    /// The thread that reads the files. It may belong to an earlier collection that timed out.
    thread: Option<JoinHandle<Result<Samples, SourceError>>>,
    filesystems: filesystems::Mounts,
}

impl SystemReader {
    pub(super) fn new(wanted: NameFilter, roots: Roots) -> Self {
        let (processors, cgroup) = (processors::Previous::default(), cgroup::Previous::default());
        let wanted = Arc::new(wanted);
        let files = FileCollectors { wanted: Arc::clone(&wanted), roots: roots.clone(), processors, cgroup };
        let files = Arc::new(Mutex::new(files));
        Self { wanted, roots, files, thread: None, filesystems: filesystems::Mounts::default() }
    }

    pub(super) fn location() -> String {
        "the host".to_owned()
    }

    /// Collects the wanted samples, and reads only the files that they need. The caller drops the future after
    /// `timeout`.
    pub(super) async fn read(&mut self, timeout: Duration, phase: &mut Phase) -> Result<Collection, SourceError> {
        *phase = Phase::ReadingFiles;
        let samples = self.read_files().await?;
        let files = Files { roots: &self.roots };
        let mut sink = Sink::with_samples(samples, &self.wanted);
        self.filesystems.collect(timeout, &files, &mut sink).await?;
        Ok(Collection { samples: sink.into_samples(), duplicates: 0 })
    }

    /// Reads the files one at a time, in a separate thread. The kernel answers immediately, but a file system mounted
    /// over /proc, for example LXCFS, can hang.
    async fn read_files(&mut self) -> Result<Samples, SourceError> {
        if let Some(earlier) = &mut self.thread {
            // The samples of an earlier collection are outdated.
            drop(join(earlier).await);
        }
        let files = Arc::clone(&self.files);
        let thread = self.thread.insert(spawn_blocking(move || {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.read()
        }));
        let samples = join(thread).await;
        self.thread = None;
        samples
    }
}

/// Waits for the thread. Continues its panic, if it panicked.
async fn join(thread: &mut JoinHandle<Result<Samples, SourceError>>) -> Result<Samples, SourceError> {
    match thread.await {
        Ok(samples) => samples,
        Err(error) => {
            resume_panic(Err(error));
            // Without a panic, the thread is only cancelled when the process ends.
            std::future::pending().await
        }
    }
}

/// The collectors that read files, with the previous values that percentages over time need.
struct FileCollectors {
    wanted: Arc<NameFilter>,
    roots: Roots,
    processors: processors::Previous,
    cgroup: cgroup::Previous,
}

impl FileCollectors {
    fn read(&mut self) -> Result<Samples, SourceError> {
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
