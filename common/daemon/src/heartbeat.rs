//! Signs of life of a thread.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Signs of life of a thread. The thread calls [`Heartbeat::beat`]; the [`crate::watchdog`] ends the process if the
/// last beat is too old. Clones share the state.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    start: Instant,
    /// Time from the start to the last beat, in milliseconds.
    last: AtomicU64,
}

impl Heartbeat {
    /// Returns a heartbeat whose first beat is now.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Beats { start: Instant::now(), last: AtomicU64::new(0) }))
    }

    /// Records a sign of life.
    pub fn beat(&self) {
        let since_start = u64::try_from(self.0.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last.store(since_start, Ordering::Relaxed);
    }

    /// Returns how long ago the last beat was.
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
