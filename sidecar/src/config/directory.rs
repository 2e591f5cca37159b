//! The configuration directory, which is read completely whenever it changes.
//!
//! A Kubernetes volume changes with a single rename: its files are in a directory that the link `..data` refers to, and every
//! version is a new directory. So only the link is polled, and either one version or another is read, never parts of both.
//! (Inotify does not report the rename for the files themselves, and a node has few inotify instances.) In a plain directory
//! the names, sizes and times are polled.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The longest file that is read, in bytes. A ConfigMap is at most 1 MiB in total.
const MAX_FILE_SIZE: u64 = 2 << 20;
/// The most documents that are read.
const MAX_FILES: usize = 256;
/// The minimum age of a plain file's last change, so that the next change is visible in its times.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// The link of Kubernetes' atomic writer.
const DATA_LINK: &str = "..data";

/// The contents of the documents by file name.
pub(crate) type Files = BTreeMap<String, Result<Vec<u8>, ReadError>>;

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The operating system's error.
    #[error("the file cannot be read: {0}")]
    Io(String),
    /// A directory, a pipe or similar.
    #[error("not a file")]
    NotAFile,
    /// The file is too long.
    #[error("the file is longer than 2 MiB")]
    TooLong,
    /// There are too many files.
    #[error("not read: there are more than 256 documents")]
    TooMany,
}

/// A configuration directory, and its state when it was last read.
#[derive(Debug)]
pub(crate) struct ConfigDirectory {
    path: PathBuf,
    last: Option<Fingerprint>,
}

/// What distinguishes one state of the directory from another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fingerprint {
    Link(PathBuf),
    Listing(BTreeMap<String, Option<Stamp>>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

/// A new state of the directory.
#[derive(Debug)]
pub(crate) struct Change {
    /// All documents in the directory.
    pub(crate) files: Files,
    /// Whether the writers of the files have certainly finished. If not, the next poll reads the directory again.
    pub(crate) settled: bool,
}

impl ConfigDirectory {
    /// Refers to the directory at `path`, without reading it.
    #[must_use]
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: None }
    }

    /// Reads the directory if it has changed since it was last read.
    ///
    /// # Errors
    /// Returns an error if the directory itself cannot be read.
    pub(crate) fn poll(&mut self, now: SystemTime) -> io::Result<Option<Change>> {
        let before = self.fingerprint()?;
        if self.last.as_ref() == Some(&before) {
            return Ok(None);
        }
        let files = self.read(&before)?;
        if self.fingerprint()? != before {
            // It changed while it was read. The next poll reads it again.
            return Ok(None);
        }
        let settled = before.settled(now);
        self.last = Some(before).filter(|_| settled);
        Ok(Some(Change { files, settled }))
    }

    fn fingerprint(&self) -> io::Result<Fingerprint> {
        match fs::read_link(self.path.join(DATA_LINK)) {
            Ok(target) => Ok(Fingerprint::Link(target)),
            Err(_) => list(&self.path).map(Fingerprint::Listing),
        }
    }

    fn read(&self, fingerprint: &Fingerprint) -> io::Result<Files> {
        let (directory, names) = match fingerprint {
            Fingerprint::Link(target) => {
                let directory = self.path.join(target);
                let listing = list(&directory)?;
                (directory, listing)
            }
            Fingerprint::Listing(listing) => (self.path.clone(), listing.clone()),
        };
        let contents = |(i, name): (usize, String)| {
            let content =
                if i < MAX_FILES { read_file(&directory.join(&name), MAX_FILE_SIZE) } else { Err(ReadError::TooMany) };
            (name, content)
        };
        Ok(names.into_keys().enumerate().map(contents).collect())
    }
}

impl Fingerprint {
    /// Returns whether every later change results in another fingerprint.
    fn settled(&self, now: SystemTime) -> bool {
        let old = |stamp: &Stamp| {
            let age = stamp.modified.and_then(|modified| now.duration_since(modified).ok());
            age.is_none_or(|age| age >= SETTLED_AFTER)
        };
        match self {
            Self::Link(_) => true,
            Self::Listing(files) => files.values().flatten().all(old),
        }
    }
}

/// Lists the documents in `directory`.
fn list(directory: &Path) -> io::Result<BTreeMap<String, Option<Stamp>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if sidecar_config::subtree_name(&name).is_some() {
            let stamp = fs::metadata(entry.path()).ok().map(|metadata| Stamp {
                inode: metadata.ino(),
                len: metadata.len(),
                modified: metadata.modified().ok(),
            });
            files.insert(name, stamp);
        }
    }
    Ok(files)
}

