//! An NMS that walks without a pause and records the results.

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

/// The results of a constant walk.
#[derive(Debug, Default)]
pub(crate) struct WalkResults {
    /// The number of right walks.
    pub(crate) right: usize,
    /// The wrong walks, each with its start and the reason.
    pub(crate) wrong: Vec<(Instant, String)>,
    /// The longest time between the ends of two right walks.
    pub(crate) longest_gap: Duration,
}

/// An NMS that walks until it is stopped.
pub(crate) struct ConstantWalk {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<WalkResults>>,
}

impl ConstantWalk {
    /// Starts to walk `oid` repeatedly. `right` returns whether a walk is right.
    pub(crate) fn start(client: Client, oid: &str, right: impl Fn(&[Row]) -> bool + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, oid) = (Arc::clone(&stop), oid.to_owned());
        let thread = thread::spawn(move || {
            let mut results = WalkResults::default();
            let mut last_right = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                match client.walk(Walk::Bulk(20), &oid) {
                    Ok(rows) if right(&rows) => {
                        results.right += 1;
                        results.longest_gap = results.longest_gap.max(last_right.elapsed());
                        last_right = Instant::now();
                    }
                    Ok(rows) => results.wrong.push((began, format!("{rows:?}"))),
                    Err(error) => results.wrong.push((began, format!("{error:#}"))),
                }
            }
            results
        });
        Self { stop, thread: Some(thread) }
    }

    /// Stops the walk and returns its results.
    pub(crate) fn stop(mut self) -> WalkResults {
        self.stop.store(true, Ordering::Relaxed);
        let results = self.thread.take().map(JoinHandle::join);
        results.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for ConstantWalk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The panic of the thread is already printed.
            let _ = thread.join();
        }
    }
}

impl WalkResults {
    /// Returns an error if any walk was wrong, or none was right.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.wrong.is_empty() && self.right > 0,
            "{} walks were right, and these were wrong: {:?}",
            self.right,
            self.wrong
        );
        Ok(())
    }
}
