//! The documents of the configuration directory, and the selection of those that a pod serves.
//!
//! An invalid document affects only itself: its last valid version stays in use.

use std::{collections::BTreeMap, fmt, hash::Hasher as _, sync::Arc};

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};
use sidecar_config::{Oid, ParseError, Valid};

use super::{
    directory::{Change, ReadError},
    labels::{self, Labels},
};

/// The namespace and name of an SnmpSubtree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SubtreeName {
    /// The namespace.
    pub(crate) namespace: String,
    /// The name.
    pub(crate) name: String,
}

impl SubtreeName {
    /// Returns the name in a document.
    #[must_use]
    pub(crate) fn of(subtree: &Valid) -> Self {
        Self { namespace: subtree.namespace.clone(), name: subtree.name.clone() }
    }
}

impl fmt::Display for SubtreeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// The name of its file.
    pub(crate) file: String,
    /// A hash of the file's contents, to distinguish versions.
    pub(crate) hash: u64,
    /// The contents.
    pub(crate) subtree: Arc<Valid>,
}

/// Why the latest version of a file is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DocumentError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The contents are not a valid document.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Another file contains a document with the same name.
    #[error("{subtree} is already defined in {other}")]
    SameName {
        /// The name.
        subtree: SubtreeName,
        /// The other file.
        other: String,
    },
    /// The OIDs overlap those of another document.
    #[error("{oid} overlaps {other_oid} of {other} in the context {context:?}")]
    Overlap {
        /// The document's base OID.
        oid: Oid,
        /// The file of the other document.
        other: String,
        /// The base OID of the other document.
        other_oid: Oid,
        /// The first common context.
        context: String,
    },
}

/// The files of the configuration directory, each with its last valid version.
#[derive(Debug, Default)]
pub(crate) struct DocumentSet {
    files: BTreeMap<String, File>,
}

#[derive(Debug, Default)]
struct File {
    valid: Option<Document>,
    error: Option<DocumentError>,
}

/// The documents of a [`DocumentSet`] that a pod serves.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Selection {
    /// The documents to serve.
    pub(crate) documents: BTreeMap<SubtreeName, Document>,
    /// The files whose latest version is not served, and why. An earlier version may be among the documents.
    pub(crate) errors: BTreeMap<String, DocumentError>,
    /// The documents that select other pods.
    pub(crate) not_selected: Vec<SubtreeName>,
}

impl DocumentSet {
    /// Updates the files.
    ///
    /// An invalid file keeps its last valid version. It is not an error yet while its writer may not have finished. A file that
    /// was deleted is removed.
    pub(crate) fn update(&mut self, change: Change) {
        self.files.retain(|name, _| change.files.contains_key(name));
        for (name, contents) in change.files {
            let file = self.files.entry(name.clone()).or_default();
            match read(&name, contents) {
                Ok(document) => *file = File { valid: Some(document), error: None },
                Err(error) if change.settled => file.error = Some(error),
                Err(_) => {}
            }
        }
    }

    /// Selects the documents for a pod with `labels`; all documents if there are no labels.
    ///
    /// If two documents have the same name, or overlapping OIDs in a context, the one whose file name sorts first is
    /// served.
    #[must_use]
    pub(crate) fn select(&self, labels: Option<&Labels>) -> Selection {
        let mut selection = Selection::default();
        for (name, file) in &self.files {
            let mut error = file.error.clone();
            if let Some(document) = &file.valid {
                let subtree = SubtreeName::of(&document.subtree);
                if labels.is_some_and(|labels| !labels::selects(&document.subtree.selector, labels)) {
                    selection.not_selected.push(subtree);
                } else if let Some(conflict) = selection.conflict(&subtree, document) {
                    error = error.or(Some(conflict));
                } else {
                    selection.documents.insert(subtree, document.clone());
                }
            }
            selection.errors.extend(error.map(|error| (name.clone(), error)));
        }
        selection
    }
}

impl Selection {
    fn conflict(&self, name: &SubtreeName, document: &Document) -> Option<DocumentError> {
        if let Some(other) = self.documents.get(name) {
            return Some(DocumentError::SameName { subtree: name.clone(), other: other.file.clone() });
        }
        self.documents.values().find_map(|other| {
            let (a, b) = (&document.subtree, &other.subtree);
            if !a.oid.starts_with(&b.oid) && !b.oid.starts_with(&a.oid) {
                return None;
            }
            let context = a.contexts.iter().find(|context| b.contexts.contains(context))?;
            Some(DocumentError::Overlap {
                oid: a.oid.clone(),
                other: other.file.clone(),
                other_oid: b.oid.clone(),
                context: context.clone(),
            })
        })
    }
}

fn read(name: &str, contents: Result<Vec<u8>, ReadError>) -> Result<Document, DocumentError> {
    let contents = contents?;
    let subtree = Arc::new(sidecar_config::parse(&contents)?);
    Ok(Document { file: name.to_owned(), hash: fnv(&contents), subtree })
}

