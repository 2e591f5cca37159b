//! Waiting for a cluster with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::Cluster;

/// The timeout of everything in a cluster. Images are unpacked and large programs are read, perhaps while this machine
/// compiles.
pub(super) const TIMEOUT: Duration = Duration::from_mins(3);
pub(super) const POLL: Duration = Duration::from_millis(100);

/// Calls `probe` until it succeeds. After the timeout it returns an error with `what` it waited for and the last error of the
/// probe.
pub(super) fn wait_until<T>(what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match probe() {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > deadline => bail!("waited {TIMEOUT:?} for {what}; last seen: {error:#}"),
            Err(_) => thread::sleep(POLL),
        }
    }
}

impl Cluster {
    /// Calls `probe` until it succeeds. After the timeout it returns an error with `what` it waited for, the last error of the
    /// probe, the state of the pods and the last Events.
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
        wait_until(what, probe).map_err(|error| error.context(self.condition()))
    }

    /// Returns the state of the pods and the last Events.
    fn condition(&self) -> String {
        let show = |arguments: &[&str]| self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}"));
        let events = show(&["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]);
        let lines: Vec<&str> = events.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        format!("{}\n{last}", show(&["get", "pods", "--all-namespaces", "--output=wide"]))
    }
}
