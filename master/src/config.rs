//! Loads the document and its changes: from a file that is read every second, or from Secrets.
//!
//! Changes are detected by the contents of the file. This works for Kubernetes volumes, which swap a link, and for
//! editors, which overwrite the file. An invalid document changes nothing: the last valid one stays in use.

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
    observability::status::Status,
    replication::SecretSource,
    snmp::{Access, KeyCache},
};

/// Period of the reads of the file.
const PERIOD: Duration = Duration::from_secs(1);

/// Why a document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(String),
    /// The path is a directory, a pipe or the like.
    #[error("is not a file")]
    NotAFile,
    /// The contents are invalid.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Detects changes of a file.
#[derive(Debug)]
struct Watch {
    path: PathBuf,
    /// Fingerprint of the contents that were returned last.
    reported: Option<u64>,
    /// Fingerprint of invalid contents that may be incomplete, because they are being written.
    suspect: Option<u64>,
}

/// A valid document with the keys of its users.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The document.
    pub document: Valid,
    /// Communities, users and their views, with derived keys.
    pub access: Access,
}

/// The source of the document.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file.
    File(FileSource),
    /// Secrets of a cluster.
    Secrets(Box<SecretSource>),
}

/// A file that is read every second.
#[derive(Debug)]
pub(crate) struct FileSource {
    watch: Watch,
    ticks: Interval,
}

/// Watches the document, and derives the keys of its users.
#[derive(Debug)]
pub(crate) struct Configuration {
    source: Source,
    engine_id: Arc<[u8]>,
    /// Keys that were derived already. Empty while a thread derives more.
    keys: KeyCache,
    deriving: Option<JoinHandle<(Loaded, KeyCache)>>,
    status: Status,
}

/// Reads the file of a document.
///
/// # Errors
/// Returns an error if the path is not a file or cannot be read.
pub(crate) fn read(path: &std::path::Path) -> Result<Vec<u8>, DocumentError> {
    let failed = |error: std::io::Error| DocumentError::Io(error.to_string());
    // Checked first, because opening a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(DocumentError::NotAFile);
    }
    let mut contents = Vec::new();
    // One octet more than the maximum, so that the parser notices a document that is too long.
    File::open(path).map_err(failed)?.take(MAX_OCTETS as u64 + 1).read_to_end(&mut contents).map_err(failed)?;
    Ok(contents)
}

impl Watch {
    fn new(path: PathBuf) -> Self {
        Self { path, reported: None, suspect: None }
    }

    /// Reads the file. Returns each new document or error once.
    ///
    /// An error is returned only if two reads in a row find the same contents, because a file that is being written is
    /// no error.
    fn poll(&mut self) -> Option<Result<Valid, DocumentError>> {
        let contents = read(&self.path);
        let fingerprint = fingerprint(&contents);
        if self.reported == Some(fingerprint) {
            self.suspect = None;
            return None;
        }
        let parsed = contents.and_then(|contents| Ok(master_config::parse(&contents)?));
        if parsed.is_err() && self.suspect != Some(fingerprint) {
            self.suspect = Some(fingerprint);
            return None;
        }
        (self.reported, self.suspect) = (Some(fingerprint), None);
        Some(parsed)
    }
}

fn fingerprint(contents: &Result<Vec<u8>, DocumentError>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match contents {
        Ok(contents) => contents.hash(&mut hasher),
        Err(error) => error.to_string().hash(&mut hasher),
    }
    hasher.finish()
}

impl FileSource {
    /// Watches the file at `path`. Needs a Tokio runtime.
    pub(crate) fn new(path: PathBuf) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch: Watch::new(path), ticks }
    }

    async fn next(&mut self) -> Result<Valid, String> {
        loop {
            self.ticks.tick().await;
            if let Some(document) = self.watch.poll() {
                return document.map_err(|error| format!("{}: {error}", self.watch.path.display()));
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

    fn reload(&mut self) {
        match self {
            Self::File(file) => file.watch.reported = None,
            Self::Secrets(secrets) => secrets.reload(),
        }
    }
}

impl Configuration {
    /// Watches `source`, and derives keys for the engine `engine_id`.
    pub(crate) fn new(source: Source, engine_id: &[u8], status: Status) -> Self {
        Self { source, engine_id: engine_id.into(), keys: KeyCache::default(), deriving: None, status }
    }

    /// Returns the id of the engine that keys are derived for.
    pub(crate) fn engine_id(&self) -> &[u8] {
        &self.engine_id
    }

    /// Derives keys for another engine id. `next` then returns the document once more, with the new keys.
    pub(crate) fn rekey(&mut self, engine_id: &[u8]) {
        self.engine_id = engine_id.into();
        self.deriving = None;
        self.source.reload();
    }

    /// Waits for the next valid document. Keys are derived on a separate thread. Cancel safe.
    pub(crate) async fn next(&mut self) -> Loaded {
        loop {
            if let Some(deriving) = &mut self.deriving {
                let derived = deriving.await;
                self.deriving = None;
                match derived {
                    Ok((loaded, keys)) => {
                        self.keys = keys;
                        return loaded;
                    }
                    Err(error) => self.status.refused(format!("the derivation of keys failed: {error}")),
                }
            }
            match self.source.next().await {
                Err(error) => self.status.refused(error),
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

    /// Waits at most a minute.
    async fn within<T>(wait: impl Future<Output = T>) -> T {
        timeout(Duration::from_mins(1), wait).await.expect("timed out")
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
    fn each_document_is_returned_once() {
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
    fn an_error_and_the_recovery_from_it_are_each_returned_once() {
        let (_dir, path, mut watch) = watched();
        fs::write(&path, document("valid")).unwrap();
        watch.poll().unwrap().unwrap();
        fs::write(&path, "{").unwrap();
        assert!(watch.poll().is_none(), "it may be incomplete");
        assert!(matches!(watch.poll(), Some(Err(DocumentError::Parse(_)))));
        assert!(watch.poll().is_none());
        fs::write(&path, document("valid")).unwrap();
        assert_eq!(community(&watch.poll().unwrap().unwrap()), "valid");
    }

    #[test]
    fn an_incomplete_document_is_no_error() {
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
    fn a_directory_or_a_long_file_is_an_error() {
        let (dir, path, mut watch) = watched();
        assert!(watch.poll().is_none());
        assert!(matches!(watch.poll(), Some(Err(DocumentError::Io(_)))));
        File::create(&path).unwrap().set_len(MAX_OCTETS as u64 + 1).unwrap();
        assert!(watch.poll().is_none());
        assert!(matches!(watch.poll(), Some(Err(DocumentError::Parse(ParseError::TooLong { .. })))));
        let mut watch = Watch::new(dir.path().to_owned());
        assert!(watch.poll().is_none());
        assert_eq!(watch.poll(), Some(Err(DocumentError::NotAFile)));
    }

    #[tokio::test]
    async fn an_invalid_document_is_reported_and_changes_nothing() {
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
                // `next` is cancel safe.
                let next = timeout(Duration::from_millis(100), configuration.next()).await;
                assert!(next.is_err(), "there is no valid document");
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
    async fn the_document_is_returned_again_for_another_engine_id() {
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
