//! System sources beside node_exporter, on this machine.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use harness::{Application, Sandbox, http};
use serde_json::json;
use sidecar::source::{NameFilter, Place, Task};

/// Numbers by name and labels, as `name{label="text",…}`; a label without a text is none.
type Series = BTreeMap<String, f64>;

/// Names that both have, whatever the machine.
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

/// What goes up and down: for it, one reading between two others may be outside of both.
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

/// node_exporter's page, of which the labels are sorted as ours are.
fn page(port: u16) -> Result<Series> {
    let page = http::get(port, "/metrics")?;
    let lines = page.lines().filter(|line| line.starts_with("node_"));
    let series = |line: &str| {
        let (series, number) = line.rsplit_once(' ').context("a line without a number")?;
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

/// All that the machine tells.
async fn read(task: &mut Task) -> Result<Series> {
    let samples = task.scrape().await.outcome?;
    let series = samples.iter().map(|sample| {
        let labels = sample.labels.iter().filter(|(_, text)| !text.is_empty());
        let labels = labels.map(|(label, text)| format!("{label}=\"{}\"", text.replace('\\', "\\\\")));
        (format!("{}{{{}}}", sample.name, labels.collect::<Vec<_>>().join(",")), sample.value.as_f64())
    });
    Ok(series.collect())
}

#[test]
fn the_machine_is_as_node_exporter_sees_it() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let exporter = Application::node_exporter(&sandbox)?;
    let source =
        json!({"name": "host", "intervalMs": 15_000, "timeoutMs": 15_000, "staleAfterMs": 60_000, "system": {}});
    let mut task = Task::new(serde_json::from_value(source)?, NameFilter::all(), Place::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Devices come and go where other tests make some: until none did.
    sandbox.wait_for("the same devices before and after", || {
        let before = page(exporter.port)?;
        let ours = runtime.block_on(read(&mut task))?;
        let after = page(exporter.port)?;
        let ours = as_known_to(&before, ours);
        let names = |series: &Series| series.keys().cloned().collect::<BTreeSet<_>>();
        ensure!(names(&before) == names(&after), "{:?}", names(&before).symmetric_difference(&names(&after)));
        agree(&ours, &before, &after)
    })
}

/// Without the label adminstate, unless theirs have it: Debian's node_exporter may be older.
fn as_known_to(theirs: &Series, ours: Series) -> Series {
    if theirs.keys().any(|series| series.contains("adminstate=\"")) {
        return ours;
    }
    let states = ["up", "down", "unknown"].map(|state| format!("adminstate=\"{state}\","));
    ours.into_iter()
        .map(|(series, number)| (states.iter().fold(series, |series, state| series.replace(state, "")), number))
        .collect()
}

/// How far one reading may be from another. The kernel takes back idle time and waiting for disks, and each keeps the
/// highest that it has seen.
fn tolerance(series: &str, number: f64) -> f64 {
    let taken_back = ["idle", "iowait"].iter().any(|mode| series.contains(&format!("mode=\"{mode}\"")));
    if taken_back { 3.0 } else { number.abs() * 1e-9 }
}

fn agree(ours: &Series, before: &Series, after: &Series) -> Result<()> {
    for required in NAMES {
        ensure!(ours.keys().any(|series| name(series) == required), "no {required}");
    }
    // Of protocols and memory events node_exporter shows some alone. It asks the kernel for multicasts in another way,
    // which leaves out devices that have none.
    // Debian's passes over lo, and over more mount points than others do.
    let some = |series: &str| {
        let names = ["node_vmstat_", "node_netstat_", "node_network_receive_multicast_total"];
        let points = ["/run", "/mnt", "/media"].map(|point| format!("mountpoint=\"{point}"));
        names.iter().any(|some| series.starts_with(some))
            || points.iter().any(|point| series.contains(point))
            || series.contains("{device=\"lo\"}")
    };
    let names: BTreeSet<_> = ours.keys().map(|series| name(series)).collect();
    for theirs in before.keys().filter(|series| names.contains(name(series))) {
        ensure!(ours.contains_key(theirs), "{theirs} is theirs alone");
    }
    let mut compared = 0;
    for (series, number) in ours.iter().filter(|(series, _)| series.starts_with("node_")) {
        let Some((before, after)) = before.get(series).zip(after.get(series)) else {
            ensure!(some(series), "{series} is ours alone");
            continue;
        };
        let (least, most) = (before.min(*after), before.max(*after));
        let holds = if MOVING.iter().any(|moving| series.starts_with(moving)) {
            // Only so far that another unit would be seen.
            *number >= least / 2.0 - 1e8 && *number <= most * 2.0 + 1e8
        } else {
            *number >= least - tolerance(series, least) && *number <= most + tolerance(series, most)
        };
        ensure!(holds, "{series} is {number}, not between {before} and {after}");
        compared += 1;
    }
    ensure!(compared > 150, "only {compared} series are the same");
    Ok(())
}
