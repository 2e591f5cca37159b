//! Waiting for a cluster, with a deadline.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::Cluster;

/// How long anything of a cluster may take: images are unpacked and programs of a hundred megabytes are read, on a machine
/// that compiles beside it.
pub(super) const PATIENCE: Duration = Duration::from_mins(3);
pub(super) const POLL: Duration = Duration::from_millis(100);

/// Asks `probe` again and again until it succeeds. At the deadline the error says what was waited for and what was seen
/// last.
pub(super) fn patiently<T>(what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe() {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > deadline => bail!("waited {PATIENCE:?} for {what}; last seen: {error:#}"),
            Err(_) => thread::sleep(POLL),
        }
    }
}

impl Cluster {
    /// Asks `probe` again and again until it succeeds. At the deadline the error says what was waited for, what the probe
    /// saw last, how the pods are and what happened last in the cluster.
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Result<T>) -> Result<T> {
        patiently(what, probe).map_err(|error| error.context(self.condition()))
    }

    /// How the pods are, and the last events.
    fn condition(&self) -> String {
        let show = |arguments: &[&str]| self.kubectl(arguments).unwrap_or_else(|error| format!("{error:#}"));
        let events = show(&["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]);
        let lines: Vec<&str> = events.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        format!("{}\n{last}", show(&["get", "pods", "--all-namespaces", "--output=wide"]))
    }
}
