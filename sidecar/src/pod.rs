//! Which pod this is.

use std::fs;

/// The pod's name: what was `given`, or else the host's name, which in a pod is the same unless its spec says
/// otherwise.
#[must_use]
pub fn name(given: Option<&str>) -> String {
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim_end().to_owned());
    given.map_or_else(|| host().unwrap_or_default(), str::to_owned)
}
