//! An NMS that asks all the time, and remembers how it was answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{Client, Row, Walk};

/// What an NMS saw that walked all the time.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How many walks were answered rightly.
    pub(crate) right: usize,
    /// The others, each with when it began and what was wrong.
    pub(crate) wrong: Vec<(Instant, String)>,
    /// The longest time from one right answer to the next.
    pub(crate) longest_gap: Duration,
}

/// An NMS that walks until it is stopped.
pub(crate) struct ConstantWalk {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Seen>>,
}

impl ConstantWalk {
    /// Walks below `oid` again and again. `right` tells whether an answer is as it has to be.
    pub(crate) fn start(client: Client, oid: &str, right: impl Fn(&[Row]) -> bool + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, oid) = (Arc::clone(&stop), oid.to_owned());
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            let mut last_right = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                match client.walk(Walk::Bulk(20), &oid) {
                    Ok(rows) if right(&rows) => {
                        seen.right += 1;
                        seen.longest_gap = seen.longest_gap.max(last_right.elapsed());
                        last_right = Instant::now();
                    }
                    Ok(rows) => seen.wrong.push((began, format!("{rows:?}"))),
                    Err(error) => seen.wrong.push((began, format!("{error:#}"))),
                }
            }
            seen
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops it, and gives what it saw.
    pub(crate) fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.take().map(JoinHandle::join);
        seen.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for ConstantWalk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic is shown already.
            let _ = thread.join();
        }
    }
}

impl Seen {
    /// Fails where any walk was wrong, or none right.
    pub(crate) fn is_all_right(&self) -> Result<()> {
        ensure!(
            self.wrong.is_empty() && self.right > 0,
            "{} walks were right, and these not: {:?}",
            self.right,
            self.wrong
        );
        Ok(())
    }
}
