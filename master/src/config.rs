//! The document, watched: read once a second, or sent by the API server, and put to use if it says something else and
//! is sound.
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
    cluster::SecretSource,
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

/// Where the document comes from.
#[derive(Debug)]
pub enum Source {
    /// A file.
    File(FileSource),
    /// Secrets of a cluster.
    Secrets(Box<SecretSource>),
}

/// A file, looked at each second.
#[derive(Debug)]
pub struct FileSource {
    watch: Watch,
    ticks: Interval,
}

/// Watches the document, and makes of each what requests are judged by.
#[derive(Debug)]
pub struct Configuration {
    source: Source,
    engine_id: Arc<[u8]>,
    /// Keys that were derived already; away while more are.
    keys: KeyCache,
    deriving: Option<JoinHandle<(Loaded, KeyCache)>>,
    status: Status,
}

/// What a document's file says.
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

impl FileSource {
    /// The file at `path`. Runs inside a runtime.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch: Watch::new(path), ticks }
    }

    async fn next(&mut self) -> Result<Valid, String> {
        loop {
            self.ticks.tick().await;
            if let Some(told) = self.watch.poll() {
                return told.map_err(|fault| format!("{}: {fault}", self.watch.path.display()));
            }
        }
    }
}

impl Source {
    /// Waits for the next document. Cancel safe.
    async fn next(&mut self) -> Result<Valid, String> {
        match self {
            Self::File(file) => file.next().await,
            Self::Secrets(secrets) => secrets.next().await,
        }
    }

    fn tell_again(&mut self) {
        match self {
            Self::File(file) => file.watch.told = None,
            Self::Secrets(secrets) => secrets.tell_again(),
        }
    }
}

impl Configuration {
    /// Of this source, for the engine of this id.
    #[must_use]
    pub fn new(source: Source, engine_id: &[u8], status: Status) -> Self {
        Self { source, engine_id: engine_id.into(), keys: KeyCache::default(), deriving: None, status }
    }

    /// The id of the engine that keys are derived for.
    #[must_use]
    pub fn engine_id(&self) -> &[u8] {
        &self.engine_id
    }

    /// Keys are for an engine of another id from now on: the document comes again, with those.
    pub fn rekey(&mut self, engine_id: &[u8]) {
        self.engine_id = engine_id.into();
        self.deriving = None;
        self.source.tell_again();
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
            match self.source.next().await {
                Err(fault) => self.status.refused(fault),
                Ok(document) => {
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
    use std::{future::Future, os::unix::fs::symlink};

    use tokio::time::timeout;

    use super::*;

    /// Nothing takes longer, unless it never comes.
    async fn within<T>(wait: impl Future<Output = T>) -> T {
        timeout(Duration::from_mins(1), wait).await.expect("it comes")
    }

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

    #[tokio::test]
    async fn a_document_is_put_to_use_and_a_bad_one_after_it_is_told_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.json");
        fs::write(&path, document("first")).unwrap();
        let status = Status::default();
        let source = Source::File(FileSource::new(path.clone()));
        let mut configuration = Configuration::new(source, b"\x80\x00\x00\x00\x01", status.clone());
        let loaded = within(configuration.next()).await;
        assert_eq!(community(&loaded.document), "first");
        status.loaded(&loaded.document);

        fs::write(&path, r#"{"version": 1, "contexts": 7}"#).unwrap();
        let refused = async {
            while status.errors() == 0 {
                // The wait may be given up at any time.
                let next = timeout(Duration::from_millis(100), configuration.next()).await;
                assert!(next.is_err(), "there is nothing that could be used");
            }
        };
        within(refused).await;
        let error = status.configuration().error.unwrap();
        assert!(error.contains("master.json") && error.contains("contexts"), "{error}");
        assert!(status.configuration().loaded);

        fs::write(&path, document("second")).unwrap();
        let loaded = within(configuration.next()).await;
        status.loaded(&loaded.document);
        assert_eq!((community(&loaded.document), status.errors(), status.reloads()), ("second", 1, 2));
        assert_eq!(status.configuration().error, None);
    }

    #[tokio::test]
    async fn for_another_engine_the_document_comes_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.json");
        fs::write(&path, document("first")).unwrap();
        let source = Source::File(FileSource::new(path));
        let mut configuration = Configuration::new(source, b"\x80\x00\x00\x00\x01", Status::default());
        within(configuration.next()).await;
        configuration.rekey(b"\x80\x00\x00\x00\x02");
        assert_eq!(community(&within(configuration.next()).await.document), "first");
        assert_eq!(configuration.engine_id(), b"\x80\x00\x00\x00\x02");
    }
}
