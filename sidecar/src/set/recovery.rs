//! Recovery after a crash: restores the values that SETs in progress had overwritten.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{backend::WriteError, counts::increment, journal::JournalEntry, shared::Shared};

/// The first and the longest delay between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// The timeout of an attempt to restore one object.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(4);

/// Restores every object that the journal held at the start. Each object stays reserved until it is restored.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut left = shared.journal.entries();
    for entry in &left {
        shared.reserve_object(&entry.subtree, &entry.object);
    }
    if !left.is_empty() {
        tracing::warn!(
            objects = left.len(),
            "SETs were in progress when the sidecar stopped; restoring the previous values"
        );
    }
    let (mut wait, mut reported) = (RETRY.0, false);
    while !left.is_empty() {
        sleep(wait).await;
        wait = (wait * 2).min(RETRY.1);
        let mut again = Vec::new();
        // In reverse order of writing.
        for entry in left.into_iter().rev() {
            if restore_entry(&shared, &entry).await {
                shared.journal.settle(|other| *other == entry).await;
                shared.release(&entry.subtree, &entry.object);
            } else {
                again.insert(0, entry);
            }
        }
        left = again;
        // By then the configuration has been read.
        if wait == RETRY.1 && !std::mem::replace(&mut reported, true) {
            let unconfigured = left.iter().filter(|entry| shared.target(entry).is_none());
            for JournalEntry { subtree, object, .. } in unconfigured {
                tracing::error!(
                    %subtree,
                    %object,
                    "cannot restore the previous value of an object: it is no longer configured; the value stays in the journal"
                );
            }
        }
    }
}

/// Restores one object. Returns whether the entry is settled: the object was restored, or the backend refused finally.
async fn restore_entry(shared: &Shared, entry: &JournalEntry) -> bool {
    let subtree = &entry.subtree;
    // The configuration may not have been read yet, and an object that was removed from it may return.
    let Some(target) = shared.target(entry) else { return false };
    let restored = timeout(RESTORE_TIMEOUT, shared.backends.restore(&target, entry.old.as_ref())).await;
    match restored.unwrap_or_else(|_| Err(WriteError::timeout())) {
        Ok(()) => {
            increment(&shared.counts.recovered);
            tracing::warn!(%subtree, object = target.name, "restored the value that the object had before the SET");
            true
        }
        Err(error) if error.is_final() => {
            increment(&shared.counts.not_undone);
            tracing::error!(
                %subtree,
                object = target.name,
                "cannot restore the previous value of an object; it keeps the value of the SET: {error}"
            );
            true
        }
        Err(error) => {
            tracing::warn!(%subtree, object = target.name, "failed to restore the previous value of an object; trying again: {error}");
            false
        }
    }
}
