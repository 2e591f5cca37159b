//! The folder of documents, read whole whenever it changes.
//!
//! A volume of Kubernetes changes by one rename: its files lie in a folder that the link `..data` names, and a new
//! version is a new folder. So the link alone is polled, and one version is read or another, never parts of both.
//! (Inotify would miss the rename on the files themselves, and its instances are few per node.) In a plain folder
//! names, sizes and times are polled.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Longest file read, in bytes. A whole ConfigMap is at most 1 MiB.
const FILE_SIZE: u64 = 2 << 20;
/// Most documents read.
const FILES: usize = 256;
/// How old a plain file's last change must be, so that the next change shows in its times.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// The link of Kubernetes' atomic writer.
const DATA_LINK: &str = "..data";

/// The contents of the documents, by file name.
pub type Files = BTreeMap<String, Result<Vec<u8>, ReadError>>;

/// Why a file's contents are not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The system's reason.
    #[error("the file cannot be read: {0}")]
    Io(String),
    /// A folder, a pipe or the like.
    #[error("not a file")]
    NotAFile,
    /// Longer than a document can be.
    #[error("the file is longer than 2 MiB")]
    TooLong,
    /// One of too many.
    #[error("not read: there are more than 256 documents")]
    TooMany,
}

/// A configuration folder, and what it looked like when it was last read.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    seen: Option<Fingerprint>,
}

/// What tells one state of the folder from another.
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

/// A state of the folder that differs from the one before.
#[derive(Debug)]
pub struct Change {
    /// Every document in the folder.
    pub files: Files,
    /// Whether the files' writers have surely finished. If not, the next poll gives the folder again.
    pub settled: bool,
}

impl Folder {
    /// The folder at `path`, not yet read.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Reads the folder if it has changed since it was last read.
    ///
    /// # Errors
    /// The system's, when the folder itself cannot be read.
    pub fn poll(&mut self, now: SystemTime) -> io::Result<Option<Change>> {
        let before = self.fingerprint()?;
        if self.seen.as_ref() == Some(&before) {
            return Ok(None);
        }
        let files = self.read(&before)?;
        if self.fingerprint()? != before {
            // Changed while it was read: the next poll reads it again.
            return Ok(None);
        }
        let settled = before.settled(now);
        self.seen = Some(before).filter(|_| settled);
        Ok(Some(Change { files, settled }))
    }

    fn fingerprint(&self) -> io::Result<Fingerprint> {
        match fs::read_link(self.path.join(DATA_LINK)) {
            Ok(target) => Ok(Fingerprint::Link(target)),
            Err(_) => list(&self.path).map(Fingerprint::Listing),
        }
    }

    fn read(&self, fingerprint: &Fingerprint) -> io::Result<Files> {
        let (folder, names) = match fingerprint {
            Fingerprint::Link(target) => {
                let folder = self.path.join(target);
                let listing = list(&folder)?;
                (folder, listing)
            }
            Fingerprint::Listing(listing) => (self.path.clone(), listing.clone()),
        };
        let contents = |(i, name): (usize, String)| {
            let content = if i < FILES { read_file(&folder.join(&name), FILE_SIZE) } else { Err(ReadError::TooMany) };
            (name, content)
        };
        Ok(names.into_keys().enumerate().map(contents).collect())
    }
}

