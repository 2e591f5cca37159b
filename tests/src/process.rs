//! Processes that end with the test that started them.

pub(crate) mod memory;
pub(crate) mod port;
pub(crate) mod program;
pub(crate) mod sandbox;

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};

use crate::process::program::debian;

/// How long a process may take to end after the stop signal.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A running program in its own process group. Dropping this ends it, and the kernel kills it if the test's process is
/// killed. The kernel also kills it when the thread that started it ends, so start and drop it in one thread.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stop_signal: Signal,
}

impl Process {
    /// Starts `command`. Its standard output is appended to the file `output`, its standard error to `errors`.
    pub fn start(name: &str, command: &Command, output: PathBuf, errors: PathBuf) -> Result<Self> {
        let open = |file: PathBuf| OpenOptions::new().create(true).append(true).open(file);
        let mut with_parent = Command::new(debian("setpriv", "util-linux")?);
        with_parent.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => with_parent.env(key, value),
                None => with_parent.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            with_parent.current_dir(folder);
        }
        let child = with_parent
            .stdin(Stdio::null())
            .stdout(open(output)?)
            .stderr(open(errors)?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, stop_signal: Signal::TERM })
    }

    /// Sets the signal that shuts it down. The default is SIGTERM.
    #[must_use]
    pub fn stopped_by(mut self, stop_signal: Signal) -> Self {
        self.stop_signal = stop_signal;
        self
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.child.id())?).context("process 0")
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns an error if it has ended.
    pub fn running(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} has ended: {}", self.name, ended.unwrap_or_default());
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Kills its process group with SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.kill_group()
    }

    /// Shuts it down. Returns its exit status and how long the shutdown took. If it does not end in time, it is killed and
    /// an error is returned.
    pub fn stop(mut self) -> Result<(ExitStatus, Duration)> {
        let began = Instant::now();
        let ended = self.send_stop_signal_and_wait();
        let took = began.elapsed();
        let ended = ended?
            .with_context(|| format!("{} did not end within {GRACE:?} after {:?}", self.name, self.stop_signal))?;
        ensure!(test_kill_process_group(self.pid()?).is_err(), "{} left a process behind", self.name);
        Ok((ended, took))
    }

    fn send_stop_signal_and_wait(&mut self) -> Result<Option<ExitStatus>> {
        if let Some(ended) = self.child.try_wait()? {
            return Ok(Some(ended));
        }
        self.signal(self.stop_signal)?;
        self.signal(Signal::CONT)?;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait()? {
                return Ok(Some(ended));
            }
            thread::sleep(POLL);
        }
        Ok(None)
    }

    fn kill_group(&mut self) -> Result<()> {
        // A process group exists as long as any of its members. If all of them have ended, this error is ignored.
        kill_process_group(self.pid()?, Signal::KILL).ok();
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.send_stop_signal_and_wait().and_then(|_| self.kill_group());
        if let Err(error) = ended {
            eprintln!("{} (process {}) could not be ended: {error:#}", self.name, self.child.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, folder: &std::path::Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("script", &command, folder.join("script.log"), folder.join("errors.log")).unwrap()
    }

    /// Waits until the script has written something. It has then set its traps and started its children.
    fn wait_for_output(folder: &std::path::Path) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::fs::read_to_string(folder.join("script.log")).unwrap().is_empty() {
            assert!(Instant::now() < deadline, "the script wrote nothing");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn a_dropped_process_is_gone_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("sleep 1000 & echo ready; wait", folder.path());
        wait_for_output(folder.path());
        let group = process.pid().unwrap();
        drop(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while test_kill_process_group(group).is_ok() {
            assert!(Instant::now() < deadline, "the child is still running");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn stop_returns_an_error_if_a_child_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("sleep 1000 & trap 'exit 0' TERM; echo ready; wait", folder.path());
        wait_for_output(folder.path());
        let error = process.stop().expect_err("its child is still running").to_string();
        assert!(error.contains("left a process behind"), "{error}");
    }

    #[test]
    fn stop_returns_the_exit_status() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        wait_for_output(folder.path());
        assert_eq!(process.stop().unwrap().0.code(), Some(3));
    }
}
