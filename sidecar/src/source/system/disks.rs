//! Disks, from /proc/diskstats (Documentation/admin-guide/iostats.rst of Linux).

use super::sink::{Files, Sink, Text, seconds};
use crate::source::Cause;

/// The kernel's sectors, whatever the disk's are.
const SECTOR: u64 = 512;

/// What a column is counted in.
#[derive(Clone, Copy)]
enum Unit {
    One,
    Sectors,
    Milliseconds,
}

/// The columns behind the name, in their order.
const COLUMNS: [(&str, Unit); 17] = [
    ("node_disk_reads_completed_total", Unit::One),
    ("node_disk_reads_merged_total", Unit::One),
    ("node_disk_read_bytes_total", Unit::Sectors),
    ("node_disk_read_time_seconds_total", Unit::Milliseconds),
    ("node_disk_writes_completed_total", Unit::One),
    ("node_disk_writes_merged_total", Unit::One),
    ("node_disk_written_bytes_total", Unit::Sectors),
    ("node_disk_write_time_seconds_total", Unit::Milliseconds),
    ("node_disk_io_now", Unit::One),
    ("node_disk_io_time_seconds_total", Unit::Milliseconds),
    ("node_disk_io_time_weighted_seconds_total", Unit::Milliseconds),
    ("node_disk_discards_completed_total", Unit::One),
    ("node_disk_discards_merged_total", Unit::One),
    ("node_disk_discarded_sectors_total", Unit::One),
    ("node_disk_discard_time_seconds_total", Unit::Milliseconds),
    ("node_disk_flush_requests_total", Unit::One),
    ("node_disk_flush_requests_time_seconds_total", Unit::Milliseconds),
];

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), Cause> {
    if !sink.wants(&["node_disk_"]) {
        return Ok(());
    }
    match files.proc("diskstats")? {
        Some(text) => read(&text, sink),
        None => Ok(()),
    }
}

/// As many columns as the kernel has: 11 up to Linux 4.17, 15 up to 5.4, 17 since.
pub(super) fn read(text: &Text, sink: &mut Sink<'_>) -> Result<(), Cause> {
    for line in text.lines() {
        let mut words = line.words().skip(2);
        let Some(device) = words.next() else { continue };
        if is_passed_over(device) {
            continue;
        }
        for ((name, unit), word) in COLUMNS.iter().zip(words) {
            let counted = line.integer(Some(word))?;
            match unit {
                Unit::One => sink.integer(name, &[("device", device)], counted)?,
                Unit::Sectors => sink.integer(name, &[("device", device)], counted.saturating_mul(SECTOR))?,
                Unit::Milliseconds => sink.number(name, &[("device", device)], seconds(counted, 1000))?,
            }
        }
    }
    Ok(())
}

/// Memory disks, loops and floppies; partitions, as sda1, vdb2 and nvme0n1p3.
fn is_passed_over(device: &str) -> bool {
    let name = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.len() == device.len() {
        return false;
    }
    let is_partition = ["hd", "sd", "vd", "xvd"].iter().any(|kind| {
        let disk = name.strip_prefix(kind);
        disk.is_some_and(|disk| disk.len() == 1 && disk.bytes().all(|b| b.is_ascii_lowercase()))
    });
    let is_nvme = name.strip_prefix("nvme").and_then(|rest| rest.strip_suffix('p')).is_some_and(|disk| {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        disk.split_once('n').is_some_and(|(controller, namespace)| digits(controller) && digits(namespace))
    });
    matches!(name, "ram" | "loop" | "fd") || is_partition || is_nvme
}
