//! What the sidecar serves: the documents of the configuration folder that select this pod.
//!
//! A fault changes as little as can be: a document that cannot be used leaves its last good version in force, and
//! no other document notices.

pub mod folder;
mod watch;

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sidecar_config::{Oid, ParseError, Valid};

use crate::labels::{self, Labels};
use folder::{Change, ReadError};

pub use watch::Watch;

/// An SnmpSubtree's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubtreeName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl SubtreeName {
    /// The name in the document.
    #[must_use]
    pub fn of(subtree: &Valid) -> Self {
        Self { namespace: subtree.namespace.clone(), name: subtree.name.clone() }
    }
}

impl fmt::Display for SubtreeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A document in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The file that it came from.
    pub file: String,
    /// A hash of the file's bytes, to tell one version from another.
    pub hash: u64,
    /// What it says.
    pub subtree: Arc<Valid>,
}

/// Why the newest version of a file is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its contents are not there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its contents are no valid document.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// Another file has that name already.
    #[error("{subtree} stands in {other} already")]
    SameName {
        /// The name.
        subtree: SubtreeName,
        /// The file that holds it.
        other: String,
    },
    /// Another file has those OIDs already.
    #[error("{oid} overlaps {other_oid} of {other} in the context {context:?}")]
    Overlap {
        /// The document's base OID.
        oid: Oid,
        /// The file that holds the OIDs.
        other: String,
        /// That document's base OID.
        other_oid: Oid,
        /// The first context of both.
        context: String,
    },
}

/// The files of the folder, each with the last version of it that could be used.
#[derive(Debug, Default)]
pub struct Config {
    files: BTreeMap<String, File>,
}

#[derive(Debug, Default)]
struct File {
    good: Option<Document>,
    fault: Option<Fault>,
}

/// What a pod serves of a [`Config`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    /// The documents in force.
    pub documents: BTreeMap<SubtreeName, Document>,
    /// Files whose newest version is not served, and why. The version before may be among the documents.
    pub faults: BTreeMap<String, Fault>,
    /// Documents that select other pods.
    pub not_selected: Vec<SubtreeName>,
}

impl Config {
    /// Takes over a new state of the folder.
    ///
    /// A file that cannot be used keeps its last good version, and while its writer may not have finished it is no
    /// fault yet. A file that is gone is forgotten.
    pub fn update(&mut self, change: Change) {
        self.files.retain(|name, _| change.files.contains_key(name));
        for (name, contents) in change.files {
            let file = self.files.entry(name.clone()).or_default();
            match read(&name, contents) {
                Ok(document) => *file = File { good: Some(document), fault: None },
                Err(fault) if change.settled => file.fault = Some(fault),
                Err(_) => {}
            }
        }
    }

    /// What a pod with `labels` serves; every document where there are no labels to ask.
    ///
    /// Of two documents with one name, or with overlapping OIDs in one context, the one whose file comes first by
    /// name is served.
    #[must_use]
    pub fn select(&self, labels: Option<&Labels>) -> Selection {
        let mut selection = Selection::default();
        for (name, file) in &self.files {
            let mut fault = file.fault.clone();
            if let Some(document) = &file.good {
                let subtree = SubtreeName::of(&document.subtree);
                if labels.is_some_and(|labels| !labels::selects(&document.subtree.selector, labels)) {
                    selection.not_selected.push(subtree);
                } else if let Some(conflict) = selection.conflict(&subtree, document) {
                    fault = fault.or(Some(conflict));
                } else {
                    selection.documents.insert(subtree, document.clone());
                }
            }
            selection.faults.extend(fault.map(|fault| (name.clone(), fault)));
        }
        selection
    }
}

impl Selection {
    fn conflict(&self, name: &SubtreeName, document: &Document) -> Option<Fault> {
        if let Some(other) = self.documents.get(name) {
            return Some(Fault::SameName { subtree: name.clone(), other: other.file.clone() });
        }
        self.documents.values().find_map(|other| {
            let (a, b) = (&document.subtree, &other.subtree);
            if !a.oid.starts_with(&b.oid) && !b.oid.starts_with(&a.oid) {
                return None;
            }
            let context = a.contexts.iter().find(|context| b.contexts.contains(context))?;
            Some(Fault::Overlap {
                oid: a.oid.clone(),
                other: other.file.clone(),
                other_oid: b.oid.clone(),
                context: context.clone(),
            })
        })
    }
}

