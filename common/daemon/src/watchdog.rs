//! Ends the process when one of its threads hangs, so that the kubelet restarts it. Peers notice a process that ended
//! immediately, but would wait for a process that hangs.

use std::{thread, time::Duration};

use crate::heartbeat::Heartbeat;

/// Time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How many checks in a row must find a thread overdue. It is more than one, because all threads are briefly overdue
/// after a pause of the whole process, for example when the machine was suspended.
const OVERDUE_CHECKS: u32 = 4;
/// The exit status of a process that the watchdog ended: EX_SOFTWARE of sysexits.h.
pub const EXIT_STATUS: i32 = 70;

/// A thread that must show signs of life.
#[derive(Debug)]
pub struct Watched {
    /// The thread's name in the log.
    pub name: &'static str,
    /// The longest time between two signs of life.
    pub limit: Duration,
    /// The signs of life.
    pub heartbeat: Heartbeat,
}

/// How many checks in a row found each thread overdue.
#[derive(Debug, Default)]
struct OverdueCounts(Vec<u32>);

impl OverdueCounts {
    /// Takes the result of a check for each thread, and returns the index of the first thread that hangs.
    fn check(&mut self, overdue: impl IntoIterator<Item = bool>) -> Option<usize> {
        for (i, overdue) in overdue.into_iter().enumerate() {
            self.0.resize(self.0.len().max(i + 1), 0);
            if let Some(count) = self.0.get_mut(i) {
                *count = if overdue { *count + 1 } else { 0 };
            }
        }
        self.0.iter().position(|count| *count >= OVERDUE_CHECKS)
    }
}

/// Starts the watchdog on a separate thread, for the lifetime of the process.
///
/// # Errors
/// Returns an error if the thread cannot be started.
pub fn start(watched: Vec<Watched>) -> std::io::Result<()> {
    let watch = move || {
        let mut counts = OverdueCounts::default();
        loop {
            thread::sleep(CHECK_INTERVAL);
            let hangs = counts.check(watched.iter().map(|thread| thread.heartbeat.age() > thread.limit));
            if let Some(thread) = hangs.and_then(|i| watched.get(i)) {
                let silent_for = thread.heartbeat.age();
                tracing::error!(
                    thread = thread.name,
                    ?silent_for,
                    "a thread hangs; ending the process so that it is restarted"
                );
                std::process::exit(EXIT_STATUS);
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).stack_size(256 << 10).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_stays_silent_hangs() {
        let mut counts = OverdueCounts::default();
        let found: Vec<_> = (0..OVERDUE_CHECKS).map(|_| counts.check([false, true])).collect();
        assert_eq!(found, [None, None, None, Some(1)]);
    }

    #[test]
    fn a_process_that_was_paused_as_a_whole_does_not_hang() {
        let mut counts = OverdueCounts::default();
        for _ in 0..10 {
            assert_eq!(counts.check([true, true]), None);
            assert_eq!(counts.check([true, false]), None);
            assert_eq!(counts.check([false, true]), None);
        }
    }
}
