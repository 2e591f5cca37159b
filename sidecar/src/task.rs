//! Helpers for tasks: yielding the processor and propagating panics.

use std::thread;

use tokio::task::JoinError;

/// The number of steps between two yields: about 0.1 ms of work.
const STEPS: u32 = 256;

/// A counter of steps that yields the processor now and then during long computations.
///
/// The sessions run on another thread, which may share the processor. A scheduler may let a computation continue for
/// several milliseconds although that thread has woken up to answer a master. So everything that iterates over all samples
/// of a page calls [`Self::step`]. Tokio's cooperative scheduling does not help here: it yields to tasks of the same thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cooperate {
    steps: u32,
}

impl Cooperate {
    /// Counts a step, such as one sample, and yields after every 256 steps.
    pub(crate) fn step(&mut self) {
        self.steps += 1;
        if self.steps >= STEPS {
            self.steps = 0;
            thread::yield_now();
        }
    }
}

/// Resumes the panic that ended a task, if any. Its owner cannot continue without the task.
pub(crate) fn resume_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}
