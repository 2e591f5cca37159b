//! The previous values of SETs in progress, on disk. After a crash, the values in the journal are restored.

use std::sync::{Mutex, MutexGuard, PoisonError};

use agentx::Oid;
use serde::{Deserialize, Serialize};

use super::text::ValueText;
use crate::{config::SubtreeName, state::StateDirectory};

/// An object and its value before the SET. No `Debug`, because it holds values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JournalEntry {
    /// The number of the transaction.
    pub(super) transaction: u64,
    pub(super) subtree: SubtreeName,
    pub(super) object: Oid,
    /// `None`: the key did not exist.
    pub(super) old: Option<ValueText>,
}

/// The journal of all connections.
pub(super) struct Journal {
    state: StateDirectory,
    entries: Mutex<Vec<JournalEntry>>,
}

impl Journal {
    /// Reads the journal from the state directory.
    pub(super) fn open(state: StateDirectory) -> Self {
        let entries = Mutex::new(state.load_writes());
        Self { state, entries }
    }

    /// Returns all entries.
    pub(super) fn entries(&self) -> Vec<JournalEntry> {
        self.lock().clone()
    }

    /// Returns a number that no transaction in the journal has.
    pub(super) fn next_transaction(&self) -> u64 {
        self.lock().iter().map(|entry| entry.transaction).max().unwrap_or(0) + 1
    }

    /// Adds the entries of a transaction. Returns `true` once they are on disk; otherwise they are not added.
    pub(super) async fn begin(&self, entries: Vec<JournalEntry>) -> bool {
        let Some(transaction) = entries.first().map(|entry| entry.transaction) else { return true };
        self.lock().extend(entries);
        let all = self.entries();
        if self.state.save_writes(&all).await {
            return true;
        }
        self.lock().retain(|entry| entry.transaction != transaction);
        false
    }

    /// Removes the entries that `settled` selects. If the disk fails, they return after a crash, which is logged.
    pub(super) async fn settle(&self, settled: impl Fn(&JournalEntry) -> bool) {
        let before = self.lock().len();
        self.lock().retain(|entry| !settled(entry));
        let all = self.entries();
        if all.len() < before && !self.state.save_writes(&all).await {
            tracing::error!("failed to save the journal of SETs; a crash now may restore an outdated value");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JournalEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
