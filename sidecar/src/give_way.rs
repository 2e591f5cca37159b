//! Long work gives way to the sessions, which may share its processor.
//!
//! A scheduler lets what computes go on for a millisecond or several before another thread has its turn, though that
//! one may have woken to answer a master. So whatever goes over all samples of a page offers its turn again and again.

use std::thread;

/// Steps between two offers: about a tenth of a millisecond's work.
const STEPS: u32 = 256;

/// Counts the small steps of long work, and offers the processor now and then.
#[derive(Debug, Clone, Default)]
pub struct GiveWay {
    steps: u32,
}

impl GiveWay {
    /// A step, as one sample is, has been done.
    pub fn step(&mut self) {
        self.steps += 1;
        if self.steps >= STEPS {
            self.steps = 0;
            thread::yield_now();
        }
    }
}
