//! One alarm for all deadlines.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

/// Rings at the earliest of the times that it was set to. One that moves away is not worth setting it anew, as one does
/// with every request: it rings too early once.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    at: Cell<Option<Instant>>,
    /// Who waits for it.
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    /// Rings at `at`, unless it does before.
    pub(crate) fn set(&self, at: Option<Instant>) {
        let Some(at) = at.filter(|at| self.at.get().is_none_or(|before| *at < before)) else { return };
        self.at.set(Some(at));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until it rings, and then is set no more. One task may wait.
    pub(crate) async fn rings(&self) {
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
    async fn it_rings_at_the_earliest_of_the_times_that_it_was_set_to() {
        let start = tokio::time::Instant::now();
        let at = |seconds| Some((start + Duration::from_secs(seconds)).into_std());
        let ringing = async {
            let alarm = Rc::new(Alarm::default());
            let rung = tokio::task::spawn_local({
                let alarm = Rc::clone(&alarm);
                async move {
                    alarm.rings().await;
                    let first = start.elapsed().as_secs();
                    alarm.rings().await;
                    (first, start.elapsed().as_secs())
                }
            });
            // The task waits before it is set.
            tokio::task::yield_now().await;
            for seconds in [9, 5, 7] {
                alarm.set(at(seconds));
                tokio::task::yield_now().await;
            }
            alarm.set(None);
            tokio::time::sleep(Duration::from_secs(6)).await;
            alarm.set(at(8));
            rung.await.unwrap()
        };
        assert_eq!(timeout(LONG, LocalSet::new().run_until(ringing)).await, Ok((5, 8)));
    }
}
