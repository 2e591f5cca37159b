//! The kernel and its counters: load, processes, files, entropy, memory events, its name, the time.

use std::time::{SystemTime, UNIX_EPOCH};

use super::sink::{Files, Sink, Text};
use crate::source::Cause;

/// Names in /proc/stat, and those of their samples.
const STAT: [(&str, &str); 6] = [
    ("intr", "node_intr_total"),
    ("ctxt", "node_context_switches_total"),
    ("btime", "node_boot_time_seconds"),
    ("processes", "node_forks_total"),
    ("procs_running", "node_procs_running"),
    ("procs_blocked", "node_procs_blocked"),
];

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), Cause> {
    let some = |sink: &Sink<'_>, beginnings: &[&str], name: &str| {
        if sink.wants(beginnings) { files.proc(name) } else { Ok(None) }
    };
    if let Some(text) = some(sink, &STAT.map(|(_, name)| name), "stat")? {
        stat(&text, sink)?;
    }
    if let Some(text) = some(sink, &["node_load"], "loadavg")? {
        load(&text, sink)?;
    }
    if let Some(text) = some(sink, &["node_filefd_"], "sys/fs/file-nr")? {
        let line = text.line();
        let mut words = line.words();
        sink.integer("node_filefd_allocated", &[], line.integer(words.next())?)?;
        sink.integer("node_filefd_maximum", &[], line.integer(words.nth(1))?)?;
    }
    for (file, name) in [("entropy_avail", "node_entropy_available_bits"), ("poolsize", "node_entropy_pool_size_bits")]
    {
        if let Some(text) = some(sink, &[name], &format!("sys/kernel/random/{file}"))? {
            sink.integer(name, &[], text.line().integer(Some(text.whole()))?)?;
        }
    }
    if let Some(text) = some(sink, &["node_vmstat_"], "vmstat")? {
        for line in text.lines() {
            let mut words = line.words();
            let Some(name) = words.next() else { continue };
            sink.integer(&format!("node_vmstat_{name}"), &[], line.integer(words.next())?)?;
        }
    }
    if sink.wants(&["node_uname_info"]) {
        uname(sink)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    sink.number("node_time_seconds", &[], now.as_secs_f64())
}

pub(super) fn stat(text: &Text, sink: &mut Sink<'_>) -> Result<(), Cause> {
    for line in text.lines() {
        let mut words = line.words();
        let first = words.next();
        if let Some((_, name)) = STAT.iter().find(|(word, _)| Some(*word) == first) {
            sink.integer(name, &[], line.integer(words.next())?)?;
        }
    }
    Ok(())
}

pub(super) fn load(text: &Text, sink: &mut Sink<'_>) -> Result<(), Cause> {
    let line = text.line();
    let mut words = line.words();
    for name in ["node_load1", "node_load5", "node_load15"] {
        sink.number(name, &[], line.number(words.next())?)?;
    }
    Ok(())
}

fn uname(sink: &mut Sink<'_>) -> Result<(), Cause> {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let labels = [
        ("domainname", text(uname.domainname())),
        ("machine", text(uname.machine())),
        ("nodename", text(uname.nodename())),
        ("release", text(uname.release())),
        ("sysname", text(uname.sysname())),
        ("version", text(uname.version())),
    ];
    sink.integer("node_uname_info", &labels.each_ref().map(|(label, text)| (*label, text.as_str())), 1)
}
