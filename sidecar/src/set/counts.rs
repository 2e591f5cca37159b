//! Counters of SETs and their outcomes.

use std::sync::atomic::{AtomicU64, Ordering};

/// The numbers of SETs, and of objects of SETs, by outcome.
#[derive(Debug, Default)]
pub(crate) struct SetCounts {
    /// SETs that were written.
    pub(super) committed: AtomicU64,
    /// Tests that were refused.
    pub(super) refused: AtomicU64,
    /// Commits that failed.
    pub(super) failed: AtomicU64,
    /// SETs that were undone, by the master or because its connection ended.
    pub(super) undone: AtomicU64,
    /// Objects whose previous value could not be restored.
    pub(super) not_undone: AtomicU64,
    /// Objects whose previous value was restored after a crash.
    pub(super) recovered: AtomicU64,
}

impl SetCounts {
    /// Returns every counter's name and value.
    pub(crate) fn results(&self) -> [(&'static str, u64); 6] {
        let named = [
            ("committed", &self.committed),
            ("refused", &self.refused),
            ("failed", &self.failed),
            ("undone", &self.undone),
            ("not_undone", &self.not_undone),
            ("recovered", &self.recovered),
        ];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// Adds one to a counter.
pub(super) fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
