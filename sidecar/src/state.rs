//! The state directory: state that survives a restart of the container, in one file per subtree and one for SETs.
//!
//! Files are replaced atomically. If the disk is full, slow or read-only, the state is lost at the next restart and SETs are
//! refused; otherwise the sidecar keeps working, and counts and logs the failures.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{
    SubtreeName,
    directory::{ReadError, read_file},
};

/// The version of the file format.
const VERSION: u32 = 1;
/// The longest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 64 << 20;
/// The timeout for writing a file to the disk.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The state directory, if there is one. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct StateDirectory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: Option<PathBuf>,
    /// Held while a file is written, so that only one is written at a time even if the disk is slow.
    writing: Arc<tokio::sync::Mutex<()>>,
    failures: AtomicU64,
    /// Why the last write failed, if it did.
    error: Mutex<Option<String>>,
}

/// Why state was not saved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StateError {
    /// The operating system's error.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The state could not be serialized.
    #[error("{0}")]
    Serialize(String),
    /// The write timed out.
    #[error("timed out after {WRITE_TIMEOUT:?}")]
    Slow,
}

/// The contents of a file.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    version: u32,
    state: T,
}

impl StateDirectory {
    /// Uses the directory at `path`. Without a path nothing is saved, which is not an error.
    #[must_use]
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let (writing, failures, error) = (Arc::default(), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Inner { path, writing, failures, error }))
    }

    /// Loads the state of `subtree`, or the default if there is none. A file that cannot be read is renamed to `.corrupt`.
    pub(crate) fn load<T: DeserializeOwned + Default>(&self, subtree: &SubtreeName) -> T {
        self.load_from(self.path(subtree))
    }

    /// Loads the journal of SETs.
    pub(crate) fn load_writes<T: DeserializeOwned + Default>(&self) -> T {
        self.load_from(self.writes_path())
    }

    fn load_from<T: DeserializeOwned + Default>(&self, path: Option<PathBuf>) -> T {
        let Some(path) = path else { return T::default() };
        if !path.exists() {
            return T::default();
        }
        read(&path).unwrap_or_else(|reason| {
            let renamed = path.with_extension("corrupt");
            tracing::error!(file = %path.display(), %reason, renamed_to = %renamed.display(),
                "cannot read saved state; starting without it");
            self.count_failure();
            if let Err(error) = fs::rename(&path, &renamed) {
                tracing::error!(file = %path.display(), %error, "failed to rename the unreadable file");
            }
            T::default()
        })
    }

    /// Saves the state of `subtree`. Returns `true` once it is on the disk, and `false` after an error or a timeout.
    pub(crate) async fn save<T: Serialize>(&self, subtree: &SubtreeName, state: &T) -> bool {
        self.save_at(self.path(subtree), state).await
    }

    /// Saves the journal of SETs, as [`Self::save`] does.
    pub(crate) async fn save_writes<T: Serialize>(&self, state: &T) -> bool {
        self.save_at(self.writes_path(), state).await
    }

    async fn save_at<T: Serialize>(&self, path: Option<PathBuf>, state: &T) -> bool {
        let Some(path) = path else { return true };
        let result =
            tokio::time::timeout(WRITE_TIMEOUT, self.write(path, state)).await.unwrap_or(Err(StateError::Slow));
        self.record_result(result.err())
    }

    /// Returns how often state could not be saved or read.
    #[must_use]
    pub(crate) fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Returns why the last write failed, if it did.
    #[must_use]
    pub(crate) fn error(&self) -> Option<String> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write<T: Serialize>(&self, path: PathBuf, state: &T) -> Result<(), StateError> {
        let contents = serde_json::to_vec(&Saved { version: VERSION, state });
        let contents = contents.map_err(|error| StateError::Serialize(error.to_string()))?;
        // The blocking task keeps the lock: after a timeout a hanging write continues, and delays the next one.
        let lock = Arc::clone(&self.0.writing).lock_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            replace(&path, &contents).map_err(|error| StateError::Io { path, reason: error.to_string() })
        });
        written.await.unwrap_or_else(|error| Err(StateError::Serialize(error.to_string())))
    }

    /// Records the result of a write. Logs an error if it differs from the last one, and the first success after it. Returns
    /// whether the write succeeded.
    fn record_result(&self, error: Option<StateError>) -> bool {
        let saved = error.is_none();
        if !saved {
            self.count_failure();
        }
        let error = error.map(|error| error.to_string());
        let mut last = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != error {
            if let Some(error) = &error {
                tracing::error!(%error, "failed to save state; SETs are refused, and a restart would assign new row numbers");
            } else {
                tracing::info!("saving state works again");
            }
            *last = error;
        }
        saved
    }

    fn count_failure(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the path of the journal. It cannot collide with the directory of a namespace, because names of namespaces
    /// contain no dot.
    fn writes_path(&self) -> Option<PathBuf> {
        Some(self.0.path.as_ref()?.join("writes.json"))
    }

    fn path(&self, subtree: &SubtreeName) -> Option<PathBuf> {
        let file = format!("{}.json", file_name(&subtree.name));
        Some(self.0.path.as_ref()?.join(file_name(&subtree.namespace)).join(file))
    }
}

