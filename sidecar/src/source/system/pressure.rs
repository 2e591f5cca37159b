//! Pressure stall information, from /proc/pressure (Documentation/accounting/psi.rst of Linux).

use super::sink::{Files, Sink, Text, seconds};
use crate::source::error::SourceError;

/// The files, and the sample names of the times in which some tasks and all tasks were stalled. Interrupts have only
/// the latter.
const RESOURCES: [(&str, Option<&str>, Option<&str>); 4] = [
    ("cpu", Some("node_pressure_cpu_waiting_seconds_total"), None),
    ("io", Some("node_pressure_io_waiting_seconds_total"), Some("node_pressure_io_stalled_seconds_total")),
    ("irq", None, Some("node_pressure_irq_stalled_seconds_total")),
    ("memory", Some("node_pressure_memory_waiting_seconds_total"), Some("node_pressure_memory_stalled_seconds_total")),
];

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    for (resource, waiting, stalled) in RESOURCES {
        let wanted = [waiting, stalled].into_iter().flatten().any(|name| sink.wants(&[name]));
        if wanted && let Some(text) = files.proc(&format!("pressure/{resource}"))? {
            read(&text, waiting, stalled, sink)?;
        }
    }
    Ok(())
}

/// Parses lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=5`. The total is in microseconds.
pub(super) fn read(
    text: &Text,
    waiting: Option<&str>,
    stalled: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    for line in text.lines() {
        let mut words = line.words();
        let name = match words.next() {
            Some("some") => waiting,
            Some("full") => stalled,
            _ => None,
        };
        let Some(name) = name else { continue };
        let total = words.find_map(|word| word.strip_prefix("total="));
        sink.number(name, &[], seconds(line.integer(total)?, 1_000_000))?;
    }
    Ok(())
}