impl Fingerprint {
    /// Whether a change from now on would make another fingerprint, however soon it comes.
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

/// The documents in `folder`, with what can be said of each without reading it.
fn list(folder: &Path) -> io::Result<BTreeMap<String, Option<Stamp>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
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

/// A file's contents, if it is a plain file of at most `limit` bytes.
///
/// # Errors
/// [`ReadError`].
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let failed = |error: io::Error| ReadError::Io(error.to_string());
    // Asked first, because opening a pipe would block.
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
    fn a_plain_folder_is_read_again_when_a_file_comes_changes_or_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path().to_owned());
        assert_eq!(names(&folder.poll(later()).unwrap().unwrap()), [""; 0]);
        assert!(folder.poll(later()).unwrap().is_none());

        fs::write(dir.path().join("subtree.a.json"), "one").unwrap();
        fs::write(dir.path().join("password"), "not a document").unwrap();
        let change = folder.poll(later()).unwrap().unwrap();
        assert_eq!(names(&change), ["subtree.a.json"]);
        assert_eq!(change.files["subtree.a.json"].as_deref(), Ok(b"one".as_slice()));
        assert!(folder.poll(later()).unwrap().is_none());

        fs::write(dir.path().join("subtree.a.json"), "three").unwrap();
        assert_eq!(folder.poll(later()).unwrap().unwrap().files["subtree.a.json"].as_deref(), Ok(b"three".as_slice()));

        fs::remove_file(dir.path().join("subtree.a.json")).unwrap();
        assert_eq!(names(&folder.poll(later()).unwrap().unwrap()), [""; 0]);
        assert!(folder.poll(later()).unwrap().is_none());
    }

    #[test]
    fn a_file_that_was_just_written_is_read_until_its_times_can_tell_a_change() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("subtree.a.json"), "half").unwrap();
        let mut folder = Folder::new(dir.path().to_owned());
        let now = SystemTime::now();
        assert!(!folder.poll(now).unwrap().unwrap().settled);
        assert!(!folder.poll(now).unwrap().unwrap().settled);
        assert!(folder.poll(later()).unwrap().unwrap().settled);
        assert!(folder.poll(later()).unwrap().is_none());
    }

    /// A volume as the kubelet writes it.
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
    fn a_volume_is_read_when_its_link_is_swapped_and_at_once_settled() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path().to_owned());
        swap(dir.path(), "..2026_1", &[("subtree.a.json", "1"), ("subtree.b.json", "1")]);
        let change = folder.poll(SystemTime::now()).unwrap().unwrap();
        assert!(change.settled);
        assert_eq!(names(&change), ["subtree.a.json", "subtree.b.json"]);
        assert!(folder.poll(SystemTime::now()).unwrap().is_none());

        // The kubelet removes the link of a file that is gone only after the swap.
        swap(dir.path(), "..2026_2", &[("subtree.b.json", "2")]);
        let change = folder.poll(SystemTime::now()).unwrap().unwrap();
        assert_eq!(names(&change), ["subtree.b.json"]);
        assert_eq!(change.files["subtree.b.json"].as_deref(), Ok(b"2".as_slice()));
    }

    #[test]
    fn a_volume_whose_link_leads_nowhere_is_an_error_and_not_an_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        symlink("..2026_1", dir.path().join(DATA_LINK)).unwrap();
        assert!(Folder::new(dir.path().to_owned()).poll(later()).is_err());
    }

    #[test]
    fn what_is_no_plain_file_of_the_size_of_a_document_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("subtree.folder.json")).unwrap();
        symlink("nowhere", dir.path().join("subtree.dangling.json")).unwrap();
        symlink("/dev/zero", dir.path().join("subtree.device.json")).unwrap();
        let long = fs::File::create(dir.path().join("subtree.long.json")).unwrap();
        long.set_len(FILE_SIZE + 1).unwrap();
        let files = Folder::new(dir.path().to_owned()).poll(later()).unwrap().unwrap().files;
        assert_eq!(files["subtree.folder.json"], Err(ReadError::NotAFile));
        assert_eq!(files["subtree.device.json"], Err(ReadError::NotAFile));
        assert_eq!(files["subtree.long.json"], Err(ReadError::TooLong));
        assert!(matches!(files["subtree.dangling.json"], Err(ReadError::Io(_))));
    }

    #[test]
    fn documents_beyond_the_limit_are_refused_and_the_others_read() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..=FILES {
            fs::write(dir.path().join(format!("subtree.{i:04}.json")), "").unwrap();
        }
        let files = Folder::new(dir.path().to_owned()).poll(later()).unwrap().unwrap().files;
        let refused: Vec<_> = files.iter().filter(|(_, contents)| contents.is_err()).collect();
        assert_eq!(refused, [(&"subtree.0256.json".to_owned(), &Err(ReadError::TooMany))]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later");
        let mut folder = Folder::new(path.clone());
        assert!(folder.poll(later()).is_err());
        fs::create_dir(path).unwrap();
        assert!(folder.poll(later()).unwrap().is_some());
    }
}