/// Reads a plain file of at most `limit` bytes.
///
/// # Errors
/// Returns an error if the path is not a plain file, or if it cannot be read or is too long.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let failed = |error: io::Error| ReadError::Io(error.to_string());
    // Checked first, because opening a pipe would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut contents = Vec::new();
    fs::File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut contents).map_err(failed)?;
    if contents.len() as u64 > limit {
        return Err(ReadError::TooLong);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(change: &Change) -> Vec<&str> {
        change.files.keys().map(String::as_str).collect()
    }

    fn later() -> SystemTime {
        SystemTime::now() + 2 * SETTLED_AFTER
    }

    #[test]
    fn plain_directory_is_read_again_when_a_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut directory = ConfigDirectory::new(dir.path().to_owned());
        assert_eq!(names(&directory.poll(later()).unwrap().unwrap()), [""; 0]);
        assert!(directory.poll(later()).unwrap().is_none());

        fs::write(dir.path().join("subtree.a.json"), "one").unwrap();
        fs::write(dir.path().join("password"), "not a document").unwrap();
        let change = directory.poll(later()).unwrap().unwrap();
        assert_eq!(names(&change), ["subtree.a.json"]);
        assert_eq!(change.files["subtree.a.json"].as_deref(), Ok(b"one".as_slice()));
        assert!(directory.poll(later()).unwrap().is_none());

        fs::write(dir.path().join("subtree.a.json"), "three").unwrap();
        assert_eq!(
            directory.poll(later()).unwrap().unwrap().files["subtree.a.json"].as_deref(),
            Ok(b"three".as_slice())
        );

        fs::remove_file(dir.path().join("subtree.a.json")).unwrap();
        assert_eq!(names(&directory.poll(later()).unwrap().unwrap()), [""; 0]);
        assert!(directory.poll(later()).unwrap().is_none());
    }

    #[test]
    fn recently_written_file_is_read_again_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("subtree.a.json"), "half").unwrap();
        let mut directory = ConfigDirectory::new(dir.path().to_owned());
        let now = SystemTime::now();
        assert!(!directory.poll(now).unwrap().unwrap().settled);
        assert!(!directory.poll(now).unwrap().unwrap().settled);
        assert!(directory.poll(later()).unwrap().unwrap().settled);
        assert!(directory.poll(later()).unwrap().is_none());
    }

    /// Writes a version of a volume as the kubelet does.
    fn swap(volume: &Path, version: &str, files: &[(&str, &str)]) {
        let data = volume.join(version);
        fs::create_dir(&data).unwrap();
        for (name, contents) in files {
            fs::write(data.join(name), contents).unwrap();
            let _ = symlink(Path::new(DATA_LINK).join(name), volume.join(name));
        }
        let before = fs::read_link(volume.join(DATA_LINK));
        symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join(DATA_LINK)).unwrap();
        if let Ok(before) = before {
            fs::remove_dir_all(volume.join(before)).unwrap();
        }
    }

    #[test]
    fn volume_is_read_when_its_link_changes() {
        let dir = tempfile::tempdir().unwrap();
        let mut directory = ConfigDirectory::new(dir.path().to_owned());
        swap(dir.path(), "..2026_1", &[("subtree.a.json", "1"), ("subtree.b.json", "1")]);
        let change = directory.poll(SystemTime::now()).unwrap().unwrap();
        assert!(change.settled);
        assert_eq!(names(&change), ["subtree.a.json", "subtree.b.json"]);
        assert!(directory.poll(SystemTime::now()).unwrap().is_none());

        // The kubelet removes the link of a deleted file only after the swap.
        swap(dir.path(), "..2026_2", &[("subtree.b.json", "2")]);
        let change = directory.poll(SystemTime::now()).unwrap().unwrap();
        assert_eq!(names(&change), ["subtree.b.json"]);
        assert_eq!(change.files["subtree.b.json"].as_deref(), Ok(b"2".as_slice()));
    }

    #[test]
    fn dangling_link_is_an_error_and_not_an_empty_directory() {
        let dir = tempfile::tempdir().unwrap();
        symlink("..2026_1", dir.path().join(DATA_LINK)).unwrap();
        assert!(ConfigDirectory::new(dir.path().to_owned()).poll(later()).is_err());
    }

    #[test]
    fn files_that_are_not_plain_or_too_long_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("subtree.folder.json")).unwrap();
        symlink("nowhere", dir.path().join("subtree.dangling.json")).unwrap();
        symlink("/dev/zero", dir.path().join("subtree.device.json")).unwrap();
        let long = fs::File::create(dir.path().join("subtree.long.json")).unwrap();
        long.set_len(MAX_FILE_SIZE + 1).unwrap();
        let files = ConfigDirectory::new(dir.path().to_owned()).poll(later()).unwrap().unwrap().files;
        assert_eq!(files["subtree.folder.json"], Err(ReadError::NotAFile));
        assert_eq!(files["subtree.device.json"], Err(ReadError::NotAFile));
        assert_eq!(files["subtree.long.json"], Err(ReadError::TooLong));
        assert!(matches!(files["subtree.dangling.json"], Err(ReadError::Io(_))));
    }

    #[test]
    fn documents_beyond_the_limit_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..=MAX_FILES {
            fs::write(dir.path().join(format!("subtree.{i:04}.json")), "").unwrap();
        }
        let files = ConfigDirectory::new(dir.path().to_owned()).poll(later()).unwrap().unwrap().files;
        let refused: Vec<_> = files.iter().filter(|(_, contents)| contents.is_err()).collect();
        assert_eq!(refused, [(&"subtree.0256.json".to_owned(), &Err(ReadError::TooMany))]);
    }

    #[test]
    fn missing_directory_is_an_error_until_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later");
        let mut directory = ConfigDirectory::new(path.clone());
        assert!(directory.poll(later()).is_err());
        fs::create_dir(path).unwrap();
        assert!(directory.poll(later()).unwrap().is_some());
    }
}
