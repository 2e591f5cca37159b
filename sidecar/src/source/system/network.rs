//! Network devices, from /proc/net/dev and /sys/class/net.

use std::fs;

use super::sink::{Files, Sink, Text, file_error};
use crate::{sample::Number, source::error::SourceError};

/// The columns of /proc/net/dev.
const COLUMNS: [&str; 16] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// The files of a device in /sys/class/net, and the names of their samples.
const ATTRIBUTES: [(&str, &str); 17] = [
    ("addr_assign_type", "node_network_address_assign_type"),
    ("carrier", "node_network_carrier"),
    ("carrier_changes", "node_network_carrier_changes_total"),
    ("carrier_down_count", "node_network_carrier_down_changes_total"),
    ("carrier_up_count", "node_network_carrier_up_changes_total"),
    ("dev_id", "node_network_device_id"),
    ("dormant", "node_network_dormant"),
    ("flags", "node_network_flags"),
    ("ifindex", "node_network_iface_id"),
    ("iflink", "node_network_iface_link"),
    ("link_mode", "node_network_iface_link_mode"),
    ("mtu", "node_network_mtu_bytes"),
    ("name_assign_type", "node_network_name_assign_type"),
    ("statistics/rx_nohandler", "node_network_receive_nohandler_total"),
    ("netdev_group", "node_network_net_dev_group"),
    ("tx_queue_len", "node_network_transmit_queue_length"),
    ("type", "node_network_protocol_type"),
];

/// The labels of node_network_info, which are also the names of their files. The label adminstate is computed from the
/// flags.
const INFO: [&str; 5] = ["address", "broadcast", "duplex", "ifalias", "operstate"];

/// The flag of a device that is set up: IFF_UP in Linux's if.h.
const UP: i128 = 1;

/// One megabit per second in octets per second.
const MEGABIT: i64 = 1_000_000 / 8;

/// The maximum number of devices.
const MAX_DEVICES: usize = 4096;

pub(super) fn collect(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    if sink.wants(&COLUMNS)
        && let Some(text) = files.proc("net/dev")?
    {
        read(&text, sink)?;
    }
    let attributes = ATTRIBUTES.map(|(_, name)| name);
    if sink.wants(&attributes) || sink.wants(&["node_network_info", "node_network_speed_bytes", "node_network_up"]) {
        classes(files, sink)?;
    }
    Ok(())
}

/// Parses /proc/net/dev: two lines of headings, then one line per device.
pub(super) fn read(text: &Text, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    for line in text.lines().skip(2) {
        // The name of a device can contain a colon.
        let Some((device, counted)) = line.text.rsplit_once(':') else {
            return Err(line.error("no colon after the device name"));
        };
        let mut words = counted.split_whitespace();
        for name in COLUMNS {
            sink.integer(name, &[("device", device.trim())], line.integer(words.next())?)?;
        }
    }
    Ok(())
}

fn classes(files: &Files<'_>, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let directory = files.roots.sys.join("class/net");
    let Ok(entries) = fs::read_dir(&directory) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // bonding_masters is a file in the directory of the devices.
    let mut devices: Vec<_> = names.filter(|name| directory.join(name).is_dir()).take(MAX_DEVICES + 1).collect();
    if devices.len() > MAX_DEVICES {
        return Err(file_error(&directory, &format!("has more than {MAX_DEVICES} devices")));
    }
    devices.sort_unstable();
    for device in devices {
        class(files, &device, sink)?;
    }
    Ok(())
}

fn class(files: &Files<'_>, device: &str, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let attribute = |name: &str| files.sys(&format!("class/net/{device}/{name}"));
    let labels = [("device", device)];
    for (file, name) in ATTRIBUTES {
        if sink.wants(&[name])
            && let Some(text) = attribute(file)?
            && let Some(number) = number(text.whole())
        {
            sink.push(name, &labels, number)?;
        }
    }
    if sink.wants(&["node_network_speed_bytes"])
        && let Some(text) = attribute("speed")?
        && let Ok(megabits) = text.whole().parse::<i64>()
    {
        sink.push("node_network_speed_bytes", &labels, Number::Signed(megabits.saturating_mul(MEGABIT)))?;
    }
    if sink.wants(&["node_network_up"])
        && let Some(text) = attribute("operstate")?
    {
        sink.integer("node_network_up", &labels, u64::from(text.whole() == "up"))?;
    }
    if sink.wants(&["node_network_info"]) {
        let mut texts = Vec::new();
        for label in INFO {
            texts.push((label, attribute(label)?.map(|text| text.whole().to_owned()).unwrap_or_default()));
        }
        let flags = attribute("flags")?.and_then(|text| number(text.whole())?.as_integer());
        let set = flags.map_or("unknown", |flags| if flags & UP == 0 { "down" } else { "up" });
        texts.push(("adminstate", set.to_owned()));
        let labels: Vec<_> =
            labels.into_iter().chain(texts.iter().map(|(label, text)| (*label, text.as_str()))).collect();
        sink.integer("node_network_info", &labels, 1)?;
    }
    Ok(())
}

/// Parses a decimal number, or a hexadecimal one with the prefix 0x.
fn number(text: &str) -> Option<Number> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(Number::Unsigned),
        None => text.parse().ok().map(Number::Signed),
    }
}
