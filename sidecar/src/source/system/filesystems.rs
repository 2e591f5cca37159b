//! File systems: mounts from /proc/1/mounts, sizes from statvfs.
//!
//! statvfs of a server that is gone does not come back, so each mount is asked by a thread of its own, and for a second
//! at most. One that hangs is told by node_filesystem_device_error, and is not asked again until its thread is back.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use rustix::fs::StatVfs;
use tokio::task::JoinHandle;

use super::sink::{Files, Line, Sink, Text, fault, percent};
use crate::source::Cause;

/// The longest wait for one file system.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most threads that may hang; mounts beyond are told as errors.
const MAX_HANGING: usize = 16;
/// The most mounts that are looked at.
const MAX_MOUNTS: usize = 4096;

/// Mount points that are passed over, with all below them.
const OWN_POINTS: [&str; 3] = ["/dev", "/proc", "/sys"];
/// What is below these is passed over, themselves not.
const CONTAINERS: [&str; 3] = ["/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];
/// Types that are passed over.
const OWN_TYPES: [&str; 24] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
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

type Asked = JoinHandle<Result<StatVfs, rustix::io::Errno>>;

/// The file systems that hang, by mount point.
#[derive(Default)]
pub(super) struct Mounts {
    hanging: BTreeMap<String, Asked>,
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
    pub(super) async fn collect(&mut self, files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), Cause> {
        if !sink.wants(&["node_filesystem_", "system_filesystem_percent"]) {
            return Ok(());
        }
        let text = match files.proc("1/mounts")? {
            Some(text) => Some(text),
            None => files.proc("mounts")?,
        };
        let Some(text) = text else { return Ok(()) };
        let root = &files.roots.root;
        self.hanging.retain(|_, asked| !asked.is_finished());
        for mount in mounts(&text, root.to_str().unwrap_or("/"))? {
            let path = root.join(mount.point.trim_start_matches('/'));
            let sizes = self.ask(&mount.point, path, |path| rustix::fs::statvfs(path)).await;
            show(&mount, sizes.as_ref(), sink)?;
        }
        Ok(())
    }

    /// The sizes of the file system at `path`, if they come in time.
    pub(super) async fn ask(
        &mut self,
        point: &str,
        path: PathBuf,
        statvfs: impl FnOnce(&PathBuf) -> Result<StatVfs, rustix::io::Errno> + Send + 'static,
    ) -> Option<StatVfs> {
        if self.hanging.contains_key(point) || self.hanging.len() >= MAX_HANGING {
            return None;
        }
        let mut asked = tokio::task::spawn_blocking(move || statvfs(&path));
        if let Ok(answered) = tokio::time::timeout(PATIENCE, &mut asked).await {
            return answered.ok()?.ok();
        }
        tracing::warn!(mount = point, "a file system does not answer, and is left alone until it does");
        self.hanging.insert(point.to_owned(), asked);
        None
    }
}

/// The mounts of the text that are shown, each once, their points as seen from `root`.
pub(super) fn mounts(text: &Text, root: &str) -> Result<Vec<Mount>, Cause> {
    let mut found: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let mut words = line.words();
        let (device, point) = (unescaped(&line, words.next())?, unescaped(&line, words.next())?);
        let kind = words.next().ok_or_else(|| line.fault("too few words"))?.to_owned();
        let read_only = words.next().unwrap_or_default().split(',').any(|option| option == "ro");
        let Some(point) = below(&point, root) else { continue };
        if OWN_TYPES.contains(&kind.as_str()) || is_passed_over(&point) {
            continue;
        }
        // Of several mounts at one point the last is seen.
        found.retain(|other| other.point != point);
        found.push(Mount { device, point, kind, read_only });
        if found.len() > MAX_MOUNTS {
            return Err(fault("mounts".as_ref(), &format!("has more than {MAX_MOUNTS} mounts")));
        }
    }
    Ok(found)
}

/// The point as seen from `root`; none outside of it.
fn below(point: &str, root: &str) -> Option<String> {
    let rest = point.strip_prefix(root.trim_end_matches('/'))?;
    match rest.as_bytes().first() {
        None => Some("/".to_owned()),
        Some(b'/') => Some(rest.to_owned()),
        Some(_) => None,
    }
}

fn is_passed_over(point: &str) -> bool {
    let below = |folder: &str| point.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    OWN_POINTS.iter().any(|own| point == *own || below(own)) || CONTAINERS.iter().any(|folder| below(folder))
}

/// A word in which space, tab, newline and backslash stand as three octal digits behind a backslash.
fn unescaped(line: &Line<'_>, word: Option<&str>) -> Result<String, Cause> {
    let word = word.ok_or_else(|| line.fault("too few words"))?;
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

pub(super) fn show(mount: &Mount, sizes: Option<&StatVfs>, sink: &mut Sink<'_>) -> Result<(), Cause> {
    let Mount { device, point, kind, read_only } = mount;
    let labels = [("device", device.as_str()), ("fstype", kind.as_str()), ("mountpoint", point.as_str())];
    sink.integer("node_filesystem_device_error", &labels, u64::from(sizes.is_none()))?;
    let Some(sizes) = sizes else { return Ok(()) };
    sink.integer("node_filesystem_readonly", &labels, u64::from(*read_only))?;
    let bytes = |blocks: u64| blocks.saturating_mul(sizes.f_frsize);
    sink.integer("node_filesystem_size_bytes", &labels, bytes(sizes.f_blocks))?;
    sink.integer("node_filesystem_free_bytes", &labels, bytes(sizes.f_bfree))?;
    sink.integer("node_filesystem_avail_bytes", &labels, bytes(sizes.f_bavail))?;
    sink.integer("node_filesystem_files", &labels, sizes.f_files)?;
    sink.integer("node_filesystem_files_free", &labels, sizes.f_ffree)?;
    // As df counts: what is kept for root is neither free nor used.
    let used = sizes.f_blocks.saturating_sub(sizes.f_bfree);
    if let Some(used) = percent(used, used.saturating_add(sizes.f_bavail)) {
        sink.number("system_filesystem_percent", &labels, used)?;
    }
    Ok(())
}
