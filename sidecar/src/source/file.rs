//! Files of the configuration directory: the keys of Secrets and ConfigMaps.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path},
};

use super::error::SourceError;

/// The maximum size of a file, in bytes. It is also the maximum size of a Secret or ConfigMap.
const MAX_FILE: u64 = 1 << 20;

/// Reads a file of the configuration directory.
pub(super) fn read(directory: &Path, name: &str) -> Result<Vec<u8>, SourceError> {
    let bad = |problem| SourceError::BadFile { name: name.to_owned(), problem };
    let mut components = Path::new(name).components();
    let (Some(Component::Normal(_)), None) = (components.next(), components.next()) else {
        return Err(bad("is not a plain file name in the configuration directory"));
    };
    let mut content = Vec::new();
    File::open(directory.join(name))
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut content))
        .map_err(|error| SourceError::UnreadableFile { name: name.to_owned(), error: error.kind() })?;
    if content.len() as u64 > MAX_FILE { Err(bad("is longer than 1 MiB")) } else { Ok(content) }
}
