//! Atomic replacement of a folder: either all files are new, or nothing has changed.
//!
//! The new tree is built in a temporary folder beside the old one, which it then replaces by a rename. The tree contains
//! a list of the files that were written ([`LIST`]). The next render removes the files on the list and keeps all others.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The file that lists what a render has written, one path per line.
pub(crate) const LIST: &str = ".snmp-operator";

/// Files, by their paths relative to the folder.
pub(crate) type Files = BTreeMap<PathBuf, Content>;

/// The content of a file, and who can read it.
pub(crate) enum Content {
    /// A text that everyone can read.
    Public(String),
    /// A text with secrets, which only the owner of the file can read.
    Secret(String),
}

impl Content {
    fn text(&self) -> &str {
        let (Self::Public(text) | Self::Secret(text)) = self;
        text
    }

    /// Returns the mode of a new file, before the umask is applied.
    fn mode(&self) -> u32 {
        match self {
            Self::Public(_) => 0o666,
            Self::Secret(_) => 0o600,
        }
    }
}

/// The result of [`replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The folder was written.
    Written,
    /// The folder already had this content.
    Unchanged,
}

/// The folder was not written, and is unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}; nothing was changed", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder was not written by this program.
    #[error("{}: is not empty and was not written by an earlier render; choose another folder. Nothing was changed", .0.display())]
    ForeignFolder(PathBuf),
    /// A file that this program did not write has the path of one that it would write.
    #[error("{}: was not written by an earlier render, and is in the way; move it. Nothing was changed", .0.display())]
    ForeignFile(PathBuf),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OutputError {
    let path = path.to_owned();
    move |source| OutputError::Io { path, source }
}

/// Replaces the files of an earlier render in `folder` by `files`. Files that others have put there are kept.
///
/// # Errors
/// Returns an error if the folder cannot be replaced. It is then unchanged.
pub(crate) fn replace(folder: &Path, files: &Files) -> Result<Replaced, OutputError> {
    let folder = std::path::absolute(folder).map_err(at(folder))?;
    // A symbolic link is resolved, so that its target is replaced and not the link.
    let folder = fs::canonicalize(&folder).unwrap_or(folder);
    let parent = folder.parent().unwrap_or(&folder);
    let others = others(&folder)?;
    let list = files.keys().map(|path| path.to_string_lossy()).collect::<Vec<_>>().join("\n");
    let list = Content::Public(list);
    if holds(&folder.join(LIST), &list) && files.iter().all(|(path, content)| holds(&folder.join(path), content)) {
        return Ok(Replaced::Unchanged);
    }
    fs::create_dir_all(parent).map_err(at(parent))?;
    let prefix = folder.file_name().unwrap_or(OsStr::new("render")).to_string_lossy().into_owned();
    let fresh = tempfile::Builder::new().prefix(&format!(".{prefix}.")).tempdir_in(parent).map_err(at(parent))?;
    // Temporary folders have mode 0700. A render has the usual mode of a folder.
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

/// Returns whether the file already has this content and, if it is secret, its mode.
fn holds(path: &Path, content: &Content) -> bool {
    let has_mode = |path: &Path| match content {
        Content::Public(_) => true,
        Content::Secret(_) => {
            fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o777 == content.mode())
        }
    };
    fs::read(path).is_ok_and(|octets| octets == content.text().as_bytes()) && has_mode(path)
}

/// Returns the files in `folder` that an earlier render did not write.
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OutputError::ForeignFolder(folder.to_owned()));
        }
        list => list.map_err(at(&path))?,
    };
    for ours in list.lines().chain([LIST]) {
        all.remove(Path::new(ours));
    }
    Ok(all)
}

/// Adds all files in `folder`/`below`, at any depth, to `all`, as paths relative to `folder`. Links count as files.
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

/// Writes a new file and syncs it to the disk.
fn write(path: &Path, content: &Content) -> Result<(), OutputError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    // The mode is set when the file is created, so that nobody can open it before.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(content.mode()).open(path).map_err(at(path))?;
    file.write_all(content.text().as_bytes()).and_then(|()| file.sync_all()).map_err(at(path))
}

/// Links a file into the new tree. The old tree keeps its link until it is removed.
fn carry_over(from: &Path, to: &Path) -> Result<(), OutputError> {
    let folder = to.parent().unwrap_or(to);
    match fs::create_dir_all(folder).and_then(|()| fs::hard_link(from, to)) {
        Err(error) if [io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Err(OutputError::ForeignFile(from.to_owned()))
        }
        linked => linked.map_err(at(from)),
    }
}

/// Replaces `folder` by `fresh`.
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
    // The new tree is already in use, so an error here has no effect on it.
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// Replaces one file atomically.
///
/// # Errors
/// Returns an error if the file cannot be written. It is then unchanged.
pub(crate) fn replace_file(path: &Path, text: &str) -> Result<(), OutputError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(at(folder))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(at(path))?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).map_err(at(path))?;
    file.persist(path).map_err(|error| OutputError::Io { path: path.to_owned(), source: error.error })?;
    Ok(())
}
