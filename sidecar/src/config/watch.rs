//! The configuration as it stands, polled: the folder of documents and the file of labels.

use std::{path::PathBuf, time::SystemTime};

use super::{
    Config, Selection,
    folder::{Folder, ReadError, read_file},
};
use crate::labels::{self, Labels, LabelsError};

/// Longest file of labels read, in bytes.
const LABELS_SIZE: u64 = 1 << 20;

/// The folder of documents and the file of labels, and what they last said.
#[derive(Debug)]
pub struct Watch {
    folder: Folder,
    folder_error: Option<String>,
    loaded: bool,
    config: Config,
    labels: Option<LabelsFile>,
    selection: Option<Selection>,
}

#[derive(Debug)]
struct LabelsFile {
    path: PathBuf,
    good: Option<Labels>,
    error: Option<LabelsFault>,
}

/// Why there are no labels, or only old ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum LabelsFault {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the file of labels is not UTF-8")]
    Utf8,
    #[error(transparent)]
    Parse(#[from] LabelsError),
}

impl Watch {
    /// Watches the documents in `folder`. Those are served that select a pod with the labels in the file `labels`;
    /// all where no file is given.
    #[must_use]
    pub fn new(folder: PathBuf, labels: Option<PathBuf>) -> Self {
        Self {
            folder: Folder::new(folder),
            folder_error: None,
            loaded: false,
            config: Config::default(),
            labels: labels.map(|path| LabelsFile { path, good: None, error: None }),
            selection: None,
        }
    }

    /// Looks for changes. The answer is what is served from now on, if that is something else than before; the first
    /// answer comes once folder and labels could both be read.
    pub fn poll(&mut self, now: SystemTime) -> Option<&Selection> {
        let labels_changed = self.labels.as_mut().is_some_and(LabelsFile::poll);
        let folder_changed = self.poll_folder(now);
        let ready = self.loaded && self.labels.as_ref().is_none_or(|labels| labels.good.is_some());
        if !ready || !(labels_changed || folder_changed) {
            return None;
        }
        let selection = self.config.select(self.labels.as_ref().and_then(|labels| labels.good.as_ref()));
        if self.selection.as_ref() == Some(&selection) {
            return None;
        }
        Some(self.selection.insert(selection))
    }

    /// The pod's labels as they were last read; none where no file of them is given.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.labels.as_ref().and_then(|labels| labels.good.as_ref()).unwrap_or(&NONE)
    }

    /// Why folder or labels cannot be read, as people should see it.
    pub fn errors(&self) -> impl Iterator<Item = String> {
        let labels = self.labels.as_ref().and_then(|labels| {
            let error = labels.error.as_ref()?;
            Some(format!("{}: {error}", labels.path.display()))
        });
        self.folder_error.clone().into_iter().chain(labels)
    }

    fn poll_folder(&mut self, now: SystemTime) -> bool {
        match self.folder.poll(now) {
            Ok(change) => {
                self.folder_error = None;
                let Some(change) = change else { return false };
                self.config.update(change);
                self.loaded = true;
                true
            }
            Err(error) => {
                self.folder_error = Some(format!("the configuration folder cannot be read: {error}"));
                false
            }
        }
    }
}

impl LabelsFile {
    /// Reads the labels, and keeps the old ones when that fails. Whether they are others than before.
    fn poll(&mut self) -> bool {
        match self.read() {
            Ok(labels) => {
                self.error = None;
                let changed = self.good.as_ref() != Some(&labels);
                self.good = Some(labels);
                changed
            }
            Err(error) => {
                self.error = Some(error);
                false
            }
        }
    }

    fn read(&self) -> Result<Labels, LabelsFault> {
        let text = String::from_utf8(read_file(&self.path, LABELS_SIZE)?).map_err(|_| LabelsFault::Utf8)?;
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
    fn labels_that_change_change_what_is_served_and_bad_ones_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let labels = dir.path().join("labels");
        fs::write(dir.path().join("subtree.a.json"), DOCUMENT).unwrap();
        let mut watch = Watch::new(dir.path().to_owned(), Some(labels.clone()));
        assert!(watch.poll(later()).is_none(), "without labels nothing can be chosen");
        assert_eq!(watch.errors().count(), 1);

        fs::write(&labels, "app=\"cart\"\n").unwrap();
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 0);
        assert!(watch.poll(later()).is_none());
        fs::write(&labels, "app=\"checkout\"\n").unwrap();
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 1);

        fs::write(&labels, "app=checkout\n").unwrap();
        assert!(watch.poll(later()).is_none());
        let error = watch.errors().next().unwrap();
        assert!(error.ends_with("labels: line 1: the value does not stand in one pair of double quotes"), "{error}");
    }

    #[test]
    fn a_folder_that_goes_away_leaves_everything_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("config");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("subtree.a.json"), DOCUMENT).unwrap();
        let mut watch = Watch::new(folder.clone(), None);
        assert_eq!(watch.poll(later()).unwrap().documents.len(), 1);
        fs::rename(&folder, dir.path().join("gone")).unwrap();
        assert!(watch.poll(later()).is_none());
        assert!(watch.errors().next().unwrap().starts_with("the configuration folder cannot be read"));
    }

    /// What the kubelet does when anything in a volume is another: all files anew in another folder, and one rename.
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
    fn a_volume_that_also_holds_a_token_and_authorities_changes_nothing_when_those_do() {
        let dir = tempfile::tempdir().unwrap();
        let volume = |version: &str, token: &str, documents: &[(&str, &str)]| {
            let others =
                [("labels", "app=\"checkout\"\n"), ("ca.crt", token), ("token", token), ("acme.password", token)];
            swap(dir.path(), version, &[&others, documents].concat());
        };
        // The ConfigMap is optional: before there is one the volume is there, and has no documents.
        volume("..1", "one", &[]);
        let mut watch = Watch::new(dir.path().to_owned(), Some(dir.path().join("labels")));
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 0);
        assert_eq!(watch.errors().count(), 0);
        volume("..2", "two", &[]);
        assert!(watch.poll(SystemTime::now()).is_none());

        volume("..3", "two", &[("subtree.a.json", DOCUMENT)]);
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 1, "served with the next look");
        for (version, token) in [("..4", "three"), ("..5", "four")] {
            volume(version, token, &[("subtree.a.json", DOCUMENT)]);
            assert!(watch.poll(SystemTime::now()).is_none());
            assert_eq!(watch.errors().count(), 0);
        }
        volume("..6", "four", &[("subtree.a.json", &DOCUMENT.replace("\"5\"", "\"6\""))]);
        assert_eq!(watch.poll(SystemTime::now()).unwrap().documents.len(), 1);
    }
}