/// Returns a name as part of a path. Characters that Kubernetes does not allow in names are escaped.
fn file_name(name: &str) -> String {
    let plain = |i: usize, b: u8| b.is_ascii_alphanumeric() || b == b'-' || (b == b'.' && i > 0);
    let octets = name.bytes().enumerate();
    octets.map(|(i, b)| if plain(i, b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let contents = read_file(path, MAX_FILE_SIZE).map_err(|error: ReadError| error.to_string())?;
    let saved: Saved<T> = serde_json::from_slice(&contents).map_err(|error| error.to_string())?;
    if saved.version == VERSION { Ok(saved.state) } else { Err(format!("unknown version {}", saved.version)) }
}

/// Replaces the contents of a file so that a crash at any moment leaves either the old or the new contents.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(directory)?;
    let new = directory.join(".new");
    // Only the owner may read the values of SETs.
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;

    use super::*;

    type Numbers = BTreeMap<String, u32>;

    fn subtree() -> SubtreeName {
        SubtreeName { namespace: "acme".to_owned(), name: "shop.web".to_owned() }
    }

    fn numbers() -> Numbers {
        Numbers::from([("eth0".to_owned(), 1), ("eth1".to_owned(), 2)])
    }

    #[tokio::test]
    async fn state_is_loaded_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(Some(dir.path().join("state")));
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert!(state.save(&subtree(), &numbers()).await);
        let state = StateDirectory::new(Some(dir.path().join("state")));
        assert_eq!(state.load::<Numbers>(&subtree()), numbers());
        assert_eq!((state.failures(), state.error()), (0, None));
        let left: Vec<_> =
            fs::read_dir(dir.path().join("state/acme")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["shop.web.json"]);
    }

    #[tokio::test]
    async fn no_directory_means_that_nothing_is_saved() {
        let state = StateDirectory::new(None);
        assert!(state.save(&subtree(), &numbers()).await);
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert_eq!(state.failures(), 0);
    }

    #[rstest]
    #[case::cut_off(r#"{"version": 1, "state": {"eth0""#)]
    #[case::empty("")]
    #[case::of_a_later_version(r#"{"version": 2, "state": {"eth0": 1}}"#)]
    #[case::of_another_shape(r#"{"version": 1, "state": [1]}"#)]
    fn unreadable_file_is_renamed(#[case] contents: &str) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("acme");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("shop.web.json"), contents).unwrap();
        let state = StateDirectory::new(Some(dir.path().to_owned()));
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert_eq!(fs::read_to_string(folder.join("shop.web.corrupt")).unwrap(), contents);
        assert!(!folder.join("shop.web.json").exists());
        assert_eq!(state.failures(), 1);
    }

    #[tokio::test]
    async fn failed_write_is_counted_and_reported_until_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        // A file where the directory should be. Writing fails then even for root.
        fs::write(&folder, "").unwrap();
        let state = StateDirectory::new(Some(folder.clone()));
        assert!(!state.save(&subtree(), &numbers()).await);
        assert!(!state.save(&subtree(), &numbers()).await);
        assert_eq!(state.failures(), 2);
        assert!(state.error().unwrap().contains("acme/shop.web.json"), "{:?}", state.error());
        fs::remove_file(&folder).unwrap();
        assert!(state.save(&subtree(), &numbers()).await);
        assert_eq!(state.error(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_write_times_out() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDirectory::new(Some(dir.path().to_owned()));
        let hanging = state.0.writing.lock().await;
        assert!(!state.save(&subtree(), &numbers()).await);
        assert_eq!(state.error(), Some(StateError::Slow.to_string()));
        drop(hanging);
    }

    #[rstest]
    #[case("acme", "acme")]
    #[case("shop.web-2", "shop.web-2")]
    #[case("..", "%2e.")]
    #[case("a/../../b", "a%2f..%2f..%2fb")]
    #[case("%2e", "%252e")]
    #[case("é", "%c3%a9")]
    fn name_cannot_leave_the_directory(#[case] name: &str, #[case] escaped: &str) {
        assert_eq!(file_name(name), escaped);
    }
}
