//! The record in a file of the state directory.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::{Entry, RecordError, read, write};

/// The file.
const FILE: &str = "alarms";

/// The record in the state directory, which the process has locked.
#[derive(Debug)]
pub(crate) struct RecordStore {
    directory: PathBuf,
}

impl RecordStore {
    /// Uses the record of a state directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Returns the recorded alarms. A record that cannot be read is logged and ignored: sidecars send their alarms again.
    pub(crate) fn load(&self) -> Vec<Entry> {
        let path = self.directory.join(FILE);
        let entries = match fs::read(&path) {
            Ok(record) => read(&record),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        };
        entries.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "ignored the record of alarms; it is replaced by the alarms that sidecars send");
            Vec::new()
        })
    }

    /// Replaces the record atomically. Returns how many alarms did not fit.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub(crate) fn save(&self, entries: impl Iterator<Item = Entry>) -> Result<usize, RecordError> {
        let (record, left_out) = write(entries)?;
        let new = self.directory.join(".alarms.new");
        let mut file = File::create(&new)?;
        file.write_all(&record)?;
        file.sync_all()?;
        fs::rename(&new, self.directory.join(FILE))?;
        File::open(&self.directory)?.sync_all()?;
        Ok(left_out)
    }
}
