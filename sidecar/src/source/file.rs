//! Files of the configuration folder: keys of Secrets and ConfigMaps.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path},
};

use super::Cause;

/// The longest file that is read, in bytes: a Secret or ConfigMap holds no more in all.
const MAX_FILE: u64 = 1 << 20;

/// Reads a file of the configuration folder.
pub(super) fn read(folder: &Path, name: &str) -> Result<Vec<u8>, Cause> {
    let bad = |problem| Cause::BadFile { name: name.to_owned(), problem };
    let mut components = Path::new(name).components();
    let (Some(Component::Normal(_)), None) = (components.next(), components.next()) else {
        return Err(bad("is not a plain name in the configuration folder"));
    };
    let mut content = Vec::new();
    File::open(folder.join(name))
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content))
        .map_err(|error| Cause::UnreadableFile { name: name.to_owned(), error: error.kind() })?;
    if content.len() as u64 > MAX_FILE { Err(bad("is longer than 1 MiB")) } else { Ok(content) }
}
