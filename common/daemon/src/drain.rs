//! Graceful shutdown: a trigger, any number of watchers that finish their work, and a deadline.

use std::time::Duration;

use tokio::sync::watch;

/// Returns a trigger and its first watcher.
#[must_use]
pub fn channel() -> (Trigger, Watcher) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Watcher(receiver))
}

/// Starts the drain.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Waits for the drain to start. The drain waits until all watchers are dropped.
#[derive(Debug, Clone)]
pub struct Watcher(watch::Receiver<bool>);

/// Not all watchers were dropped before the deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{watchers} parts of the program did not finish within {deadline:?}")]
pub struct Overdue {
    /// The number of remaining watchers.
    pub watchers: usize,
    /// The time that the watchers had.
    pub deadline: Duration,
}

impl Trigger {
    /// Starts the drain, and waits until all watchers are dropped.
    ///
    /// # Errors
    /// Returns an error if that takes longer than `deadline`.
    pub async fn drain(self, deadline: Duration) -> Result<(), Overdue> {
        self.0.send_replace(true);
        let finished = tokio::time::timeout(deadline, self.0.closed()).await;
        finished.map_err(|_| Overdue { watchers: self.0.receiver_count(), deadline })
    }
}

impl Watcher {
    /// Waits for the drain to start. Dropping the trigger starts it too. Cancel safe.
    pub async fn triggered(&mut self) {
        // An error means that the trigger was dropped.
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
    async fn dropping_the_trigger_starts_the_drain() {
        let (trigger, mut watcher) = channel();
        drop(trigger);
        watcher.triggered().await;
    }

    #[tokio::test]
    async fn a_watcher_that_is_cloned_before_the_drain_sees_it_later() {
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
