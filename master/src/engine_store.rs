//! What of the SNMP engine outlives a restart: snmpEngineID and snmpEngineBoots (RFC 3414 section 2.2), in one file.
//!
//! A user's keys hang on the engine's id, and what protects against replay on its boots: both are on the disk before
//! the first message leaves, and a file that cannot be understood is an error for people to solve, never a reason to
//! become another engine.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

// Where snmpEngineBoots stays once it is reached (RFC 3414 section 2.2.2), as snmpEngineTime.
use async_snmp::v3::{MAX_ENGINE_ID_LEN, MAX_ENGINE_TIME as MAX_BOOTS, MIN_ENGINE_ID_LEN};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// The file in the state folder.
const FILE: &str = "engine.json";
/// Held by the process whose engine it is.
const LOCK: &str = "engine.lock";
/// The version of the file's form.
const VERSION: u32 = 1;
/// Longest file read, in octets.
const FILE_SIZE: u64 = 4096;
/// The enterprise below which the product's own objects stand.
const ENTERPRISE: u32 = 8072;
/// The format of an engine id whose rest is octets of the administrator's choice (RFC 3411, SnmpEngineID).
const OCTETS: u8 = 5;
/// How many of them: by chance no two engines have the same.
const RANDOM: usize = 16;
/// How long an engine id may be, in octets (RFC 3411, SnmpEngineID).
const ENGINE_ID_LENGTHS: std::ops::RangeInclusive<usize> = MIN_ENGINE_ID_LEN..=MAX_ENGINE_ID_LEN;

/// The identity of an engine, for the life of this process.
#[derive(Debug)]
pub struct EngineStore {
    engine_id: Vec<u8>,
    boots: u32,
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

/// The file's contents.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Saved {
    version: u32,
    engine_id: String,
    engine_boots: u32,
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
        let (engine_id, boots) = match read(&path)? {
            Some((engine_id, boots)) => (engine_id, boots.saturating_add(1).min(MAX_BOOTS)),
            None => (new_engine_id()?, 1),
        };
        replace(folder, &path, &engine_id, boots)?;
        Ok(Self { engine_id, boots, _lock: lock })
    }

    /// snmpEngineID.
    #[must_use]
    pub fn engine_id(&self) -> &[u8] {
        &self.engine_id
    }

    /// snmpEngineBoots. At 2147483647 it stays, and no message of USM that is authenticated is within the time window.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// Whether boots have come to their end: the engine needs another id.
    #[must_use]
    pub fn is_worn_out(&self) -> bool {
        self.boots >= MAX_BOOTS
    }
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> EngineStoreError {
    move |error| EngineStoreError::Io { path: path.to_owned(), what, error }
}

fn new_engine_id() -> Result<Vec<u8>, EngineStoreError> {
    let mut engine_id = (0x8000_0000 | ENTERPRISE).to_be_bytes().to_vec();
    engine_id.push(OCTETS);
    let mut random = [0; RANDOM];
    getrandom::fill(&mut random).map_err(EngineStoreError::Random)?;
    engine_id.extend(random);
    Ok(engine_id)
}

/// The saved id and boots; none where there is no file.
fn read(path: &Path) -> Result<Option<(Vec<u8>, u32)>, EngineStoreError> {
    let mut contents = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "cannot be read")(error)),
    };
    file.take(FILE_SIZE).read_to_end(&mut contents).map_err(failed(path, "cannot be read"))?;
    parse(&contents).map(Some).map_err(|reason| EngineStoreError::Corrupt { path: path.to_owned(), reason })
}

fn parse(contents: &[u8]) -> Result<(Vec<u8>, u32), String> {
    let saved: Saved = serde_json::from_slice(contents).map_err(|error| error.to_string())?;
    if saved.version != VERSION {
        return Err(format!("version: {} is not known", saved.version));
    }
    let engine_id = HEXLOWER.decode(saved.engine_id.as_bytes()).map_err(|error| format!("engineId: {error}"))?;
    if !ENGINE_ID_LENGTHS.contains(&engine_id.len()) {
        return Err(format!("engineId: {} octets, and not 5 to 32", engine_id.len()));
    }
    if !(1..=MAX_BOOTS).contains(&saved.engine_boots) {
        return Err(format!("engineBoots: {} is not between 1 and {MAX_BOOTS}", saved.engine_boots));
    }
    Ok((engine_id, saved.engine_boots))
}