/// Returns the 64-bit FNV-1a hash, which is the same in every build, so that pods can be compared.
fn fnv(octets: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(octets);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(name: &str, oid: &str, contexts: &[&str], app: &str) -> Vec<u8> {
        let document = json!({
            "version": 1, "namespace": "acme", "name": name, "oid": oid, "contexts": contexts,
            "selector": {"matchLabels": {"app": app}}, "sources": [],
            "scalars": [{"name": "tenant", "oid": "1", "syntax": "DisplayString", "value": {"constant": "acme"}}],
        });
        document.to_string().into_bytes()
    }

    fn change(files: &[(&str, Vec<u8>)]) -> Change {
        let files = files.iter().map(|(name, contents)| ((*name).to_owned(), Ok(contents.clone()))).collect();
        Change { files, settled: true }
    }

    fn served(config: &DocumentSet) -> Vec<(String, String)> {
        let selection = config.select(None);
        selection.documents.into_iter().map(|(name, d)| (name.to_string(), d.subtree.oid.to_string())).collect()
    }

    fn pair(name: &str, oid: &str) -> (String, String) {
        (name.to_owned(), oid.to_owned())
    }

    const A: &str = "1.3.6.1.4.1.5.1.1";
    const B: &str = "1.3.6.1.4.1.5.1.2";

    #[test]
    fn invalid_file_keeps_its_last_valid_version() {
        let mut config = DocumentSet::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &[""], "x")),
            ("subtree.b.json", b"{\"version\": 1,".to_vec()),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A)]);
        config.update(change(&[
            ("subtree.a.json", b"<html>".to_vec()),
            ("subtree.b.json", document("b", B, &[""], "x")),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A), pair("acme/b", B)]);
        let errors = config.select(None).errors;
        assert_eq!(errors.keys().collect::<Vec<_>>(), ["subtree.a.json"]);
        assert!(matches!(errors["subtree.a.json"], DocumentError::Parse(_)), "{errors:?}");
        config.update(change(&[("subtree.a.json", document("a", A, &["x"], "x"))]));
        assert_eq!(config.select(None).errors, BTreeMap::new());
    }

    #[test]
    fn unreadable_file_keeps_its_last_valid_version() {
        let mut config = DocumentSet::default();
        config.update(change(&[("subtree.a.json", document("a", A, &[""], "x"))]));
        let files = BTreeMap::from([("subtree.a.json".to_owned(), Err(ReadError::TooLong))]);
        config.update(Change { files, settled: true });
        assert_eq!(served(&config), [pair("acme/a", A)]);
        assert_eq!(config.select(None).errors["subtree.a.json"], DocumentError::Read(ReadError::TooLong));
    }

    #[test]
    fn deleted_file_removes_its_subtree() {
        let mut config = DocumentSet::default();
        config.update(change(&[("subtree.a.json", document("a", A, &[""], "x"))]));
        config.update(change(&[]));
        assert_eq!(served(&config), []);
    }

    #[test]
    fn incomplete_file_is_not_an_error_until_it_is_settled() {
        let mut config = DocumentSet::default();
        let half = change(&[("subtree.a.json", b"{\"vers".to_vec())]);
        config.update(Change { settled: false, ..half });
        assert_eq!(config.select(None), Selection::default());
    }

    #[test]
    fn first_of_two_files_with_the_same_name_is_served() {
        let mut config = DocumentSet::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &[""], "x")),
            ("subtree.b.json", document("a", B, &[""], "x")),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A)]);
        assert_eq!(
            config.select(None).errors["subtree.b.json"].to_string(),
            "acme/a is already defined in subtree.a.json"
        );
    }

    #[test]
    fn first_of_two_overlapping_subtrees_is_served() {
        let mut config = DocumentSet::default();
        let (outer, inner) = ("1.3.6.1.4.1.5.1", "1.3.6.1.4.1.5.1.9");
        let b = document("b", outer, &["y", "z"], "x");
        let c = document("c", "1.3.6.1.4.1.5.10", &["y"], "x");
        config.update(change(&[
            ("subtree.a.json", document("a", inner, &["x", "y"], "x")),
            ("subtree.b.json", b.clone()),
            ("subtree.c.json", c.clone()),
        ]));
        assert_eq!(served(&config), [pair("acme/a", inner), pair("acme/c", "1.3.6.1.4.1.5.10")]);
        assert_eq!(
            config.select(None).errors["subtree.b.json"].to_string(),
            "1.3.6.1.4.1.5.1 overlaps 1.3.6.1.4.1.5.1.9 of subtree.a.json in the context \"y\""
        );
        config.update(change(&[("subtree.b.json", b), ("subtree.c.json", c)]));
        assert_eq!(served(&config), [pair("acme/b", outer), pair("acme/c", "1.3.6.1.4.1.5.10")]);
    }

    #[test]
    fn same_oids_in_different_contexts_do_not_conflict() {
        let mut config = DocumentSet::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &["x"], "x")),
            ("subtree.b.json", document("b", A, &["y"], "x")),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A), pair("acme/b", A)]);
    }

    #[test]
    fn documents_for_other_pods_are_ignored() {
        let mut config = DocumentSet::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &[""], "checkout")),
            ("subtree.b.json", document("b", A, &[""], "cart")),
        ]));
        let pod = Labels::from([("app".to_owned(), "cart".to_owned())]);
        let selection = config.select(Some(&pod));
        assert_eq!(selection.documents.keys().map(ToString::to_string).collect::<Vec<_>>(), ["acme/b"]);
        assert_eq!(selection.not_selected.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme/a"]);
        assert!(selection.errors.is_empty());
    }
}
