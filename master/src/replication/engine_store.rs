//! The SNMP engine's state in a file of the state directory.
//!
//! Keys of users depend on the engine id, and the protection against replay depends on the boots. Both are on disk
//! before the first message is sent. A file with invalid contents is an error that an administrator has to resolve. It
//! is never replaced by a new engine.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    replication::engine_record::{self, NAME as FILE},
    snmp::EngineIdentity,
};

/// The file that the running process locks.
const LOCK: &str = "engine.lock";
/// Longest file that is read, in octets.
const MAX_FILE_OCTETS: u64 = 4096;

/// The engine of a state directory, locked while this value exists.
#[derive(Debug)]
pub(crate) struct EngineStore {
    identity: EngineIdentity,
    _lock: File,
}

/// Why the engine cannot be read or stored. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineStoreError {
    /// A system call failed, for example because the disk is full or read-only.
    #[error("{}: {what}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// The contents of the file are invalid.
    #[error(
        "{}: not a valid engine state: {reason}; restore it, or remove it to get a new engine id, which SNMPv3 managers \
         have to discover again",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process has locked the file.
    #[error("{}: another running master uses this engine", path.display())]
    InUse {
        /// The locked file.
        path: PathBuf,
    },
    /// The operating system provides no random numbers.
    #[error("cannot generate an engine id: {0}")]
    Random(getrandom::Error),
}

impl EngineStore {
    /// Opens the state directory and stores the engine's next boot in it. Creates an engine if the directory is empty.
    ///
    /// # Errors
    /// Returns an error if another process uses the directory, if its contents are invalid, or if it cannot be read or
    /// written. No message may be sent then.
    pub(crate) fn open(directory: &Path) -> Result<Self, EngineStoreError> {
        let lock_path = directory.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed(&lock_path, "cannot be written"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => EngineStoreError::InUse { path: lock_path.clone() },
            TryLockError::Error(source) => failed(&lock_path, "cannot be locked")(source),
        })?;
        let path = directory.join(FILE);
        let identity = match read(&path)? {
            Some(before) => engine_record::next_boot(&before),
            None => engine_record::create().map_err(EngineStoreError::Random)?,
        };
        replace(directory, &path, &identity)?;
        Ok(Self { identity, _lock: lock })
    }

    /// Returns the engine in this boot.
    pub(crate) fn identity(&self) -> &EngineIdentity {
        &self.identity
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> EngineStoreError {
    move |error| EngineStoreError::Io { path: path.to_owned(), what, error }
}

/// Reads the stored engine. Returns `None` if there is no file.
fn read(path: &Path) -> Result<Option<EngineIdentity>, EngineStoreError> {
    let mut contents = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "cannot be read")(error)),
    };
    file.take(MAX_FILE_OCTETS).read_to_end(&mut contents).map_err(failed(path, "cannot be read"))?;
    engine_record::parse(&contents)
        .map(Some)
        .map_err(|reason| EngineStoreError::Corrupt { path: path.to_owned(), reason })
}

/// Replaces the state atomically: after a crash at any moment, the file contains either the old or the new state.
fn replace(directory: &Path, path: &Path, identity: &EngineIdentity) -> Result<(), EngineStoreError> {
    let new = directory.join(".engine.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(engine_record::serialize(identity).as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed(&new, "cannot be written"))?;
    fs::rename(&new, path).map_err(failed(path, "cannot be replaced"))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed(directory, "cannot be synchronized"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_directory_gets_an_engine_whose_id_stays_and_whose_boots_increase() {
        let dir = tempfile::tempdir().unwrap();
        let first = EngineStore::open(dir.path()).unwrap();
        assert_eq!(first.identity().boots, 1);
        let engine_id = first.identity().engine_id.clone();
        drop(first);
        for boots in [2, 3] {
            let again = EngineStore::open(dir.path()).unwrap();
            assert_eq!(*again.identity(), EngineIdentity { engine_id: engine_id.clone(), boots });
        }
        let other = EngineStore::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert_ne!(other.identity().engine_id, engine_id);
    }

    #[test]
    fn boots_are_on_disk_when_open_returns() {
        let dir = tempfile::tempdir().unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        let saved = fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!(engine_record::parse(&saved).as_ref(), Ok(store.identity()));
    }

    #[test]
    fn boots_stay_at_their_maximum() {
        let dir = tempfile::tempdir().unwrap();
        let saved = format!(r#"{{"version":1,"engineId":"8000000001","engineBoots":{}}}"#, i32::MAX - 1);
        fs::write(dir.path().join(FILE), saved).unwrap();
        for _ in 0..2 {
            let store = EngineStore::open(dir.path()).unwrap();
            assert!(engine_record::has_exhausted_boots(store.identity()), "{store:?}");
        }
    }

    #[test]
    fn a_corrupt_file_is_an_error_that_names_it_and_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let contents = r#"{"version":1,"engineId":"8000000001","engineBoots":0}"#;
        fs::write(&file, contents).unwrap();
        let error = EngineStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(&*file.to_string_lossy()) && error.contains("engineBoots: 0"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), contents);
    }

    #[test]
    fn two_processes_cannot_use_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        let _first = EngineStore::open(dir.path()).unwrap();
        let error = EngineStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, EngineStoreError::InUse { .. }), "{error}");
    }

    #[test]
    fn an_unwritable_directory_is_an_error_that_names_it() {
        let error = EngineStore::open(Path::new("/proc/self")).unwrap_err().to_string();
        assert!(error.starts_with("/proc/self/engine.lock: cannot be written: "), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(EngineStore::open(&missing).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn a_crash_during_a_write_leaves_the_old_state() {
        let dir = tempfile::tempdir().unwrap();
        let engine_id = EngineStore::open(dir.path()).unwrap().identity().engine_id.clone();
        fs::write(dir.path().join(".engine.new"), "{\"vers").unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        assert_eq!(*store.identity(), EngineIdentity { engine_id, boots: 2 });
    }
}
