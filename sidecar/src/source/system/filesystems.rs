//! File systems: the mounts from /proc, and their sizes from statvfs.
//!
//! statvfs blocks while the server of a network file system is unreachable. So each mount is queried in its own thread,
//! one after the other while they answer immediately. If a mount does not answer, its thread keeps waiting while the
//! next mounts are queried. Such a mount has the sample node_filesystem_device_error, and is queried again when its
//! thread has returned. The pending queries are kept if a collection times out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{fs::StatVfs, io::Errno};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, timeout_at},
};

use super::sink::{Files, Line, Sink, Text, percent};
use crate::source::error::SourceError;

/// The maximum time for all mounts that do not answer immediately.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// The fraction of the time that is waited for one mount before the next is queried.
const SLOTS: u32 = 50;
/// The maximum number of pending threads. Further mounts are reported as errors.
const MAX_PENDING: usize = 32;
/// The maximum number of pending threads at which mounts that did not answer before are still queried. Mounts that
/// answered before are queried up to [`MAX_PENDING`].
const MAX_PENDING_UNKNOWN: usize = 16;
/// The maximum number of mounts.
const MAX_MOUNTS: usize = 4096;
/// The error that node_exporter reports for a mount that hangs.
const TIMEOUT_ERROR: &str = "mountpoint timeout";

/// Mount points that are ignored with everything below them.
const IGNORED_POINTS: [&str; 3] = ["/dev", "/proc", "/sys"];
/// Mount points below these are ignored, but not these themselves.
const IGNORED_BELOW: [&str; 3] = ["/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];
/// Types of file systems that are ignored.
const IGNORED_TYPES: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

type Answer = (String, Result<StatVfs, Errno>);

/// The state of the queries, by mount point.
#[derive(Default)]
pub(super) struct Mounts {
    threads: JoinSet<Answer>,
    /// Mounts whose thread has not returned.
    pending: BTreeSet<String>,
    /// Mounts that answered in the previous collection.
    responsive: BTreeSet<String>,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    pub(super) point: String,
    pub(super) kind: String,
    pub(super) read_only: bool,
}

impl Mounts {
    /// Collects the samples of all file systems. The caller drops the future after `timeout`.
    pub(super) async fn collect(
        &mut self,
        timeout: Duration,
        files: &Files<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), SourceError> {
        if !sink.wants(&["node_filesystem_", "system_filesystem_percent"]) {
            return Ok(());
        }
        let Some(text) = mount_list(files)? else { return Ok(()) };
        let root = &files.roots.root;
        let mounts = mounts(&text, root.to_str().unwrap_or("/"))?;
        let points = mounts.iter().map(|mount| (mount.point.clone(), root.join(mount.point.trim_start_matches('/'))));
        let answers = self.query(points, QUERY_TIMEOUT.min(timeout / 2), |path| rustix::fs::statvfs(path)).await;
        for mount in &mounts {
            emit(mount, answers.get(&mount.point), sink)?;
        }
        Ok(())
    }

    /// Queries the file systems of these mount points and paths. Returns the answers that arrive within `timeout`.
    pub(super) async fn query(
        &mut self,
        points: impl Iterator<Item = (String, PathBuf)>,
        timeout: Duration,
        statvfs: impl Fn(&Path) -> Result<StatVfs, Errno> + Clone + Send + 'static,
    ) -> BTreeMap<String, Result<StatVfs, Errno>> {
        let end = Instant::now() + timeout;
        let mut answers = BTreeMap::new();
        // Threads of earlier collections that have returned.
        while let Some(returned) = self.threads.try_join_next() {
            self.record(returned, &mut BTreeMap::new());
        }
        let hanging = self.pending.clone();
        for (point, path) in points {
            let limit = if self.responsive.contains(&point) { MAX_PENDING } else { MAX_PENDING_UNKNOWN };
            if self.pending.contains(&point) || self.pending.len() >= limit {
                continue;
            }
            self.pending.insert(point.clone());
            let (queried, statvfs) = (point.clone(), statvfs.clone());
            self.threads.spawn_blocking(move || {
                let answer = statvfs(&path);
                (queried, answer)
            });
            let next = end.min(Instant::now() + timeout / SLOTS);
            while self.pending.contains(&point)
                && let Ok(Some(returned)) = timeout_at(next, self.threads.join_next()).await
            {
                self.record(returned, &mut answers);
            }
        }
        while !self.pending.is_subset(&hanging)
            && let Ok(Some(returned)) = timeout_at(end, self.threads.join_next()).await
        {
            self.record(returned, &mut answers);
        }
        for mount in self.pending.difference(&hanging) {
            tracing::warn!(
                mount,
                "file system does not answer; it has no size metrics until its pending query returns"
            );
        }
        self.responsive = answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(point, _)| point.clone()).collect();
        answers
    }

    fn record(&mut self, returned: Result<Answer, JoinError>, answers: &mut BTreeMap<String, Result<StatVfs, Errno>>) {
        // A thread is only cancelled when the process ends.
        if let Ok((point, answer)) = returned {
            self.pending.remove(&point);
            answers.insert(point, answer);
        }
    }
}

