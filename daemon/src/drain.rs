//! Ending in good order: one trigger, any number of watchers that finish their work, and a deadline.

use std::time::Duration;

use tokio::sync::watch;

/// A trigger and the first of its watchers.
#[must_use]
pub fn channel() -> (Trigger, Watcher) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Watcher(receiver))
}

/// Starts the drain.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Learns of the drain, and holds it up until dropped.
#[derive(Debug, Clone)]
pub struct Watcher(watch::Receiver<bool>);

/// Watchers were still there when the deadline came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{watchers} parts of the program had not finished after {deadline:?}")]
pub struct Overdue {
    /// How many.
    pub watchers: usize,
    /// How long they were given.
    pub deadline: Duration,
}

impl Trigger {
    /// Tells all watchers, and waits until all are dropped.
    ///
    /// # Errors
    /// [`Overdue`] when that takes longer than `deadline`.
    pub async fn drain(self, deadline: Duration) -> Result<(), Overdue> {
        self.0.send_replace(true);
        let finished = tokio::time::timeout(deadline, self.0.closed()).await;
        finished.map_err(|_| Overdue { watchers: self.0.receiver_count(), deadline })
    }
}

impl Watcher {
    /// Waits for the drain to start. A trigger that was dropped counts as one pulled. Cancel safe.
    pub async fn triggered(&mut self) {
        // An error says that the trigger is gone.
        let _ = self.0.wait_for(|triggered| *triggered).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_every_watcher() {
        let (trigger, watcher) = channel();
        let (done, mut finished) = tokio::sync::mpsc::channel(2);
        for work in [10, 500] {
            let (mut watcher, done) = (watcher.clone(), done.clone());
            tokio::spawn(async move {
                watcher.triggered().await;
                tokio::time::sleep(Duration::from_millis(work)).await;
                done.send(work).await.unwrap();
            });
        }
        drop((watcher, done));
        assert_eq!(trigger.drain(DEADLINE).await, Ok(()));
        assert_eq!((finished.recv().await, finished.recv().await, finished.recv().await), (Some(10), Some(500), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_does_not_finish_is_counted_at_the_deadline() {
        let (trigger, _held) = channel();
        assert_eq!(trigger.drain(DEADLINE).await, Err(Overdue { watchers: 1, deadline: DEADLINE }));
    }

    #[tokio::test]
    async fn a_trigger_that_is_dropped_counts_as_pulled() {
        let (trigger, mut watcher) = channel();
        drop(trigger);
        watcher.triggered().await;
    }

    #[tokio::test]
    async fn a_watcher_that_comes_late_learns_of_the_drain() {
        let (trigger, watcher) = channel();
        let mut late = watcher.clone();
        let drain = tokio::spawn(trigger.drain(DEADLINE));
        drop(watcher);
        late.triggered().await;
        late.triggered().await;
        drop(late);
        assert_eq!(drain.await.unwrap(), Ok(()));
    }
}
