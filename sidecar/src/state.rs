//! What outlives a restart of the container: one file per subtree in the state folder.
//!
//! A file is replaced whole or not at all. A disk that is full, slow or read-only costs a restart its memory, and
//! nothing else: the sidecar goes on, counts and says it.

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
    folder::{ReadError, read_file},
};

/// The version of the files' form.
const VERSION: u32 = 1;
/// Longest file read back, in bytes.
const FILE_SIZE: u64 = 64 << 20;
/// Longest wait for a file to be on the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// A state folder, or none. Clones share it.
#[derive(Debug, Clone)]
pub struct StateFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Option<PathBuf>,
    /// Held while a file is written: one at a time, however slow the disk.
    writing: Arc<tokio::sync::Mutex<()>>,
    failures: AtomicU64,
    /// Why the last file was not written, if it was not.
    error: Mutex<Option<String>>,
}

/// Why state was not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The system's reason.
    #[error("{path}: {reason}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// It could not be put in JSON.
    #[error("{0}")]
    Form(String),
    /// The disk takes too long.
    #[error("the disk takes longer than {PATIENCE:?}")]
    Slow,
}

/// A file's contents.
#[derive(Serialize, Deserialize)]
struct Saved<T> {
    version: u32,
    state: T,
}

impl StateFolder {
    /// State in `folder`; without one nothing is kept, which is no error.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        let (writing, failures, error) = (Arc::default(), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Inner { folder, writing, failures, error }))
    }

    /// What was saved of `subtree`, or else the default. A file that cannot be understood is set aside.
    pub fn load<T: DeserializeOwned + Default>(&self, subtree: &SubtreeName) -> T {
        self.load_from(self.path(subtree))
    }

    /// What was saved of SETs that were under way.
    pub fn load_writes<T: DeserializeOwned + Default>(&self) -> T {
        self.load_from(self.writes_path())
    }

    fn load_from<T: DeserializeOwned + Default>(&self, path: Option<PathBuf>) -> T {
        let Some(path) = path else { return T::default() };
        if !path.exists() {
            return T::default();
        }
        read(&path).unwrap_or_else(|reason| {
            let aside = path.with_extension("corrupt");
            tracing::error!(file = %path.display(), %reason, set_aside_as = %aside.display(),
                "saved state cannot be read, and is begun anew");
            self.failed();
            if let Err(error) = fs::rename(&path, &aside) {
                tracing::error!(file = %path.display(), %error, "saved state cannot be set aside");
            }
            T::default()
        })
    }

    /// Saves `state` of `subtree`, and waits until it is on the disk, but not for ever. Whether it is.
    pub async fn save<T: Serialize>(&self, subtree: &SubtreeName, state: &T) -> bool {
        self.save_at(self.path(subtree), state).await
    }

    /// Saves what SETs are under way, as [`Self::save`] does.
    pub async fn save_writes<T: Serialize>(&self, state: &T) -> bool {
        self.save_at(self.writes_path(), state).await
    }

    async fn save_at<T: Serialize>(&self, path: Option<PathBuf>, state: &T) -> bool {
        let Some(path) = path else { return true };
        let result = tokio::time::timeout(PATIENCE, self.write(path, state)).await.unwrap_or(Err(StateError::Slow));
        self.note(result.err())
    }

    /// How often state could not be kept or read.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Why the last file was not written, if it was not.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write<T: Serialize>(&self, path: PathBuf, state: &T) -> Result<(), StateError> {
        let contents = serde_json::to_vec(&Saved { version: VERSION, state });
        let contents = contents.map_err(|error| StateError::Form(error.to_string()))?;
        // The lock goes along: a write that hangs is not given up, only not waited for, and holds up the next.
        let lock = Arc::clone(&self.0.writing).lock_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            let _lock = lock;
            replace(&path, &contents).map_err(|error| StateError::Io { path, reason: error.to_string() })
        });
        written.await.unwrap_or_else(|error| Err(StateError::Form(error.to_string())))
    }

    /// Logs a failure when it is another than the last, and its end.
    fn note(&self, error: Option<StateError>) -> bool {
        let saved = error.is_none();
        if !saved {
            self.failed();
        }
        let error = error.map(|error| error.to_string());
        let mut last = self.0.error.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != error {
            if let Some(error) = &error {
                tracing::error!(%error, "state cannot be saved: a restart would number rows anew, and SETs are refused");
            } else {
                tracing::info!("state can be saved again");
            }
            *last = error;
        }
        saved
    }

    fn failed(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// No namespace has a dot in its name.
    fn writes_path(&self) -> Option<PathBuf> {
        Some(self.0.folder.as_ref()?.join("writes.json"))
    }

    fn path(&self, subtree: &SubtreeName) -> Option<PathBuf> {
        let file = format!("{}.json", file_name(&subtree.name));
        Some(self.0.folder.as_ref()?.join(file_name(&subtree.namespace)).join(file))
    }
}

