//! The document, watched: read once a second, and put to use if it says something else and is sound.
//!
//! A volume of Kubernetes changes by a link that is swapped, an editor writes in place: what tells them both is what
//! the file says. A document that cannot be used changes nothing; the last good one stays in force.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use master_config::{MAX_OCTETS, ParseError, Valid};
use tokio::{
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    snmp::{Access, KeyCache},
    status::Status,
};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Why the document that there is now is not in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    Io(String),
    /// A folder, a pipe or the like.
    #[error("is not a file")]
    NotAFile,
    /// It says what cannot be used.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// A file, and what it last said.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// What was last told of.
    told: Option<u64>,
    /// What cannot be used, and may be the half of something that is being written.
    suspect: Option<u64>,
}

/// A document in force.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub document: Valid,
    /// Who may ask for what, with keys.
    pub access: Access,
}

/// Watches the document, and makes of each what requests are judged by.
#[derive(Debug)]
pub struct Configuration {
    watch: Watch,
    ticks: Interval,
    engine_id: Arc<[u8]>,
    /// Keys that were derived already; away while more are.
    keys: KeyCache,
    deriving: Option<JoinHandle<(Loaded, KeyCache)>>,
    status: Status,
}

/// What a document file says, with a fingerprint of it.
///
/// # Errors
/// The [`Fault`] that keeps it from being read.
pub fn read(path: &std::path::Path) -> Result<Vec<u8>, Fault> {
    let failed = |error: std::io::Error| Fault::Io(error.to_string());
    // Asked first, because opening a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Fault::NotAFile);
    }
    let mut contents = Vec::new();
    // One octet more than a document may have, so that the reader sees that it is too long.
    File::open(path).map_err(failed)?.take(MAX_OCTETS as u64 + 1).read_to_end(&mut contents).map_err(failed)?;
    Ok(contents)
}

impl Watch {
    /// Watches the file at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, told: None, suspect: None }
    }

    /// Looks at the file. Each document, and each fault, is told once, and a fault only when it was there the last time
    /// as well: a file that is being written is no fault.
    pub fn poll(&mut self) -> Option<Result<Valid, Fault>> {
        let contents = read(&self.path);
        let fingerprint = fingerprint(&contents);
        if self.told == Some(fingerprint) {
            self.suspect = None;
            return None;
        }
        let parsed = contents.and_then(|contents| Ok(master_config::parse(&contents)?));
        if parsed.is_err() && self.suspect != Some(fingerprint) {
            self.suspect = Some(fingerprint);
            return None;
        }
        (self.told, self.suspect) = (Some(fingerprint), None);
        Some(parsed)
    }
}

fn fingerprint(contents: &Result<Vec<u8>, Fault>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match contents {
        Ok(contents) => contents.hash(&mut hasher),
        Err(fault) => fault.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

impl Configuration {
    /// Of the file at `path`, for the engine of this id. Runs inside a runtime.
    #[must_use]
    pub fn new(path: PathBuf, engine_id: &[u8], status: Status) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            watch: Watch::new(path),
            ticks,
            engine_id: engine_id.into(),
            keys: KeyCache::default(),
            deriving: None,
            status,
        }
    }

    /// Waits for the next document that can be used. Keys are derived on a thread that has nothing else to do. Cancel
    /// safe.
    pub async fn next(&mut self) -> Loaded {
        loop {
            if let Some(deriving) = &mut self.deriving {
                let derived = deriving.await;
                self.deriving = None;
                match derived {
                    Ok((loaded, keys)) => {
                        self.keys = keys;
                        return loaded;
                    }
                    Err(error) => self.status.refused(format!("its keys cannot be derived: {error}")),
                }
            }
            self.ticks.tick().await;
            match self.watch.poll() {
                None => {}
                Some(Err(fault)) => self.status.refused(format!("{}: {fault}", self.watch.path.display())),
                Some(Ok(document)) => {
                    let (engine_id, mut keys) = (Arc::clone(&self.engine_id), std::mem::take(&mut self.keys));
                    self.deriving = Some(tokio::task::spawn_blocking(move || {
                        let access = Access::new(&document, &engine_id, &mut keys);
                        (Loaded { document, access }, keys)
                    }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn document(community: &str) -> String {
        format!(
            r#"{{"version":1,"contexts":[{{"name":"","communities":[{{"community":"{community}","sources":["127.0.0.0/8"]}}]}}]}}"#
        )
    }

    fn community(document: &Valid) -> &str {
        document.contexts[0].communities[0].community.expose()
    }

    fn watched() -> (tempfile::TempDir, PathBuf, Watch) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.json");
        let watch = Watch::new(path.clone());
        (dir, path, watch)
    }

    #[test]
    fn a_document_is_told_once_and_so_is_the_next() {
        let (_dir, path, mut watch) = watched();
        for name in ["one", "two"] {
            fs::write(&path, document(name)).unwrap();
            assert_eq!(community(&watch.poll().unwrap().unwrap()), name);
            assert!(watch.poll().is_none());
        }
    }

    #[test]
    fn a_swapped_link_is_a_change() {
        let (dir, path, mut watch) = watched();
        for version in ["..one", "..two"] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("master.json"), document(version)).unwrap();
        }
        symlink("..one", dir.path().join("..data")).unwrap();
        symlink("..data/master.json", &path).unwrap();
        assert_eq!(community(&watch.poll().unwrap().unwrap()), "..one");
        symlink("..two", dir.path().join("..new")).unwrap();
        fs::rename(dir.path().join("..new"), dir.path().join("..data")).unwrap();
        assert_eq!(community(&watch.poll().unwrap().unwrap()), "..two");
    }

    #[test]
    fn a_fault_is_told_once_when_it_stays_and_the_way_back_to_the_last_good_one_is_told_too() {
        let (_dir, path, mut watch) = watched();
        fs::write(&path, document("good")).unwrap();
        watch.poll().unwrap().unwrap();
        fs::write(&path, "{").unwrap();
        assert!(watch.poll().is_none(), "it may be the half of something");
        assert!(matches!(watch.poll(), Some(Err(Fault::Parse(_)))));
        assert!(watch.poll().is_none());
        fs::write(&path, document("good")).unwrap();
        assert_eq!(community(&watch.poll().unwrap().unwrap()), "good");
    }

    #[test]
    fn a_half_written_document_is_no_fault() {
        let (_dir, path, mut watch) = watched();
        let whole = document("whole");
        for len in [0, 10, whole.len() / 2] {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(watch.poll().is_none(), "{len}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(watch.poll().unwrap().is_ok());
    }

    #[test]
    fn what_is_no_file_or_too_long_is_a_fault() {
        let (dir, path, mut watch) = watched();
        assert!(watch.poll().is_none());
        assert!(matches!(watch.poll(), Some(Err(Fault::Io(_)))));
        File::create(&path).unwrap().set_len(MAX_OCTETS as u64 + 1).unwrap();
        assert!(watch.poll().is_none());
        assert!(matches!(watch.poll(), Some(Err(Fault::Parse(ParseError::TooLong { .. })))));
        let mut watch = Watch::new(dir.path().to_owned());
        assert!(watch.poll().is_none());
        assert_eq!(watch.poll(), Some(Err(Fault::NotAFile)));
    }
}
