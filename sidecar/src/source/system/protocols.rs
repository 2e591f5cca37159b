//! Protocols and sockets, from /proc/net/netstat, snmp, snmp6, sockstat and sockstat6.

use super::sink::{Files, Sink, Text};
use crate::{sample::Number, source::error::SourceError};

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    if sink.wants(&["node_netstat_"]) {
        for name in ["net/netstat", "net/snmp"] {
            if let Some(text) = files.proc(name)? {
                pairs(&text, sink)?;
            }
        }
        if let Some(text) = files.proc("net/snmp6")? {
            version_6(&text, sink)?;
        }
    }
    if sink.wants(&["node_sockstat_"]) {
        for name in ["net/sockstat", "net/sockstat6"] {
            if let Some(text) = files.proc(name)? {
                sockets(&text, sink)?;
            }
        }
    }
    Ok(())
}

/// Parses pairs of lines with names and numbers: `Tcp: InSegs OutSegs` and `Tcp: 5 7`.
pub(super) fn pairs(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut lines = text.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let (mut words, mut counted) = (names.words(), numbers.words());
        let protocol = words.next().and_then(|word| word.strip_suffix(':'));
        let protocol = protocol.ok_or_else(|| names.error("no colon after the protocol"))?;
        if counted.next().and_then(|word| word.strip_suffix(':')) != Some(protocol) {
            return Err(numbers.error("the protocol differs from that of the line before"));
        }
        for name in words {
            let word = counted.next().ok_or_else(|| numbers.error("fewer numbers than names"))?;
            let number = word.parse().map(Number::Signed).or_else(|_| word.parse().map(Number::Unsigned));
            let number = number.map_err(|_| numbers.error("a value is not an integer"))?;
            sink.push(&format!("node_netstat_{protocol}_{name}"), &[], number)?;
        }
    }
    Ok(())
}

/// Parses lines such as `Ip6InReceives 5`. The protocol ends with the 6.
pub(super) fn version_6(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    for line in text.lines() {
        let mut words = line.words();
        let Some(name) = words.next() else { continue };
        let Some((protocol, name)) = name.split_once('6') else { continue };
        sink.integer(&format!("node_netstat_{protocol}6_{name}"), &[], line.integer(words.next())?)?;
    }
    Ok(())
}

/// Parses lines such as `TCP: inuse 1 orphan 0`. Memory is in pages.
pub(super) fn sockets(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let page = i64::try_from(rustix::param::page_size()).unwrap_or(4096);
    for line in text.lines() {
        let mut words = line.words();
        let Some(protocol) = words.next() else { continue };
        let protocol = protocol.strip_suffix(':').ok_or_else(|| line.error("no colon after the protocol"))?;
        while let Some(name) = words.next() {
            // Some kernels count memory per processor, and the sum can be negative for a moment.
            let number = line.signed(words.next())?;
            sink.push(&format!("node_sockstat_{protocol}_{name}"), &[], Number::Signed(number))?;
            if name == "mem" {
                let bytes = Number::Signed(number.saturating_mul(page));
                sink.push(&format!("node_sockstat_{protocol}_mem_bytes"), &[], bytes)?;
            }
        }
    }
    Ok(())
}
