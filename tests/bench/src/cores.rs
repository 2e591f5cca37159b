//! Which processor a process runs on.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two processors that are measured on: servers have the one, clients the other.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    server: usize,
    client: usize,
}

impl Cores {
    /// The first two that this process may use.
    ///
    /// # Errors
    /// With one processor alone nothing can be measured: client and server would wait for each other.
    pub fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (server, client) = cores.next().zip(cores.next()).context("the bench needs two processors")?;
        Ok(Self { server, client })
    }

    /// Starts something on the servers' processor: what `start` starts, be it threads or processes, stays there.
    ///
    /// # Errors
    /// Where the processor may not be used, or `start` fails.
    pub fn on_server<T>(self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(self.server)?;
        let started = start();
        pin(self.client)?;
        started
    }

    /// Lets this thread, and all that it starts from now on, run on the clients' processor alone.
    ///
    /// # Errors
    /// Where the processor may not be used.
    pub fn stay_on_client(self) -> Result<()> {
        pin(self.client)
    }

    /// Lets this thread, and what it starts from now on, run on both.
    ///
    /// # Errors
    /// Where a processor may not be used.
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
