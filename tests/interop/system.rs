//! System sources compared with node_exporter on this machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use harness::{Application, Sandbox, http};
use serde_json::json;
use sidecar::source::{NameFilter, SourceSettings, Task};

/// Samples by series, written as `name{label="value",…}`. A label with an empty value is left out.
type Series = BTreeMap<String, f64>;

/// The metrics that both have on every machine.
const NAMES: [&str; 24] = [
    "node_boot_time_seconds",
    "node_context_switches_total",
    "node_cpu_guest_seconds_total",
    "node_cpu_seconds_total",
    "node_disk_io_time_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_writes_completed_total",
    "node_entropy_pool_size_bits",
    "node_filefd_maximum",
    "node_filesystem_avail_bytes",
    "node_filesystem_readonly",
    "node_filesystem_size_bytes",
    "node_forks_total",
    "node_load15",
    "node_memory_MemTotal_bytes",
    "node_memory_MemAvailable_bytes",
    "node_netstat_Tcp_InSegs",
    "node_network_info",
    "node_network_mtu_bytes",
    "node_network_receive_bytes_total",
    "node_network_up",
    "node_sockstat_sockets_used",
    "node_uname_info",
    "node_vmstat_pgfault",
];

/// The beginnings of metrics that rise and fall. A sample of them may be outside the range of the samples before and after.
const MOVING: [&str; 11] = [
    "node_memory_",
    "node_load",
    "node_procs_",
    "node_filesystem_free",
    "node_filesystem_avail",
    "node_filesystem_files_free",
    "node_sockstat_",
    "node_filefd_allocated",
    "node_netstat_Tcp_CurrEstab",
    "node_disk_io_now",
    "node_entropy_available",
];

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

/// Reads the page of node_exporter, whose labels are sorted as ours are.
fn page(port: u16) -> Result<Series> {
    let page = http::get(port, "/metrics")?;
    let lines = page.lines().filter(|line| line.starts_with("node_"));
    let series = |line: &str| {
        let (series, number) = line.rsplit_once(' ').context("a line has no value")?;
        let series = match series.split_once('{') {
            None => format!("{series}{{}}"),
            Some((name, labels)) => {
                let labels = labels.trim_end_matches('}');
                let labels = labels.strip_suffix('"').unwrap_or(labels).split("\",");
                let labels = labels.filter(|label| !label.ends_with("=\"")).map(|label| format!("{label}\""));
                format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","))
            }
        };
        Ok((series, number.parse()?))
    };
    lines.map(series).collect()
}

/// Reads all samples of the system source.
async fn read(task: &mut Task) -> Result<Series> {
    let samples = task.collect().await.outcome?;
    let series = samples.iter().map(|sample| {
        let labels = sample.labels.iter().filter(|(_, text)| !text.is_empty());
        let labels = labels.map(|(label, text)| format!("{label}=\"{}\"", text.replace('\\', "\\\\")));
        (format!("{}{{{}}}", sample.name, labels.collect::<Vec<_>>().join(",")), sample.value.as_f64())
    });
    Ok(series.collect())
}

#[test]
fn a_system_source_has_the_samples_of_node_exporter() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Application::node_exporter(&sandbox)?;
    let source =
        json!({"name": "host", "intervalMs": 15_000, "timeoutMs": 15_000, "staleAfterMs": 60_000, "system": {}});
    let mut task = Task::new(serde_json::from_value(source)?, NameFilter::all(), SourceSettings::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Other tests create and remove devices, so this waits until there was no change.
    sandbox.wait_for("the same devices before and after", || {
        let before = page(exporter.port)?;
        let ours = runtime.block_on(read(&mut task))?;
        let after = page(exporter.port)?;
        let ours = without_unknown_labels(&before, ours);
        let names = |series: &Series| series.keys().cloned().collect::<BTreeSet<_>>();
        ensure!(names(&before) == names(&after), "{:?}", names(&before).symmetric_difference(&names(&after)));
        agree(&ours, &before, &after)
    })
}

/// Removes the label adminstate if node_exporter does not have it: Debian's version may be older.
fn without_unknown_labels(theirs: &Series, ours: Series) -> Series {
    if theirs.keys().any(|series| series.contains("adminstate=\"")) {
        return ours;
    }
    let states = ["up", "down", "unknown"].map(|state| format!("adminstate=\"{state}\","));
    ours.into_iter()
        .map(|(series, number)| (states.iter().fold(series, |series, state| series.replace(state, "")), number))
        .collect()
}

/// Returns the tolerance of a comparison. The kernel may decrease the times in idle and iowait, and both programs keep the
/// highest value that they have seen.
fn tolerance(series: &str, number: f64) -> f64 {
    let may_decrease = ["idle", "iowait"].iter().any(|mode| series.contains(&format!("mode=\"{mode}\"")));
    if may_decrease { 3.0 } else { number.abs() * 1e-9 }
}

fn agree(ours: &Series, before: &Series, after: &Series) -> Result<()> {
    for required in NAMES {
        ensure!(ours.keys().any(|series| name(series) == required), "our samples have no {required}");
    }
    // node_exporter shows only some statistics of protocols and memory events. It reads multicasts in another way, which
    // leaves out devices without any. Debian's version leaves out lo and more mount points.
    let may_be_missing = |series: &str| {
        let names = ["node_vmstat_", "node_netstat_", "node_network_receive_multicast_total"];
        let points = ["/run", "/mnt", "/media"].map(|point| format!("mountpoint=\"{point}"));
        names.iter().any(|name| series.starts_with(name))
            || points.iter().any(|point| series.contains(point))
            || series.contains("{device=\"lo\"}")
    };
    let names: BTreeSet<_> = ours.keys().map(|series| name(series)).collect();
    for theirs in before.keys().filter(|series| names.contains(name(series))) {
        ensure!(ours.contains_key(theirs), "only node_exporter has {theirs}");
    }
    let mut compared = 0;
    for (series, number) in ours.iter().filter(|(series, _)| series.starts_with("node_")) {
        let Some((before, after)) = before.get(series).zip(after.get(series)) else {
            ensure!(may_be_missing(series), "node_exporter does not have {series}");
            continue;
        };
        let (least, most) = (before.min(*after), before.max(*after));
        let holds = if MOVING.iter().any(|moving| series.starts_with(moving)) {
            // This range is narrow enough to notice another unit.
            *number >= least / 2.0 - 1e8 && *number <= most * 2.0 + 1e8
        } else {
            *number >= least - tolerance(series, least) && *number <= most + tolerance(series, most)
        };
        ensure!(holds, "{series} is {number}, but must be between {before} and {after}");
        compared += 1;
    }
    ensure!(compared > 150, "only {compared} series were compared");
    Ok(())
}
