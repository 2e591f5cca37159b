//! Processors, from /proc/stat.

use std::collections::BTreeMap;

use super::sink::{Files, Line, Sink, Text, percent, seconds};
use crate::source::Cause;

/// Ticks of a second, as the kernel counts them for programs.
const USER_HZ: u32 = 100;
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: [usize; 2] = [3, 4];

/// Ticks of a processor: those in which it was busy, and all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// What each processor had counted at the reading before; all of them together under `cpu`.
#[derive(Debug, Default)]
pub(super) struct Before(BTreeMap<String, Ticks>);

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
        let counted = counted(&line, words)?;
        let ticks = Ticks {
            busy: (0..8).filter(|mode| !IDLE.contains(mode)).filter_map(|mode| counted.get(mode)).sum(),
            all: counted.iter().take(8).sum(),
        };
        if let Some(busy) = before.0.get(name).and_then(|before| busy(*before, ticks)) {
            match name.strip_prefix("cpu") {
                Some("") => sink.number("system_cpu_percent", &[], busy)?,
                Some(cpu) => sink.number("system_processor_percent", &[("cpu", cpu)], busy)?,
                None => {}
            }
        }
        now.insert(name.to_owned(), ticks);
        let Some(cpu) = name.strip_prefix("cpu").filter(|cpu| !cpu.is_empty()) else { continue };
        for (mode, ticks) in MODES.iter().zip(&counted) {
            sink.number("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
        for (mode, ticks) in ["user", "nice"].iter().zip(counted.iter().skip(MODES.len())) {
            sink.number("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], seconds(*ticks, USER_HZ))?;
        }
    }
    before.0 = now;
    Ok(())
}

/// The line's numbers: ten since Linux 2.6.33.
fn counted<'w>(line: &Line<'_>, words: impl Iterator<Item = &'w str>) -> Result<Vec<u64>, Cause> {
    let counted: Vec<_> = words.take(10).map(|word| line.integer(Some(word))).collect::<Result<_, _>>()?;
    if counted.len() < 4 { Err(line.fault("too few words")) } else { Ok(counted) }
}

/// How much of the time in between a processor was busy; none where no time has passed, or it counts anew.
fn busy(before: Ticks, now: Ticks) -> Option<f64> {
    percent(now.busy.checked_sub(before.busy)?, now.all.checked_sub(before.all)?).map(|busy| busy.min(100.0))
}
