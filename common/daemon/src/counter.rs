//! Counters that are shared between threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that any thread may increment and read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the value as a Counter32, which wraps around at 2³².
    #[allow(clippy::cast_possible_truncation, reason = "a Counter32 wraps around")]
    pub fn wrapped(&self) -> u32 {
        self.get() as u32
    }
}
