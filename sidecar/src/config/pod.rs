//! The name of the pod.

use std::fs;

/// Returns the pod's name: `given`, or else the host name, which is the pod's name unless the pod's spec sets another.
#[must_use]
pub(crate) fn name(given: Option<&str>) -> String {
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim_end().to_owned());
    given.map_or_else(|| host().unwrap_or_default(), str::to_owned)
}
