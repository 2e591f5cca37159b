//! What is written and not yet settled, on the disk: what is found there after a crash is put back.

use std::sync::Mutex;

use agentx::Oid;
use serde::{Deserialize, Serialize};

use super::Text;
use crate::{config::SubtreeName, state::StateFolder};

/// An object, and what is to be put back. No `Debug`: it holds values.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Which transaction it is of.
    pub(super) transaction: u64,
    pub(super) subtree: SubtreeName,
    pub(super) object: Oid,
    /// None: the key was not there.
    pub(super) old: Option<Text>,
}

/// The journal of all connections.
pub(super) struct Journal {
    state: StateFolder,
    entries: Mutex<Vec<Entry>>,
}

impl Journal {
    /// As it was left.
    pub(super) fn open(state: StateFolder) -> Self {
        let entries = Mutex::new(state.load_writes());
        Self { state, entries }
    }

    /// What was not settled.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// A number that no transaction in it has.
    pub(super) fn next_transaction(&self) -> u64 {
        self.lock().iter().map(|entry| entry.transaction).max().unwrap_or(0) + 1
    }

    /// Takes down what is about to be written. Whether it is on the disk; if not it is not in the journal.
    pub(super) async fn begin(&self, entries: Vec<Entry>) -> bool {
        let Some(transaction) = entries.first().map(|entry| entry.transaction) else { return true };
        self.lock().extend(entries);
        let all = self.entries();
        if self.state.save_writes(&all).await {
            return true;
        }
        self.lock().retain(|entry| entry.transaction != transaction);
        false
    }

    /// Forgets those that `settled` picks. If the disk fails they come back after a crash: it is said.
    pub(super) async fn settle(&self, settled: impl Fn(&Entry) -> bool) {
        let before = self.lock().len();
        self.lock().retain(|entry| !settled(entry));
        let all = self.entries();
        if all.len() < before && !self.state.save_writes(&all).await {
            tracing::error!("the journal of SETs cannot be saved: after a crash an old value may be put back");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
