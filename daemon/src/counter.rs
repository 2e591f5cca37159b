//! Counters that are read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread advances and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Where it stands as a Counter32, which begins anew after 2³².
    #[allow(clippy::cast_possible_truncation, reason = "it wraps")]
    pub fn wrapped(&self) -> u32 {
        self.get() as u32
    }
}
