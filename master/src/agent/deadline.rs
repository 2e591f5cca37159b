//! One timer for all deadlines of the agent thread.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

/// A timer that expires at the earliest time it was set to.
///
/// A deadline that moves to a later time does not reset the timer, because this happens with every request. The timer
/// then expires once too early, which does no harm.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Cell<Option<Instant>>,
    /// The waiting task.
    waker: RefCell<Option<Waker>>,
}

impl Deadline {
    /// Makes the timer expire at `at`, unless it expires earlier.
    pub(crate) fn set(&self, at: Option<Instant>) {
        let Some(at) = at.filter(|at| self.at.get().is_none_or(|before| *at < before)) else { return };
        self.at.set(Some(at));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until the timer expires, and clears it. Only one task may wait.
    pub(crate) async fn expired(&self) {
        let mut sleep = pin!(sleep_until(tokio::time::Instant::now() + Duration::from_hours(1)));
        poll_fn(|cx| {
            if let Some(at) = self.at.get().map(tokio::time::Instant::from_std) {
                if sleep.deadline() != at {
                    sleep.as_mut().reset(at);
                }
                if sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.at.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::{task::LocalSet, time::timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn expires_at_the_earliest_time_it_was_set_to() {
        let start = tokio::time::Instant::now();
        let at = |seconds| Some((start + Duration::from_secs(seconds)).into_std());
        let expirations = async {
            let deadline = Rc::new(Deadline::default());
            let waiting = tokio::task::spawn_local({
                let deadline = Rc::clone(&deadline);
                async move {
                    deadline.expired().await;
                    let first = start.elapsed().as_secs();
                    deadline.expired().await;
                    (first, start.elapsed().as_secs())
                }
            });
            // The task waits before the timer is set.
            tokio::task::yield_now().await;
            for seconds in [9, 5, 7] {
                deadline.set(at(seconds));
                tokio::task::yield_now().await;
            }
            deadline.set(None);
            tokio::time::sleep(Duration::from_secs(6)).await;
            deadline.set(at(8));
            waiting.await.unwrap()
        };
        assert_eq!(timeout(LONG, LocalSet::new().run_until(expirations)).await, Ok((5, 8)));
    }
}
