//! The test cluster of the bench, which is removed with it.

pub mod installation;
pub mod operator;

use std::{
    ops::Deref,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterKind};

use crate::peers::contestants::Bench;

/// A running cluster. It is removed when this is dropped, and also when the bench is killed.
#[derive(Debug)]
pub struct Running {
    cluster: Cluster,
    _end: End,
}

impl Running {
    /// Starts a cluster on both processors, because all its processes are servers.
    ///
    /// # Errors
    /// Returns an error if it does not start.
    pub fn start(bench: &Bench, name: &str, kind: ClusterKind) -> Result<Self> {
        bench.cores.use_both()?;
        // Removes what is left of an earlier run if the machine was shut down during it.
        Cluster::remove(name, false)?;
        let end = End::of(bench, name)?;
        Ok(Self { cluster: Cluster::start(name, kind)?, _end: end })
    }
}

impl Deref for Running {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// A process that waits until this is dropped or the bench ends, and then removes the cluster.
#[derive(Debug)]
struct End {
    name: String,
    waiting: Child,
}

impl End {
    fn of(bench: &Bench, name: &str) -> Result<Self> {
        let mut command = Command::new(&bench.programs.part);
        // Signals of the terminal end the bench, but must not end this process.
        command.args(["take-down", name]).stdin(Stdio::piped()).process_group(0);
        Ok(Self { name: name.to_owned(), waiting: command.spawn().context("cannot start bench-part")? })
    }

    fn take_down(&mut self) -> Result<()> {
        drop(self.waiting.stdin.take());
        let ended = self.waiting.wait()?;
        ensure!(ended.success(), "the cluster {} could not be removed: {ended}", self.name);
        Ok(())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            eprintln!("{error:#}");
        }
    }
}
