//! Tells whoever watches that a thread still runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A sign of life. One thread beats; another looks how long ago that was, and ends the process if it is too long
/// ([`crate::watchdog`]). Clones share it.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    start: Instant,
    /// Milliseconds from the start to the last beat.
    last: AtomicU64,
}

impl Heartbeat {
    /// The first beat is now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Beats { start: Instant::now(), last: AtomicU64::new(0) }))
    }

    /// Beats.
    pub fn beat(&self) {
        let since_start = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(since_start, Ordering::Relaxed);
    }

    /// How long ago the last beat was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.start.elapsed().saturating_sub(Duration::from_millis(self.0.last.load(Ordering::Relaxed)))
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_as_old_as_its_last_beat() {
        let heartbeat = Heartbeat::new();
        while heartbeat.age() < Duration::from_millis(20) {
            std::thread::yield_now();
        }
        heartbeat.clone().beat();
        assert!(heartbeat.age() < Duration::from_secs(10));
        let aged = heartbeat.age();
        while heartbeat.age() <= aged {
            std::thread::yield_now();
        }
    }
}
