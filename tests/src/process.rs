//! Processes that end with the test that started them.

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

use crate::program::debian;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// A running program, alone in its process group. It ends when this is dropped, and the kernel kills it should the
/// test's process be killed. Only the thread that started it keeps it alive, so start and drop it in one thread.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stop_signal: Signal,
}

impl Process {
    /// Starts `command`. What it writes is appended to files, its errors to `errors`.
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

    /// Sets the signal that asks it to end; SIGTERM unless said otherwise.
    #[must_use]
    pub fn stopped_by(mut self, stop_signal: Signal) -> Self {
        self.stop_signal = stop_signal;
        self
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.child.id())?).context("process 0")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails where it has ended.
    pub fn running(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} has ended: {}", self.name, ended.unwrap_or_default());
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Kills it as `kill -9` does, and its whole group.
    pub fn kill(mut self) -> Result<()> {
        self.kill_group()
    }

    /// Asks it to end and gives how it did, and how long that took. One that does not is killed, and an error.
    pub fn stop(mut self) -> Result<(ExitStatus, Duration)> {
        let asked_at = Instant::now();
        let ended = self.ask_to_end();
        let took = asked_at.elapsed();
        let ended =
            ended?.with_context(|| format!("{} did not end within {GRACE:?} of {:?}", self.name, self.stop_signal))?;
        ensure!(test_kill_process_group(self.pid()?).is_err(), "{} left a process behind", self.name);
        Ok((ended, took))
    }

    fn ask_to_end(&mut self) -> Result<Option<ExitStatus>> {
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
        // The group outlives its leader while any member of it lives; an empty group is what is wanted.
        kill_process_group(self.pid()?, Signal::KILL).ok();
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.ask_to_end().and_then(|_| self.kill_group());
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

    /// Waits until the script has written something: its traps and children are there.
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
            assert!(Instant::now() < deadline, "the child runs on");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn one_that_left_a_child_behind_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("sleep 1000 & trap 'exit 0' TERM; echo ready; wait", folder.path());
        wait_for_output(folder.path());
        let error = process.stop().expect_err("its child runs on").to_string();
        assert!(error.contains("left a process behind"), "{error}");
    }

    #[test]
    fn how_one_ended_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let process = start("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", folder.path());
        wait_for_output(folder.path());
        assert_eq!(process.stop().unwrap().0.code(), Some(3));
    }
}
