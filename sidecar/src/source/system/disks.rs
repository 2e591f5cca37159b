//! Disks, from /proc/diskstats (Documentation/admin-guide/iostats.rst of Linux).

use super::sink::{Files, Sink, Text, seconds};
use crate::source::error::SourceError;

/// The size of a sector in /proc/diskstats, in bytes. It does not depend on the disk.
const SECTOR: u64 = 512;

/// The unit of a column.
#[derive(Clone, Copy)]
enum Unit {
    One,
    Sectors,
    Milliseconds,
}

/// The columns after the device name.
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

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    if !sink.wants(&["node_disk_"]) {
        return Ok(());
    }
    match files.proc("diskstats")? {
        Some(text) => read(&text, sink),
        None => Ok(()),
    }
}

/// Parses /proc/diskstats. Linux has 11 columns up to 4.17, 15 up to 5.4, and 17 since then.
pub(super) fn read(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    for line in text.lines() {
        let mut words = line.words().skip(2);
        let Some(device) = words.next() else { continue };
        if is_ignored(device) {
            continue;
        }
        for ((name, unit), word) in COLUMNS.iter().zip(words) {
            let count = line.integer(Some(word))?;
            match unit {
                Unit::One => sink.integer(name, &[("device", device)], count)?,
                Unit::Sectors => sink.integer(name, &[("device", device)], count.saturating_mul(SECTOR))?,
                Unit::Milliseconds => sink.number(name, &[("device", device)], seconds(count, 1000))?,
            }
        }
    }
    Ok(())
}

/// Returns whether the device is a memory disk, loop device, floppy, or a partition such as sda1, vdb2 or nvme0n1p3.
fn is_ignored(device: &str) -> bool {
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
