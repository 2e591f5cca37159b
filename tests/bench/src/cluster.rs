//! A test cluster of the bench's own, which goes with it.

use std::{
    ops::Deref,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use harness::{Cluster, ClusterKind};

use crate::contestants::Bench;

/// A running cluster. It is taken down when this is dropped, and also when the bench is killed.
#[derive(Debug)]
pub struct Running {
    cluster: Cluster,
    _end: End,
}

impl Running {
    /// Starts a cluster, on both processors: all of it is servers.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(bench: &Bench, name: &str, kind: ClusterKind) -> Result<Self> {
        bench.cores.use_both()?;
        // There is none, unless the machine went down in the middle of it.
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

/// Takes a cluster down once this is gone, however that comes about: a process of its own waits for it.
#[derive(Debug)]
struct End {
    name: String,
    waiting: Child,
}

impl End {
    fn of(bench: &Bench, name: &str) -> Result<Self> {
        let mut command = Command::new(&bench.programs.part);
        // What ends the bench at a terminal is not to end this.
        command.args(["take-down", name]).stdin(Stdio::piped()).process_group(0);
        Ok(Self { name: name.to_owned(), waiting: command.spawn().context("cannot start bench-part")? })
    }

    fn take_down(&mut self) -> Result<()> {
        drop(self.waiting.stdin.take());
        let ended = self.waiting.wait()?;
        ensure!(ended.success(), "the cluster {} could not be taken down: {ended}", self.name);
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
