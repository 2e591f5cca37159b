//! Readiness: a program is ready when it has no blocks. It reports the blocks that it has.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Whether the program is ready. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<Blocks>>);

#[derive(Debug, Default)]
struct Blocks {
    next: u64,
    names: BTreeMap<u64, String>,
}

/// Blocks readiness until it is dropped.
#[derive(Debug)]
#[must_use = "readiness is only blocked until this is dropped"]
pub struct Block {
    readiness: Readiness,
    id: u64,
}

impl Readiness {
    /// Returns the state of a program that is ready until something blocks it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks readiness. `awaited` names what is missing, for example `configuration`.
    pub fn block(&self, awaited: impl Into<String>) -> Block {
        let mut blocks = self.lock();
        let id = blocks.next;
        blocks.next += 1;
        blocks.names.insert(id, awaited.into());
        Block { readiness: self.clone(), id }
    }

    /// Returns what is missing, oldest first. The list is empty if the program is ready.
    #[must_use]
    pub fn awaited(&self) -> Vec<String> {
        self.lock().names.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.readiness.lock().names.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_ready_when_the_last_block_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.awaited().is_empty());
        let configuration = readiness.block("configuration");
        let session = readiness.clone().block("session");
        assert_eq!(readiness.awaited(), ["configuration", "session"]);
        drop(configuration);
        assert_eq!(readiness.awaited(), ["session"]);
        drop(session);
        assert!(readiness.awaited().is_empty());
    }

    #[test]
    fn two_blocks_with_the_same_name_are_independent() {
        let readiness = Readiness::new();
        let (first, _second) = (readiness.block("session"), readiness.block("session"));
        drop(first);
        assert_eq!(readiness.awaited(), ["session"]);
    }
}
