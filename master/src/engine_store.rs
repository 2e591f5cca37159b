//! What of the SNMP engine outlives a restart: its id and boots, in one file.
//!
//! A user's keys hang on the engine's id, and what protects against replay on its boots: both are on the disk before
//! the first message leaves, and a file that cannot be understood is an error for people to solve, never a reason to
//! become another engine.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::{
    engine_record::{self, NAME as FILE},
    snmp::EngineIdentity,
};

/// Held by the process whose engine it is.
const LOCK: &str = "engine.lock";
/// Longest file read, in octets.
const FILE_SIZE: u64 = 4096;

/// The identity of an engine, for the life of this process.
#[derive(Debug)]
pub struct EngineStore {
    identity: EngineIdentity,
    /// Locked for as long as this is.
    _lock: File,
}

/// Why there is no identity. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum EngineStoreError {
    /// The system's reason, as a disk that is full or read-only.
    #[error("{}: {what}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What could not be done.
        what: &'static str,
        /// The reason.
        error: io::Error,
    },
    /// Its contents are not what was written.
    #[error(
        "{}: not the state of an engine: {reason}; restore it, or remove it to become another engine, to which every \
         SNMPv3 manager has to be introduced anew",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two processes cannot be one engine.
    #[error("{}: another master that runs has this engine", path.display())]
    InUse {
        /// The locked file.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("an engine id cannot be chosen: {0}")]
    Random(getrandom::Error),
}

impl EngineStore {
    /// The engine of this state folder, one boot later, which is on the disk already. An empty folder becomes a new
    /// engine's.
    ///
    /// # Errors
    /// [`EngineStoreError`]: no message may be sent then.
    pub fn open(folder: &Path) -> Result<Self, EngineStoreError> {
        let lock_path = folder.join(LOCK);
        let lock = File::create(&lock_path).map_err(failed(&lock_path, "cannot be written"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => EngineStoreError::InUse { path: lock_path.clone() },
            TryLockError::Error(source) => failed(&lock_path, "cannot be locked")(source),
        })?;
        let path = folder.join(FILE);
        let identity = match read(&path)? {
            Some(before) => engine_record::next_boot(&before),
            None => engine_record::create().map_err(EngineStoreError::Random)?,
        };
        replace(folder, &path, &identity)?;
        Ok(Self { identity, _lock: lock })
    }

    /// The engine, in this boot.
    #[must_use]
    pub fn identity(&self) -> &EngineIdentity {
        &self.identity
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> EngineStoreError {
    move |error| EngineStoreError::Io { path: path.to_owned(), what, error }
}

/// The saved engine; none where there is no file.
fn read(path: &Path) -> Result<Option<EngineIdentity>, EngineStoreError> {
    let mut contents = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "cannot be read")(error)),
    };
    file.take(FILE_SIZE).read_to_end(&mut contents).map_err(failed(path, "cannot be read"))?;
    engine_record::parse(&contents)
        .map(Some)
        .map_err(|reason| EngineStoreError::Corrupt { path: path.to_owned(), reason })
}

/// Puts the new state in the place of the old, so that a crash at any moment leaves the one or the other.
fn replace(folder: &Path, path: &Path, identity: &EngineIdentity) -> Result<(), EngineStoreError> {
    let new = folder.join(".engine.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(engine_record::serialize(identity).as_bytes())?;
        file.sync_all()
    };
    write().map_err(failed(&new, "cannot be written"))?;
    fs::rename(&new, path).map_err(failed(path, "cannot be replaced"))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "cannot be synchronized"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_becomes_an_engine_whose_id_stays_and_whose_boots_grow() {
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
    fn boots_are_on_the_disk_before_the_engine_is_there_to_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        let saved = fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!(engine_record::parse(&saved).as_ref(), Ok(store.identity()));
    }

    #[test]
    fn boots_stay_at_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let saved = format!(r#"{{"version":1,"engineId":"8000000001","engineBoots":{}}}"#, i32::MAX - 1);
        fs::write(dir.path().join(FILE), saved).unwrap();
        for _ in 0..2 {
            let store = EngineStore::open(dir.path()).unwrap();
            assert!(engine_record::is_worn_out(store.identity()), "{store:?}");
        }
    }

    #[test]
    fn a_corrupt_file_is_an_error_that_names_it_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        let contents = r#"{"version":1,"engineId":"8000000001","engineBoots":0}"#;
        fs::write(&file, contents).unwrap();
        let error = EngineStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(&*file.to_string_lossy()) && error.contains("engineBoots: 0"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), contents);
    }

    #[test]
    fn two_processes_are_not_one_engine() {
        let dir = tempfile::tempdir().unwrap();
        let _first = EngineStore::open(dir.path()).unwrap();
        let error = EngineStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, EngineStoreError::InUse { .. }), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
        let error = EngineStore::open(Path::new("/proc/self")).unwrap_err().to_string();
        assert!(error.starts_with("/proc/self/engine.lock: cannot be written: "), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(EngineStore::open(&missing).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn a_crash_while_the_new_state_was_written_leaves_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let engine_id = EngineStore::open(dir.path()).unwrap().identity().engine_id.clone();
        fs::write(dir.path().join(".engine.new"), "{\"vers").unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        assert_eq!(*store.identity(), EngineIdentity { engine_id, boots: 2 });
    }
}