/// Returns the list of mounts of this process, or that of process 1 if the file systems of the host are mounted
/// elsewhere.
fn mount_list(files: &Files<'_>) -> Result<Option<Text>, SourceError> {
    if files.roots.root != Path::new("/")
        && let Some(text) = files.proc("1/mounts")?
    {
        return Ok(Some(text));
    }
    files.proc("self/mounts")
}

/// Parses the mounts, without ignored and duplicate ones. Their mount points are relative to `root`.
///
/// If `root` is itself a mount, the list is that of a container into which the file systems of the host are mounted;
/// the mounts below `root` are used. Otherwise it is the list of the host.
pub(super) fn mounts(text: &Text, root: &str) -> Result<Vec<Mount>, SourceError> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.words();
        let (device, point) = (unescaped(&line, words.next())?, unescaped(&line, words.next())?);
        let kind = words.next().ok_or_else(|| line.error("too few words"))?.to_owned();
        let read_only = words.next().unwrap_or_default().split(',').any(|option| option == "ro");
        all.push(Mount { device, point, kind, read_only });
    }
    let root = root.trim_end_matches('/');
    if all.iter().any(|mount| mount.point == root) {
        all = all.into_iter().filter_map(|mount| Some(Mount { point: below(&mount.point, root)?, ..mount })).collect();
    }
    // If several mounts have the same mount point, only the last is visible.
    let last: BTreeMap<String, usize> = all.iter().zip(0..).map(|(mount, at)| (mount.point.clone(), at)).collect();
    let visible = all.into_iter().zip(0..).filter(|(mount, at)| last.get(&mount.point) == Some(at));
    let found: Vec<_> = visible
        .map(|(mount, _)| mount)
        .filter(|mount| !IGNORED_TYPES.contains(&mount.kind.as_str()) && !is_ignored(&mount.point))
        .take(MAX_MOUNTS + 1)
        .collect();
    if found.len() > MAX_MOUNTS {
        return Err(text.error(&format!("has more than {MAX_MOUNTS} mounts")));
    }
    Ok(found)
}

/// Returns the mount point relative to `root`, or `None` if it is outside.
fn below(point: &str, root: &str) -> Option<String> {
    let rest = point.strip_prefix(root.trim_end_matches('/'))?;
    match rest.as_bytes().first() {
        None => Some("/".to_owned()),
        Some(b'/') => Some(rest.to_owned()),
        Some(_) => None,
    }
}

fn is_ignored(point: &str) -> bool {
    let below = |directory: &str| point.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    IGNORED_POINTS.iter().any(|own| point == *own || below(own))
        || IGNORED_BELOW.iter().any(|directory| below(directory))
}

/// Decodes a word in which space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescaped(line: &Line<'_>, word: Option<&str>) -> Result<String, SourceError> {
    let word = word.ok_or_else(|| line.error("too few words"))?;
    let mut parts = word.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let octet = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        if let Some(octet) = octet {
            text.push(char::from(octet));
            text.push_str(part.get(3..).unwrap_or_default());
        } else {
            text.push('\\');
            text.push_str(part);
        }
    }
    Ok(text)
}

/// Emits the samples of a mount. `answer` is `None` if the mount hangs.
pub(super) fn emit(
    mount: &Mount,
    answer: Option<&Result<StatVfs, Errno>>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let Mount { device, point, kind, read_only } = mount;
    let labels = [("device", device.as_str()), ("fstype", kind.as_str()), ("mountpoint", point.as_str())];
    let sizes = match answer {
        Some(Ok(sizes)) => sizes,
        failed => {
            let error = failed
                .and_then(|answer| answer.as_ref().err().copied())
                .map_or_else(|| TIMEOUT_ERROR.to_owned(), error_text);
            let [device, kind, point] = labels;
            let labels = [device, ("device_error", error.as_str()), kind, point];
            return sink.integer("node_filesystem_device_error", &labels, 1);
        }
    };
    sink.integer("node_filesystem_device_error", &labels, 0)?;
    sink.integer("node_filesystem_readonly", &labels, u64::from(*read_only))?;
    let bytes = |blocks: u64| blocks.saturating_mul(sizes.f_frsize);
    sink.integer("node_filesystem_size_bytes", &labels, bytes(sizes.f_blocks))?;
    sink.integer("node_filesystem_free_bytes", &labels, bytes(sizes.f_bfree))?;
    sink.integer("node_filesystem_avail_bytes", &labels, bytes(sizes.f_bavail))?;
    sink.integer("node_filesystem_files", &labels, sizes.f_files)?;
    sink.integer("node_filesystem_files_free", &labels, sizes.f_ffree)?;
    // Like df: blocks reserved for root are neither free nor used.
    let used = sizes.f_blocks.saturating_sub(sizes.f_bfree);
    if let Some(used) = percent(used, used.saturating_add(sizes.f_bavail)) {
        sink.number("system_filesystem_percent", &labels, used)?;
    }
    Ok(())
}

/// Formats an error like node_exporter: in lower case, and without its number.
fn error_text(error: Errno) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
