//! The control group (version 2 or 1) of the sidecar's container.
//!
//! | name | meaning |
//! |---|---|
//! | `system_cgroup_cpu_seconds_total` | used processor time |
//! | `system_cgroup_cpu_percent` | used processor time since the last collection, in percent of the limit, or else of all processors |
//! | `system_cgroup_cpu_limit` | the limit, in processors |
//! | `system_cgroup_memory_bytes` | used memory, including caches |
//! | `system_cgroup_memory_working_set_bytes` | used memory without inactive file caches, like the kubelet's working set |
//! | `system_cgroup_memory_limit_bytes` | the limit |
//! | `system_cgroup_memory_percent` | the working set in percent of the limit |
//! | `system_cgroup_pids` | number of tasks |
//!
//! Without a limit, the samples of the limit and the memory percentage do not exist.

use std::time::Instant;

use super::sink::{Files, Sink, Text, percent, seconds};
use crate::source::error::SourceError;

/// In version 1 a number near 2⁶³ means that there is no limit.
const NO_LIMIT: u64 = 1 << 60;

/// The used processor time at the previous collection, in nanoseconds, and the time of that collection.
#[derive(Debug, Default)]
pub(super) struct Previous(Option<(u64, Instant)>);

/// The usage and limits of a control group.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_ns: Option<u64>,
    /// In processors.
    pub(super) cpu_limit: Option<f64>,
    pub(super) memory: Option<u64>,
    pub(super) inactive_file: Option<u64>,
    pub(super) memory_limit: Option<u64>,
    pub(super) pids: Option<u64>,
}

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>, previous: &mut Previous) -> Result<(), SourceError> {
    if !sink.wants(&["system_cgroup_"]) {
        return Ok(());
    }
    let usage = usage(files)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    emit(&usage, processors, Instant::now(), previous, sink)
}

/// Emits the samples of a usage.
#[allow(clippy::cast_precision_loss, reason = "a percentage needs no more than 53 bits")]
pub(super) fn emit(
    usage: &Usage,
    processors: usize,
    now: Instant,
    previous: &mut Previous,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let Usage { cpu_ns, cpu_limit, memory, inactive_file, memory_limit, pids } = *usage;
    if let Some(used) = cpu_ns {
        sink.number("system_cgroup_cpu_seconds_total", &[], seconds(used, 1_000_000_000))?;
        if let Some((used_before, then)) = previous.0
            && let Some(used) = used.checked_sub(used_before)
            && let elapsed = now.saturating_duration_since(then).as_secs_f64()
            && elapsed > 0.0
        {
            let available = cpu_limit.unwrap_or(processors as f64) * elapsed;
            sink.number("system_cgroup_cpu_percent", &[], seconds(used, 1_000_000_000) * 100.0 / available)?;
        }
        previous.0 = Some((used, now));
    }
    if let Some(limit) = cpu_limit {
        sink.number("system_cgroup_cpu_limit", &[], limit)?;
    }
    if let Some(memory) = memory {
        let working_set = memory.saturating_sub(inactive_file.unwrap_or(0));
        sink.integer("system_cgroup_memory_bytes", &[], memory)?;
        sink.integer("system_cgroup_memory_working_set_bytes", &[], working_set)?;
        if let Some(percentage) = memory_limit.and_then(|limit| percent(working_set, limit)) {
            sink.number("system_cgroup_memory_percent", &[], percentage)?;
        }
    }
    if let Some(limit) = memory_limit {
        sink.integer("system_cgroup_memory_limit_bytes", &[], limit)?;
    }
    if let Some(pids) = pids {
        sink.integer("system_cgroup_pids", &[], pids)?;
    }
    Ok(())
}

/// The files of a control group. They are in the directory of its path, or at the top if the container has its own
/// cgroup namespace.
struct Group<'f> {
    files: &'f Files<'f>,
    controller: &'static str,
    path: String,
}

impl Group<'_> {
    fn file(&self, name: &str) -> Result<Option<Text>, SourceError> {
        let Self { files, controller, path } = self;
        match files.sys(&format!("fs/cgroup/{controller}/{path}/{name}"))? {
            Some(text) => Ok(Some(text)),
            None => files.sys(&format!("fs/cgroup/{controller}/{name}")),
        }
    }

    /// Returns the number in a file, or `None` if it has a word such as `max`.
    fn number(&self, name: &str) -> Result<Option<u64>, SourceError> {
        Ok(self.file(name)?.and_then(|text| text.whole().parse().ok()))
    }

    /// Returns the number in the line that begins with `key`.
    fn number_of(&self, name: &str, key: &str) -> Result<Option<u64>, SourceError> {
        let Some(text) = self.file(name)? else { return Ok(None) };
        for line in text.lines() {
            let mut words = line.words();
            if words.next() == Some(key) {
                return line.integer(words.next()).map(Some);
            }
        }
        Ok(None)
    }
}

fn usage(files: &Files<'_>) -> Result<Usage, SourceError> {
    let groups = files.proc("self/cgroup")?;
    let unified = Group { files, controller: "", path: path_of(groups.as_ref(), "") };
    if unified.file("cgroup.controllers")?.is_some() {
        return version_2(&unified);
    }
    let group = |controller| Group { files, controller, path: path_of(groups.as_ref(), controller) };
    version_1(&group("cpuacct"), &group("cpu"), &group("memory"), &group("pids"))
}

fn version_2(group: &Group<'_>) -> Result<Usage, SourceError> {
    Ok(Usage {
        cpu_ns: group.number_of("cpu.stat", "usage_usec")?.map(|used| used.saturating_mul(1000)),
        cpu_limit: group.file("cpu.max")?.and_then(|text| {
            let mut words = text.whole().split_whitespace();
            limit(words.next()?.parse().ok()?, words.next()?.parse().ok()?)
        }),
        memory: group.number("memory.current")?,
        inactive_file: group.number_of("memory.stat", "inactive_file")?,
        memory_limit: group.number("memory.max")?,
        pids: group.number("pids.current")?,
    })
}

fn version_1(
    accounting: &Group<'_>,
    cpu: &Group<'_>,
    memory: &Group<'_>,
    pids: &Group<'_>,
) -> Result<Usage, SourceError> {
    let (quota, period) = (cpu.number("cpu.cfs_quota_us")?, cpu.number("cpu.cfs_period_us")?);
    Ok(Usage {
        cpu_ns: accounting.number("cpuacct.usage")?,
        cpu_limit: quota.zip(period).and_then(|(quota, period)| limit(quota, period)),
        memory: memory.number("memory.usage_in_bytes")?,
        inactive_file: memory.number_of("memory.stat", "total_inactive_file")?,
        memory_limit: memory.number("memory.limit_in_bytes")?.filter(|limit| *limit < NO_LIMIT),
        pids: pids.number("pids.current")?,
    })
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of one period")]
fn limit(quota: u64, period: u64) -> Option<f64> {
    (period > 0 && quota > 0).then(|| quota as f64 / period as f64)
}

/// Returns the path of the group from /proc/self/cgroup. The lines are like `4:cpu,cpuacct:/path`, or `0::/path` in
/// version 2.
fn path_of(groups: Option<&Text>, controller: &str) -> String {
    let lines = groups.iter().flat_map(|text| text.lines());
    let mut paths = lines.filter_map(|line| {
        let (_, rest) = line.text.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then(|| path.trim_matches('/').to_owned())
    });
    paths.find(|path| !path.split('/').any(|part| part == "..")).unwrap_or_default()
}
