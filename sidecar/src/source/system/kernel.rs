//! The kernel: load, processes, open files, entropy, memory events, its name, and the time.

use std::time::{SystemTime, UNIX_EPOCH};

use super::sink::{Files, Sink, Text};
use crate::source::error::SourceError;

/// Names in /proc/stat, and the names of their samples.
const STAT: [(&str, &str); 6] = [
    ("intr", "node_intr_total"),
    ("ctxt", "node_context_switches_total"),
    ("btime", "node_boot_time_seconds"),
    ("processes", "node_forks_total"),
    ("procs_running", "node_procs_running"),
    ("procs_blocked", "node_procs_blocked"),
];

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let read_if_wanted = |sink: &Sink<'_>, prefixes: &[&str], name: &str| {
        if sink.wants(prefixes) { files.proc(name) } else { Ok(None) }
    };
    if let Some(text) = read_if_wanted(sink, &STAT.map(|(_, name)| name), "stat")? {
        stat(&text, sink)?;
    }
    if let Some(text) = read_if_wanted(sink, &["node_load"], "loadavg")? {
        load(&text, sink)?;
    }
    if let Some(text) = read_if_wanted(sink, &["node_filefd_"], "sys/fs/file-nr")? {
        let line = text.line();
        let mut words = line.words();
        sink.integer("node_filefd_allocated", &[], line.integer(words.next())?)?;
        sink.integer("node_filefd_maximum", &[], line.integer(words.nth(1))?)?;
    }
    for (file, name) in [("entropy_avail", "node_entropy_available_bits"), ("poolsize", "node_entropy_pool_size_bits")]
    {
        if let Some(text) = read_if_wanted(sink, &[name], &format!("sys/kernel/random/{file}"))? {
            sink.integer(name, &[], text.line().integer(Some(text.whole()))?)?;
        }
    }
    if let Some(text) = read_if_wanted(sink, &["node_vmstat_"], "vmstat")? {
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

pub(super) fn stat(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    for line in text.lines() {
        let mut words = line.words();
        let first = words.next();
        if let Some((_, name)) = STAT.iter().find(|(word, _)| Some(*word) == first) {
            sink.integer(name, &[], line.integer(words.next())?)?;
        }
    }
    Ok(())
}

pub(super) fn load(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let line = text.line();
    let mut words = line.words();
    for name in ["node_load1", "node_load5", "node_load15"] {
        sink.number(name, &[], line.number(words.next())?)?;
    }
    Ok(())
}

fn uname(sink: &mut Sink<'_>) -> Result<(), SourceError> {
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
