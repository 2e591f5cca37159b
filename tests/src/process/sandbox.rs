//! The temporary folder of a test, and waiting with a deadline.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::Process;

/// How long a test waits for anything before it fails.
pub const DEADLINE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(25);
/// How much of the end of each log a failure shows, in bytes.
const TAIL: usize = 2_000;

/// A folder for the files of a test's programs. It is removed when the last clone is dropped. The output of a program is in
/// `<name>.log`.
#[derive(Debug, Clone)]
pub struct Sandbox {
    folder: Arc<TempDir>,
}

impl Sandbox {
    /// Creates an empty folder. Its path is short enough for Unix sockets, and every user may enter it, which PostgreSQL
    /// needs.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("snmp-test-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()?;
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Returns the path of a file or folder in it, which need not exist.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the path of a folder in it, and creates the folder if it does not exist.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Starts a program. Its standard output goes to `<name>.log`, its standard error to `<name>.errors.log`.
    pub fn start(&self, name: &str, command: &Command) -> Result<Process> {
        Process::start(name, command, self.path(&format!("{name}.log")), self.path(&format!("{name}.errors.log")))
    }

    /// Calls `probe` until it succeeds. After [`DEADLINE`] it returns an error with `what` it waited for, the last error of
    /// the probe, and the end of each log.
    pub fn wait_for<T>(&self, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match probe() {
                Ok(seen) => return Ok(seen),
                Err(error) if Instant::now() > deadline => {
                    bail!("waited {DEADLINE:?} for {what}; last seen: {error:#}\n{}", self.tails())
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Waits until a process ends by itself.
    pub fn wait_for_end(&self, process: &mut Process) -> Result<()> {
        self.wait_for("the process to end", || match process.running() {
            Ok(()) => bail!("it is still running"),
            Err(_) => Ok(()),
        })
    }

    /// Returns the content of `<name>.log`.
    pub fn log(&self, name: &str) -> String {
        let content = fs::read(self.path(&format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    /// Returns the end of each log.
    pub fn tails(&self) -> String {
        let mut tails = String::new();
        for name in self.logs() {
            let log = self.log(&name);
            let from = log.floor_char_boundary(log.len().saturating_sub(TAIL));
            let tail = log.get(from..).unwrap_or_default().trim_end();
            if tail.is_empty() {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = writeln!(tails, "--- {name}.log\n{tail}");
        }
        tails
    }

    fn logs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let is_log = |path: &Path| path.extension().is_some_and(|extension| extension == "log");
        let mut names: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(|path| is_log(path))
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if thread::panicking() && Arc::strong_count(&self.folder) == 1 {
            eprintln!("{}", self.tails());
        }
    }
}
