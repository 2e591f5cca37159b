//! Processors, from /proc/stat.

use std::collections::BTreeMap;

use super::sink::{Files, Line, Sink, Text, percent, seconds};
use crate::source::error::SourceError;

/// The number of ticks per second in /proc.
const USER_HZ: u32 = 100;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// The positions of the modes in which a processor is not busy: idle and iowait.
const IDLE: [usize; 2] = [3, 4];
/// If the idle time decreases by fewer ticks, the kernel corrected an estimate. If it decreases by more, the processor
/// was offline and counts again from zero.
const MAX_CORRECTION: u64 = 3 * 100;

/// The ticks of each processor at the previous collection. `cpu` has the sum of all processors.
#[derive(Debug, Default)]
pub(super) struct Previous(BTreeMap<String, Vec<u64>>);

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>, previous: &mut Previous) -> Result<(), SourceError> {
    if !sink.wants(&["node_cpu_", "system_cpu_percent", "system_processor_percent"]) {
        return Ok(());
    }
    match files.proc("stat")? {
        Some(text) => read(&text, sink, previous),
        None => Ok(()),
    }
}

pub(super) fn read(text: &Text, sink: &mut Sink<'_>, previous: &mut Previous) -> Result<(), SourceError> {
    let mut now = BTreeMap::new();
    for line in text.lines().filter(|line| line.text.starts_with("cpu")) {
        let mut words = line.words();
        let name = words.next().unwrap_or_default();
        let before = previous.0.get(name);
        let ticks = without_decreases(before, parse_ticks(&line, words)?);
        if let Some(busy) = before.and_then(|before| busy(before, &ticks)) {
            match name.strip_prefix("cpu") {
                Some("") => sink.number("system_cpu_percent", &[], busy)?,
                Some(cpu) => sink.number("system_processor_percent", &[("cpu", cpu)], busy)?,
                None => {}
            }
        }
        let cpu = name.trim_start_matches("cpu");
        let shown: &[u64] = if cpu.is_empty() { &[] } else { &ticks };
        for (mode, ticks) in MODES.iter().zip(shown) {
            sink.number("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
        for (mode, ticks) in ["user", "nice"].iter().zip(shown.iter().skip(MODES.len())) {
            sink.number("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
        now.insert(name.to_owned(), ticks);
    }
    previous.0 = now;
    Ok(())
}

/// Parses the numbers of a line. There are ten since Linux 2.6.33.
fn parse_ticks<'w>(line: &Line<'_>, words: impl Iterator<Item = &'w str>) -> Result<Vec<u64>, SourceError> {
    let ticks: Vec<_> = words.take(10).map(|word| line.integer(Some(word))).collect::<Result<_, _>>()?;
    if ticks.len() < 4 { Err(line.error("too few words")) } else { Ok(ticks) }
}

/// Returns the ticks, but for each mode at least those before. The kernel sometimes corrects idle and iowait times
/// downwards, because they are estimates. A counter that decreases would look like a restart of the host.
fn without_decreases(before: Option<&Vec<u64>>, ticks: Vec<u64>) -> Vec<u64> {
    let idle = |ticks: &[u64]| ticks.get(IDLE[0]).copied().unwrap_or_default();
    match before.filter(|before| idle(before).saturating_sub(idle(&ticks)) < MAX_CORRECTION) {
        Some(before) => {
            let highest = |(mode, ticks): (usize, u64)| before.get(mode).map_or(ticks, |before| ticks.max(*before));
            ticks.into_iter().enumerate().map(highest).collect()
        }
        None => ticks,
    }
}

/// Returns the percentage of the time between two collections in which a processor was busy. `None`: no time has
/// passed, or the processor counts again from zero.
fn busy(before: &[u64], now: &[u64]) -> Option<f64> {
    let (mut busy, mut all) = (0_u64, 0_u64);
    // The time of guests is included in that of users.
    for (mode, (before, now)) in before.iter().zip(now).take(MODES.len()).enumerate() {
        let passed = now.checked_sub(*before)?;
        all = all.saturating_add(passed);
        if !IDLE.contains(&mode) {
            busy = busy.saturating_add(passed);
        }
    }
    percent(busy, all)
}
