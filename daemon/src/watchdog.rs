//! Ends the process when one of its threads hangs.
//!
//! A peer that hangs holds up whoever waits for it; one that is gone does not, and the kubelet starts another.

use std::{thread, time::Duration};

use crate::heartbeat::Heartbeat;

/// How often the signs of life are looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// How many looks in a row must find a thread overdue. More than one, because a process that was stopped as a whole,
/// as with a frozen machine, is overdue everywhere for a moment.
const LOOKS: u32 = 4;
/// The exit status of a process that ended itself: EX_SOFTWARE of sysexits.h.
pub const EXIT_STATUS: i32 = 70;

/// A thread that must show signs of life.
#[derive(Debug)]
pub struct Watched {
    /// What it is called in the log.
    pub name: &'static str,
    /// How old its last sign of life may be.
    pub limit: Duration,
    /// Its signs of life.
    pub heartbeat: Heartbeat,
}

/// How often in a row each thread was found overdue.
#[derive(Debug, Default)]
struct Looks(Vec<u32>);

impl Looks {
    /// Takes the ages that one look found; the answer is the first thread that hangs, by number.
    fn look(&mut self, overdue: impl IntoIterator<Item = bool>) -> Option<usize> {
        for (i, overdue) in overdue.into_iter().enumerate() {
            self.0.resize(self.0.len().max(i + 1), 0);
            if let Some(count) = self.0.get_mut(i) {
                *count = if overdue { *count + 1 } else { 0 };
            }
        }
        self.0.iter().position(|count| *count >= LOOKS)
    }
}

/// Watches for as long as the process lives, on a thread of its own.
///
/// # Errors
/// The system's, when the thread cannot be started.
pub fn start(watched: Vec<Watched>) -> std::io::Result<()> {
    let watch = move || {
        let mut looks = Looks::default();
        loop {
            thread::sleep(PERIOD);
            let hangs = looks.look(watched.iter().map(|thread| thread.heartbeat.age() > thread.limit));
            if let Some(thread) = hangs.and_then(|i| watched.get(i)) {
                let silent_for = thread.heartbeat.age();
                tracing::error!(thread = thread.name, ?silent_for, "a thread hangs: the process ends itself");
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
        let mut looks = Looks::default();
        let found: Vec<_> = (0..LOOKS).map(|_| looks.look([false, true])).collect();
        assert_eq!(found, [None, None, None, Some(1)]);
    }

    #[test]
    fn a_process_that_was_stopped_as_a_whole_does_not_hang() {
        let mut looks = Looks::default();
        for _ in 0..10 {
            assert_eq!(looks.look([true, true]), None);
            assert_eq!(looks.look([true, false]), None);
            assert_eq!(looks.look([false, true]), None);
        }
    }
}