fn read(name: &str, contents: Result<Vec<u8>, ReadError>) -> Result<Document, Fault> {
    let contents = contents?;
    let subtree = Arc::new(sidecar_config::parse(&contents)?);
    Ok(Document { file: name.to_owned(), hash: fnv(&contents), subtree })
}

/// FNV-1a, 64 bits: the same in every build, so that people can compare pods.
fn fnv(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
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

    fn served(config: &Config) -> Vec<(String, String)> {
        let selection = config.select(None);
        selection.documents.into_iter().map(|(name, d)| (name.to_string(), d.subtree.oid.to_string())).collect()
    }

    fn pair(name: &str, oid: &str) -> (String, String) {
        (name.to_owned(), oid.to_owned())
    }

    const A: &str = "1.3.6.1.4.1.5.1.1";
    const B: &str = "1.3.6.1.4.1.5.1.2";

    #[test]
    fn garbage_leaves_the_last_good_version_and_the_other_files_alone() {
        let mut config = Config::default();
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
        let faults = config.select(None).faults;
        assert_eq!(faults.keys().collect::<Vec<_>>(), ["subtree.a.json"]);
        assert!(matches!(faults["subtree.a.json"], Fault::Parse(_)), "{faults:?}");
        config.update(change(&[("subtree.a.json", document("a", A, &["x"], "x"))]));
        assert_eq!(config.select(None).faults, BTreeMap::new());
    }

    #[test]
    fn a_file_that_cannot_be_read_leaves_its_last_good_version_in_force() {
        let mut config = Config::default();
        config.update(change(&[("subtree.a.json", document("a", A, &[""], "x"))]));
        let files = BTreeMap::from([("subtree.a.json".to_owned(), Err(ReadError::TooLong))]);
        config.update(Change { files, settled: true });
        assert_eq!(served(&config), [pair("acme/a", A)]);
        assert_eq!(config.select(None).faults["subtree.a.json"], Fault::Read(ReadError::TooLong));
    }

    #[test]
    fn a_file_that_goes_takes_its_subtree_with_it() {
        let mut config = Config::default();
        config.update(change(&[("subtree.a.json", document("a", A, &[""], "x"))]));
        config.update(change(&[]));
        assert_eq!(served(&config), []);
    }

    #[test]
    fn a_file_whose_writer_may_not_have_finished_is_no_fault_yet() {
        let mut config = Config::default();
        let half = change(&[("subtree.a.json", b"{\"vers".to_vec())]);
        config.update(Change { settled: false, ..half });
        assert_eq!(config.select(None), Selection::default());
    }

    #[test]
    fn of_two_files_with_one_name_the_first_is_served() {
        let mut config = Config::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &[""], "x")),
            ("subtree.b.json", document("a", B, &[""], "x")),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A)]);
        assert_eq!(config.select(None).faults["subtree.b.json"].to_string(), "acme/a stands in subtree.a.json already");
    }

    #[test]
    fn of_two_overlapping_subtrees_in_one_context_the_first_is_served_until_it_goes() {
        let mut config = Config::default();
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
            config.select(None).faults["subtree.b.json"].to_string(),
            "1.3.6.1.4.1.5.1 overlaps 1.3.6.1.4.1.5.1.9 of subtree.a.json in the context \"y\""
        );
        config.update(change(&[("subtree.b.json", b), ("subtree.c.json", c)]));
        assert_eq!(served(&config), [pair("acme/b", outer), pair("acme/c", "1.3.6.1.4.1.5.10")]);
    }

    #[test]
    fn the_same_oids_in_different_contexts_do_not_conflict() {
        let mut config = Config::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &["x"], "x")),
            ("subtree.b.json", document("b", A, &["y"], "x")),
        ]));
        assert_eq!(served(&config), [pair("acme/a", A), pair("acme/b", A)]);
    }

    #[test]
    fn documents_that_select_other_pods_are_not_served_and_stand_in_no_ones_way() {
        let mut config = Config::default();
        config.update(change(&[
            ("subtree.a.json", document("a", A, &[""], "checkout")),
            ("subtree.b.json", document("b", A, &[""], "cart")),
        ]));
        let pod = Labels::from([("app".to_owned(), "cart".to_owned())]);
        let selection = config.select(Some(&pod));
        assert_eq!(selection.documents.keys().map(ToString::to_string).collect::<Vec<_>>(), ["acme/b"]);
        assert_eq!(selection.not_selected.iter().map(ToString::to_string).collect::<Vec<_>>(), ["acme/a"]);
        assert!(selection.faults.is_empty());
    }
}
