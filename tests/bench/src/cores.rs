//! The processors on which processes run.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two processors of the measurements, one for servers and one for clients.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    server: usize,
    client: usize,
}

impl Cores {
    /// Returns the first two processors that this process may use.
    ///
    /// # Errors
    /// Returns an error if there is only one processor, because client and server would wait for each other.
    pub fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (server, client) = cores.next().zip(cores.next()).context("the bench needs two processors")?;
        Ok(Self { server, client })
    }

    /// Runs `start` on the processor of the servers. The threads and processes that it starts stay there.
    ///
    /// # Errors
    /// Returns an error if the processor cannot be used, or `start` fails.
    pub fn on_server<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(self.server)?;
        let started = start();
        pin(self.client)?;
        started
    }

    /// Restricts this thread, and everything that it starts from now on, to the processor of the clients.
    ///
    /// # Errors
    /// Returns an error if the processor cannot be used.
    pub fn stay_on_client(self) -> Result<()> {
        pin(self.client)
    }

    /// Permits this thread, and everything that it starts from now on, both processors.
    ///
    /// # Errors
    /// Returns an error if a processor cannot be used.
    pub fn use_both(self) -> Result<()> {
        let mut both = CpuSet::new();
        both.set(self.server);
        both.set(self.client);
        Ok(sched_setaffinity(None, &both)?)
    }
}

fn pin(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("cannot run on processor {core}"))
}
