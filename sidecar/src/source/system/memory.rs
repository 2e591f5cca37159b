//! Memory, from /proc/meminfo.

use super::sink::{Files, Sink, Text, percent};
use crate::source::error::SourceError;

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    if !sink.wants(&["node_memory_", "system_memory_percent", "system_swap_percent"]) {
        return Ok(());
    }
    match files.proc("meminfo")? {
        Some(text) => read(&text, sink),
        None => Ok(()),
    }
}

pub(super) fn read(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let (mut total, mut available, mut swap, mut free_swap) = (None, None, None, None);
    for line in text.lines() {
        let mut words = line.words();
        let Some(name) = words.next() else { continue };
        let name = name.strip_suffix(':').ok_or_else(|| line.error("no colon after the name"))?;
        let number = line.integer(words.next())?;
        // The name of Active(anon) is Active_anon.
        let mut sample = format!("node_memory_{}", name.replace('(', "_").replace(')', ""));
        let value = match words.next() {
            None => number,
            Some("kB") => {
                sample.push_str("_bytes");
                number.checked_mul(1024).ok_or_else(|| line.error("the number of bytes exceeds 64 bits"))?
            }
            Some(_) => return Err(line.error("the unit is not kB")),
        };
        match name {
            "MemTotal" => total = Some(value),
            "MemAvailable" => available = Some(value),
            "SwapTotal" => swap = Some(value),
            "SwapFree" => free_swap = Some(value),
            _ => {}
        }
        sink.integer(&sample, &[], value)?;
    }
    for (name, whole, free) in [("system_memory_percent", total, available), ("system_swap_percent", swap, free_swap)] {
        if let (Some(whole), Some(free)) = (whole, free)
            && let Some(used) = percent(whole.saturating_sub(free), whole)
        {
            sink.number(name, &[], used)?;
        }
    }
    Ok(())
}