/// Puts the new state in the place of the old, so that a crash at any moment leaves the one or the other.
fn replace(folder: &Path, path: &Path, engine_id: &[u8], boots: u32) -> Result<(), EngineStoreError> {
    let saved = Saved { version: VERSION, engine_id: HEXLOWER.encode(engine_id), engine_boots: boots };
    let contents = serde_json::to_vec(&saved).map_err(|error| failed(path, "cannot be put in JSON")(error.into()))?;
    let new = folder.join(".engine.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&contents)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(failed(&new, "cannot be written"))?;
    fs::rename(&new, path).map_err(failed(path, "cannot be replaced"))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "cannot be synchronized"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn an_empty_folder_becomes_an_engine_whose_id_stays_and_whose_boots_grow() {
        let dir = tempfile::tempdir().unwrap();
        let first = EngineStore::open(dir.path()).unwrap();
        assert_eq!(first.engine_id()[..5], [0x80, 0x00, 0x1F, 0x88, 5]);
        assert_eq!((first.engine_id().len(), first.boots()), (21, 1));
        let id = first.engine_id().to_vec();
        drop(first);
        for boots in [2, 3] {
            let again = EngineStore::open(dir.path()).unwrap();
            assert_eq!((again.engine_id(), again.boots()), (&id[..], boots));
        }
        let other = EngineStore::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert_ne!(other.engine_id(), id);
    }

    #[test]
    fn boots_are_on_the_disk_before_the_engine_is_there_to_answer() {
        let dir = tempfile::tempdir().unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        let saved = fs::read(dir.path().join(FILE)).unwrap();
        assert_eq!(parse(&saved).unwrap(), (store.engine_id().to_vec(), store.boots()));
    }

    #[test]
    fn boots_stay_at_their_end() {
        let dir = tempfile::tempdir().unwrap();
        let saved = format!(r#"{{"version":1,"engineId":"8000000001","engineBoots":{}}}"#, MAX_BOOTS - 1);
        fs::write(dir.path().join(FILE), saved).unwrap();
        for _ in 0..2 {
            let store = EngineStore::open(dir.path()).unwrap();
            assert_eq!((store.boots(), store.is_worn_out()), (MAX_BOOTS, true));
        }
    }

    #[rstest]
    #[case::empty("", "EOF")]
    #[case::cut_off(r#"{"version":1,"engineId":"80001f88"#, "EOF")]
    #[case::not_hexadecimal(r#"{"version":1,"engineId":"80001f8805zz","engineBoots":1}"#, "engineId")]
    #[case::too_short(r#"{"version":1,"engineId":"8000","engineBoots":1}"#, "engineId: 2 octets")]
    #[case::no_boots(r#"{"version":1,"engineId":"8000000001","engineBoots":0}"#, "engineBoots: 0")]
    #[case::negative(r#"{"version":1,"engineId":"8000000001","engineBoots":-1}"#, "invalid value")]
    #[case::from_later(r#"{"version":2,"engineId":"8000000001","engineBoots":1}"#, "version: 2")]
    fn a_corrupt_file_is_an_error_that_names_it_and_stays_as_it_is(#[case] contents: &str, #[case] reason: &str) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, contents).unwrap();
        let error = EngineStore::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(&*file.to_string_lossy()) && error.contains(reason), "{error}");
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
        let id = EngineStore::open(dir.path()).unwrap().engine_id().to_vec();
        fs::write(dir.path().join(".engine.new"), "{\"vers").unwrap();
        let store = EngineStore::open(dir.path()).unwrap();
        assert_eq!((store.engine_id(), store.boots()), (&id[..], 2));
    }
}
