//! File systems: their mounts from /proc, their sizes from statvfs.
//!
//! statvfs of a server that is gone does not come back. So mounts are asked by threads of their own, one after the other
//! as long as each answers at once. One that does not is left to its thread, while the next are asked; it is told by
//! node_filesystem_device_error, and asked again when its thread is back. What a thread is asked outlives the reading, so
//! that none is forgotten where a reading is given up.

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
use crate::source::Cause;

/// The longest wait for all that do not answer at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// The part of it that each may take before the next is asked.
const TURNS: u32 = 50;
/// The most threads that may wait; mounts beyond are told as errors.
const MAX_WAITING: usize = 32;
/// The most of them for mounts that did not answer before: those that did are asked even when so many hang.
const MAX_DOUBTFUL: usize = 16;
/// The most mounts that are looked at.
const MAX_MOUNTS: usize = 4096;
/// What node_exporter says of one that hangs.
const HANGS: &str = "mountpoint timeout";

/// Mount points that are passed over, with all below them.
const OWN_POINTS: [&str; 3] = ["/dev", "/proc", "/sys"];
/// What is below these is passed over, themselves not.
const CONTAINERS: [&str; 3] = ["/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];
/// Types that are passed over.
const OWN_TYPES: [&str; 25] = [
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

/// Which file systems are being asked, and which are known to answer; by mount point.
#[derive(Default)]
pub(super) struct Mounts {
    threads: JoinSet<Answer>,
    waiting: BTreeSet<String>,
    sound: BTreeSet<String>,
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
    /// Whoever calls gives up after `timeout`.
    pub(super) async fn collect(
        &mut self,
        timeout: Duration,
        files: &Files<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), Cause> {
        if !sink.wants(&["node_filesystem_", "system_filesystem_percent"]) {
            return Ok(());
        }
        let Some(text) = mounted(files)? else { return Ok(()) };
        let root = &files.roots.root;
        let mounts = mounts(&text, root.to_str().unwrap_or("/"))?;
        let points = mounts.iter().map(|mount| (mount.point.clone(), root.join(mount.point.trim_start_matches('/'))));
        let answers = self.ask(points, PATIENCE.min(timeout / 2), |path| rustix::fs::statvfs(path)).await;
        for mount in &mounts {
            show(mount, answers.get(&mount.point), sink)?;
        }
        Ok(())
    }

    /// What the file systems of these mount points and paths answer before `patience` is over.
    pub(super) async fn ask(
        &mut self,
        points: impl Iterator<Item = (String, PathBuf)>,
        patience: Duration,
        statvfs: impl Fn(&Path) -> Result<StatVfs, Errno> + Clone + Send + 'static,
    ) -> BTreeMap<String, Result<StatVfs, Errno>> {
        let end = Instant::now() + patience;
        let mut answers = BTreeMap::new();
        // Those that earlier readings did not wait for.
        while let Some(back) = self.threads.try_join_next() {
            self.take(back, &mut BTreeMap::new());
        }
        let hanging = self.waiting.clone();
        for (point, path) in points {
            let most = if self.sound.contains(&point) { MAX_WAITING } else { MAX_DOUBTFUL };
            if self.waiting.contains(&point) || self.waiting.len() >= most {
                continue;
            }
            self.waiting.insert(point.clone());
            let (asked, statvfs) = (point.clone(), statvfs.clone());
            self.threads.spawn_blocking(move || {
                let answer = statvfs(&path);
                (asked, answer)
            });
            let next = end.min(Instant::now() + patience / TURNS);
            while self.waiting.contains(&point)
                && let Ok(Some(back)) = timeout_at(next, self.threads.join_next()).await
            {
                self.take(back, &mut answers);
            }
        }
        while !self.waiting.is_subset(&hanging)
            && let Ok(Some(back)) = timeout_at(end, self.threads.join_next()).await
        {
            self.take(back, &mut answers);
        }
        for mount in self.waiting.difference(&hanging) {
            tracing::warn!(mount, "a file system does not answer, and is left alone until it does");
        }
        self.sound = answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(point, _)| point.clone()).collect();
        answers
    }

    fn take(&mut self, back: Result<Answer, JoinError>, answers: &mut BTreeMap<String, Result<StatVfs, Errno>>) {
        // A thread ends without an answer only when the process does.
        if let Ok((point, answer)) = back {
            self.waiting.remove(&point);
            answers.insert(point, answer);
        }
    }
}

/// The list of mounts: this process's own, or, where the file systems of another view are mounted, process 1's.
fn mounted(files: &Files<'_>) -> Result<Option<Text>, Cause> {
    if files.roots.root != Path::new("/")
        && let Some(text) = files.proc("1/mounts")?
    {
        return Ok(Some(text));
    }
    files.proc("self/mounts")
}

/// The mounts of the text that are shown, each once, their points as seen from `root`.
///
/// Where `root` is a mount itself, the list is that of a container into which the machine's file systems are mounted, and
/// those below it are meant. Else it is the machine's own list, as its process 1 has it.
pub(super) fn mounts(text: &Text, root: &str) -> Result<Vec<Mount>, Cause> {
    let mut all = Vec::new();
    for line in text.lines() {
        let mut words = line.words();
        let (device, point) = (unescaped(&line, words.next())?, unescaped(&line, words.next())?);
        let kind = words.next().ok_or_else(|| line.fault("too few words"))?.to_owned();
        let read_only = words.next().unwrap_or_default().split(',').any(|option| option == "ro");
        all.push(Mount { device, point, kind, read_only });
    }
    let root = root.trim_end_matches('/');
    if all.iter().any(|mount| mount.point == root) {
        all = all.into_iter().filter_map(|mount| Some(Mount { point: below(&mount.point, root)?, ..mount })).collect();
    }
    // Of several mounts at one point the last is seen.
    let last: BTreeMap<String, usize> = all.iter().zip(0..).map(|(mount, at)| (mount.point.clone(), at)).collect();
    let seen = all.into_iter().zip(0..).filter(|(mount, at)| last.get(&mount.point) == Some(at));
    let found: Vec<_> = seen
        .map(|(mount, _)| mount)
        .filter(|mount| !OWN_TYPES.contains(&mount.kind.as_str()) && !is_passed_over(&mount.point))
        .take(MAX_MOUNTS + 1)
        .collect();
    if found.len() > MAX_MOUNTS {
        return Err(text.fault(&format!("has more than {MAX_MOUNTS} mounts")));
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

/// The samples of a mount, of which there is an answer unless it hangs.
pub(super) fn show(mount: &Mount, answer: Option<&Result<StatVfs, Errno>>, sink: &mut Sink<'_>) -> Result<(), Cause> {
    let Mount { device, point, kind, read_only } = mount;
    let labels = [("device", device.as_str()), ("fstype", kind.as_str()), ("mountpoint", point.as_str())];
    let sizes = match answer {
        Some(Ok(sizes)) => sizes,
        failed => {
            let error =
                failed.and_then(|answer| answer.as_ref().err().copied()).map_or_else(|| HANGS.to_owned(), in_words);
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
    // As df counts: what is kept for root is neither free nor used.
    let used = sizes.f_blocks.saturating_sub(sizes.f_bfree);
    if let Some(used) = percent(used, used.saturating_add(sizes.f_bavail)) {
        sink.number("system_filesystem_percent", &labels, used)?;
    }
    Ok(())
}

/// As node_exporter has it: in small letters, and without a number.
fn in_words(error: Errno) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
