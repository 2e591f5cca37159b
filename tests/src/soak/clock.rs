//! The clock of a soak and the signals that end it.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A point in time, in milliseconds. Each page shows the moment at which it was made, so that the age of a value is known.
pub(super) type Moment = u64;

/// The first moment. It is large, so that no page shows 0 or another small number.
const FIRST: Moment = 1_000_000;

/// A clock that counts moments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    /// Starts the clock.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the current moment.
    pub(super) fn now(&self) -> Moment {
        FIRST.saturating_add(millis(self.0.elapsed()))
    }
}

/// Returns a duration in milliseconds.
pub(super) fn millis(time: Duration) -> Moment {
    Moment::try_from(time.as_millis()).unwrap_or(Moment::MAX)
}

/// A signal that stops actors.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopSignal {
    /// Sends the signal.
    pub(super) fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Returns whether the signal was sent.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time`, or until the signal is sent. Returns whether it was sent.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
