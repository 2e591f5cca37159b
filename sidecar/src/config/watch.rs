//! Polling of the configuration: the directory of documents and the file of labels.

use std::{path::PathBuf, time::SystemTime};

use super::{
    directory::{ConfigDirectory, ReadError, read_file},
    documents::{DocumentSet, Selection},
    labels::{self, Labels, LabelsError},
};

/// The longest file of labels that is read, in bytes.
const LABELS_SIZE: u64 = 1 << 20;

/// A watcher of the directory of documents and the file of labels.
#[derive(Debug)]
pub(crate) struct Watch {
    directory: ConfigDirectory,
    directory_error: Option<String>,
    loaded: bool,
    documents: DocumentSet,
    labels: Option<LabelsFile>,
    selection: Option<Selection>,
}

#[derive(Debug)]
struct LabelsFile {
    path: PathBuf,
    valid: Option<Labels>,
    error: Option<LabelsFileError>,
}

/// Why the file of labels cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum LabelsFileError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the file of labels is not UTF-8")]
    Utf8,
    #[error(transparent)]
    Parse(#[from] LabelsError),
}

impl Watch {
    /// Watches the documents in `directory`. The selection contains those that select a pod with the labels in the file
    /// `labels`; all of them if there is no such file.
    #[must_use]
    pub(crate) fn new(directory: PathBuf, labels: Option<PathBuf>) -> Self {
        Self {
            directory: ConfigDirectory::new(directory),
            directory_error: None,
            loaded: false,
            documents: DocumentSet::default(),
            labels: labels.map(|path| LabelsFile { path, valid: None, error: None }),
            selection: None,
        }
    }

    /// Polls for changes. Returns the selection if it has changed. The first selection is returned once both the directory and
    /// the labels have been read.
    pub(crate) fn poll(&mut self, now: SystemTime) -> Option<&Selection> {
        let labels_changed = self.labels.as_mut().is_some_and(LabelsFile::poll);
        let directory_changed = self.poll_directory(now);
        let ready = self.loaded && self.labels.as_ref().is_none_or(|labels| labels.valid.is_some());
        if !ready || !(labels_changed || directory_changed) {
            return None;
        }
        let selection = self.documents.select(self.labels.as_ref().and_then(|labels| labels.valid.as_ref()));
        if self.selection.as_ref() == Some(&selection) {
            return None;
        }
        Some(self.selection.insert(selection))
    }

    /// Returns the pod's labels as last read; no labels if there is no file of labels.
    #[must_use]
    pub(crate) fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.labels.as_ref().and_then(|labels| labels.valid.as_ref()).unwrap_or(&NONE)
    }

    /// Returns why the directory or the labels cannot be read, as messages.
    pub(crate) fn errors(&self) -> impl Iterator<Item = String> {
        let labels = self.labels.as_ref().and_then(|labels| {
            let error = labels.error.as_ref()?;
            Some(format!("{}: {error}", labels.path.display()))
        });
        self.directory_error.clone().into_iter().chain(labels)
    }

    fn poll_directory(&mut self, now: SystemTime) -> bool {
        match self.directory.poll(now) {
            Ok(change) => {
                self.directory_error = None;
                let Some(change) = change else { return false };
                self.documents.update(change);
                self.loaded = true;
                true
            }
            Err(error) => {
                self.directory_error = Some(format!("cannot read the configuration directory: {error}"));
                false
            }
        }
    }
}

impl LabelsFile {
    /// Reads the labels, and keeps the previous ones if that fails. Returns whether they have changed.
    fn poll(&mut self) -> bool {
        match self.read() {
            Ok(labels) => {
                self.error = None;
                let changed = self.valid.as_ref() != Some(&labels);
                self.valid = Some(labels);
                changed
            }
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }

    fn read(&self) -> Result<Labels, LabelsFileError> {
        let text = String::from_utf8(read_file(&self.path, LABELS_SIZE)?).map_err(|_| LabelsFileError::Utf8)?;
        Ok(labels::parse(&text)?)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    const DOCUMENT: &str = r#"{"version": 1, "namespace": "acme", "name": "a", "oid": "1.3.6.1.4.1.5.1.1",
        "contexts": [""], "selector": {"matchLabels": {"app": "checkout"}}, "sources": [],
        "scalars": [{"name": "x", "oid": "1", "syntax": "Gauge32", "value": {"constant": "5"}}]}"#;

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_mins(1)
    }

    #[test]
    fn changed_labels_change_the_selection_and_invalid_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let labels = dir.path().join("labels");
        fs::write(dir.path().join("subtree.a.json"), DOCUMENT).unwrap();
        let mut watch = Watch::new(dir.path().to_owned(), Some(labels.clone()));
        assert!(watch.poll(later()).is_none(), "no selection without labels");
        assert_eq!(watch.errors().count(), 1);

        fs::write(&labels, "app=\"cart\"\n").unwrap();
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 0);
        assert!(watch.poll(later()).is_none());
        fs::write(&labels, "app=\"checkout\"\n").unwrap();
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 1);

        fs::write(&labels, "app=checkout\n").unwrap();
        assert!(watch.poll(later()).is_none());
        let error = watch.errors().next().unwrap();
        assert!(error.ends_with("labels: line 1: the value is not enclosed in a pair of double quotes"), "{error}");
    }

    #[test]
    fn removed_directory_keeps_the_selection() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("config");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("subtree.a.json"), DOCUMENT).unwrap();
        let mut watch = Watch::new(folder.clone(), None);
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 1);
        fs::rename(&folder, dir.path().join("gone")).unwrap();
        assert!(watch.poll(later()).is_none());
        assert!(watch.errors().next().unwrap().starts_with("cannot read the configuration directory"));
    }

    /// Writes a version of a volume as the kubelet does: all files in a new directory, and a rename.
    fn swap(volume: &std::path::Path, version: &str, files: &[(&str, &str)]) {
        let data = volume.join(version);
        fs::create_dir(&data).unwrap();
        for (name, contents) in files {
            fs::write(data.join(name), contents).unwrap();
            _ = std::os::unix::fs::symlink(std::path::Path::new("..data").join(name), volume.join(name));
        }
        std::os::unix::fs::symlink(version, volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    }

    #[test]
    fn changes_of_other_files_in_the_volume_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let volume = |version: &str, token: &str, documents: &[(&str, &str)]| {
            let others =
                [("labels", "app=\"checkout\"\n"), ("ca.crt", token), ("token", token), ("acme.password", token)];
            swap(dir.path(), version, &[&others, documents].concat());
        };
        // The ConfigMap is optional. Without it the volume contains no documents.
        volume("..1", "one", &[]);
        let mut watch = Watch::new(dir.path().to_owned(), Some(dir.path().join("labels")));
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 0);
        assert_eq!(watch.errors().count(), 0);
        volume("..2", "two", &[]);
        assert!(watch.poll(SystemTime::now()).is_none());

        volume("..3", "two", &[("subtree.a.json", DOCUMENT)]);
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 1, "selected with the next poll");
        for (version, token) in [("..4", "three"), ("..5", "four")] {
            volume(version, token, &[("subtree.a.json", DOCUMENT)]);
            assert!(watch.poll(SystemTime::now()).is_none());
            assert_eq!(watch.errors().count(), 0);
        }
        volume("..6", "four", &[("subtree.a.json", &DOCUMENT.replace("\"5\"", "\"6\""))]);
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 1);
    }
}
