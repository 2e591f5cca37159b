//! Writes a folder as a whole: all of it is new, or nothing has changed.
//!
//! The new tree grows in a folder beside the old one and takes its place by renaming. A list of the files written
//! ([`LIST`]) lies in it, so that the next render knows which files were its own; others are carried over.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The list of files that a render has written, one path per line.
pub const LIST: &str = ".snmp-operator";

/// Files by their paths in the folder.
pub type Files = BTreeMap<PathBuf, Content>;

/// What a file holds, and for whom.
pub enum Content {
    /// A text for everyone.
    Open(String),
    /// A text with secrets in it: its owner's alone.
    Secret(String),
}

impl Content {
    fn text(&self) -> &str {
        let (Self::Open(text) | Self::Secret(text)) = self;
        text
    }

    /// The permissions of a new file, which the process may be told to narrow.
    fn mode(&self) -> u32 {
        match self {
            Self::Open(_) => 0o666,
            Self::Secret(_) => 0o600,
        }
    }
}

/// What [`replace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// All was written.
    Written,
    /// Nothing: it was so already.
    Unchanged,
}

/// Why a folder was not written. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A file or folder that cannot be read or written.
    #[error("{}: {source}; nothing was changed", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder of someone else's.
    #[error("{}: is not empty, and no earlier render of snmp-operator; nothing was changed", .0.display())]
    NotOurs(PathBuf),
    /// A file of someone else's where one of ours would go.
    #[error("{}: is not from an earlier render, and in the way; nothing was changed", .0.display())]
    InTheWay(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Io { path, source }
}

/// Makes `folder` hold `files`, and what others have put beside the files of an earlier render.
///
/// # Errors
/// [`OutputError`]; the folder is as it was.
pub fn replace(folder: &Path, files: &Files) -> Result<Replaced, OutputError> {
    let folder = std::path::absolute(folder).map_err(at(folder))?;
    // A link is written where it leads.
    let folder = fs::canonicalize(&folder).unwrap_or(folder);
    let parent = folder.parent().unwrap_or(&folder);
    let others = others(&folder)?;
    let list = files.keys().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join("\n");
    let list = Content::Open(list);
    if holds(&folder.join(LIST), &list) && files.iter().all(|(path, content)| holds(&folder.join(path), content)) {
        return Ok(Replaced::Unchanged);
    }
    fs::create_dir_all(parent).map_err(at(parent))?;
    let prefix = folder.file_name().unwrap_or(OsStr::new("render")).to_string_lossy().into_owned();
    let fresh = tempfile::Builder::new().prefix(&format!(".{prefix}.")).tempdir_in(parent).map_err(at(parent))?;
    // A temporary folder is its maker's alone; a render is like any other folder.
    fs::set_permissions(fresh.path(), fs::Permissions::from_mode(0o755)).map_err(at(fresh.path()))?;
    for (path, content) in files {
        write(&fresh.path().join(path), content)?;
    }
    write(&fresh.path().join(LIST), &list)?;
    for path in &others {
        carry_over(&folder.join(path), &fresh.path().join(path))?;
    }
    swap(fresh.path(), &folder)?;
    Ok(Replaced::Written)
}

/// Whether a file holds this already, and no one reads it who should not.
fn holds(path: &Path, content: &Content) -> bool {
    let kept = |path: &Path| match content {
        Content::Open(_) => true,
        Content::Secret(_) => {
            fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o777 == content.mode())
        }
    };
    fs::read(path).is_ok_and(|octets| octets == content.text().as_bytes()) && kept(path)
}

/// The files in `folder` that are not of an earlier render.
fn others(folder: &Path) -> Result<BTreeSet<PathBuf>, OutputError> {
    let mut all = BTreeSet::new();
    match collect(folder, Path::new(""), &mut all) {
        Err(OutputError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        other => other?,
    }
    if all.is_empty() {
        return Ok(all);
    }
    let path = folder.join(LIST);
    let list = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OutputError::NotOurs(folder.to_owned())),
        list => list.map_err(at(&path))?,
    };
    for ours in list.lines().chain([LIST]) {
        all.remove(Path::new(ours));
    }
    Ok(all)
}

/// All files below `folder`/`below`, as paths in `folder`. Links are files.
fn collect(folder: &Path, below: &Path, all: &mut BTreeSet<PathBuf>) -> Result<(), OutputError> {
    let path = folder.join(below);
    for entry in fs::read_dir(&path).map_err(at(&path))? {
        let entry = entry.map_err(at(&path))?;
        let below = below.join(entry.file_name());
        if entry.file_type().map_err(at(&entry.path()))?.is_dir() {
            collect(folder, &below, all)?;
        } else {
            all.insert(below);
        }
    }
    Ok(())
}

/// Writes a new file, down to the disk.
fn write(path: &Path, content: &Content) -> Result<(), OutputError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    // From its first octet on, it is no one's who should not have it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(content.mode()).open(path).map_err(at(path))?;
    file.write_all(content.text().as_bytes()).and_then(|()| file.sync_all()).map_err(at(path))
}

/// Gives a file a second name in the new tree; the old tree keeps the first until all is done.
fn carry_over(from: &Path, to: &Path) -> Result<(), OutputError> {
    let folder = to.parent().unwrap_or(to);
    match fs::create_dir_all(folder).and_then(|()| fs::hard_link(from, to)) {
        Err(error) if [io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Err(OutputError::InTheWay(from.to_owned()))
        }
        linked => linked.map_err(at(from)),
    }
}

/// Puts `fresh` in the place of `folder`.
fn swap(fresh: &Path, folder: &Path) -> Result<(), OutputError> {
    let old = fresh.with_extension("old");
    match fs::rename(folder, &old) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fs::rename(fresh, folder).map_err(at(folder)),
        Err(source) => return Err(OutputError::Io { path: folder.to_owned(), source }),
    }
    if let Err(source) = fs::rename(fresh, folder) {
        fs::rename(&old, folder).map_err(at(folder))?;
        return Err(OutputError::Io { path: folder.to_owned(), source });
    }
    // The new tree stands; what is left of the old one harms no one.
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// Writes one file, which is whole or as it was.
///
/// # Errors
/// [`OutputError::Io`]; the file is as it was.
pub fn replace_file(path: &Path, text: &str) -> Result<(), OutputError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(at(path))?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).map_err(at(path))?;
    file.persist(path).map_err(|error| OutputError::Io { path: path.to_owned(), source: error.error })?;
    Ok(())
}
