//! Processors, from /proc/stat.

use std::collections::BTreeMap;

use super::sink::{Files, Line, Sink, Text, percent, seconds};
use crate::source::Cause;

/// Ticks of a second, as the kernel counts them for programs.
const USER_HZ: u32 = 100;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
/// Those of the modes in which it was not busy: idle and iowait.
const IDLE: [usize; 2] = [3, 4];
/// Idle ticks that a processor may lose and still be the same: beyond, it was away and counts anew.
const LOST: u64 = 3 * 100;

/// The ticks of each processor at the reading before; of all of them together under `cpu`.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeMap<String, Vec<u64>>);

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>, before: &mut Before) -> Result<(), Cause> {
    if !sink.wants(&["node_cpu_", "system_cpu_percent", "system_processor_percent"]) {
        return Ok(());
    }
    match files.proc("stat")? {
        Some(text) => read(&text, sink, before),
        None => Ok(()),
    }
}

pub(super) fn read(text: &Text, sink: &mut Sink<'_>, before: &mut Before) -> Result<(), Cause> {
    let mut now = BTreeMap::new();
    for line in text.lines().filter(|line| line.text.starts_with("cpu")) {
        let mut words = line.words();
        let name = words.next().unwrap_or_default();
        let before = before.0.get(name);
        let counted = going_on(before, counted(&line, words)?);
        if let Some(busy) = before.and_then(|before| busy(before, &counted)) {
            match name.strip_prefix("cpu") {
                Some("") => sink.number("system_cpu_percent", &[], busy)?,
                Some(cpu) => sink.number("system_processor_percent", &[("cpu", cpu)], busy)?,
                None => {}
            }
        }
        let cpu = name.trim_start_matches("cpu");
        let shown: &[u64] = if cpu.is_empty() { &[] } else { &counted };
        for (mode, ticks) in MODES.iter().zip(shown) {
            sink.number("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
        for (mode, ticks) in ["user", "nice"].iter().zip(shown.iter().skip(MODES.len())) {
            sink.number("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
        now.insert(name.to_owned(), counted);
    }
    before.0 = now;
    Ok(())
}

/// The line's numbers: ten since Linux 2.6.33.
fn counted<'w>(line: &Line<'_>, words: impl Iterator<Item = &'w str>) -> Result<Vec<u64>, Cause> {
    let counted: Vec<_> = words.take(10).map(|word| line.integer(Some(word))).collect::<Result<_, _>>()?;
    if counted.len() < 4 { Err(line.fault("too few words")) } else { Ok(counted) }
}

/// What was counted, no mode of it less than before. Idle time and waiting for disks are estimates that the kernel
/// corrects downwards; as counters they must not fall, or they would be taken for those of a machine that has restarted.
fn going_on(before: Option<&Vec<u64>>, counted: Vec<u64>) -> Vec<u64> {
    let idle = |ticks: &[u64]| ticks.get(IDLE[0]).copied().unwrap_or_default();
    match before.filter(|before| idle(before).saturating_sub(idle(&counted)) < LOST) {
        Some(before) => {
            let highest = |(at, ticks): (usize, u64)| before.get(at).map_or(ticks, |before| ticks.max(*before));
            counted.into_iter().enumerate().map(highest).collect()
        }
        None => counted,
    }
}

/// How much of the time in between a processor was busy; none where no time has passed, or it counts anew.
fn busy(before: &[u64], now: &[u64]) -> Option<f64> {
    let (mut busy, mut all) = (0_u64, 0_u64);
    // Time of guests is part of that of users.
    for (mode, (before, now)) in before.iter().zip(now).take(MODES.len()).enumerate() {
        let passed = now.checked_sub(*before)?;
        all = all.saturating_add(passed);
        if !IDLE.contains(&mode) {
            busy = busy.saturating_add(passed);
        }
    }
    percent(busy, all)
}