/// A name as part of a path: what Kubernetes would not allow in it is escaped.
fn file_name(name: &str) -> String {
    let plain = |i: usize, b: u8| b.is_ascii_alphanumeric() || b == b'-' || (b == b'.' && i > 0);
    let octets = name.bytes().enumerate();
    octets.map(|(i, b)| if plain(i, b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let contents = read_file(path, FILE_SIZE).map_err(|error: ReadError| error.to_string())?;
    let saved: Saved<T> = serde_json::from_slice(&contents).map_err(|error| error.to_string())?;
    if saved.version == VERSION { Ok(saved.state) } else { Err(format!("version {} is not known", saved.version)) }
}

/// Puts `contents` in the place of the file at `path`, so that a crash at any moment leaves the old or the new.
fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(folder)?;
    let new = folder.join(".new");
    // Values of SETs are no one else's business.
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(folder)?.sync_all()
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
    async fn state_comes_back_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFolder::new(Some(dir.path().join("state")));
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert!(state.save(&subtree(), &numbers()).await);
        let state = StateFolder::new(Some(dir.path().join("state")));
        assert_eq!(state.load::<Numbers>(&subtree()), numbers());
        assert_eq!((state.failures(), state.error()), (0, None));
        let left: Vec<_> =
            fs::read_dir(dir.path().join("state/acme")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["shop.web.json"]);
    }

    #[tokio::test]
    async fn without_a_folder_nothing_is_kept_and_nothing_is_wrong() {
        let state = StateFolder::new(None);
        assert!(state.save(&subtree(), &numbers()).await);
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert_eq!(state.failures(), 0);
    }

    #[rstest]
    #[case::cut_off(r#"{"version": 1, "state": {"eth0""#)]
    #[case::empty("")]
    #[case::of_a_later_version(r#"{"version": 2, "state": {"eth0": 1}}"#)]
    #[case::of_another_shape(r#"{"version": 1, "state": [1]}"#)]
    fn a_file_that_cannot_be_understood_is_set_aside(#[case] contents: &str) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("acme");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("shop.web.json"), contents).unwrap();
        let state = StateFolder::new(Some(dir.path().to_owned()));
        assert_eq!(state.load::<Numbers>(&subtree()), Numbers::new());
        assert_eq!(fs::read_to_string(folder.join("shop.web.corrupt")).unwrap(), contents);
        assert!(!folder.join("shop.web.json").exists());
        assert_eq!(state.failures(), 1);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_counted_and_said_until_it_can() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        // A file where the folder should be: what fails even for root.
        fs::write(&folder, "").unwrap();
        let state = StateFolder::new(Some(folder.clone()));
        assert!(!state.save(&subtree(), &numbers()).await);
        assert!(!state.save(&subtree(), &numbers()).await);
        assert_eq!(state.failures(), 2);
        assert!(state.error().unwrap().contains("acme/shop.web.json"), "{:?}", state.error());
        fs::remove_file(&folder).unwrap();
        assert!(state.save(&subtree(), &numbers()).await);
        assert_eq!(state.error(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFolder::new(Some(dir.path().to_owned()));
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
    fn a_name_cannot_leave_the_folder(#[case] name: &str, #[case] escaped: &str) {
        assert_eq!(file_name(name), escaped);
    }
}
